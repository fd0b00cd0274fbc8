"""The contract of every benchmark, checked by ``harness data verify`` and our tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data.local.verify import Report, TableReport
from benchmarks.data.local.verify import verify as verify_tables
from harness.errors import ItemError, UsageError
from harness.files.text import counted
from harness.protocols import Benchmark, FailedItem, Tools
from harness.records import Item, Response

JUNK = (
    "",
    " \n\t",
    "\x00\u2028\ud800",
    "<think>",
    "</think></think>",
    "\\boxed{",
    "\\frac{" * 500,
    "((((" * 500,
    "A B C D E",
    "9" * 5000,
    "10^{10^{10}}",
    "```python\nprint(",
    "The answer is (((A).",
    "答案是甲。" * 50,
    "None",
    "[1, 2, {",
)
"""Texts that a model may write, and no scorer may raise on."""
_ITEMS = 3


def verify(benchmark: Benchmark, root: Path, *, all_images: bool) -> Report:
    """Check a custom benchmark: its data, and the contract."""
    name = benchmark.declaration.id
    if hasattr(benchmark, "verify"):
        report: Report = benchmark.verify(all_images=all_images)
        return report
    if hasattr(benchmark, "source"):
        return verify_tables(name, root, all_images=all_images)
    try:
        found, digest = tuple(problems(benchmark)), benchmark.fingerprint()
    except UsageError as error:
        found, digest = (f"{name}: {str(error).removeprefix(f'{name}: ')}",), ""
    n = benchmark.count() if digest else 0
    tables = (TableReport("", "", "own code", n, n, min(_ITEMS, n)),) if digest else ()
    return Report(name, str(root), digest or None, None, tables, found, ())


def problems(benchmark: Benchmark) -> Iterator[str]:
    """Yield what is wrong with ids, first items and scores of junk; UsageError without data."""
    name, ids = benchmark.declaration.id, list(benchmark.ids())
    if not ids or not all(isinstance(item_id, str) and item_id for item_id in ids):
        yield f"{name}: ids are texts, at least one"
        return
    if len(set(ids)) < len(ids):
        yield f"{name}: {counted(len(ids) - len(set(ids)), 'id')} given twice"
    if benchmark.count() != len(ids):
        yield f"{name}: count says {benchmark.count()}, and ids has {len(ids)}"
    for item_id in ids[:_ITEMS]:
        item = benchmark.build(item_id)
        if isinstance(item, FailedItem):
            yield f"{name}: item {item.id}: {item.reason}"
        elif not isinstance(item, Item) or not (item.id == item_id and item.messages):
            yield f"{name}: build({item_id!r}) gives no item with that id and messages"
        elif not benchmark.declaration.needs_sandbox:
            yield from asyncio.run(_junk(benchmark, item))


async def _junk(benchmark: Benchmark, item: Item) -> list[str]:
    name, wrong = benchmark.declaration.id, []
    for text in JUNK:
        try:
            score = await benchmark.score(item, Response(text), Tools())
        except ItemError as error:
            wrong.append(f"{name}: item {item.id}: score of {text!r:.40} raised ItemError: {error}")
            continue
        good = score.value is not None and 0 <= score.value <= 1 and bool(score.why)
        if score.status not in ("scored", "unparsable") or not good:
            wrong.append(
                f"{name}: item {item.id}: the score of {text!r:.40} is {score}: a value in [0, 1], "
                "scored or unparsable, and why"
            )
    return wrong
