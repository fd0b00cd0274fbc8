"""inspect: ``.eval`` and ``.json`` logs of version 2, read without inspect_ai."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.imports.common import chat
from benchmarks.imports.common.archive import Archive
from benchmarks.imports.log import Format, Log, LoggedSample, LoggedTask, Metric, together
from benchmarks.imports.reading import field, files_below, head, json_document, mapping, text_hash
from harness.errors import UsageError
from harness.records import Response

# Matches "2026-11-29T08-16-05-00-00_arith_Nwqg.json", as inspect names logs; not "logs.json".
_NAMED = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d.*_.*\.json")
# Matches "samples/sum-1_epoch_2.json"; not "_journal/summaries/1.json".
_SAMPLE = re.compile(r"samples/.*_epoch_(\d{1,9})\.json", re.DOTALL)
# Values of a scorer's letters and words, like `value_to_float` in inspect_ai.
_VALUES = {
    "C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0,
    "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0,
}  # fmt: skip
Rows = Callable[[], Iterator[tuple[str, dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class _File:
    """One log: its header, and its samples with their locations; ``held`` is their number."""

    path: Path
    header: Mapping[str, Any]
    rows: Rows
    held: int

    @property
    def spec(self) -> dict[str, Any]:
        return mapping(self.header.get("eval"))


def detect(path: Path) -> bool:
    """Whether a file, or one in a folder, is a log of inspect."""
    return any(map(_is_log, files_below(path)))


def _is_log(path: Path) -> bool:
    begin = head(path)
    if path.suffix == ".eval":
        return begin.startswith(b"PK")
    return path.suffix == ".json" and b'"eval_id"' in begin and b'"run_id"' in begin


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield a log for the tasks on which one model was run together."""
    found = (each for path in paths for each in files_below(path))
    files = [
        _open(path)
        for path in dict.fromkeys(found)
        # Also what is only named like a log: a damaged one is not skipped.
        if path in paths or path.suffix == ".eval" or _NAMED.fullmatch(path.name) or _is_log(path)
    ]
    if not files:
        raise UsageError(f"{paths[0]} holds no .eval or .json log of inspect")
    yield from together((_run(file), _log(file)) for file in _last_tries(files))


def _open(path: Path) -> _File:
    if path.suffix == ".eval":
        archive = Archive(path)
        # A killed run has no header: its journal says what was to be run.
        name = "header.json" if "header.json" in archive else "_journal/start.json"
        held = sum(map(bool, map(_SAMPLE.fullmatch, archive)))
        return _File(path, archive.document(name), partial(_rows_of_archive, archive), held)
    document = json_document(path)
    samples = chat.messages_of(document.pop("samples", None))
    for sample in samples:
        for unread in ("events", "events_data", "store"):
            sample.pop(unread, None)
    rows = [(f"{path}, sample {number}", sample) for number, sample in enumerate(samples, 1)]
    return _File(path, document, lambda: iter(rows), len(samples))


