"""Harbor: the folder of a job, with one folder per trial (0.2x; results of version 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.imports.common import chat
from benchmarks.imports.log import Format, Log, LoggedSample, LoggedTask, Metric
from benchmarks.imports.reading import field, head, json_document, mapping
from harness.errors import UsageError
from harness.files.text import counted

_RESULT = "result.json"
_TRAJECTORY = Path("agent", "trajectory.json")
# Limits that end an episode; any reward counts.
_LIMITS = ("AgentTimeoutError", "OutputTokenExceededError", "ContextWindowExceededError")
_ASKED = ("timeout_multiplier", "agent_timeout_multiplier", "extra_instructions")
Trial = tuple[Path, dict[str, Any]]


def detect(path: Path) -> bool:
    """Whether a folder is a job's, or contains jobs' folders."""
    return bool(_jobs(path))


def _jobs(path: Path) -> list[Path]:
    """Return the folders of jobs: the given one, that of the given file, or those in it."""
    folder = path if path.is_dir() else path.parent
    begins = {each: head(each / "config.json") for each in (folder, *sorted(folder.glob("*")))}
    words = (b'"n_concurrent_trials"', b'"job_name"')
    return [each for each, begin in begins.items() if all(word in begin for word in words)]


def read(paths: Sequence[Path]) -> Iterator[Log]:
    """Yield a log for every agent and model of a job."""
    jobs = dict.fromkeys(job for path in paths for job in _jobs(path))
    if not jobs:
        raise UsageError(f"{paths[0]} is not the folder of a Harbor job: no config.json of one")
    for job in jobs:
        yield from _logs(job)


def _logs(job: Path) -> Iterator[Log]:
    groups: dict[tuple[str, ...], list[Trial]] = {}
    without = 0
    for folder in sorted(each for each in job.iterdir() if (each / "config.json").is_file()):
        if not (folder / _RESULT).is_file():
            without += 1
            continue
        result = json_document(folder / _RESULT)
        groups.setdefault(_who(result), []).append((folder, result))
    if not groups:
        raise UsageError(f"{job} holds no trial with a {_RESULT}")
    notes = [f"{counted(without, 'trial')} without {_RESULT}: not ended"] if without else []
    for trials in groups.values():
        yield _log(job, trials, notes)


def _who(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a trial's agent, agent version, model provider and model name."""
    agent = mapping(result.get("agent_info"))
    model = mapping(agent.get("model_info"))
    parts = (agent.get("name"), agent.get("version"), model.get("provider"), model.get("name"))
    return tuple(str(part or "") for part in parts)


def _log(job: Path, trials: Sequence[Trial], notes: Sequence[str]) -> Log:
    agent, version, provider, model = _who(trials[0][1])
    config = mapping(trials[0][1].get("config"))
    kwargs = dict(mapping(mapping(config.get("agent")).get("kwargs")))
    seed = chat.count(kwargs.pop("seed", None))
    asked = {"agent": agent, "agent_version": version, **kwargs}
    asked |= {name: config[name] for name in _ASKED if config.get(name)}
    datasets: dict[str, list[Trial]] = {}
    for trial in trials:
        datasets.setdefault(str(trial[1].get("source") or "adhoc"), []).append(trial)
    files = [job / "config.json", *(folder / _RESULT for folder, _ in trials)]
    lock = json_document(job / "lock.json") if (job / "lock.json").is_file() else {}
    return Log(
        "harbor",
        str(mapping(lock.get("harbor")).get("version") or "unknown"),
        model or agent,
        [
            LoggedTask(
                name,
                partial(_samples, members),
                {"reward": Metric()},
                chat.drawn(kwargs),
                asked,
                n_data=len({str(result.get("task_name")) for _, result in members}),
            )
            for name, members in datasets.items()
        ],
        [*files, *(each for folder, _ in trials if (each := folder / _TRAJECTORY).is_file())],
        identity=[provider, model, agent, version],
        seed=seed,
        started=min((str(r["started_at"]) for _, r in trials if r.get("started_at")), default=None),
        config=json_document(job / "config.json"),
        notes=[*notes, *_exceptions(trials)],
    )


def _exceptions(trials: Iterable[Trial]) -> list[str]:
    """Return a note on exceptions in trials whose reward counts nevertheless."""
    kinds = Counter(
        str(mapping(result.get("exception_info")).get("exception_type"))
        for _, result in trials
        if result.get("exception_info") and not _error(result)
    )
    return [
        f"{counted(count, 'trial')} ended with {kind}, graded all the same"
        for kind, count in kinds.items()
    ]


def _rewards(result: Mapping[str, Any]) -> dict[str, Any]:
    return mapping(mapping(result.get("verifier_result")).get("rewards"))


def _error(result: Mapping[str, Any]) -> str:
    """Return why a trial has no valid reward, "" if it has."""
    if result.get("reward_valid", True) and _rewards(result):
        return ""
    return str(mapping(result.get("exception_info")).get("exception_type") or "no reward")


def _samples(trials: Sequence[Trial]) -> Iterator[LoggedSample]:
    for folder, result in trials:
        where = str(folder / _RESULT)
        name = field(result, "task_name", str, where)
        error = _error(result)
        path = folder / _TRAJECTORY
        messages = chat.from_atif(json_document(path)) if path.is_file() else []
        yield LoggedSample(
            name,
            None if error else _response(result, messages),
            _rewards(result),
            official=(name, name.rpartition("/")[2]),
            prompt=chat.prompt_of(messages),
            document=str(result.get("task_checksum") or ""),
            error=error,
        )


def _response(result: Mapping[str, Any], messages: chat.Messages) -> Any:
    spent = mapping(result.get("agent_result"))
    kind = mapping(result.get("exception_info")).get("exception_type")
    return chat.episode(
        messages,
        prompt_tokens=chat.count(spent.get("n_input_tokens")),
        completion_tokens=chat.count(spent.get("n_output_tokens")),
        finish_reason="length" if kind in _LIMITS else None,
        seconds=_lasted(mapping(result.get("agent_execution"))),
    )


def _lasted(times: Mapping[str, Any]) -> float:
    try:
        begin, end = (datetime.fromisoformat(times[name]) for name in ("started_at", "finished_at"))
        return max(0.0, (end - begin).total_seconds())
    except (KeyError, TypeError, ValueError):
        return 0.0


FORMAT = Format("Harbor: the folder of a job", detect, read)
