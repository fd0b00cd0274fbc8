"""lmms-eval: ``*_results.json`` with ``*_samples_TASK.jsonl`` beside it (0.2 to 0.7)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

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
from harness.records import Response

# Matches "20261129_080000_results.json", "results.json"; not "results_2026.json".
_RESULTS = re.compile(r"(?P<stamp>.*_)?results\.json")
_OWN = frozenset(
    """doc_id doc target arguments resps filtered_resps token_counts doc_hash prompt_hash
    target_hash input_media input""".split()
)
# lmms-eval's names that differ from those of `Sampling`.
_SAMPLING = {"max_new_tokens": "max_tokens", "max_gen_toks": "max_tokens"}
SETTINGS = ("max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty")
# "model=" also ends "base_model=", so a name starts the text or follows a comma.
_MODEL = re.compile(r"(?:^|,)(?:pretrained|model_version|model|model_name|path)=([^,]+)")


def results_files(paths: Iterable[Path]) -> list[Path]:
    """Return the results files that are given, or are in given folders."""
    files = (path for given in paths for path in files_below(given))
    return [path for path in files if _RESULTS.fullmatch(path.name)]


def sample_files(results: Path) -> dict[str, Path]:
    """Return the sample files of a results file by task."""
    match = _RESULTS.fullmatch(results.name)
    stamp = (match["stamp"] if match else "") or ""
    begin, end = f"{stamp}samples_", ".jsonl"
    return {
        path.name[len(begin) : -len(end)]: path
        for path in sorted(results.parent.iterdir())
        if path.name.startswith(begin) and path.name.endswith(end)
    }


def detect(path: Path) -> bool:
    """Whether a file of results or samples, or a folder of them, is lmms-eval's."""
    return bool(results_files([_results_beside(path)]))


def _results_beside(path: Path) -> Path:
    """Return the results file that a sample file belongs to; other paths unchanged."""
    stamp, samples, _ = path.name.partition("samples_")
    return path.with_name(f"{stamp}results.json") if samples and path.is_file() else path


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield the log of each results file."""
    found = dict.fromkeys(results_files(map(_results_beside, paths)))
    if not found:
        raise UsageError(f"{paths[0]} holds no *_results.json of lmms-eval")
    yield from map(_log, found)


def _log(path: Path) -> Log:
    document = json_document(path)
    samples = sample_files(path)
    if not samples:
        raise UsageError(
            f"{path} has no samples beside it (*_samples_TASK.jsonl): run lmms-eval again with "
            "--log_samples"
        )
    config = mapping(document.get("config"))
    listed = mapping(document.get("results"))
    without = sorted(set(listed) - set(samples) - _groups(document))
    return Log(
        "lmms-eval",
        str(document.get("lmms_eval_version") or "unknown"),
        model_name(document),
        [_task(document, name, file) for name, file in samples.items()],
        [path, *samples.values()],
        identity=[config.get("model"), config.get("model_args")],
        seed=seed_of(config),
        started=str(document["date"]) if document.get("date") else None,
        config=document_config(document),
        notes=[f"{name}: the log has no samples of it, only its score" for name in without],
    )


def _groups(document: Mapping[str, Any]) -> set[str]:
    """Return the names of groups, whose samples are those of their tasks."""
    subtasks = mapping(document.get("group_subtasks"))
    return {name for name, tasks in subtasks.items() if tasks} | set(
        mapping(document.get("groups"))
    )


def document_config(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration in a results document, without scores and prompt texts."""
    left_out = ("results", "groups", "group_subtasks", "samples", "throughput", "usage")
    return {name: value for name, value in document.items() if name not in left_out}


def model_name(document: Mapping[str, Any]) -> str:
    """Return the model's name, without the folders of a checkpoint's path."""
    arguments = mapping(document.get("config")).get("model_args")
    name = document.get("model_name")
    if not name and isinstance(arguments, str) and (match := _MODEL.search(arguments)):
        name = match[1]
    if not name and isinstance(arguments, dict):
        name = arguments.get("pretrained") or arguments.get("model")
    name = str(name or mapping(document.get("config")).get("model") or "unknown")
    return name.rstrip("/").rpartition("/")[2] or name


