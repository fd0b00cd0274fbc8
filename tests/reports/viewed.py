"""Runs to look at: questions on one, two or three images each, asked of two models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from PIL import Image

from reports.view.images import Prompts
from reports.view.items import Place, View, open_view
from tests.commands import harness
from tests.hostile.kinds import VALUES

SCRIPT = '</script><script>document.title="owned"</script><img src="x" onerror="alert(1)">'
ITEMS = 60
SIZES = ((64, 64), (640, 480), (1600, 900))
ODD = ["it's $(touch owned)", str(VALUES["reversed"]), "../../outside", "q/é", SCRIPT]


def silent(places: Sequence[Place]) -> AbstractContextManager[Iterable[Place]]:
    """Show no progress."""
    return nullcontext(places)


def name(number: int) -> str:
    """Return an item's id: the first ones are hostile."""
    return ODD[number] if number < len(ODD) else f"q{number}"


def images(number: int) -> list[str]:
    """Return the files of an item's images."""
    return [f"{each}.png" for each in range(number % 4)]


def answer(number: int, side: int) -> str:
    """Return a response: the second model is right on more items, and wrong on some others."""
    right = number % 3 == 0 if side == 0 else number % 2 == 0
    thought = f"<think>Item {number} {SCRIPT} \x1b[31m red</think>\n\n"
    if number == 7:
        return thought + "x" * 100_000
    return thought + f"The answer is ({'A' if right else 'B'})."


def write(folder: Path) -> None:
    """Write ``own.jsonl`` with its images, and ``runs/one`` and ``runs/two``; two lacks 5 items."""
    for number, (size, colour) in enumerate(zip(SIZES, ("red", "blue", "green"), strict=True)):
        Image.new("RGB", size, colour).save(folder / f"{number}.png")
    rows = [
        {
            "id": name(number),
            "question": f"Which colour is {number}? {SCRIPT if number == 1 else ''}",
            "choices": ["red", "blue"],
            "answer": "A",
            "image_path": images(number),
        }
        for number in range(ITEMS)
    ]
    _lines(folder / "own.jsonl", rows)
    for side, run in enumerate(("one", "two")):
        responses = [
            {"id": name(number), "response": answer(number, side)}
            for number in range(ITEMS - 5 * side)
        ]
        _lines(folder / "responses.jsonl", responses)
        words = ("score", folder / "own.jsonl", folder / "responses.jsonl", "--out", folder / "new")
        assert harness(*words).returncode == 0
        (made,) = (folder / "new").iterdir()
        (folder / "runs").mkdir(exist_ok=True)
        made.rename(folder / "runs" / run)


def opened(world: Path) -> tuple[View, Prompts]:
    """Return the two runs side by side, with what builds their prompts."""
    from benchmarks import suites

    suites.suite(str(world / "own.jsonl"))
    view = open_view([world / "runs" / "one", world / "runs" / "two"])
    return view, Prompts(view, None)


def _lines(path: Path, rows: Iterable[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
