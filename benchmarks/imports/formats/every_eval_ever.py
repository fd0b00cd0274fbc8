"""Every Eval Ever: aggregate records with ``*_samples.jsonl`` of instances (schema 0.2, 0.3)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from harness.files.typed_json import parse
from harness.install.extras import PROJECT
from harness.records import Response

_SAMPLES = "_samples.jsonl"
_SCORE = "score"  # the metric of records without results
Instance = tuple[str, int]  # sample id, and index of the answer


def detect(path: Path) -> bool:
    """Whether it is a record, its samples, or a folder with one."""
    return any(map(_is_record, files_below(path)))


def _is_record(path: Path) -> bool:
    begin = head(path)
    return b'"schema_version"' in begin and b'"evaluation_id"' in begin


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield the log of each aggregate record, and of instances without one."""
    found = (each for path in paths for each in files_below(path))
    records = [path for path in dict.fromkeys(found) if path in paths or _is_record(path)]
    aggregates = dict.fromkeys(_aggregate_of(path) for path in records)
    if not aggregates:
        raise UsageError(f"{paths[0]} holds no record of Every Eval Ever")
    yield from map(_log, aggregates)


def _aggregate_of(path: Path) -> Path:
    """Return the aggregate record of an instances file, if any; other paths unchanged."""
    beside = path.with_name(path.name.removesuffix(_SAMPLES) + ".json")
    return beside if path.name.endswith(_SAMPLES) and beside.is_file() else path


def _instances_of(path: Path, document: Mapping[str, Any]) -> Path:
    """Return the file of instances: beside the record, named there or after it."""
    named = mapping(document.get("detailed_evaluation_results")).get("file_path")
    names = [Path(str(named)).name] if named else []
    for name in (*names, path.stem + _SAMPLES):
        if (beside := path.with_name(name)).is_file():
            return beside
    raise UsageError(
        f"{path} has no instances beside it ({names[0] if names else path.stem + _SAMPLES}), only "
        "aggregate scores: answers can be compared only one by one"
    )


def _log(path: Path) -> Log:
    document = {} if path.suffix == ".jsonl" else json_document(path)
    instances = _instances_of(path, document) if document else path
    scores = _scores(instances)
    if not scores:
        raise UsageError(f"{instances} holds no record")
    _, first = next(iter(json_lines(instances)))
    library = mapping(document.get("eval_library"))
    ours = library.get("name") == PROJECT  # only our own export states clusters
    model = mapping(document.get("model_info"))
    name = str(model.get("id") or first.get("model_id") or "unknown")
    results = chat.messages_of(document.get("evaluation_results"))
    names = [str(each.get("evaluation_name")) for each in results]
    without = [each for each in dict.fromkeys(names) if each not in scores]
    time = document.get("evaluation_timestamp")
    return Log(
        str(library.get("name") or "unknown"),
        str(library.get("version") or "unknown"),
        name.rpartition("/")[2] or name,
        [_task(instances, task, held, results, ours) for task, held in scores.items()],
        [path, instances] if path != instances else [path],
        identity=[name, model.get("inference_engine")],
        seed=_seed(results),
        started=chat.iso_time(time) or chat.word(time),
        config={key: value for key, value in document.items() if key != "evaluation_results"},
        notes=[f"{each}: there are no instances of it, only its score" for each in without],
    )


