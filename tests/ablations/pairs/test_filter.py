"""The difficulty filter: shares right in both orders, read strictly, by any backend."""

from __future__ import annotations

import json
from itertools import count
from math import exp
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pair_sources import open_pairs
from benchmarks.pairs.file import check
from benchmarks.pairs.template import GROUPS
from tests.ablations import tiny
from tests.commands import harness, one_line
from tests.servers import Reply, Request, ScriptedServer

NUMBERS = range(9)


def write_pairs(path: Path) -> Path:
    """Write pair N, of which the scripted model is right in N of 8 tries."""
    rows = [
        {"id": f"p{n}", "query": f"right in {n}?", "answer": "yes", "domain": "d",
         "context_positive": f"the good one of {n}", "context_negative": f"the bad one of {n}"}
        for n in NUMBERS
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def right_letter(request: Request) -> str:
    return "A" if request.text.index("the good") < request.text.index("the bad") else "B"


def scripted(wrong: str = "") -> Any:
    """Return a model that is right in the first N answers about pair N; ``wrong``: what else."""
    asked = {n: count() for n in NUMBERS}

    def answer(request: Request) -> str:
        number = int(request.text.partition("right in ")[2][0])
        letter = right_letter(request)
        other = "B" if letter == "A" else "A"
        return letter if next(asked[number]) < number else wrong or other

    return answer


def run(source: Path, out: Path, url: str, *more: object) -> Any:
    arguments = ("--endpoint", url, "--model", "scripted", "--out", out, "--json", *more)
    return harness("pairs", "filter", source, *arguments)


@pytest.mark.parametrize("wrong", ["", "I cannot say", "A or B"])
def test_two_to_five_of_eight_are_kept_and_unreadable_answers_are_wrong(
    tmp_path: Path, wrong: str
) -> None:
    source, out = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "out"
    with ScriptedServer(scripted(wrong)) as server:
        done = run(source, out, server.url, "--concurrency", 1)
        assert done.returncode == 0, done.stderr
        letters = [right_letter(request) for request in server.requests]
        again = run(source, out, server.url, "--concurrency", 1)
        assert len(server.requests) == len(letters) == 8 * len(NUMBERS)
    assert json.loads(again.stdout) == json.loads(done.stdout)
    assert letters.count("A") == letters.count("B")
    rows = [json.loads(line) for line in (out / "pairs.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["p2", "p3", "p4", "p5"]
    assert [row["difficulty"]["right"] for row in rows] == [n / 8 for n in range(2, 6)]
    assert rows[0]["difficulty"]["unparsable"] == (6 if wrong == "I cannot say" else 0)
    step = json.loads(done.stdout)["funnel"][-1]
    assert step["dropped"] == {"too hard": 2, "too easy": 3}
    for pair in open_pairs(str(out / "pairs.jsonl")):
        check(pair)


def test_answers_that_failed_are_asked_again(tmp_path: Path) -> None:
    source, out = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "out"
    answer = scripted()
    broken = {"p": True}

    def fails(request: Request) -> Reply | str:
        if broken["p"] and "right in 3" in request.text:
            return Reply(status=400, text="bad request")
        return answer(request)  # type: ignore[no-any-return]

    with ScriptedServer(fails) as server:
        first = run(source, out, server.url, "--concurrency", 1, "--limit", 4)
        asked = len(server.requests)
        broken["p"] = False
        second = run(source, out, server.url, "--concurrency", 1, "--limit", 4)
        assert len(server.requests) == asked + 8
    assert first.returncode == 1
    assert json.loads(first.stdout)["missed"] == 1
    assert second.returncode == 0
    assert json.loads(second.stdout)["counts"]["pairs"] == 2


def test_log_probabilities_give_the_mean_share_of_both_orders(tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        number = int(request.text.partition("right in ")[2][0])
        bias, margin = 1.0, number - 4.0  # of the letter A; of the right context
        first = bias + (margin if right_letter(request) == "A" else -margin)
        return Reply("A", logprobs={"A": first / 2 - 2, "B": -first / 2 - 2})

    source, out = write_pairs(tmp_path / "pairs.jsonl"), tmp_path / "out"
    with ScriptedServer(answer) as server:
        done = run(source, out, server.url, "--by", "logprobs", "--keep", 0, 1)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (out / "pairs.jsonl").read_text().splitlines()]
    sigmoid = [1 / (1 + exp(-(1 + m))) / 2 + 1 / (1 + exp(1 - m)) / 2 for m in range(-4, 5)]
    assert [row["difficulty"]["right"] for row in rows] == pytest.approx(sigmoid, abs=1e-4)


@pytest.mark.parametrize(
    ("more", "piece"),
    [
        (("--keep", 0.7, 0.2), "must not be larger"),
        (("--tries", 7), "must be even"),
        (("--by", "logprobs"), "--by letters"),
        (("--backend", "vllm"), "mutually exclusive"),
    ],
)
def test_wrong_options_are_one_line(tmp_path: Path, more: tuple[object, ...], piece: str) -> None:
    source = write_pairs(tmp_path / "pairs.jsonl")
    with ScriptedServer(lambda _: "A") as server:
        one_line(run(source, tmp_path / "out", server.url, *more), piece)


def test_images_of_kept_pairs_are_written_as_they_are(tmp_path: Path) -> None:
    from benchmarks.micro.data.pairs import pairs as micro_pairs

    out = tmp_path / "out"
    with ScriptedServer(lambda _: "A") as server:
        done = run(Path("micro:image"), out, server.url, "--limit", 2, "--tries", 2)
    assert done.returncode == 0, done.stderr
    kept = list(open_pairs(str(out / "pairs.jsonl")))
    assert len(kept) == 2  # always A is right in one order of two
    for mine, theirs in zip(kept, micro_pairs("pairs", 2, domains=("image",)), strict=True):
        assert (mine.id, mine.query, mine.answer) == (theirs.id, theirs.query, theirs.answer)
        for a, b in zip(mine.context_positive, theirs.context_positive, strict=True):
            assert getattr(a, "text", None) == getattr(b, "text", None)
            if hasattr(a, "image") and hasattr(b, "image"):
                assert a.image.tobytes() == b.image.tobytes()


def test_written_prompts_are_filtered_and_stay_written(tmp_path: Path) -> None:
    """Images in both orders, text and images without marks in the one that is known."""
    for colour in tiny.COLOURS:
        tiny.image(colour).save(tmp_path / f"{colour}.png")
    images = ["red.png", "blue.png"]
    turns = [
        {"role": "system", "content": "You see."},
        {"role": "user", "content": "Right or not?"},
    ]
    rows: list[dict[str, Any]] = [
        {"id": "marked", "problem": "<image>\n<image>Red?", "answer": "A", "images": images},
        {"id": "plain", "problem": "Which is red?", "answer": "A", "images": images},
        {"id": "text", "prompt": "A: good <image> B: bad", "correct_answer": "A"},
        {"id": "turns", "prompt": turns, "correct_answer": "B"},
    ]  # fmt: skip
    source, out = tmp_path / "pairs.jsonl", tmp_path / "out"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with ScriptedServer(lambda _: "A") as server:
        done = run(source, out, server.url, "--tries", 4, "--keep", 0, 1)
        assert done.returncode == 0, done.stderr
        assert len(server.requests) == 4 * len(rows)
    kept = [json.loads(line) for line in (out / "pairs.jsonl").read_text().splitlines()]
    assert [row["difficulty"]["right"] for row in kept] == [0.5, 1.0, 1.0, 0.0]
    assert list(open_pairs(str(out / "pairs.jsonl"))) == list(open_pairs(str(source)))


def test_images_elsewhere_and_templates_decide_what_is_asked(tmp_path: Path) -> None:
    """Their content is the build's: with another it is another build."""
    (tmp_path / "shown").mkdir()
    for colour in tiny.COLOURS:
        tiny.image(colour).save(tmp_path / "shown" / f"{colour}.png")
    rows = [
        {"prompt": "<image><image>Red?", "correct_answer": "B", "seen": ["red.png", "blue.png"]},
        {"prompt": "Q: k\nA: 5\n1: four\n2: five\nWhich?", "correct_answer": "B"},
    ]
    source, template, out = (tmp_path / name for name in ("p.jsonl", "template", "out"))
    source.write_text("\n".join(map(json.dumps, rows)))
    pieces = (f"{at}: (?P<{name}>.+?)\n" for at, name in zip("QA12", GROUPS, strict=True))
    template.write_text("".join(pieces) + r"Which\?")
    given: list[object] = ["--columns", "images=seen"]
    given += ["--image-root", tmp_path / "shown"]
    given += ["--pair-template", template, "--tries", 2, "--keep", 0, 1]
    with ScriptedServer(lambda _: "A") as server:
        done = run(source, out, server.url, *given)
        assert done.returncode == 0, done.stderr
        texts = {request.text for request in server.requests}
        assert {"Q: k\nA: 5\n1: five\n2: four\nWhich?", rows[1]["prompt"]} <= texts
        assert run(source, out, server.url, *given).stdout == done.stdout
        assert len(server.requests) == 4
        tiny.image("green").save(tmp_path / "shown" / "blue.png")
        one_line(run(source, out, server.url, *given), "another build", "inputs.pairs")
