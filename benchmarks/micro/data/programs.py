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
from pathlib import Path
from typing import Any

_PUBLIC, _PRIVATE = 2, 8  # tests of a problem

Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Family:
    """A kind of problem; ``{k}`` in its texts is a number that each problem draws.

    ``starter`` is the head of the function to write, "" where a program reads standard input.
    ``draw`` makes arguments of a size, ``answer`` computes, ``show`` writes arguments as input.
    """

    title: str
    content: str
    difficulty: str
    starter: str
    draw: Callable[[random.Random, int], Arguments]
    answer: Callable[[Arguments, int], Any]
    solution: str
    show: Callable[[Arguments], str] = lambda arguments: ""

    @property
    def function(self) -> str | None:
        """The name of the function to write."""
        return self.starter.split("def ")[1].split("(")[0] if self.starter else None


@dataclass(frozen=True, slots=True)
class Made:
    """One problem: its row in the data set's schema, and a program that solves it."""

    row: Mapping[str, str]
    solution: str


def write(directory: Path, seed: int = 0, variants: int = 2) -> None:
    """Write the data set.

    Args:
        directory: becomes a data root.
        seed: the same seed gives the same problems.
        variants: problems of each of the twelve kinds.
    """
    folder = directory / "livecodebench_v6"
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(made.row) for made in problems(seed, variants))
    (folder / "test6.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def problems(seed: int = 0, variants: int = 2) -> Iterator[Made]:
    """Yield the problems in order."""
    number = 0
    for variant in range(variants):
        for family in _FAMILIES:
            rng = random.Random(f"{seed}/{variant}/{family.title}")
            number += 1
            yield _make(family, rng, number, variant)


def _make(family: _Family, rng: random.Random, number: int, variant: int) -> Made:
    k = rng.randint(2, 9)
    drawn = [family.draw(rng, 3 + 4 * place) for place in range(_PUBLIC + _PRIVATE)]
    kind = "functional" if family.starter else "stdin"
    tests = [
        {
            "input": "\n".join(map(json.dumps, a)) if family.starter else family.show(a),
            "output": _written(family.answer(a, k), family.function),
            "testtype": kind,
        }
        for a in drawn
    ]
    hidden = pickle.dumps(json.dumps(tests[_PUBLIC:]))
    example = f"\n\nExample input:\n{tests[0]['input']}\n\nExample output:\n{tests[0]['output']}\n"
    row = {
        "question_title": family.title,
        "question_content": family.content.replace("{k}", str(k)) + example,
        "platform": "leetcode" if family.starter else "atcoder",
        "question_id": f"micro{number}",
        "contest_id": f"micro-world-{variant + 1}",
        "contest_date": f"2025-0{1 + variant % 4}-05T00:00:00",
        "starter_code": family.starter,
        "difficulty": family.difficulty,
        "public_test_cases": json.dumps(tests[:_PUBLIC]),
        "private_test_cases": base64.b64encode(zlib.compress(hidden)).decode("ascii"),
        "metadata": json.dumps({"func_name": family.function} if family.starter else {}),
    }
    return Made(row, family.solution.replace("{k}", str(k)))


def _written(answer: Any, function: str | None) -> str:
    return json.dumps(answer) if function else f"{answer}\n"


def _numbers(rng: random.Random, n: int, most: int = 50) -> list[int]:
    return [rng.randint(-most, most) for _ in range(n)]


def _letters(rng: random.Random, n: int, of: str = "abc") -> str:
    return "".join(rng.choice(of) for _ in range(n))


def _one_list(rng: random.Random, n: int) -> Arguments:
    return (_numbers(rng, n),)


def _show_list(arguments: Arguments) -> str:
    (numbers,) = arguments
    return f"{len(numbers)}\n{' '.join(map(str, numbers))}\n"


def _show_lines(arguments: Arguments) -> str:
    return "\n".join(map(str, arguments[0])) + "\n"


def _show_line(arguments: Arguments) -> str:
    return f"{arguments[0]}\n"


def _runs(text: str) -> str:
    out, start = "", 0
    for place in range(1, len(text) + 1):
        if place == len(text) or text[place] != text[start]:
            out, start = out + text[start] + str(place - start), place
    return out


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
    found = steps[len(rows) - 1, len(rows[0]) - 1]
    return found if found < far else -1


def _depth(text: str) -> int:
    return max([text[:end].count("(") - text[:end].count(")") for end in range(len(text) + 1)])


def _quarters(arguments: Arguments, k: int) -> str:
    return f"{sum(arguments[0]) * k / 4:.2f}"


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
    for place, number in enumerate(numbers):
        best.append(1 + max([best[i] for i in range(place) if numbers[i] < number], default=0))
    return max(best)


def _subarrays(numbers: Sequence[int], k: int) -> int:
    ends = range(len(numbers) + 1)
    return sum(sum(numbers[a:b]) % k == 0 for b in ends for a in range(b))


def _most_frequent(words: Sequence[str]) -> str:
    return min(words, key=lambda word: (-words.count(word), word))


_READ = "n = int(input())\na = list(map(int, input().split()))\n"
_HEAD = "class Solution:\n    def "

_FAMILIES: tuple[_Family, ...] = (
    _Family(
        "Sum of Multiples",
        "N integers are given. Print the sum of those that are divisible by {k}.\n\n"
        "Input: N, then the integers in one line.",
        "easy",
        "",
        _one_list,
        lambda a, k: sum(number for number in a[0] if number % k == 0),
        _READ + "print(sum(x for x in a if x % {k} == 0))",
        _show_list,
    ),
    _Family(
        "Good Pairs",
        "N integers are given. Print the number of pairs i < j for which a_i + a_j is divisible "
        "by {k}.\n\nInput: N, then the integers in one line.",
        "medium",
        "",
        _one_list,
        lambda a, k: sum((x + y) % k == 0 for i, x in enumerate(a[0]) for y in a[0][:i]),
        _READ + "seen = Counter()\ntotal = 0\nfor x in a:\n    total += seen[-x % {k}]\n"
        "    seen[x % {k}] += 1\nprint(total)",
        _show_list,
    ),
    _Family(
        "Runs",
        "A string of letters is given. Print each run of equal letters as the letter and its "
        "length.\n\nInput: the string.",
        "easy",
        "",
        lambda rng, n: (_letters(rng, n),),
        lambda a, k: _runs(a[0]),
        "s = input()\nprint(''.join(c + str(len(list(g))) for c, g in groupby(s)))",
        _show_line,
    ),
    _Family(
        "Way Through",
        "A grid of '.' and '#' is given. Print the least number of steps (up, down, left, right) "
        "from the upper left to the lower right cell over '.', or -1 where there is no way.\n\n"
        "Input: the rows of the grid.",
        "medium",
        "",
        _grid,
        lambda a, k: _shortest(a[0]),
        "import sys\ng = sys.stdin.read().split()\nh, w = len(g), len(g[0])\n"
        "d = {(0, 0): 0}\nq = deque(d)\nwhile q:\n    y, x = q.popleft()\n"
        "    for p in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):\n"
        "        if 0 <= p[0] < h and 0 <= p[1] < w and g[p[0]][p[1]] == '.' and p not in d:\n"
        "            d[p] = d[y, x] + 1\n            q.append(p)\nprint(d.get((h - 1, w - 1), -1))",
        _show_lines,
    ),
    _Family(
        "Depth",
        "A string of brackets is given. Print the largest value of (opening minus closing "
        "brackets) over its beginnings, the empty one included.\n\nInput: the string.",
        "easy",
        "",
        lambda rng, n: (_letters(rng, n, "()"),),
        lambda a, k: _depth(a[0]),
        "import sys\ndepth = best = 0\nfor c in sys.stdin.readline().strip():\n"
        "    depth += 1 if c == '(' else -1\n    best = max(best, depth)\nprint(best)",
        _show_line,
    ),
    _Family(
        "Quarters",
        "N integers are given. Print {k} times their sum, divided by 4, exactly.\n\n"
        "Input: N, then the integers in one line.",
        "easy",
        "",
        _one_list,
        _quarters,
        _READ + "print({k} * sum(a) / 4)",
        _show_list,
    ),
    _Family(
        "Rotate",
        "Return the list rotated to the left by {k} places.",
        "easy",
        _HEAD + "rotate(self, nums: List[int]) -> List[int]:\n        ",
        _one_list,
        lambda a, k: [a[0][(place + k) % len(a[0])] for place in range(len(a[0]))],
        _HEAD + "rotate(self, nums: List[int]) -> List[int]:\n        queue = deque(nums)\n"
        "        queue.rotate(-{k})\n        return list(queue)",
    ),
    _Family(
        "Unite Intervals",
        "Closed intervals [low, high] are given. Return their union as disjoint intervals in "
        "order; intervals that share an end are united.",
        "medium",
        _HEAD + "unite(self, intervals: List[List[int]]) -> List[List[int]]:\n        ",
        _intervals,
        lambda a, k: _united(a[0]),
        _HEAD + "unite(self, intervals: List[List[int]]) -> List[List[int]]:\n        out = []\n"
        "        for low, high in sorted(intervals):\n"
        "            if out and low <= out[-1][1]:\n"
        "                out[-1][1] = max(out[-1][1], high)\n"
        "            else:\n                out.append([low, high])\n        return out",
    ),
    _Family(
        "Most Frequent Word",
        "Return the most frequent word, the first in the alphabet where several are.",
        "easy",
        _HEAD + "mostFrequent(self, words: List[str]) -> str:\n        ",
        lambda rng, n: ([_letters(rng, 1 + n % 2, "abcd") for _ in range(n)],),
        lambda a, k: _most_frequent(a[0]),
        _HEAD + "mostFrequent(self, words: List[str]) -> str:\n        count = Counter(words)\n"
        "        return min(count, key=lambda word: (-count[word], word))",
    ),
    _Family(
        "Longest Rise",
        "Return the length of the longest strictly rising subsequence.",
        "medium",
        _HEAD + "longestRise(self, nums: List[int]) -> int:\n        ",
        _one_list,
        lambda a, k: _longest_rise(a[0]),
        _HEAD + "longestRise(self, nums: List[int]) -> int:\n        tails = []\n"
        "        for x in nums:\n            i = bisect_left(tails, x)\n"
        "            tails[i:i + 1] = [x]\n        return len(tails)",
    ),
    _Family(
        "Divisible Subarrays",
        "Return the number of non-empty contiguous parts whose sum is divisible by {k}.",
        "medium",
        _HEAD + "countParts(self, nums: List[int]) -> int:\n        ",
        _one_list,
        lambda a, k: _subarrays(a[0], k),
        _HEAD + "countParts(self, nums: List[int]) -> int:\n        seen = Counter({0: 1})\n"
        "        total = rest = 0\n        for x in nums:\n            rest = (rest + x) % {k}\n"
        "            total += seen[rest]\n            seen[rest] += 1\n        return total",
    ),
    _Family(
        "Shares",
        "Return the list with every number divided by {k}, as floating-point numbers.",
        "easy",
        _HEAD + "shares(self, nums: List[int]) -> List[float]:\n        ",
        _one_list,
        lambda a, k: [number / k for number in a[0]],
        _HEAD + "shares(self, nums: List[int]) -> List[float]:\n"
        "        return tuple(x / {k} for x in nums)",
    ),
)
