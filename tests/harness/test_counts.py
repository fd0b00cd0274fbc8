"""No message, table or page prints "1 items": a count and what is counted go through `counted`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.files.text import counted
from tests.commands import ROOT

NOUNS = (
    "answer batch benchmark character choice cluster completion context copy error evaluation "
    "group id image instance item line message model option pair prompt question record repeat "
    "reply response row run sample seed step study task test token training trial value word"
).split()
BEFORE = "RL|further|more|optimizer|pair|rotated|selection|stored|such|training|written"
PLURAL = re.compile(rf" (?:(?:{BEFORE}) )*(?:{'|'.join(counted(2, n)[2:] for n in NOUNS)})\b")
# "3 of 20 items", "at most 8 seeds": a whole or a limit, not how many there are.
LIMIT = re.compile(r"(?:\bof|\bof the|than|most|first|last|lack the|/|\[\.\.\.) ?$")
# Their sources are hashed: other words would score every stored response again.
HASHED = ("benchmarks/longhorizon/", "benchmarks/vqa/")
# Values that are texts, and numbers that are never 1.
TEXT = re.compile(r"\b(?:id|kind|more|version|_seeds_text\(.*\)|name|path|part|label)$|^[A-Z_]+$")


@pytest.mark.parametrize(
    ("number", "thing", "said"),
    [(0, "reply", "0 replies"), (1, "item", "1 item"), (2, "training seed", "2 training seeds"),
     (3, "batch", "3 batches"), (2, "pass", "2 passes"), (2, "box", "2 boxes"),
     (2, "day", "2 days")],
)  # fmt: skip
def test_one_is_no_plural(number: int, thing: str, said: str) -> None:
    assert counted(number, thing) == said


def counts(path: Path) -> Iterator[str]:
    """Yield where a text of the source has a whole number of its own before a plural."""
    for text in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(text, ast.JoinedStr):
            continue
        before = ""
        for value, after in zip(text.values, [*text.values[1:], None], strict=True):
            said = str(after.value) if isinstance(after, ast.Constant) else ""
            if not LIMIT.search(before) and is_count(value) and PLURAL.match(said):
                yield f"{path.relative_to(ROOT)}:{value.lineno}: {ast.unparse(value)[2:-1]}{said}"
            before = str(value.value) if isinstance(value, ast.Constant) else ""


def is_count(value: ast.expr) -> bool:
    """Whether a value may be a whole number: no name, and no format but a thousands separator."""
    if not isinstance(value, ast.FormattedValue) or TEXT.search(ast.unparse(value.value)):
        return False
    return value.format_spec is None or ast.unparse(value.format_spec) == "f','"


def test_counts_go_through_counted() -> None:
    folders = ("harness", "benchmarks", "ablations", "reports")
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    found = [place for path in files for place in counts(path)]
    assert [place for place in found if not place.startswith(HASHED)] == []
