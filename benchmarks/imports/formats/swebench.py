"""SWE-bench: reports of ``run_evaluation`` (2 to 5), and the predictions behind them.

A report is ``MODEL.RUN.json`` with ``resolved_ids``; predictions are JSON or JSON Lines of
``instance_id``, ``model_name_or_path`` and ``model_patch``; the logs are folders
``RUN/MODEL/INSTANCE/report.json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.imports.log import Format, Log, LoggedSample, LoggedTask, Metric
from benchmarks.imports.reading import (
    files_below,
    first_object,
    head,
    json_document,
    json_lines,
    mapping,
    sequence,
)
from harness.errors import UsageError
from harness.files.plain import read_given
from harness.files.text import counted
from harness.files.typed_json import parse
from harness.records import Response

_PREDICTION = {"instance_id", "model_patch"}
_WORDS = (b"_instances", b"_ids", b"instance_id", b"model_patch")  # in reports and predictions
_OUTCOMES = ("completed_ids", "resolved_ids", "unresolved_ids", "error_ids", "empty_patch_ids")


@dataclass
class _Found:
    """Contents of the given files and folders.

    ``summaries`` and ``instances`` (by run and model) are reports, ``patches`` the predictions by
    model and instance.
    """

    summaries: dict[Path, dict[str, Any]] = field(default_factory=dict)
    instances: dict[tuple[str, str], dict[str, Path]] = field(default_factory=dict)
    patches: dict[str, dict[str, str]] = field(default_factory=dict)
    predictions: list[Path] = field(default_factory=list)


def detect(path: Path) -> bool:
    """Whether a file or folder has reports or predictions of SWE-bench."""
    found = _find([path])
    return bool(found.summaries or found.instances or found.predictions)


def _find(paths: Sequence[Path]) -> _Found:
    found = _Found()
    for path in (file for given in paths for file in files_below(given)):
        if path.name == "report.json":
            run, model = path.parents[2].name, path.parents[1].name
            found.instances.setdefault((run, model), {})[path.parent.name] = path
        elif path.suffix in (".json", ".jsonl") and path.is_file():
            _add(found, path)
    return found


def _add(found: _Found, path: Path) -> None:
    document: Any = None
    if path.suffix == ".jsonl":
        document = first_object(path)
    elif any(word in head(path) for word in _WORDS):
        with suppress(OSError, ValueError):
            document = parse(read_given(path))
    if isinstance(document, dict) and isinstance(document.get("resolved_ids"), list):
        found.summaries[path] = document
        return
    rows = list(document.values()) if isinstance(document, dict) else document
    if path.suffix == ".jsonl":
        rows = [document]
    if not (isinstance(rows, list) and rows and mapping(rows[0]).keys() >= _PREDICTION):
        return
    found.predictions.append(path)
    for row in _lines(path) if path.suffix == ".jsonl" else map(mapping, rows):
        name = str(row.get("model_name_or_path") or "unknown").replace("/", "__")
        patch = row.get("model_patch")
        found.patches.setdefault(name, {})[str(row.get("instance_id"))] = (
            patch if isinstance(patch, str) else ""
        )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for where, row in json_lines(path):
        if not row.keys() >= _PREDICTION:
            raise UsageError(f"{where} is not a prediction: it has no instance_id or model_patch")
        yield row


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield a log for each report, or for each run and model of logs without one."""
    found = _find(paths)
    seen = set()
    for path, summary in found.summaries.items():
        model, run = _model_of(path, found)
        seen.add((run, model))
        verdicts = _of_summary(summary)
        missing = sequence(summary.get("incomplete_ids"))
        left_out = f"left out, not submitted: {counted(len(missing), 'instance')} of the data set"
        version = str(summary.get("schema_version") or "unknown")
        notes = [left_out] if missing else []
        yield _log(model, verdicts, found, [path], f"report {version}", notes)
    for (run, model), reports in found.instances.items():
        if (run, model) not in seen:
            verdicts = {name: _of_report(path, name) for name, path in reports.items()}
            yield _log(model, verdicts, found, list(reports.values()), "reports", [])
    if not (found.summaries or found.instances):
        raise UsageError(
            f"{paths[0]} holds no report of run_evaluation, so there are no verdicts: give "
            "MODEL.RUN.json or logs/run_evaluation/RUN too, or use `harness score`"
        )


def _model_of(path: Path, found: _Found) -> tuple[str, str]:
    """Return model and run of a summary ``MODEL.RUN.json``; both may contain dots."""
    name = path.name.removesuffix(".json")
    known = [*found.patches, *(model for _, model in found.instances)]
    model = next((each for each in known if name.startswith(f"{each}.")), name.rpartition(".")[0])
    return model or name, name[len(model) + 1 :] if model else ""


def _of_summary(summary: Mapping[str, Any]) -> dict[str, tuple[float | None, str]]:
    """Return (verdict, why there is none) by submitted instance."""
    named = {
        outcome: {str(each) for each in ids}
        for outcome in (*_OUTCOMES, "submitted_ids", "infra_failure_ids", "incomplete_ids")
        if isinstance(ids := summary.get(outcome), list)
    }
    every = set().union(*(named.get(outcome, set()) for outcome in _OUTCOMES))
    broken = named.get("infra_failure_ids", set())
    return {
        name: (None, "the environment broke")
        if name in broken
        else (float(name in named["resolved_ids"]), "")
        for name in sorted(every - named.get("incomplete_ids", set()))
    }


def _of_report(path: Path, name: str) -> tuple[float | None, str]:
    report = mapping(json_document(path).get(name))
    if not isinstance(report.get("resolved"), bool):
        raise UsageError(f"{path} says of no instance {name} whether it is resolved")
    if report.get("infra_failure") and not report["resolved"]:
        return None, str(report.get("infra_failure_reason") or "the environment broke")
    return float(report["resolved"]), ""


def _log(
    model: str,
    verdicts: Mapping[str, tuple[float | None, str]],
    found: _Found,
    files: list[Path],
    version: str,
    notes: list[str],
) -> Log:
    patches = found.patches.get(model, {})
    task = LoggedTask(
        "swebench",
        partial(_samples, verdicts, patches),
        {"resolved": Metric(low=0, high=1)},
        clusters="the repository",
        n_data=len(verdicts),
    )
    return Log("swebench", version, model, [task], [*files, *found.predictions], notes=notes)


def _samples(
    verdicts: Mapping[str, tuple[float | None, str]], patches: Mapping[str, str]
) -> Iterator[LoggedSample]:
    for name, (value, why) in verdicts.items():
        yield LoggedSample(
            name,
            Response(patches[name]) if name in patches else None,
            {} if value is None else {"resolved": value},
            official=(name,),
            cluster=name.rpartition("-")[0],  # "django__django-11099"
            document=name,
            error=why,
        )


FORMAT = Format("SWE-bench: reports of run_evaluation, with predictions", detect, read)
