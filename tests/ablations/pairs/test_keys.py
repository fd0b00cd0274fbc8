"""Letters of written prompts that can be told without reading the contexts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from scipy.stats import binom

from ablations.pairs.soundness.shortcuts import FAMILY_ALPHA, keys, separated
from benchmarks.micro.data.pairs import pairs
from benchmarks.pairs.selection import WrittenPair
from benchmarks.pairs.template import PairTemplate
from harness.cli.main import cli
from harness.records import Message, Pair, TextPart

N = 120


def alarms(letters: list[str], questions: list[str], domains: list[str] | None = None) -> list[str]:
    found = keys(letters, questions, domains or ["image"] * len(letters))
    return [test.test for test in found if test.alarm]


def asked(rng: random.Random) -> list[str]:
    return [f"{rng.choice(['What', 'Which thing'])} is at {rng.randint(1, 60)}?" for n in range(N)]


def test_random_letters_raise_no_alarm() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        letters = [rng.choice("AB") for _ in range(N)]
        assert not alarms(letters, asked(rng), [rng.choice("xyz") for _ in range(N)])


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("all A", "key balance"), ("mostly B", "key balance"), ("in turns", "key by place"),
        ("first half A", "key by place"), ("by domain", "key by place"),
        ("by a word", "key by question"),
    ],
)  # fmt: skip
def test_a_planted_key_is_an_alarm(name: str, test: str) -> None:
    rng = random.Random(name)
    questions, domains = asked(rng), [rng.choice("xy") for _ in range(N)]
    letters = {
        "all A": ["A"] * N,
        "mostly B": ["B" if n % 4 else "A" for n in rng.sample(range(N), N)],
        "in turns": ["AB"[n % 2] for n in range(N)],
        "first half A": ["AB"[n >= N // 2] for n in range(N)],
        "by domain": ["A" if domain == "x" else "B" for domain in domains],
        "by a word": ["AB"["thing" in question] for question in questions],
    }[name]
    assert test in alarms(letters, questions, domains)


def write(folder: Path, letters: list[str], edit: Callable[[Image.Image], Image.Image]) -> Path:
    """Write pairs of images in the authors' form: two marks, the supporting image by letter."""
    rows = []
    for k, (pair, letter) in enumerate(zip(pairs("pairs", N, 0, ("image",)), letters, strict=True)):
        assert isinstance(pair, Pair)
        images = [part.image for part in (*pair.context_positive, *pair.context_negative)]  # type: ignore[union-attr]
        for name, image in zip("pn", (edit(images[0]), images[1]), strict=True):
            image.save(folder / f"{k}{name}.png")
        shown = [f"{k}p.png", f"{k}n.png"][:: 1 if letter == "A" else -1]
        problem = f"<image><image>\n{pair.query} {pair.answer}. Which image? Answer A or B."
        rows.append({"problem": problem, "images": shown, "answer": letter})
    path = folder / "written.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("kind", "alarms", "notice"),
    [("clean", [], False), ("in turns", [], True), ("brighter", ["surface"], False)],
)
def test_written_prompts_are_tested_as_pairs_and_for_their_letters(
    kind: str, alarms: list[str], notice: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(kind)
    letters = ["AB"[n % 2] if kind == "in turns" else rng.choice("AB") for n in range(N)]

    def edit(image: Image.Image) -> Image.Image:
        return image.point(lambda v: min(255, v + 2)) if kind == "brighter" else image

    path = write(tmp_path, letters, edit)
    cli.main(["pairs", "check", str(path), "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert (document["alarms"], document["untested"]) == (alarms, 0)
    assert ("key by place" in document["notices"]) == notice


ASKED = "Issue: {}\nPatch: {}\nLog A:\n{}\nLog B:\n{}\nWhich log?"
PARTS = ASKED.replace("?", r"\?").format(
    *(f"(?P<{name}>.+?)" for name in ("query", "answer", "context_a", "context_b"))
)


def texts(rng: random.Random, more: str) -> list[dict[str, str]]:
    """Return written prompts of text; ``more`` is in the log that supports."""
    rows = []
    for n in range(N):
        logs = ["\n".join(rng.choices(["read", "ran", "saw"], k=rng.randint(4, 9))) for _ in "AB"]
        letter = rng.choice("AB")
        logs["AB".index(letter)] += more
        asked = ASKED.format(f"issue {n}", f"patch {rng.randint(1, 99)}", *logs)
        rows.append({"prompt": asked, "correct_answer": letter})
    return rows


@pytest.mark.parametrize(("more", "alarm"), [("", False), ("\nread" * 7, True)])
@pytest.mark.parametrize("template", [True, False])
def test_prompts_of_text_are_tested_as_pairs_where_a_template_takes_them_apart(
    more: str,
    alarm: bool,
    template: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, parts = tmp_path / "p.jsonl", tmp_path / "parts"
    path.write_text("\n".join(map(json.dumps, texts(random.Random(4), more))))
    parts.write_text(PARTS)
    words = ["--pair-template", str(parts)] if template else []
    cli.main(["pairs", "check", str(path), "--json", *words], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert document["untested"] == (0 if template else N)
    assert ("length" in document["alarms"]) == (template and alarm)
    if not alarm:
        assert not document["alarms"]


def test_a_prompt_of_text_gives_the_pair_that_it_was_made_of() -> None:
    template = PairTemplate.of(PARTS)
    shown = ASKED.format("i", "p", "one", "two")
    for letter, right, wrong in (("A", "one", "two"), ("B", "two", "one")):
        messages = (Message("user", (TextPart(shown),)),)
        pair = separated(WrittenPair("n", "d", messages, letter, messages), template)  # type: ignore[arg-type]
        assert pair == Pair("n", "d", "i", "p", None, (TextPart(right),), (TextPart(wrong),), "")
    other = (Message("user", (TextPart("Which?"),)),)
    assert separated(WrittenPair("n", "d", other, "A"), template) is None


def test_the_interval_of_the_balance_is_exact() -> None:
    """Clopper and Pearson: at the lower bound 75 of 100 or more have probability alpha / 2."""
    balance = keys(["A"] * 75 + ["B"] * 25, [""] * 100, [""] * 100)[0]
    assert balance.low is not None
    assert binom.sf(74, 100, balance.low) == pytest.approx(FAMILY_ALPHA / 3 / 2, rel=1e-6)