def _rows_of_archive(archive: Archive) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the samples of an archive, all of the first epoch before the second."""
    found = [(int(match[1]), name) for name in archive if (match := _SAMPLE.fullmatch(name))]
    for _, name in sorted(found, key=lambda each: each[0]):
        yield f"{archive.path}, {name}", archive.document(name)


def _run(file: _File) -> str:
    return str(file.spec.get("eval_set_id") or file.spec.get("run_id"))


def _last_tries(files: Iterable[_File]) -> list[_File]:
    """Return the last log of every task of a run: evaluation sets retry failed ones."""
    last: dict[tuple[str, str], _File] = {}
    for file in sorted(files, key=lambda each: str(each.spec.get("created"))):
        key = (_run(file), str(file.spec.get("task_id") or file.path))
        ended = file.header.get("status") == "success"
        if ended or key not in last or last[key].header.get("status") != "success":
            last[key] = file
    return list(last.values())


def _log(file: _File) -> Log:
    spec = file.spec
    model = field(spec, "model", str, f"{file.path}: its header")
    config = mapping(spec.get("model_generate_config"))
    config = {**config, **mapping(mapping(file.header.get("plan")).get("config"))}
    return Log(
        "inspect_ai",
        str(mapping(spec.get("packages")).get("inspect_ai") or "unknown"),
        model.rpartition("/")[2] or model,
        [_task(file, config)],
        [file.path],
        identity=[model, spec.get("model_args")],
        seed=chat.count(config.get("seed")),
        started=chat.word(spec.get("created")),
        config={str(spec.get("task")): {"eval": spec, "plan": file.header.get("plan")}},
        notes=list(_notes(file)),
    )


def _notes(file: _File) -> Iterator[str]:
    task, status = file.spec.get("task"), file.header.get("status")
    reducers = chat.strings(mapping(file.spec.get("config")).get("epochs_reducer"))
    if other := [name for name in reducers if name != "mean"]:
        yield f"{task}: inspect reduces epochs by {', '.join(other)}; here an item's is their mean"
    expected = chat.count(mapping(file.header.get("results")).get("total_samples"))
    if status != "success":
        yield f"{task}: the run did not end (status {status or 'unknown'})"
    elif expected not in (None, file.held):
        yield f"{task}: the log holds {file.held} of {expected} samples"


def _task(file: _File, config: Mapping[str, Any]) -> LoggedTask:
    spec = file.spec
    steps = chat.messages_of(mapping(file.header.get("plan")).get("steps"))
    asked: dict[str, Any] = {"version": spec.get("task_version")}
    asked["solver"] = [[step.get("solver"), step.get("params")] for step in steps]
    systems = [step.get("params") for step in steps if step.get("solver") == "system_message"]
    if system := systems or config.get("system_message"):
        asked["system"] = system
    if arguments := spec.get("task_args"):
        asked["args"] = arguments
    cluster = _cluster(spec)
    return LoggedTask(
        str(spec.get("task") or file.path.stem).rpartition("/")[2],
        partial(_samples, file.rows, cluster),
        dict.fromkeys(_scorers(file), Metric()),
        chat.drawn(config),
        asked,
        clusters=f"samples with the same {cluster}" if cluster else "",
        n_data=chat.count(mapping(spec.get("dataset")).get("samples")),
    )


def _scorers(file: _File) -> list[str]:
    results = mapping(file.header.get("results"))
    first = mapping(results.get("headline")).get("score")
    listed = chat.messages_of(results.get("scores")) or chat.messages_of(file.spec.get("scorers"))
    names = [first, *(each.get("name") for each in listed)]
    return list(dict.fromkeys(str(name) for name in names if name))


def _cluster(spec: Mapping[str, Any]) -> str:
    """Return the metadata name by which a metric clusters its standard error, "" if none."""
    scorers = chat.messages_of(spec.get("scorers"))
    metrics = (each for scorer in scorers for each in chat.messages_of(scorer.get("metrics")))
    named = (mapping(metric.get("options")).get("cluster") for metric in metrics)
    return next((name for name in named if isinstance(name, str)), "")


def _samples(rows: Rows, cluster: str) -> Iterator[LoggedSample]:
    for where, row in rows():
        item = str(field(row, "id", (str, int), where))
        asked = row.get("input")
        messages = chat.messages_of(row.get("messages"))
        question = _question(asked)
        scores = _scores(mapping(row.get("scores")))
        metadata, attached = mapping(row.get("metadata")), mapping(row.get("attachments"))
        images = chat.images_of(chat.messages_of(asked))
        error = _error(row, scores)
        yield LoggedSample(
            item,
            None if error else _response(row, messages),
            scores,
            official=(item,),
            numbered=item.isdecimal(),
            prompt=chat.prompt_of(messages, question),
            question=question,
            image=chat.image_hash(
                str(attached.get(source.removeprefix("attachment://"), source)) for source in images
            ),
            target=row.get("target"),
            prediction=_prediction(row),
            cluster=str(metadata[cluster]) if cluster in metadata else "",
            document=text_hash([question, row.get("choices"), row.get("target")]),
            error=error,
        )


def _question(asked: Any) -> str:
    if isinstance(asked, str):
        return asked
    users = (each for each in chat.messages_of(asked) if each.get("role") == "user")
    return "\n".join(chat.text_of(each.get("content")) for each in users)


def _scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each score; for several values, ``NAME/KEY``."""
    values: dict[str, Any] = {}
    for name, score in scores.items():
        value = mapping(score).get("value")
        inner = {f"{name}/{key}": each for key, each in mapping(value).items()} or {name: value}
        values |= {key: _number(each) for key, each in inner.items()}
    return values


def _number(value: Any) -> Any:
    if isinstance(value, str):
        return _VALUES.get(value, _VALUES.get(value.lower(), value))
    return value


def _prediction(row: Mapping[str, Any]) -> str | None:
    answers = (mapping(score).get("answer") for score in mapping(row.get("scores")).values())
    return next((answer for answer in answers if isinstance(answer, str)), None)


def _error(row: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Return why a sample has no valid verdict, "" if it has."""
    if row.get("invalidation"):
        return "the sample was invalidated"
    if not row.get("error") or scores:
        return ""
    message = str(mapping(row["error"]).get("message") or row["error"])
    return f"it failed with {message.partition('(')[0]:.60}"


def _response(row: Mapping[str, Any], messages: chat.Messages) -> Response:
    output = mapping(row.get("output"))
    choice = mapping(next(iter(chat.messages_of(output.get("choices"))), None))
    answer = mapping(choice.get("message")) or chat.answer_of(messages)
    text = output.get("completion")
    spent = mapping(output.get("usage"))
    return Response(
        text if isinstance(text, str) else chat.text_of(answer.get("content")),
        chat.text_of(answer.get("content"), "reasoning") or None,
        chat.count(spent.get("input_tokens")),
        chat.count(spent.get("output_tokens")),
        "length" if row.get("limit") else chat.finish(choice.get("stop_reason")),
        chat.seconds(row.get("working_time")),
        trajectory=chat.trajectory_of(messages),
    )


FORMAT = Format("inspect: .eval and .json logs", detect, read)
