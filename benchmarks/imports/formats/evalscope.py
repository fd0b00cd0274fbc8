"""EvalScope: a work folder with ``reviews/``, and ``reports/`` if the run finished (1.x)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.imports.common import chat
from benchmarks.imports.log import Format, Log, LoggedSample, LoggedTask, Metric
from benchmarks.imports.reading import (
    field,
    files_below,
    head,
    json_document,
    json_lines,
    mapping,
    text_hash,
)
from harness.errors import UsageError
from harness.files.typed_yaml import read_yaml
from harness.records import Response

# What decides prompts, by names in a benchmark's resolved configuration.
_ASKED = {
    "shots": "few_shot_num", "system": "system_prompt", "prompt": "prompt_template",
    "query": "query_template", "data": "dataset_id", "revision": "dataset_revision",
    "split": "eval_split",
}  # fmt: skip


def detect(path: Path) -> bool:
    """Whether a file or folder has EvalScope reviews."""
    return any(b'"index"' in (begin := head(f)) and b'"messages"' in begin for f in _reviews(path))


def _reviews(path: Path) -> list[Path]:
    """Return the files ``reviews/MODEL/BENCHMARK_SUBSET.jsonl`` of a folder, a file or a report."""
    if path.is_file() and path.parent.parent.name == "reports":
        path = path.parents[2]
    files = (each for each in files_below(path) if each.suffix == ".jsonl")
    return [each for each in files if each.parent.parent.name == "reviews"]


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield a log for each model of a work folder."""
    files = dict.fromkeys(review for path in paths for review in _reviews(path))
    if not files:
        raise UsageError(f"{paths[0]} holds no reviews/MODEL/*.jsonl of EvalScope")
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    for folder, reviews in folders.items():
        yield _log(folder, reviews)


def _log(folder: Path, reviews: Sequence[Path]) -> Log:
    work = folder.parents[1]
    configured = work / "configs" / "task_config.yaml"
    config = read_yaml(configured) if configured.is_file() else {}
    report_files = sorted((work / "reports" / folder.name).glob("*.json"))
    reports = {path.stem: json_document(path) for path in report_files}
    names = [*reports, *chat.strings(config.get("datasets"))]
    tasks: dict[str, dict[str, Path]] = {}
    for path in reviews:
        name = max((n for n in names if path.stem.startswith(f"{n}_")), key=len, default=path.stem)
        tasks.setdefault(name, {})[path.stem[len(name) + 1 :]] = path
    generation = mapping(config.get("generation_config"))
    return Log(
        "evalscope",
        str(config.get("evalscope_version") or "unknown"),
        folder.name,
        [_task(name, files, config, reports.get(name)) for name, files in tasks.items()],
        [*reviews, *report_files],
        identity=[config.get("model"), config.get("model_args")],
        seed=chat.count(generation.get("seed", config.get("seed"))),
        config=config,
        notes=[note for name in {**tasks, **reports} for note in _notes(name, reports, tasks)],
    )


def _notes(name: str, reports: Mapping[str, Any], reviewed: Collection[str]) -> list[str]:
    if name not in reports:
        return [f"{name}: there is no report of it, the run may not have ended"]
    if name not in reviewed:
        return [f"{name}: the log has no reviews of it, only its score"]
    failed = chat.count(mapping(reports[name].get("execution_summary")).get("errored"))
    return [f"{name}: {failed} of its answers failed and have no review"] if failed else []


def _task(
    name: str, files: Mapping[str, Path], config: Mapping[str, Any], report: Any
) -> LoggedTask:
    resolved = mapping(mapping(config.get("resolved_benchmarks")).get(name))
    asked = {key: resolved[own] for key, own in _ASKED.items() if resolved.get(own) is not None}
    versions = mapping(mapping(config.get("evaluation_identity")).get("benchmarks"))
    if version := mapping(versions.get(name)).get("evaluation_version"):
        asked["version"] = version
    first = next((row for path in files.values() for _, row in json_lines(path)), {})
    main = mapping(mapping(first.get("sample_score")).get("score")).get("main_score_name")
    return LoggedTask(
        name,
        partial(_samples, files),
        {str(main): _metric(mapping(report))} if main else {},
        chat.drawn(mapping(config.get("generation_config"))),
        asked,
        n_data=chat.count(mapping(mapping(report).get("execution_summary")).get("requested")),
    )


def _metric(report: Mapping[str, Any]) -> Metric:
    wanted = report.get("primary_metric_identity")
    listed = chat.messages_of(report.get("metrics"))
    main = next((each for each in listed if wanted and each.get("identity") == wanted), {})
    semantics = mapping(main.get("semantics"))
    bounds = mapping(semantics.get("value_range"))
    higher = semantics.get("direction") != "lower_is_better"
    return Metric(higher, chat.real(bounds.get("min")), chat.real(bounds.get("max")))


def _samples(files: Mapping[str, Path]) -> Iterator[LoggedSample]:
    for subset, path in files.items():
        ends = _ends(path.parents[2] / "predictions" / path.parent.name / path.name)
        for where, row in json_lines(path):
            yield _sample(row, where, subset if len(files) > 1 else "", ends)


def _ends(predictions: Path) -> dict[str, str | None]:
    """Return each answer's finish reason by index, unless it just stopped."""
    if not predictions.is_file():
        return {}
    ends = {}
    for _, row in json_lines(predictions):
        choices = chat.messages_of(mapping(row.get("model_output")).get("choices"))
        for choice in choices[:1]:
            if (end := chat.finish(choice.get("stop_reason"))) != "stop":
                ends[str(row.get("index"))] = end
    return ends


def _sample(
    row: Mapping[str, Any], where: str, subset: str, ends: Mapping[str, str | None]
) -> LoggedSample:
    scored = mapping(field(row, "sample_score", dict, where))
    score = mapping(field(scored, "score", dict, where))
    index = field(row, "index", (int, str), where)
    group = scored.get("group_id")
    number = index if group is None else group
    messages = chat.messages_of(row.get("messages"))
    target = row.get("target")
    target = target[0] if isinstance(target, list) and len(target) == 1 else target
    prompt = chat.prompt_of(messages)
    given = mapping(scored.get("sample_metadata")).get("id")
    return LoggedSample(
        f"{subset}/{number}" if subset else str(number),
        _response(messages, ends.get(str(index), "stop")),
        mapping(score.get("value")),
        official=(str(given),) if isinstance(given, str | int) else (),
        row=number if isinstance(number, int) and not subset else None,  # numbered within a subset
        prompt=prompt,
        image=chat.image_hash(chat.images_of(chat.before_answer(messages))),
        target=target,
        prediction=chat.word(score.get("extracted_prediction")),
        parts=(subset,) if subset else (),
        document=text_hash([prompt, target]),
    )


def _response(messages: chat.Messages, end: str | None) -> Response:
    answer = chat.answer_of(messages)
    spent = mapping(answer.get("perf_metrics"))
    return Response(
        chat.text_of(answer.get("content")),
        chat.text_of(answer.get("content"), "reasoning") or None,
        chat.count(spent.get("input_tokens")),
        chat.count(spent.get("output_tokens")),
        end,
        chat.seconds(spent.get("latency")),
        trajectory=chat.trajectory_of(messages),
    )


FORMAT = Format("EvalScope: a work folder with reviews and reports", detect, read)
