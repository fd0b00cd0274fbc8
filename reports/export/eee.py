"""Every Eval Ever (schema 0.3.0): a record of a run's scores, and a line per answer and metric.

Its library needs Python 3.12, so records are written as plain JSON; tests check them with its
validator. https://github.com/evaleval/every_eval_ever
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files.atomic import write_text
from harness.files.hashing import json_hash
from harness.reading import Run
from harness.records import Sample
from harness.runs.store import read_samples
from harness.runs.summary import BenchmarkSummary, current_values
from reports.export.source import METRICS, Source, data_name, repository, scorer_of

SCHEMA = "0.3.0"
LIBRARY = "contextrl-harness"
Value = float | None


def eee(source: Source, folder: Path) -> list[Path]:
    """Write a record per run and its samples beside it; `UsageError` if a run has no scores."""
    return [path for _, run in source.only_runs("eee") for path in _export(run, folder)]


def _export(run: Run, folder: Path) -> tuple[Path, Path]:
    if not any(row.strict is not None for row in run.summaries.values()):
        raise UsageError(f"eee: {run.path} has no scores yet")
    model_id = _model_id(run.model)
    calls = run.manifest["invocations"] or [{}]
    started = _epoch(calls[0].get("started"))
    ended = _epoch(calls[-1].get("ended") or calls[-1].get("started"))
    evaluation_id = f"{run.manifest['suite']}/{model_id}/{ended}"
    ids = {"schema_version": SCHEMA, "evaluation_id": evaluation_id, "model_id": model_id}
    lines = [json.dumps(line) + "\n" for line in _instances(run, ids)]
    text = "".join(lines)
    digest = hashlib.sha256(text.encode()).digest()
    name = str(uuid.UUID(bytes=digest[:16], version=4))
    place = Path("data", _portable(str(run.manifest["suite"])), *model_id.split("/"))
    samples = place / f"{name}_samples.jsonl"
    document = {
        "schema_version": SCHEMA,
        "evaluation_id": evaluation_id,
        "evaluation_timestamp": started,
        "retrieved_timestamp": ended,
        "source_metadata": {
            "source_name": run.path.resolve().name,
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": LIBRARY, "version": version(LIBRARY)},
        "model_info": _model(run, model_id),
        "evaluation_results": list(_results(run)),
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": samples.as_posix(),
            "hash_algorithm": "sha256",
            "checksum": digest.hex(),
            "total_rows": len(lines),
        },
    }
    record = folder / place / f"{name}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    write_text(folder / samples, text)
    write_text(record, json.dumps(document, indent=2) + "\n")
    return record, folder / samples


def _model_id(name: str) -> str:
    """Return a name as developer/model; without a developer it is ``local``."""
    developer, _, model = name.rpartition("/")
    return f"{_portable(developer.rpartition('/')[2] or 'local')}/{_portable(model)}"


def _portable(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".- ")
    return plain if plain not in ("", "data") else f"model-{plain}".strip("-")


def _epoch(time: str | None) -> str:
    """Return a stored time in Unix seconds; "0" if unknown."""
    try:
        return str(datetime.fromisoformat(time or "").timestamp())
    except (ValueError, OverflowError):  # such as "unknown" in an imported run
        return "0"


def _model(run: Run, model_id: str) -> dict[str, Any]:
    calls = run.manifest["invocations"] or [{}]
    kind = str((calls[-1].get("backend") or {}).get("kind", "unknown"))
    deployed = {"vllm": "self_deployed", "transformers": "self_deployed"}
    versions = calls[-1].get("packages") or {}
    return {
        "name": run.model,
        "id": model_id,
        "developer": model_id.partition("/")[0],
        "inference_engine": {"name": kind, "version": str(versions.get(kind, "unknown"))},
        "additional_details": {
            "deployment_type": deployed.get(kind, "unknown"),
            "model_availability": "unknown",
            "fingerprint": str(run.manifest["model"]["fingerprint"]),
        },
    }


def _results(run: Run) -> Iterator[dict[str, Any]]:
    """Yield one result per scored benchmark and metric, the strict one first."""
    for row in run.summaries.values():
        for metric in METRICS:
            if (score := getattr(row, metric)) is not None:
                yield _result(run, row, metric, score)


def _result(run: Run, row: BenchmarkSummary, metric: str, score: float) -> dict[str, Any]:
    entry, hub = run.manifest["benchmarks"].get(row.benchmark, {}), repository(row)
    data = {name: entry.get(name) for name in ("data_revision", "data_fingerprint")}
    counts = ("n", "answers", "unparsable", "unscored", "errors", "truncated")
    details = {name: str(getattr(row, name)) for name in counts}
    details |= {f"part {part}": str(value) for part, value in row.parts.items()}
    uncertainty = {"num_samples": row.n}
    if metric == "strict" and row.stderr is not None:
        error = {"value": row.stderr, "method": "clustered over items"}
        uncertainty |= {"standard_error": error}  # type: ignore[dict-item]
    return {
        "evaluation_result_id": f"{row.benchmark}/{metric}",
        "evaluation_name": row.benchmark,
        "source_data": {
            "dataset_name": data_name(run, row),
            **({"source_type": "hf_dataset", "hf_repo": hub} if hub else {"source_type": "other"}),
            "additional_details": {name: str(value) for name, value in data.items() if value},
        },
        "metric_config": {
            "evaluation_description": f"Mean score over items: {scorer_of(run, row, metric)}",
            "metric_id": metric,
            "metric_name": f"accuracy ({metric})",
            "metric_kind": "accuracy",
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0,
            "max_score": 1,
        },
        "score_details": {"score": score, "details": details, "uncertainty": uncertainty},
        "generation_config": _generation(run, entry),
    }


def _generation(run: Run, entry: Mapping[str, Any]) -> dict[str, Any]:
    sampling = run.manifest["sampling"]
    known = {name: sampling.get(name) for name in ("temperature", "top_p", "top_k")}
    arguments = {**known, "max_tokens": entry.get("max_tokens")}
    more = {name: sampling[name] for name in sampling if name not in arguments}
    more["protocol"] = entry.get("protocol_hash")
    return {
        "generation_args": {name: value for name, value in arguments.items() if value is not None},
        "additional_details": {
            name: str(value) for name, value in more.items() if value is not None
        },
    }


def _instances(run: Run, ids: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield a line per scored answer and metric; others are counted in the record."""
    for row in run.summaries.values():
        samples = read_samples(run.path, row.benchmark)
        native, judged = current_values(run.path, row, samples)
        for key, sample in samples.items():
            values = (sample.score.value, native.get(key), judged.get(key))
            for metric, value in zip(METRICS, values, strict=True):
                # Without a benchmark's score of this metric there is no record to refer to.
                if value is not None and getattr(row, metric) is not None:
                    yield {**ids, **_instance(row.benchmark, metric, sample, value)}