def _seed(results: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the seed that the results share; records put it in additional details."""
    details = (
        mapping(mapping(each.get("generation_config")).get("additional_details"))
        for each in results
    )
    seeds = {str(each["seed"]) for each in details if "seed" in each}
    return int(seed) if len(seeds) == 1 and (seed := seeds.pop()).isdecimal() else None


def _scores(instances: Path) -> dict[str, dict[Instance, dict[str, float]]]:
    """Return the scores of each evaluation's answers by metric: a line has one of them."""
    scores: dict[str, dict[Instance, dict[str, float]]] = {}
    for task, metric, instance, row in _rows(instances):
        held = scores.setdefault(task, {}).setdefault(instance, {})
        score = chat.real(mapping(row.get("evaluation")).get("score"))
        if score is not None:
            held[metric] = score
    return scores


def _rows(instances: Path) -> Iterator[tuple[str, str, Instance, dict[str, Any]]]:
    """Yield the lines, each with its evaluation, metric and answer."""
    counts = Counter[tuple[str, str, str]]()
    for where, row in json_lines(instances):
        task = field(row, "evaluation_name", str, where)
        item = str(field(row, "sample_id", (str, int), where))
        metric = str(row.get("evaluation_result_id") or _SCORE)
        yield task, metric, (item, counts[task, metric, item]), row
        counts[task, metric, item] += 1


def _task(
    instances: Path,
    name: str,
    scores: Mapping[Instance, Mapping[str, float]],
    results: Sequence[Mapping[str, Any]],
    ours: bool,
) -> LoggedTask:
    held = dict.fromkeys(metric for each in scores.values() for metric in each)
    mine = [each for each in results if each.get("evaluation_name") == name]
    metrics = {str(each.get("evaluation_result_id") or _SCORE): each for each in mine}
    first = mine[0] if mine else {}
    arguments = mapping(mapping(first.get("generation_config")).get("generation_args"))
    plan, template = arguments.get("eval_plan"), arguments.get("prompt_template")
    asked = {"plan": mapping(plan).get("steps"), "prompt": template}
    ordered = [*(each for each in metrics if each in held), *(h for h in held if h not in metrics)]
    values = {each: [s[each] for s in scores.values() if each in s] for each in ordered}
    return LoggedTask(
        name,
        partial(_samples, instances, name, scores),
        {each: metric_said(metrics.get(each, {}), values[each]) for each in ordered},
        chat.drawn(arguments),
        {key: value for key, value in asked.items() if value},
        clusters="as our export says" if ours else "",
        n_data=chat.count(mapping(first.get("source_data")).get("samples_number")),
    )


def metric_said(result: Mapping[str, Any], values: Sequence[float]) -> Metric:
    """Return a result's declared metric.

    Bounds are those of the aggregate score, which may be a percentage where instances are not: they
    count only if that score is the instances' mean.
    """
    config = mapping(result.get("metric_config"))
    higher = config.get("lower_is_better") is not True
    low, high = chat.real(config.get("min_score")), chat.real(config.get("max_score"))
    score = chat.real(mapping(result.get("score_details")).get("score"))
    if low is None or high is None or score is None or not values:
        return Metric(higher)
    mean = math.fsum(values) / len(values)
    off, off_as_share = abs(mean - score), abs(low + mean * (high - low) - score)
    is_mean = off <= min(0.005 * (high - low), off_as_share)
    return Metric(higher, low, high) if is_mean else Metric(higher)


def _samples(
    instances: Path, task: str, scores: Mapping[Instance, Mapping[str, float]]
) -> Iterator[LoggedSample]:
    """Yield the answers of an evaluation, each at its first line."""
    seen: set[Instance] = set()
    for name, _, instance, row in _rows(instances):
        if name == task and instance not in seen:
            seen.add(instance)
            yield replace(_sample(row, instance[0]), scores=scores[instance])


def _sample(row: Mapping[str, Any], item: str) -> LoggedSample:
    asked = mapping(row.get("input"))
    messages = chat.messages_of(row.get("messages"))
    texts = chat.strings(mapping(row.get("output")).get("raw"))
    answers = chat.strings(asked.get("reference"))
    failed = str(row.get("error") or "") if not any(texts) and not messages else ""
    question = str(asked.get("raw") or "")
    attributed = chat.messages_of(row.get("answer_attribution"))
    predicted = next((a.get("extracted_value") for a in attributed if a.get("is_terminal")), None)
    labels = mapping(row.get("metadata"))
    return LoggedSample(
        item,
        None if failed else _response(row, texts, messages),
        official=(item,),
        numbered=item.isdecimal(),
        prompt=chat.prompt_of(messages, str(asked.get("formatted") or question)),
        question=question,
        target=answers[0] if len(answers) == 1 else answers,
        prediction=None if predicted is None else str(predicted),
        document=text_hash([asked.get("choices"), answers]),  # prompts are compared separately
        error=failed,
        cluster=str(labels.get("cluster") or ""),
        parts=_parts(labels.get("parts")),
    )


def _parts(value: Any) -> list[str]:
    """Return a sample's parts as our export writes them: a JSON list."""
    try:
        return chat.strings(parse(value)) if isinstance(value, str) else []
    except ValueError:
        return []


def _response(row: Mapping[str, Any], texts: Sequence[str], messages: chat.Messages) -> Response:
    spent = mapping(row.get("token_usage"))
    thoughts = chat.strings(mapping(row.get("output")).get("reasoning_trace"))
    known: dict[str, Any] = {
        "prompt_tokens": chat.count(spent.get("input_tokens")),
        "completion_tokens": chat.count(spent.get("output_tokens")),
        "finish_reason": chat.finish(mapping(row.get("metadata")).get("stop_reason")),
        "seconds": chat.seconds(mapping(row.get("performance")).get("latency_ms"), 1000),
    }
    if messages:
        return chat.episode(messages, **known)
    return Response("\n".join(texts), "\n".join(thoughts) or None, **known)


FORMAT = Format("Every Eval Ever: aggregate and instance records", detect, read)
