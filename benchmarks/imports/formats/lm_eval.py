"""lm-evaluation-harness: ``results_*.json`` with ``samples_TASK_*.jsonl`` beside it (0.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.imports.common import chat
from benchmarks.imports.formats.lmms_eval import (
    IDS,
    answers_of,
    document_config,
    metrics_of,
    model_name,
    task_of,
)
from benchmarks.imports.log import Format, Log, LoggedSample, LoggedTask, Metric
from benchmarks.imports.reading import (
    field,
    files_below,
    json_document,
    json_lines,
    mapping,
    sequence,
)
from harness.errors import UsageError
from harness.files.typed_json import parse

_DATE = r"(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)"
# Matches "results_2026-11-29T08-03-46.423600.json", "mine_2026-...json" (--output_path mine.json);
# not "20261129_080000_results.json".
_RESULTS = re.compile(rf".+_{_DATE}\.json")
# Matches "samples_gsm8k_2026-11-29T08-03-46.423600.jsonl".
_SAMPLES = re.compile(rf"samples_(?P<task>.+)_{_DATE}\.jsonl")


def detect(path: Path) -> bool:
    """Whether a file of results or samples, or a folder of them, is lm-eval's."""
    return bool(_results([path]))


def _results(paths: Sequence[Path]) -> list[Path]:
    """Return the results files: given ones, in given folders, or beside given samples."""
    found: dict[Path, None] = {}
    for path in (file for given in paths for file in files_below(given)):
        if match := _SAMPLES.fullmatch(path.name):
            beside = sorted(path.parent.glob(f"*_{match['date']}.json"))
            found |= dict.fromkeys(each for each in beside if _RESULTS.fullmatch(each.name))
        elif _RESULTS.fullmatch(path.name) and (
            path.name.startswith("results_") or _samples_of(path)
        ):
            found[path] = None
    return list(found)


def _samples_of(results: Path) -> dict[str, Path]:
    match = _RESULTS.fullmatch(results.name)
    beside = ((_SAMPLES.fullmatch(path.name), path) for path in sorted(results.parent.iterdir()))
    return {
        each["task"]: path for each, path in beside
        if each and match and each["date"] == match["date"]
    }  # fmt: skip


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield the log of each results file."""
    found = _results(paths)
    if not found:
        raise UsageError(f"{paths[0]} holds no results_*.json of lm-eval")
    yield from map(_log, found)


def _log(path: Path) -> Log:
    document = json_document(path)
    samples = _samples_of(path)
    if not samples:
        raise UsageError(
            f"{path} has no samples beside it (samples_TASK_*.jsonl): run lm-eval again with "
            "--log_samples"
        )
    config = mapping(document.get("config"))
    listed = set(mapping(document.get("results"))) - set(mapping(document.get("groups")))
    without = sorted(listed - set(samples) - set(mapping(document.get("group_subtasks"))))
    return Log(
        "lm-eval",
        str(document.get("lm_eval_version") or "unknown"),
        model_name(document),
        [_task(document, name, file) for name, file in samples.items()],
        [path, *samples.values()],
        identity=[document.get("model_source"), config.get("model_args")],
        seed=chat.count(config.get("random_seed")),
        started=chat.iso_time(document.get("date")),
        config=document_config(document),
        notes=[f"{name}: the log has no samples of it, only its score" for name in without],
    )


def _task(document: Mapping[str, Any], name: str, path: Path) -> LoggedTask:
    config = mapping(mapping(document.get("configs")).get(name))
    filters = [str(mapping(each).get("name")) for each in sequence(config.get("filter_list"))]
    if len(filters) < 2:
        return task_of(document, name, partial(_samples, path, []))
    plain = metrics_of(document, name)
    metrics = {f"{m},{f}": Metric(plain[m].higher_is_better) for f in filters for m in plain}
    return replace(task_of(document, name, partial(_samples, path, filters)), metrics=metrics)


def _samples(path: Path, filters: Sequence[str]) -> Iterator[LoggedSample]:
    """Yield the samples; of several filters, which have a line each, those of the first."""
    scores = _by_document(path) if filters else {}
    for where, row in json_lines(path):
        if filters and row.get("filter") != filters[0]:
            continue
        sample = _sample(row, where)
        if filters:
            sample = replace(sample, scores=scores[sample.id])
        yield from answers_of(sample, row.get("resps"))


def _by_document(path: Path) -> dict[str, dict[str, Any]]:
    """Return the scores of all filters by document."""
    scores: dict[str, dict[str, Any]] = {}
    for where, row in json_lines(path):
        kept = scores.setdefault(str(field(row, "doc_id", (int, str), where)), {})
        kept |= {f"{metric},{row.get('filter')}": value for metric, value in _scores(row).items()}
    return scores


def _scores(row: Mapping[str, Any]) -> dict[str, Any]:
    named = row.get("metrics")
    return {str(name): row.get(str(name)) for name in named} if isinstance(named, list) else {}


def _sample(row: Mapping[str, Any], where: str) -> LoggedSample:
    number = field(row, "doc_id", (int, str), where)
    doc, filtered = mapping(row.get("doc")), row.get("filtered_resps")
    named = (doc.get(key) for key in IDS)
    return LoggedSample(
        str(number),
        scores=_scores(row),
        official=[str(name) for name in named if isinstance(name, int | str)],
        row=number if isinstance(number, int) else None,
        prompt=_prompt(row),
        target=row.get("target"),
        prediction=chat.word(filtered[0]) if isinstance(filtered, list) and filtered else None,
        document=str(row.get("doc_hash") or ""),
    )


def _prompt(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a first request's texts; chats: ``['[{"role": "user", "content": "..."}]']``."""
    given = mapping(mapping(row.get("arguments")).get("gen_args_0")).get("arg_0")
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], str):
        try:
            messages = parse(given[0])
        except ValueError:
            return (given[0],)
        contents = [mapping(each).get("content") for each in sequence(messages)]
        return tuple(text for text in contents if isinstance(text, str))
    return (given,) if isinstance(given, str) else ()


FORMAT = Format("lm-evaluation-harness: results_*.json with samples_*.jsonl", detect, read)
