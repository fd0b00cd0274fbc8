"""Sources: which server or checkpoint gave the stored responses, and when.

A run's manifest lists its sources; every stored line has its source's number.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from harness.errors import UsageError
from harness.files.text import counted
from harness.records import Moment, Number, Sample

# Fields of a model in /v1/models; others (created, permission) change at each start.
SERVED = ("id", "root", "parent", "max_model_len", "owned_by")
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


@dataclass(frozen=True, slots=True)
class SourceCount:
    """How many responses a source gave, and the times of the first and last, in Unix seconds.

    ``source`` is its number in the manifest. Lines of older versions have neither source nor time.
    """

    source: Number | None
    answers: int
    first: Moment | None
    last: Moment | None


def count_sources(samples: Iterable[Sample]) -> list[SourceCount]:
    """Return the sources of the samples that have a response."""
    return merged(
        SourceCount(sample.source, 1, sample.time, sample.time)
        for sample in samples
        if sample.response is not None
    )


def merged(counts: Iterable[SourceCount]) -> list[SourceCount]:
    """Return one count per source, in the manifest's order."""
    totals: dict[int | None, SourceCount] = {}
    for count in counts:
        total = totals.get(count.source, SourceCount(count.source, 0, None, None))
        times = (total.first, total.last, count.first, count.last)
        known = [moment for moment in times if moment is not None]
        first, last = min(known, default=None), max(known, default=None)
        totals[count.source] = SourceCount(count.source, total.answers + count.answers, first, last)
    return sorted(totals.values(), key=lambda total: -1 if total.source is None else total.source)


def endpoint_source(url: str, served: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a server's manifest entry: its URL, and what it reports about the model.

    That is {} if its list of models has no such entry, None if the server was not asked.
    """
    entry = {name: served.get(name) for name in SERVED} if served else served
    return {"backend": "endpoint", "url": url, "served": entry}


def number_of(manifest: dict[str, Any], source: Mapping[str, Any]) -> int:
    """Return the number of a source in the manifest, adding it if new."""
    known: list[Any] = manifest.setdefault("sources", [])
    if source not in known:
        known.append(dict(source))
    return known.index(source)


def entry(manifest: Mapping[str, Any], number: int | None) -> dict[str, Any] | None:
    """Return a source, None if it was not recorded."""
    known: list[dict[str, Any] | None] = manifest.get("sources", [])
    return known[number] if number is not None and number < len(known) else None


def refuse_another(
    manifest: Mapping[str, Any], counts: Iterable[SourceCount], source: Mapping[str, Any]
) -> None:
    """Check that stored responses with a known server came from this one.

    Raises `UsageError` if their server's URL or model name differs.
    """
    stored = [(count, entry(manifest, count.source)) for count in merged(counts)]
    others = [(count, list(_changes(known, source))) for count, known in stored if known]
    if others and all(changes for _, changes in others):
        answers, changes = sum(count.answers for count, _ in others), others[-1][1]
        raise UsageError(
            f"{counted(answers, 'stored response')} came from another server "
            f"({'; '.join(changes)}): pass --same-model if it serves the same model, or --fresh to "
            "start a new run"
        )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if before.get("url") != now.get("url"):
        yield f"URL {before.get('url')}, now {now.get('url')}"
    old, new = before.get("served"), now.get("served")
    if old is not None and new is not None:
        for name in SERVED:
            if old.get(name) != new.get(name):
                yield f"{name} {old.get(name)!r}, now {new.get(name)!r}"


def described(manifest: Mapping[str, Any], counts: Iterable[SourceCount]) -> list[str]:
    """Return a line per source: what it is, how many responses it gave, and how long ago."""
    return [
        f"{counted(total.answers, 'response')} from {text(entry(manifest, total.source))}, "
        f"{period(total.first, total.last)}"
        for total in counts
    ]


def as_json(manifest: Mapping[str, Any], counts: Iterable[SourceCount]) -> list[dict[str, Any]]:
    """Return the same as JSON; times are in Unix seconds."""
    return [{**asdict(total), "source": entry(manifest, total.source)} for total in counts]


def text(source: Mapping[str, Any] | None) -> str:
    """Return a source as text."""
    if source is None:
        return "a source that was not recorded"
    if source["backend"] != "endpoint":
        return f"backend {source['backend']}"
    served = source["served"] or {}
    named = ", ".join(f"{name} {served[name]}" for name in SERVED if served.get(name) is not None)
    return f"{source['url']} ({named})" if named else str(source["url"])


def period(first: int | None, last: int | None) -> str:
    """Return when responses were stored, and how long ago the last one was."""
    if first is None or last is None:
        return "at a time that was not recorded"
    moments = (f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in (first, last))
    stored = " to ".join(dict.fromkeys(moments))
    seconds = time.time() - last
    for unit, length in _UNITS:
        if seconds >= length:
            number = int(seconds // length)
            return f"stored {stored} UTC, {number} {unit}{'s' if number > 1 else ''} ago"
    return f"stored {stored} UTC, just now"
