"""lmms-eval: ``*_results.json`` with ``*_samples_TASK.jsonl`` beside it (0.2 to 0.7)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.imports.common import chat
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
_RESULTS = re.compile(r"(.*_)?results\.json")
_OWN = frozenset(
    """doc_id doc target arguments resps filtered_resps token_counts doc_hash prompt_hash
    target_hash input_media input""".split()
)
# lmms-eval's names that differ from those of `Sampling`.
_SAMPLING = {"max_new_tokens": "max_tokens", "max_gen_toks": "max_tokens"}
_SETTINGS = ("max_tokens", "temperature", "top_p", "top_k", "min_p", "repetition_penalty")
# "model=" also ends "base_model=", so a name starts the text or follows a comma.
_MODEL = re.compile(r"(?:^|,)(?:pretrained|model_version|model|model_name|path)=([^,]+)")


def _results_files(paths: Iterable[Path]) -> dict[Path, None]:
    """Return the results files that are given, in given folders, or beside given samples."""
    files = (path for given in map(_results_beside, paths) for path in files_below(given))
    return dict.fromkeys(path for path in files if _RESULTS.fullmatch(path.name))


def _sample_files(results: Path) -> dict[str, Path]:
    """Return the sample files of a results file by task."""
    begin, end = f"{results.name.removesuffix('results.json')}samples_", ".jsonl"
    return {
        path.name[len(begin) : -len(end)]: path
        for path in sorted(results.parent.iterdir())
        if path.name.startswith(begin) and path.name.endswith(end)
    }


def detect(path: Path) -> bool:
    """Whether a file of results or samples, or a folder of them, is lmms-eval's."""
    return bool(_results_files([path]))


def _results_beside(path: Path) -> Path:
    """Return the results file that a sample file belongs to; other paths unchanged."""
    stamp, samples, _ = path.name.partition("samples_")
    return path.with_name(f"{stamp}results.json") if samples and path.is_file() else path


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield the log of each results file."""
    found = _results_files(paths)
    if not found:
        raise UsageError(f"{paths[0]} holds no *_results.json of lmms-eval")
    yield from map(_log, found)


def _log(path: Path) -> Log:
    document = json_document(path)
    samples = _sample_files(path)
    if not samples:
        raise UsageError(
            f"{path} has no samples beside it (*_samples_TASK.jsonl): run lmms-eval again with "
            "--log_samples"
        )
    config = mapping(document.get("config"))
    subtasks = mapping(document.get("group_subtasks"))
    groups = {
        *(name for name, tasks in subtasks.items() if tasks),
        *mapping(document.get("groups")),
    }
    without = sorted(set(mapping(document.get("results"))) - set(samples) - groups)
    return Log(
        "lmms-eval",
        str(document.get("lmms_eval_version") or "unknown"),
        model_name(document),
        [task_of(document, name, partial(_samples, file)) for name, file in samples.items()],
        [path, *samples.values()],
        identity=[config.get("model"), config.get("model_args")],
        seed=chat.count(config.get("random_seed")),
        started=str(document["date"]) if document.get("date") else None,
        config=document_config(document),
        notes=[f"{name}: the log has no samples of it, only its score" for name in without],
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


def _settings(config: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sampling settings: the task's, overridden by the command's."""
    given = config.get("gen_kwargs")
    if isinstance(given, str):
        given = dict(part.split("=", 1) for part in given.split(",") if "=" in part)
    drawn = {**mapping(task.get("generation_kwargs")), **mapping(given)}
    named = {_SAMPLING.get(name, name): value for name, value in drawn.items()}
    if named.get("do_sample") in (False, "False", "false"):
        named["temperature"] = 0.0  # overrides the rest: it is greedy
    return {name: number for name in _SETTINGS if (number := _number(named.get(name))) is not None}


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


def _asked(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what decides a task's prompts, as far as logged."""
    asked = {
        "shots": mapping(document.get("n-shot")).get(name),
        "version": mapping(document.get("versions")).get(name),
        "system": document.get("system_instruction_sha"),
        "chat_template": document.get("chat_template_sha"),
    }
    return {what: value for what, value in asked.items() if value not in (None, "")}


def task_of(
    document: Mapping[str, Any], name: str, samples: Callable[[], Iterator[LoggedSample]]
) -> LoggedTask:
    """Return a task as a results document describes it."""
    config = mapping(mapping(document.get("configs")).get(name))
    return LoggedTask(
        name,
        samples,
        metrics_of(document, name),
        _settings(mapping(document.get("config")), config),
        _asked(document, name),
        n_data=chat.count(mapping(mapping(document.get("n-samples")).get(name)).get("original")),
    )


def _samples(path: Path) -> Iterator[LoggedSample]:
    for where, row in json_lines(path):
        number = field(row, "doc_id", (int, str), where)
        metrics = {name: value for name, value in row.items() if name not in _OWN}
        ids = (mapping(value).get(key) for value in metrics.values() for key in IDS)
        sample = LoggedSample(
            str(number),
            None,
            {name: _verdict(value) for name, value in metrics.items()},
            official=list(dict.fromkeys(str(each) for each in ids if isinstance(each, str | int))),
            row=number if isinstance(number, int) else None,
            prompt=(row["input"],) if isinstance(row.get("input"), str) else (),
            target=row.get("target"),
        )
        answers = answers_of(sample, row.get("resps", row.get("filtered_resps")))
        yield from (_counted(answer, row.get("token_counts")) for answer in answers)


def _counted(sample: LoggedSample, counts: Any) -> LoggedSample:
    counted = mapping(counts[0]) if isinstance(counts, list) and len(counts) == 1 else {}
    prompt, completion = (counted.get(name) for name in ("input_tokens", "output_tokens"))
    if sample.response is None or not (isinstance(prompt, int) and isinstance(completion, int)):
        return sample
    known = replace(sample.response, prompt_tokens=prompt, completion_tokens=completion)
    return replace(sample, response=known)


def _verdict(value: Any) -> Any:
    """Return a metric's verdict on an answer.

    For some tasks it has the parsed and the right letter, which the task's aggregation compares:
    MMMU, MMMU-Pro (multiple choice) and MME-RealWorld.
    """
    kept = mapping(value)
    right = kept.get("answer")
    if not isinstance(right, str):
        return value
    is_choice = kept.get("question_type") in (None, "multiple-choice")
    if is_choice and isinstance(read := kept.get("parsed_pred"), str):
        return read == right
    if isinstance(read := kept.get("pred_answer"), str):
        return right.lower() in read.lower()
    return value


# Keys for an item's id in what metrics keep of an answer.
IDS = ("id", "question_id", "pid", "qid", "sample_index", "index", "idx", "data_id")


def answers_of(sample: LoggedSample, value: Any) -> Iterator[LoggedSample]:
    """Yield a sample for each logged response, of which the first has the line's score."""
    texts = _texts(value)
    yield replace(sample, response=Response(texts[0])) if texts else sample
    for text in texts[1:]:
        yield replace(sample, response=Response(text), scores={}, shares_score=True)


def _texts(value: Any) -> list[str]:
    """Return the responses in nested lists; none for log-likelihoods (``["-0.26", "False"]``)."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or (len(value) == 2 and str(value[1]) in ("True", "False")):
        return []
    return [text for part in value for text in _texts(part)]


FORMAT = Format("lmms-eval: *_results.json with *_samples_*.jsonl", detect, read)
