"""Planted shortcuts, repeats and leaks are found; a clean set raises no alarm."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ablations.pairs.soundness.contamination import (
    of_item,
    of_pair,
    repeats,
    tainted,
    write_taints,
)
from ablations.pairs.soundness.likeness import alike, copies, print_of
from ablations.pairs.soundness.shortcuts import clusters, read, shortcuts
from ablations.statistics.exclusions import read_exclusions
from benchmarks.micro.data.pairs import DOMAINS, Domain, pairs, tasks
from harness.cli.main import cli
from harness.errors import UsageError
from harness.records import ImagePart, Item, Message, Pair, TextPart

Edit = Callable[[Pair], Pair]


def recompressed(image: Image.Image, quality: int, factor: float = 1.0) -> Image.Image:
    size = (max(8, round(image.width * factor)), max(8, round(image.height * factor)))
    stream = io.BytesIO()
    image.resize(size).save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue())).convert("RGB")


def on_image(change: Callable[[Image.Image], Image.Image], side: str = "positive") -> Edit:
    def edit(pair: Pair) -> Pair:
        (part,) = getattr(pair, f"context_{side}")
        return replace(pair, **{f"context_{side}": (ImagePart(change(part.image)),)})

    return edit


def on_text(change: Callable[[str], str], side: str = "positive") -> Edit:
    def edit(pair: Pair) -> Pair:
        (part,) = getattr(pair, f"context_{side}")
        return replace(pair, **{f"context_{side}": (TextPart(change(part.text)),)})

    return edit


def corner(image: Image.Image) -> Image.Image:
    marked = image.copy()
    marked.paste((255, 0, 0), (0, 0, 2, 2))
    return marked


def blurred(image: Image.Image) -> Image.Image:
    """One cell only is smooth, as after generative editing."""
    from PIL import ImageFilter

    marked = image.copy()
    marked.paste(image.crop((16, 16, 32, 32)).filter(ImageFilter.BoxBlur(1)), (16, 16))
    return marked


PLANTED: list[tuple[str, Domain, Edit, str]] = [
    ("recompressed", "image", on_image(lambda i: recompressed(i, 95)), "surface"),
    ("the other recompressed", "image", on_image(lambda i: recompressed(i, 60), "negative"),
     "surface"),
    ("brighter by two", "image", on_image(lambda i: i.point(lambda v: min(255, v + 2))), "surface"),
    ("a mark", "image", on_image(corner), "surface"),
    ("an edited region", "image", on_image(blurred, "negative"), "surface"),
    ("larger", "image", on_image(lambda i: i.resize((i.width + 1, i.height))), "length"),
    ("longer", "trajectory", on_text(lambda t: t + " ok\n"), "length"),
    ("a last newline", "trajectory", on_text(lambda t: t + "\n"), "surface"),
    ("a word", "trajectory", on_text(lambda t: "fixed\n" + t), "words"),
    ("one command edited", "trajectory", on_text(lambda t: t.replace("$ ", "> ")), "surface"),
    ("answers end alike", "trajectory", lambda p: replace(p, answer=f"{p.answer}."),
     "contexts blanked"),
    ("the question repeated", "trajectory",
     lambda p: on_text(lambda t: f"{t}{p.query}\n")(p), "answer blanked"),
]  # fmt: skip


@pytest.mark.parametrize(("domain", "edit", "test"), [p[1:] for p in PLANTED],
                         ids=[p[0] for p in PLANTED])  # fmt: skip
def test_a_planted_shortcut_is_an_alarm(domain: Domain, edit: Edit, test: str) -> None:
    found = shortcuts([edit(pair) for pair in pairs("pairs", 60, 3, domains=(domain,))])
    assert test in [each.test for each in found if each.alarm]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_clean_set_raises_no_alarm(domain: Domain) -> None:
    for seed in range(2):
        found = shortcuts(pairs("pairs", 60, seed, domains=(domain,)))
        assert not [each for each in found if each.alarm]


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_twenty_clean_sets_raise_no_alarm(domain: Domain) -> None:
    for seed in range(20):
        found = shortcuts(pairs("pairs", 200, seed, domains=(domain,)))
        assert not [each for each in found if each.alarm]


def test_where_the_decisive_line_is_may_give_a_context_away() -> None:
    rng = random.Random(0)
    made = []
    for number in range(60):
        lines = [f"step {rng.randrange(1000)} of the log" for _ in range(9)]
        first, second = ([f"The colour is {c}."] for c in ("red", "blue"))
        place = rng.randrange(1, 9)
        texts = ([*first, *lines], [*lines[:place], *second, *lines[place:]])
        contexts = tuple((TextPart("\n".join(text)),) for text in texts)
        made.append(Pair(str(number), "d", "What colour is it?", "red", "blue", *contexts, ""))
    found = {test.test: test for test in shortcuts(made)}
    assert found["answer blanked"].alarm
    assert found["answer blanked"].low > 0.6


@pytest.mark.slow
def test_a_shortcut_in_half_of_the_pairs_is_an_alarm() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        edit = on_image(lambda image: recompressed(image, 80))
        made = pairs("pairs", 200, seed, domains=("image",))
        found = shortcuts([edit(pair) if rng.random() < 0.5 else pair for pair in made])
        assert "surface" in [each.test for each in found if each.alarm]


def test_a_reader_without_information_is_at_chance() -> None:
    """z of the accuracy under its own null is standard normal: 200 sets, 0 +- 3 / sqrt(200)."""
    rng = np.random.default_rng(0)
    p = []
    for _ in range(200):
        x = rng.standard_normal((60, 8))
        groups = rng.integers(0, 40, 60)
        groups = np.unique(groups, return_inverse=True)[1]
        p.append(read(x, np.ones(60), groups, 0.001).p)
    assert abs(np.mean(p) - 0.5) < 3 * np.sqrt(1 / 12 / 200)
    assert np.mean(np.array(p) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_both_directions_of_a_pair_count_once() -> None:
    assert clusters([("a", "b"), ("b", "a"), ("c", "d"), ("d", "e")]).tolist() == [0, 0, 1, 1]


def test_few_pairs_are_not_tested() -> None:
    found = shortcuts(pairs("pairs", 12, domains=("image",)))
    assert {each.accuracy for each in found} == {None}


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.0])
def test_a_copy_of_an_image_is_found_and_no_other(factor: float) -> None:
    made = [pair.context_positive[0].image for pair in pairs("pairs", 40, domains=("image",))]  # type: ignore[union-attr]
    large = [image.resize((160, 160), Image.Resampling.NEAREST) for image in made]
    copies = [print_of(recompressed(image, 60, factor)) for image in large]
    found = {(i, j) for i, j, _ in alike([*map(print_of, large)], copies)}  # type: ignore[list-item]
    assert found == {(i, i) for i in range(40)}


@pytest.mark.parametrize("side", [400, 700, 1500])
def test_an_exchanged_digit_is_no_copy_and_a_smaller_worse_image_is(side: int) -> None:
    """The digit is 5 % of the side: a copy is told by the spot that differs most."""
    rng = random.Random(side)
    image = Image.effect_mandelbrot((side, side), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    height = max(side // 20, 8)
    place = rng.randrange(side - height), rng.randrange(side - height)
    edits = []
    for digit in "38":
        edited = image.copy()
        draw = ImageDraw.Draw(edited)
        draw.rectangle((*place, place[0] + height, place[1] + height), "white")
        draw.text(place, digit, "black", font=ImageFont.load_default(size=height))
        edits.append(edited)
    assert not copies(*edits)
    assert copies(edits[0], recompressed(edits[0], 40, 0.4))
    assert copies(edits[0], recompressed(edits[0], 40))


def test_an_image_of_one_colour_is_like_no_other() -> None:
    assert print_of(Image.new("RGB", (40, 40), "red")) is None


def asked(item: Item, text: str, *, image: bool = True) -> Item:
    parts = item.messages[0].content
    kept = tuple(p for p in parts if isinstance(p, ImagePart)) if image else ()
    shown = tuple(ImagePart(recompressed(p.image, 70, 1.5)) for p in kept)

    message = Message("user", (*shown, TextPart(text)))
    return replace(item, id=f"copy of {item.id}", messages=(message,))


QUESTION = "A train leaves Bern at nine and meets another that left Basel at ten: when is that?"


@pytest.mark.parametrize(
    ("row", "item", "by"),
    [
        (QUESTION, f"Read carefully.\n{QUESTION.upper()}  Answer briefly.", "question"),
        (f"{QUESTION} (A) 11 (B) 12", QUESTION.replace(" ", "\n"), "question"),
        (QUESTION, "A bus leaves Bern at nine and meets a train in Basel at ten: when?", None),
        ("When is that?", "When is that?", None),
    ],
)
def test_a_copied_question_is_found(row: str, item: str, by: str | None) -> None:
    def of(name: str, text: str) -> Item:
        return Item(name, (Message("user", (TextPart(text),)),), None, name)

    others = [of(f"other {n}", f"Question {n}: " + " ".join(f"w{n}{k}" for k in range(20)))
              for n in range(5)]  # fmt: skip
    items = [of_item(made) for made in (*others, of("leaked", item))]
    found = tainted("bench", items, {"rl": [of_item(of("row", row))]})
    assert [(each.item, each.row, each.by) for each in found] == (
        [("leaked", "row", by)] if by else []
    )


def test_a_leaked_image_taints_its_item_whatever_is_asked() -> None:
    bench = tasks("probe", 40, domains=("image",))
    rows = [of_item(item) for item in tasks("rl", 60, domains=("image",))]
    items = [of_item(item) for item in bench]
    assert not tainted("bench", items, {"rl": rows, "pairs": []})
    leaked = of_item(asked(bench[7], "Something else?"))
    found = tainted("bench", items, {"rl": [*rows, leaked], "pairs": []})
    assert {(each.item, each.row, each.by) for each in found} == {
        (bench[7].id, leaked.name, "image")
    }
    assert not tainted("bench", items, {"rl": [of_item(asked(bench[7], "W?", image=False))]})


def test_a_mirrored_image_taints_its_item_and_no_other() -> None:
    bench = tasks("probe", 40, domains=("image",))
    items = [of_item(item, mirrored=True) for item in bench]
    rows = tasks("rl", 60, domains=("image",))
    (message,) = bench[7].messages
    parts = [
        ImagePart(ImageOps.mirror(part.image)) if isinstance(part, ImagePart) else part
        for part in message.content
    ]
    leaked = replace(bench[7], id="leaked", messages=(Message("user", tuple(parts)),))
    found = tainted("bench", items, {"rl": [*map(of_item, rows), of_item(leaked)]})
    assert {(each.item, each.row) for each in found} == {(bench[7].id, "leaked")}


def test_boilerplate_is_no_leak() -> None:
    ending = "Please answer the question with the letter of the right option and nothing else."

    def of(name: str) -> Item:
        return Item(name, (Message("user", (TextPart(f"{name}? {ending}"),)),), None, name)

    items = [of_item(of(f"item {n}")) for n in range(10)]
    assert not tainted("bench", items, {"rl": [of_item(of("row"))]})


def test_repeated_pairs_are_named() -> None:
    made = pairs("pairs", 20)
    image, text = made[0], made[1]
    again = replace(on_image(lambda i: recompressed(i, 90, 2))(image), id="again")
    spaced = replace(on_text(lambda t: t.upper().replace("\n", "\n\n"))(text), id="spaced")
    every = [*made, again, spaced]
    found = repeats(every, [of_pair(pair) for pair in every])
    assert sorted(found) == sorted([(image.id, "again"), (text.id, "spaced")])


def test_the_list_of_tainted_items_is_read_again(tmp_path: Path) -> None:
    item = of_item(next(iter(tasks("probe", 1, domains=("image",)))))
    taints = tainted("mathvista", [item], {"rl": [item], "pairs": [item]})
    write_taints(tmp_path / "t.jsonl", taints)
    assert read_exclusions(tmp_path / "t.jsonl") == {"mathvista": {item.name}}


@pytest.mark.slow
def test_the_command_tells_shortcuts(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["pairs", "check", "micro:trajectory", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert document["alarms"] == []
    # A text that supports an answer names it, so that the question is not needed: no fault.
    assert "question blanked" in document["notices"]
    cli.main(["pairs", "check", "micro:image"], standalone_mode=False)
    assert "no shortcut found" in capsys.readouterr().out


def test_options_for_a_suite_need_one() -> None:
    with pytest.raises(UsageError, match="need --suite"):
        cli.main(["pairs", "check", "micro", "--rl-data", "micro"], standalone_mode=False)
