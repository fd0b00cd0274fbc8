"""What the rows of the small data sets share: questions of the split ``eval`` and their images."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.data.catalog.schemas import Schema
from benchmarks.micro.content import questions
from benchmarks.micro.content.questions import Asked
from benchmarks.micro.content.scenes import Scene
from benchmarks.micro.content.splits import Split

T = TypeVar("T")
Row = dict[str, Any]
Tables = Mapping[str, Mapping[str, list[Row]]]  # config ("" for none) -> split -> rows
Builder = Callable[[random.Random, int], Tables]

SPLIT: Split = "eval"
LEVELS = ("Easy", "Medium", "Hard")


@cache
def recipe(benchmark: str) -> Mapping[str, Any]:
    """Return a benchmark's part of ``datasets.yaml``, its families as functions."""
    import yaml

    text = Path(__file__).with_name("datasets.yaml").read_text(encoding="utf-8")
    part: Mapping[str, Any] = yaml.safe_load(text)[benchmark]
    families = [name and getattr(questions, name) for name in part.get("families", ())]
    return {**part, "families": families}


def in_turn(choices: Sequence[T], index: int) -> T:
    """Return the ``index``-th of choices that repeat without end."""
    return choices[index % len(choices)]


def table(split: str, row: Callable[[random.Random, int], Row], config: str = "") -> Builder:
    """Return the builder of a data set of one table, from the maker of its ``index``-th row."""
    return lambda rng, n: {config: {split: [row(rng, index) for index in range(n)]}}


def ask(
    rng: random.Random,
    benchmark: str,
    index: int,
    number: int = 4,
    grid: tuple[int, int] = questions.SMALL,
) -> Asked:
    """Ask a benchmark's ``index``-th family, in turn, about a new scene."""
    return questions.ask(rng, SPLIT, in_turn(recipe(benchmark)["families"], index), number, grid)


def images(schema: Schema, scenes: Sequence[Scene]) -> Row:
    """Fill ``image_1``, ``image_2``, ... and leave the schema's other images empty."""
    names = [name for name, kind in schema.items() if kind == "image"]
    return {name: scenes[i].draw() if i < len(scenes) else None for i, name in enumerate(names)}


def base64_png(scene: Scene) -> str:
    """Return a scene's picture as base64 PNG."""
    stream = io.BytesIO()
    scene.draw().save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")
