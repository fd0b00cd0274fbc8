"""NeMo Evaluator: ``eval-*.json`` with ``results.jsonl`` beside it, per benchmark (0.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.imports.common import chat
from benchmarks.imports.log import Format, Log, LoggedSample, LoggedTask, Metric, together
from benchmarks.imports.reading import (
    field,
    files_below,
    head,
    json_document,
    json_lines,
    line_count,
    mapping,
    text_hash,
)
from harness.errors import UsageError
from harness.files.text import counted
from harness.records import Response

_RESULTS = "results.jsonl"
# Matches "eval-20261129T080803Z-arith.json"; not "eval-config.json".
_BUNDLE = re.compile(r"eval-\d{8}T\d{6}Z-.+\.json")
# Scored 0 by the tool though the model did not fail; "graceful" is a failure of the solver.
_NOT_THE_MODEL = ("infra_error", "system")
_ASKED = ("system_prompt", "repeats", "solver", "prompt_template")


def detect(path: Path) -> bool:
    """Whether a bundle, its results or a folder of them is NeMo Evaluator's."""
    return any(b'"sdk_version"' in head(bundle) for bundle in _bundles(path))


def _bundles(path: Path) -> list[Path]:
    where = path.parent if path.name == _RESULTS else path
    return [each for each in files_below(where) if _BUNDLE.fullmatch(each.name)]


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield a log for the benchmarks on which one model was run together."""
    bundles = dict.fromkeys(bundle for path in paths for bundle in _bundles(path))
    if not bundles:
        raise UsageError(f"{paths[0]} holds no eval-*.json of NeMo Evaluator")
    # `nel eval run` writes each benchmark's folder into one folder.
    yield from together((str(bundle.parent.parent), _log(bundle)) for bundle in bundles)


def _log(path: Path) -> Log:
    document = json_document(path)
    config = mapping(document.get("config"))
    about = mapping(document.get("benchmark"))
    results = path.with_name(_RESULTS)
    if not results.is_file():
        raise UsageError(f"{path} has no {_RESULTS} beside it, which holds its answers")
    name = str(about.get("name") or config.get("benchmark") or "unknown")
    model = str(config.get("model") or "unknown")
    asked = {key: config[key] for key in _ASKED if config.get(key) is not None}
    size = chat.count(mapping(config.get("shuffle")).get("ds_full_size"))
    reward = {"reward": Metric()}
    task = LoggedTask(
        name, partial(_samples, results), reward, chat.drawn(config), asked, n_data=size
    )
    return Log(
        "nemo-evaluator",
        str(document.get("sdk_version") or "unknown"),
        model.rpartition("/")[2] or model,
        [task],
        [path, results],
        identity=model,
        seed=chat.count(config.get("seed")),
        started=chat.word(document.get("timestamp")),
        config=config,
        notes=_notes(document, name, results),
    )


def _notes(document: Mapping[str, Any], name: str, results: Path) -> list[str]:
    expected = chat.count(document.get("n_results"))
    held = line_count(results)
    if expected in (None, held):
        return []
    return [f"{name}: {results.name} has {counted(held, 'answer')}, of {expected} that were scored"]


def _samples(path: Path) -> Iterator[LoggedSample]:
    for where, row in json_lines(path):
        number = field(row, "problem_idx", int, where)
        reward = field(row, "reward", (int, float, bool), where)
        prompt = row.get("prompt")
        category = mapping(row.get("metadata")).get("category")
        error = _error(mapping(row.get("scoring_details")))
        yield LoggedSample(
            str(number),
            None
            if error
            else Response(
                str(row.get("model_response") or ""),
                seconds=chat.seconds(row.get("latency_ms"), 1000),
                trajectory=chat.trajectory_of(chat.from_atif(row.get("trajectory"))),
            ),
            {"reward": reward, **mapping(row.get("scorer_rewards"))},
            row=number,
            prompt=(prompt,) if isinstance(prompt, str) else (),
            target=row.get("expected_answer"),
            prediction=chat.word(row.get("extracted_answer")),
            parts=(category,) if isinstance(category, str) else (),
            document=text_hash([prompt, row.get("expected_answer")]),
            error=error,
        )


def _error(details: Mapping[str, Any]) -> str:
    """Return why an answer has no score of the model's own, "" if it has."""
    if details.get("error_category") in _NOT_THE_MODEL:
        return "infrastructure failed"
    if mapping(details.get("judge")).get("error"):
        return "the judge gave no verdict"
    return ""


FORMAT = Format("NeMo Evaluator: eval-*.json and results.jsonl", detect, read)
