"""Merge the notes of results, to keep them short."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_BENCHMARK = re.compile(r"[a-z0-9_]+")  # "mmmu_pro", not "micro world"
# Matches the 20 of "only 20 clusters" and the 3.9 of "effectively 3.9", not the 20 of v20 or
# 1.20.3.
_NUMBER = re.compile(r"(?<![\w/.-])\d+(?:\.\d)?(?![\w/-]|\.?\d)")


def note_lines(notes: Iterable[str]) -> list[str]:
    """Return notes as a command prints them, merged."""
    return [f"note: {note}" for note in joined(notes)]


def joined(notes: Iterable[str]) -> tuple[str, ...]:
    """Merge notes that differ in benchmark and numbers alone: names listed, numbers as ranges."""
    groups: dict[tuple[bool, str], list[tuple[str, str]]] = {}
    for note in notes:
        name, _, text = note.partition(": ")
        of_benchmark = bool(_BENCHMARK.fullmatch(name) and text)
        # A note of any other form is never merged.
        kind = _NUMBER.sub("0", text) if of_benchmark else note
        groups.setdefault((of_benchmark, kind), []).append((name, text))
    return tuple(
        f"{', '.join(dict.fromkeys(name for name, _ in found))}: {_ranged([t for _, t in found])}"
        if of_benchmark
        else kind
        for (of_benchmark, kind), found in groups.items()
    )


def _ranged(texts: Sequence[str]) -> str:
    """Return one text for several that differ in numbers alone, with the range of each."""
    several = zip(*(_NUMBER.findall(text) for text in texts), strict=True)
    ranges = iter([(min(values, key=float), max(values, key=float)) for values in several])

    def written(_: re.Match[str]) -> str:
        low, high = next(ranges)
        return low if low == high else f"{low} to {high}"

    return _NUMBER.sub(written, texts[0])
