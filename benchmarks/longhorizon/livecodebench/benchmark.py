"""LiveCodeBench v6: contest problems, solved by a program (livecodebench/code_generation_lite).

The 175 problems of release 6; an option selects other windows.  Prompt and comparison rules are
the official ones (github.com/LiveCodeBench/LiveCodeBench, lcb_runner).
"""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.data.local.layout import Found, files_hash, find, rows
from benchmarks.longhorizon.livecodebench import problems
from benchmarks.longhorizon.livecodebench.problems import Problem
from benchmarks.options import option, positive
from harness import reasoning
from harness.errors import ItemError, UsageError
from harness.files.hashing import source_hash
from harness.protocols import Benchmark, Declaration, FailedItem, Tools
from harness.records import Item, Message, Response, Score, TextPart

# lcb_runner/prompts/code_generation.py, for chat models.
_SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) "
    "and will generate a correct Python program that matches the specification and passes all "
    "tests. You will NOT return anything except for the program."
)
_WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose "
    "your code within delimiters."
)
_WITHOUT = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly "
    "test on the sample inputs). Enclose your code within delimiters as follows."
)
_RELEASES = ("test", "test2", "test3", "test4", "test5", "test6")


def prompt(problem: Problem) -> tuple[Message, ...]:
    """Return the official conversation for a chat model."""
    form = _WITH_STARTER if problem.starter else _WITHOUT
    code = problem.starter or "# YOUR CODE HERE"
    text = (
        f"### Question:\n{problem.content}\n\n### Format: {form}\n```python\n{code}\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )
    return (Message("system", (TextPart(_SYSTEM),)), Message("user", (TextPart(text),)))


def extract(text: str) -> str | None:
    """Return the program between the last two lines with a fence; None if there is none."""
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    if len(fences) < 2:
        return None
    code = "\n".join(lines[fences[-2] + 1 : fences[-1]])
    return code if code.strip() else None


def window(word: str) -> tuple[str, ...]:
    """Return a window's files by its name: ``v6`` (release 6 alone), ``v4_v6``, ``release_v6``."""
    match = re.fullmatch(r"release_v([1-6])|v([1-6])(?:_v([1-6]))?", word)
    if not match:
        raise ValueError("write v6, v4_v6 or release_v6, with a number from 1 to 6")
    upto, first, last = match.groups()
    low, high = (1, int(upto)) if upto else (int(first), int(last or first))
    if low > high:
        raise ValueError("the window ends before it begins")
    return _RELEASES[low - 1 : high]


def date(word: str) -> str:
    """Return a date of the form 2025-01-31."""
    return datetime.date.fromisoformat(word).isoformat()


@dataclass(frozen=True)
class LiveCodeBenchV6(Benchmark):
    """LiveCodeBench, code generation; parts are the difficulty and the platform."""

    data_root: Path
    images: bool = True  # there are none
    window: tuple[str, ...] = option(
        ("test6",), window, "Releases: v6 (175 problems), v4_v6, release_v6 (all 1055) ..."
    )
    start: str = option("", date, "Only problems from contests on or after this date (YYYY-MM-DD).")
    end: str = option("", date, "Only problems from contests up to and including this date.")
    seconds: int = option(6, positive, "Time limit per test, in seconds of wall time.")
    memory: int = option(4096, positive, "Memory limit per test, in MiB.")

    id = "livecodebench_v6"

    @property
    def declaration(self) -> Declaration:
        """The declared protocol."""
        known = [table for table in data.source(self.id).tables if table.split in self.window]
        return Declaration(
            id=self.id,
            title="LiveCodeBench v6",
            protocol={
                "prompt": "lcb_runner, chat",
                "extraction": "between the last two lines with a fence",
                "window": list(self.window),
                "start": self.start,
                "end": self.end,
                "checker": "real-stdin",
                "seconds": self.seconds,
                "memory_mib": self.memory,
                "again_alone_after_timeout": 1,
            },
            scoring=_scoring_version() + reasoning.tags_version(),
            max_tokens=16384,
            native_max_tokens=2000,
            n_items=sum(table.count for table in known),
            metric="pass@1",
            clusters="problems of the same contest",
            needs_sandbox=True,
        )

    @cached_property
    def window_tables(self) -> tuple[Found, ...]:
        """The tables of the window; raises `UsageError` if one is missing."""
        folder = self.data_root / self.id
        local = {item.table.split: item for item in find(self.id, folder)}
        missing = [name for name in self.window if name not in local]
        if missing == ["test6"]:
            data.tables(self.id, self.data_root)  # raises with the command that gets it
        if missing:
            raise UsageError(
                f"{folder} holds no {missing[0]}.jsonl, which the window needs: "
                f"put the release file of {data.source(self.id).repository} there"
            )
        return tuple(local[name] for name in self.window)

    def fingerprint(self) -> str:
        """Return the content hash of the window's files."""
        return files_hash(self.data_root / self.id, self.window_tables)

    def count(self) -> int:
        """Return the number of problems in the window."""
        return len(self._rows) if self.start or self.end else sum(map(rows, self.window_tables))

    @cached_property
    def _rows(self) -> Mapping[str, tuple[Sequence[Mapping[str, Any]], int]]:
        """The window's problems in the data's order: id -> table (read lazily), row number."""
        located: dict[str, tuple[Sequence[Mapping[str, Any]], int]] = {}
        for source in self.window_tables:
            table = data.records(source)
            for number, fields in enumerate(table):
                name, day = fields.get("question_id"), str(fields.get("contest_date"))[:10]
                if name is None or str(name) in located:
                    raise UsageError(
                        f"{source.files[0]}: row {number + 1} has no question_id of its own"
                    )
                if (not self.start or self.start <= day) and (not self.end or day <= self.end):
                    located[str(name)] = (table, number)
        return located

    def ids(self) -> Sequence[str]:
        """Return the ids of the window's problems, in the data's order."""
        return list(self._rows)

    def build(self, item_id: str) -> Item | FailedItem:
        """Return one problem; a failed item if its tests cannot be read."""
        row = self._row(item_id)
        try:
            problem, tests = problems.problem(row), problems.tests(row)
        except ItemError as error:
            return FailedItem(item_id, str(error))
        return Item(
            id=item_id,
            messages=prompt(problem),
            target={
                "tests": len(tests),
                **{name: getattr(problem, name) for name in ("function", "contest", "date")},
            },
            cluster=f"{problem.platform}-{problem.contest}",
            parts=(problem.difficulty, problem.platform),
        )

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        """Run a response's program on the tests; ItemError if the sandbox fails."""
        code = extract(response.answer)
        if code is None:
            return Score(0.0, "unparsable", why="no program between two fences (```)")
        if tools.sandbox is None:
            raise UsageError(f"{self.id} runs programs and needs a sandbox: see `harness doctor`")
        # Here, and not above: `harness list` imports every benchmark.
        import asyncio

        from benchmarks.longhorizon.livecodebench.grade import Program, Resources, gate, grade

        program = Program(code, item.target["function"])
        resources = Resources(self.seconds, self.memory << 20)
        async with gate().admitted:
            tests = await asyncio.to_thread(lambda: problems.tests(self._row(item.id)))
            verdict = await grade(tools.sandbox, program, tests, resources)
        return Score(float(verdict.passed), "scored", code, verdict.why)

    def _row(self, item_id: str) -> Mapping[str, Any]:
        table, number = self._rows[item_id]
        return table[number]


def _scoring_version() -> str:
    """Return a name for the checker: the hash of its code, and the Python that programs get."""
    version = ".".join(map(str, sys.version_info[:2]))
    code = source_hash(Path(__file__).parent, Path(reasoning.__file__))
    return f"real-stdin-{code[:8]}-python{version}"
