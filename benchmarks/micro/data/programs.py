"""Small seeded programming problems in LiveCodeBench's schema, with tests and a solution each.

Written as ``FOLDER/livecodebench_v6/test6.jsonl``, packed as the real release is.  Expected
answers are computed here; the solutions are other programs, as text, which only tests run.
"""

from __future__ import annotations

import base64
import json
import pickle
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

_TEXTS = Path(__file__).with_name("programs.yaml")
_PUBLIC, _TESTS = 2, 10  # tests of a problem that its text shows, and all of them
_COLUMNS = (  # in the order of the real release
    "question_title question_content platform question_id contest_id contest_date starter_code "
    "difficulty public_test_cases private_test_cases metadata".split()
)

Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Program:
    """One kind of problem: ``draw`` makes arguments of a size, ``show`` writes them as input."""

    title: str
    draw: Callable[[random.Random, int], Arguments]
    answer: Callable[[Arguments, int], Any]
    show: Callable[[Arguments], str] = lambda arguments: ""


@dataclass(frozen=True, slots=True)
class Made:
    """One problem: its row in the data set's schema, and a program that solves it."""

    row: Mapping[str, str]
    solution: str


def write(directory: Path, seed: int = 0, variants: int = 2) -> None:
    """Write the data set into a data root: ``variants`` problems of each of the twelve kinds."""
    folder = directory / "livecodebench_v6"
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(made.row) for made in problems(seed, variants))
    (folder / "test6.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def problems(seed: int = 0, variants: int = 2) -> Iterator[Made]:
    """Yield the problems in order; the same seed gives the same."""
    import yaml

    texts = yaml.safe_load(_TEXTS.read_text(encoding="utf-8"))
    for variant in range(variants):
        for index, (program, text) in enumerate(zip(_PROGRAMS, texts, strict=True)):
            rng = random.Random(f"{seed}/{variant}/{program.title}")
            identity = {
                "question_title": program.title,
                "difficulty": text["difficulty"],
                "question_id": f"micro{variant * len(texts) + index + 1}",
                "contest_id": f"micro-world-{variant + 1}",
                "contest_date": f"2025-0{1 + variant % 4}-05T00:00:00",
            }
            yield _make(program, text, rng, identity)


def _make(
    program: _Program, text: Mapping[str, str], rng: random.Random, identity: Mapping[str, str]
) -> Made:
    k = rng.randint(2, 9)
    head = text.get("starter", "")
    tests = [_test(program, program.draw(rng, 3 + 4 * i), k, bool(head)) for i in range(_TESTS)]
    hidden = pickle.dumps(json.dumps(tests[_PUBLIC:]))
    example = f"\n\nExample input:\n{tests[0]['input']}\n\nExample output:\n{tests[0]['output']}\n"
    function = {"func_name": head.split("def ")[1].split("(")[0]} if head else {}
    row = {
        **identity,
        "question_content": text["content"].replace("{k}", str(k)) + example,
        "platform": "leetcode" if head else "atcoder",
        "starter_code": head and f"{head}\n        ",
        "public_test_cases": json.dumps(tests[:_PUBLIC]),
        "private_test_cases": base64.b64encode(zlib.compress(hidden)).decode("ascii"),
        "metadata": json.dumps(function),
    }
    ordered = {column: row[column] for column in _COLUMNS}
    return Made(ordered, text["solution"].replace("{k}", str(k)))


def _test(program: _Program, arguments: Arguments, k: int, functional: bool) -> dict[str, str]:
    answer = program.answer(arguments, k)
    return {
        "input": "\n".join(map(json.dumps, arguments)) if functional else program.show(arguments),
        "output": json.dumps(answer) if functional else f"{answer}\n",
        "testtype": "functional" if functional else "stdin",
    }


def _letters(rng: random.Random, n: int, of: str = "abc") -> str:
    return "".join(rng.choice(of) for _ in range(n))


def _one_list(rng: random.Random, n: int) -> Arguments:
    return ([rng.randint(-50, 50) for _ in range(n)],)


def _show_list(arguments: Arguments) -> str:
    (numbers,) = arguments
    return f"{len(numbers)}\n{' '.join(map(str, numbers))}\n"


def _show_lines(arguments: Arguments) -> str:
    return "\n".join(map(str, arguments[0])) + "\n"


def _show_line(arguments: Arguments) -> str:
    return f"{arguments[0]}\n"


def _runs(text: str) -> str:
    return "".join(f"{letter}{len(list(run))}" for letter, run in groupby(text))


def _grid(rng: random.Random, n: int) -> Arguments:
    height, width = 2 + n % 4, 2 + n // 6
    rows = [_letters(rng, width, "...#") for _ in range(height)]
    rows[0] = "." + rows[0][1:]
    rows[-1] = rows[-1][:-1] + "."
    return (rows,)


def _shortest(rows: Sequence[str]) -> int:
    """Return the steps from the first to the last cell by relaxation, -1 where there is no way."""
    far = len(rows) * len(rows[0])
    steps = {(y, x): far for y, row in enumerate(rows) for x, cell in enumerate(row) if cell == "."}
    steps[0, 0] = 0
    for _ in range(far):
        for y, x in steps:
            near = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
            steps[y, x] = min([steps[y, x], *(steps.get(cell, far) + 1 for cell in near)])
    least = steps[len(rows) - 1, len(rows[0]) - 1]
    return least if least < far else -1


def _depth(text: str) -> int:
    return max([text[:end].count("(") - text[:end].count(")") for end in range(len(text) + 1)])


def _intervals(rng: random.Random, n: int) -> Arguments:
    starts = [rng.randint(0, 40) for _ in range(n)]
    return ([[start, start + rng.randint(1, 6)] for start in starts],)


def _united(intervals: Sequence[Sequence[int]]) -> list[list[int]]:
    """Unite intervals by the half units that they cover."""
    covered = {half for low, high in intervals for half in range(2 * low, 2 * high + 1)}
    lows = sorted(half for half in covered if half - 1 not in covered)
    highs = sorted(half for half in covered if half + 1 not in covered)
    return [[low // 2, high // 2] for low, high in zip(lows, highs, strict=True)]


def _longest_rise(numbers: Sequence[int]) -> int:
    best: list[int] = []
    for end, number in enumerate(numbers):
        best.append(1 + max([best[i] for i in range(end) if numbers[i] < number], default=0))
    return max(best)


def _subarrays(numbers: Sequence[int], k: int) -> int:
    ends = range(len(numbers) + 1)
    return sum(sum(numbers[a:b]) % k == 0 for b in ends for a in range(b))


_PROGRAMS: tuple[_Program, ...] = (
    _Program(
        "Sum of Multiples",
        _one_list,
        lambda a, k: sum(number for number in a[0] if number % k == 0),
        _show_list,
    ),
    _Program(
        "Good Pairs",
        _one_list,
        lambda a, k: sum((x + y) % k == 0 for i, x in enumerate(a[0]) for y in a[0][:i]),
        _show_list,
    ),
    _Program("Runs", lambda rng, n: (_letters(rng, n),), lambda a, k: _runs(a[0]), _show_line),
    _Program("Way Through", _grid, lambda a, k: _shortest(a[0]), _show_lines),
    _Program(
        "Depth", lambda rng, n: (_letters(rng, n, "()"),), lambda a, k: _depth(a[0]), _show_line
    ),
    _Program("Quarters", _one_list, lambda a, k: f"{sum(a[0]) * k / 4:.2f}", _show_list),
    _Program(
        "Rotate", _one_list, lambda a, k: [a[0][(i + k) % len(a[0])] for i in range(len(a[0]))]
    ),
    _Program("Unite Intervals", _intervals, lambda a, k: _united(a[0])),
    _Program(
        "Most Frequent Word",
        lambda rng, n: ([_letters(rng, 1 + n % 2, "abcd") for _ in range(n)],),
        lambda a, k: min(a[0], key=lambda word: (-a[0].count(word), word)),
    ),
    _Program("Longest Rise", _one_list, lambda a, k: _longest_rise(a[0])),
    _Program("Divisible Subarrays", _one_list, lambda a, k: _subarrays(a[0], k)),
    _Program("Shares", _one_list, lambda a, k: [number / k for number in a[0]]),
)
