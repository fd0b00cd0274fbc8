"""``--ids``: the items to evaluate, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from difflib import get_close_matches
from pathlib import Path

from harness.errors import UsageError
from harness.files.plain import read_given
from harness.files.text import counted
from harness.protocols import Benchmark


def read_ids(words: str, benchmarks: Sequence[Benchmark]) -> Mapping[str, Set[str]]:
    """Return the items that ``ID,ID`` or ``@FILE`` name, by benchmark, of those that have one.

    ``BENCHMARK/ID`` is an item of that benchmark, ``ID`` one of every benchmark that has it. Raises
    `UsageError` if the file does not read, or an id is no item's (names the nearest).
    """
    wanted = _words(words)
    known = {benchmark.declaration.id: benchmark for benchmark in benchmarks}
    named = {name: name for word in wanted if (name := word.partition("/")[0]) in known}
    if all(word.partition("/")[0] in named for word in wanted):
        known = {name: known[name] for name in named}
    ids = {name: set(benchmark.ids()) for name, benchmark in known.items()}
    only: dict[str, set[str]] = {}
    for word in wanted:
        owner, _, rest = word.partition("/")
        holders = [(name, word) for name in ids if word in ids[name]]
        if not holders and rest in ids.get(owner, ()):
            holders = [(owner, rest)]
        if not holders:
            every = sorted(item_id for each in ids.values() for item_id in each)
            near = get_close_matches(word, every, n=1)
            hint = f": did you mean {near[0]}?" if near else f" ({counted(len(every), 'item')})"
            raise UsageError(f"--ids: no item {word!r} in {', '.join(ids)}{hint}")
        for name, item_id in holders:
            only.setdefault(name, set()).add(item_id)
    return only


def _words(words: str) -> list[str]:
    if words.startswith("@"):
        try:
            lines = read_given(Path(words[1:])).decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"--ids {words}: {why}") from error
    else:
        lines = words.split(",")
    wanted = [line.strip() for line in lines if line.strip()]
    if not wanted:
        raise UsageError(f"--ids {words}: no id is there")
    return wanted
