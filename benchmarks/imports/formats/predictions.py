"""Our own format for existing responses: JSON Lines of ``{"id": ..., "response": ...}``.

Optional fields: ``score``, ``prediction``, ``prompt``, ``target``, ``cluster``, and ``model`` and
``benchmark``, which apply to the whole file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.imports.common import chat
from benchmarks.imports.log import Format, Log, LoggedSample, LoggedTask, Metric
from benchmarks.imports.reading import first_object, json_lines
from harness.errors import UsageError
from harness.records import Response

_FORM = '{"id": ..., "response": ...}'


def answers(path: Path) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Yield item id, response, row and "FILE, line 3" of every line; UsageError for another."""
    for where, row in json_lines(path):
        for name in ("id", "response"):
            if name not in row:
                raise UsageError(f"{where} is not {_FORM}: it has no {name!r}")
        if not isinstance(row["response"], str):
            raise UsageError(f"{where}: the response is not text")
        yield str(row["id"]), row["response"], row, where


def detect(path: Path) -> bool:
    """Whether a file's first line is a response to an item."""
    row = first_object(path) if path.suffix == ".jsonl" else {}
    return {"id", "response"} <= row.keys()


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield a log for each file."""
    for path in paths:
        row = first_object(path)
        metrics = {"score": Metric()} if "score" in row else {}
        clusters = "as the file says" if chat.word(row.get("cluster")) else ""
        name = str(row.get("benchmark") or path.stem)
        task = LoggedTask(name, partial(_samples, path), metrics, clusters=clusters)
        model = str(row.get("model") or path.stem)
        yield Log("predictions", "1", model, [task], [path])


def _samples(path: Path) -> Iterator[LoggedSample]:
    for name, text, row, _ in answers(path):
        prompt = row.get("prompt")
        yield LoggedSample(
            name,
            Response(text),
            {"score": row["score"]} if "score" in row else {},
            official=(name,),
            prompt=(prompt,) if isinstance(prompt, str) else (),
            target=row.get("target"),
            prediction=chat.word(row.get("prediction")),
            cluster=chat.word(row.get("cluster")) or "",
        )


FORMAT = Format(f"JSON Lines of {_FORM}", detect, read)