def seed_of(config: Mapping[str, Any]) -> int | None:
    """Return a configuration's seed, None if it has none."""
    seed = config.get("random_seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def settings_of(config: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sampling settings: the task's, overridden by the command's."""
    given = config.get("gen_kwargs")
    if isinstance(given, str):
        given = dict(part.split("=", 1) for part in given.split(",") if "=" in part)
    drawn = {**mapping(task.get("generation_kwargs")), **mapping(given)}
    named = {_SAMPLING.get(name, name): value for name, value in drawn.items()}
    if named.get("do_sample") in (False, "False", "false"):
        named["temperature"] = 0.0  # overrides the rest: it is greedy
    return {name: number for name in SETTINGS if (number := _number(named.get(name))) is not None}


def _number(value: Any) -> float | None:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def metrics_of(document: Mapping[str, Any], name: str) -> dict[str, Metric]:
    """Return the metrics of a task in the order of its configuration."""
    task = mapping(mapping(document.get("configs")).get(name))
    better = mapping(mapping(document.get("higher_is_better")).get(name))
    listed = [entry for entry in sequence(task.get("metric_list")) if isinstance(entry, dict)]
    metrics = {str(entry.get("metric")): entry.get("higher_is_better") for entry in listed}
    metrics = {**better, **metrics}
    return {metric: Metric(higher is not False) for metric, higher in metrics.items()}


def asked_of(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what decides a task's prompts, as far as logged."""
    asked = {
        "shots": mapping(document.get("n-shot")).get(name),
        "version": mapping(document.get("versions")).get(name),
        "system": document.get("system_instruction_sha"),
        "chat_template": document.get("chat_template_sha"),
    }
    return {what: value for what, value in asked.items() if value not in (None, "")}


def _task(document: Mapping[str, Any], name: str, path: Path) -> LoggedTask:
    config = mapping(mapping(document.get("configs")).get(name))
    size = mapping(mapping(document.get("n-samples")).get(name)).get("original")
    return LoggedTask(
        name,
        partial(_samples, path),
        metrics_of(document, name),
        settings_of(mapping(document.get("config")), config),
        asked_of(document, name),
        n_data=size if isinstance(size, int) else None,
    )


def _samples(path: Path) -> Iterator[LoggedSample]:
    for where, row in json_lines(path):
        number = field(row, "doc_id", (int, str), where)
        metrics = {name: value for name, value in row.items() if name not in _OWN}
        scores = {name: _verdict(value) for name, value in metrics.items()}
        sample = LoggedSample(
            str(number),
            None,
            scores,
            official=official_ids(metrics),
            row=number if isinstance(number, int) else None,
            prompt=(row["input"],) if isinstance(row.get("input"), str) else (),
            target=row.get("target"),
        )
        answers = answers_of(sample, row.get("resps", row.get("filtered_resps")))
        yield from (_counted(answer, row.get("token_counts")) for answer in answers)


def _counted(sample: LoggedSample, counts: Any) -> LoggedSample:
    counted = mapping(counts[0]) if isinstance(counts, list) and len(counts) == 1 else {}
    tokens = [counted.get(name) for name in ("input_tokens", "output_tokens")]
    if sample.response is None or not all(isinstance(n, int) for n in tokens):
        return sample
    prompt, completion = tokens
    return replace(
        sample,
        response=replace(sample.response, prompt_tokens=prompt, completion_tokens=completion),
    )


def _verdict(value: Any) -> Any:
    """Return a metric's verdict on an answer.

    For some tasks it has the parsed and the right letter, which the task's aggregation compares:
    MMMU, MMMU-Pro (multiple choice) and MME-RealWorld.
    """
    kept = mapping(value)
    right = kept.get("answer")
    if not isinstance(right, str):
        return value
    if isinstance(read := kept.get("parsed_pred"), str) and kept.get("question_type") in (
        None,
        "multiple-choice",
    ):
        return read == right
    if isinstance(read := kept.get("pred_answer"), str):
        return right.lower() in read.lower()
    return value


# Keys for an item's id in what metrics keep of an answer.
IDS = ("id", "question_id", "pid", "qid", "sample_index", "index", "idx", "data_id")


def official_ids(scores: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the item's ids kept by metrics."""
    kept = (mapping(value) for value in scores.values())
    named = (each.get(key) for each in kept for key in IDS)
    return tuple(dict.fromkeys(str(name) for name in named if isinstance(name, str | int)))


def answers_of(sample: LoggedSample, value: Any) -> Iterator[LoggedSample]:
    """Yield a sample for each logged response, one without a response if there is none.

    A line has one score: that of the first of several responses (or of a vote); the others have
    none.
    """
    texts = texts_of(value)
    yield replace(sample, response=Response(texts[0])) if texts else sample
    for text in texts[1:]:
        yield replace(sample, response=Response(text), scores={}, shares_score=True)


def texts_of(value: Any) -> list[str]:
    """Return the responses in nested lists; none for log-likelihoods (``["-0.26", "False"]``)."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or (len(value) == 2 and str(value[1]) in ("True", "False")):
        return []
    return [text for part in value for text in texts_of(part)]


FORMAT = Format("lmms-eval: *_results.json with *_samples_*.jsonl", detect, read)