def _instance(benchmark: str, metric: str, sample: Sample, value: float) -> dict[str, Any]:
    asked = "\n\n".join(sample.prompt)
    reference = _reference(sample.target)
    reason = sample.response and sample.response.finish_reason
    return {
        "evaluation_name": benchmark,
        "evaluation_result_id": f"{benchmark}/{metric}",
        "sample_id": sample.id,
        "sample_hash": json_hash([asked, reference]),
        "input": {"raw": asked, "reference": reference},
        "answer_attribution": _attribution(sample),
        "evaluation": {"score": value, "is_correct": value >= 0.5},
        **_answer(sample),
        "metadata": {
            "repeat": str(sample.repeat),
            "cluster": sample.cluster,
            "parts": json.dumps(sample.parts),
            "status": sample.score.status,
            **({"stop_reason": reason} if reason else {}),
        },
    }


def _reference(target: Any) -> list[str]:
    """Return the right answer as text; for a target with several fields, the field ``answer``."""
    answer = target.get("answer", target) if isinstance(target, dict) else target
    return [answer if isinstance(answer, str) else json.dumps(answer)]


def _attribution(sample: Sample) -> list[dict[str, Any]]:
    if sample.score.prediction is None:
        return []
    episode = sample.response is not None and sample.response.trajectory is not None
    return [{
        "turn_idx": 0,
        "source": "messages[turn_idx].content" if episode else "output.raw",
        "extracted_value": sample.score.prediction,
        "extraction_method": sample.score.why or LIBRARY,
        "is_terminal": True,
    }]  # fmt: skip


def _answer(sample: Sample) -> dict[str, Any]:
    """Return the fields of an answer: one turn, or an agent's messages."""
    response = sample.response
    if response is None:
        return {"interaction_type": "single_turn", "output": {"raw": []}, "messages": None}
    read, written = response.prompt_tokens, response.completion_tokens
    measured: dict[str, Any] = {"performance": {"latency_ms": 1000 * response.seconds}}
    if read is not None and written is not None:
        spent = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        measured["token_usage"] = spent
    if response.trajectory is None:
        output: dict[str, Any] = {"raw": [response.text]}
        if response.reasoning is not None:
            output["reasoning_trace"] = [response.reasoning]
        return {"interaction_type": "single_turn", "output": output, "messages": None, **measured}
    turns = [
        {"turn_idx": turn, "role": str(each.get("role")), "content": _text(each.get("content"))}
        for turn, each in enumerate(response.trajectory)
    ]
    return {"interaction_type": "agentic", "output": None, "messages": turns, **measured}


def _text(content: Any) -> str | None:
    return content if content is None or isinstance(content, str) else json.dumps(content)
