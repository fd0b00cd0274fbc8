"""The run store: a folder per run, append-only samples, derived files written atomically.

The engine appends one line per answer; a kill at any moment loses at most what was in flight.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NotRequired, Self, TypedDict, TypeVar

import msgspec

from harness.errors import UsageError
from harness.files import plain
from harness.files.atomic import write_json
from harness.files.hashing import json_hash
from harness.files.jsonl import Appender, Line, read_lines, whole_size
from harness.files.locking import alone
from harness.files.names import file_name
from harness.files.typed_json import fits, is_cut, parse, record
from harness.records import Repeat, Sample, Score, Value

SCHEMA = 1
UNKNOWN = "unknown"
"""In a manifest: what the log that a run was made of does not tell."""
Unknown = Literal["unknown"]
SampleKey = tuple[str, int]
T = TypeVar("T")
L = TypeVar("L", Sample, "Mark", "_Asked")
SecondaryKind = Literal["native", "judged"]
_NESTED = 100  # brackets in a line read the fast way
_REPLIES = "judge-replies.jsonl"


class _Model(TypedDict):
    name: str
    fingerprint: str


class _Sampling(TypedDict):
    temperature: float | Unknown
    top_p: float | Unknown


class _Benchmark(TypedDict, total=False):
    title: str
    protocol: dict[str, Any]
    protocol_hash: str
    data_revision: str | None
    data_fingerprint: str | None
    n: int | None
    n_official: int | None
    max_tokens: int | Unknown
    image_conversion: str | None
    metric: str
    clusters: str
    headline: list[str]
    note: str
    native_rules: str
    judged_rules: str
    judge: str | None
    sampling: dict[str, float | Unknown]
    log: dict[str, Any]


class _Git(TypedDict, total=False):
    commit: str | None
    dirty: bool | None


class _Machine(TypedDict, total=False):
    platform: str
    python: str
    cpus: int | None


class _Invocation(TypedDict, total=False):
    started: str
    ended: str | None
    backend: dict[str, Any]
    weights_dtype: str | None
    benchmarks: list[str]
    limit: int | None
    ids: dict[str, int] | None
    repeats: int
    judge: str | None
    sandbox: dict[str, Any] | None
    packages: dict[str, str]
    git: _Git
    machine: _Machine


class _Source(TypedDict):
    backend: str
    url: NotRequired[str]
    served: NotRequired[dict[str, Any] | None]


class _Manifest(TypedDict):
    """The manifest fields that readers rely on."""

    base: str
    suite: str
    model: _Model
    sampling: _Sampling
    benchmarks: dict[str, _Benchmark]
    invocations: list[_Invocation]
    settings: NotRequired[dict[str, Any]]
    settings_from: NotRequired[dict[str, str]]
    reasoning_tags: NotRequired[list[tuple[str, str]]]
    sources: NotRequired[list[_Source | None]]
    origin: NotRequired[str]
    imported: NotRequired[dict[str, Any]]


def encode(sample: Sample) -> str:
    """Return the stored line of a sample, newline included."""
    fields = dataclasses.asdict(sample)
    if sample.source_value is None:  # null in our own runs
        del fields["source_value"]
    return json.dumps(fields, separators=(",", ":")) + "\n"


def encode_fast(sample: Sample) -> bytes:
    """Return the same line as `encode`, ten times faster; NaN becomes null."""
    try:
        return msgspec.json.encode(sample) + b"\n"
    except UnicodeEncodeError:  # lone surrogate
        return encode(sample).encode()


def stored_file(run: Path, kind: Literal["samples"] | SecondaryKind, benchmark: str) -> Path:
    """Return the file of a benchmark's samples or of its native or judged scores.

    Any text can name a benchmark in a manifest: the file is always inside the run.
    """
    return run / kind / f"{file_name(benchmark)}.jsonl"


def read_samples(run: Path, benchmark: str) -> dict[SampleKey, Sample]:
    """Return the samples of one benchmark by (item id, repeat); the last line of a key counts.

    Raises `UsageError` if a complete line is not a sample: something else damaged the store.
    """
    return _by_key(stored_file(run, "samples", benchmark), Sample)


def _by_key(path: Path, kind: type[L]) -> dict[SampleKey, L]:
    lines: dict[SampleKey, L] = {}
    decode = msgspec.json.Decoder(kind).decode
    with _without_collector():
        for line in read_lines(path):
            try:
                if line.text.count("[") + line.text.count("{") > _NESTED:  # may be too deep
                    row = _slowly(path, line, kind)
                else:
                    row = decode(line.text)
            except ValueError:  # NaN, a lone surrogate, or not a sample
                row = _slowly(path, line, kind)
            lines[row.id, row.repeat] = row
    return lines


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the cyclic garbage collector, which would scan a million new records repeatedly."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _slowly(path: Path, line: Line, kind: type[L]) -> L:
    """Parse a line of any JSON that Python writes; UsageError if it is not a sample."""
    try:
        return record(kind, parse(line.text))
    except ValueError as error:
        raise UsageError(
            f"{path} is corrupt at line {line.number} ({error}): "
            "repair or remove that line, or move the run folder away, and run again"
        ) from error


@dataclasses.dataclass(frozen=True, slots=True)
class MarkedScore:
    """The value of a stored score."""

    value: Value | None


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A stored line without its texts, as comparisons need, for a million of them."""

    id: str
    repeat: int
    cluster: str
    parts: tuple[str, ...]
    target: Any
    score: MarkedScore
    scoring: str


def read_marks(run: Path, benchmark: str) -> dict[SampleKey, Mark]:
    """Return the lines of one benchmark without their texts; otherwise like `read_samples`."""
    return _by_key(stored_file(run, "samples", benchmark), Mark)


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    """What a stored line says of the question."""

    id: str
    repeat: int
    prompt: tuple[str, ...]


def read_prompts(run: Path, benchmark: str) -> dict[SampleKey, tuple[str, ...]]:
    """Return the prompts of one benchmark, long ones without their middle; as `read_samples`."""
    lines = _by_key(stored_file(run, "samples", benchmark), _Asked)
    return {key: line.prompt for key, line in lines.items()}


def is_torn(path: Path) -> bool:
    """Whether a JSON file exists but is cut off or holds NULs, as after a power cut."""
    try:
        content = plain.read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return b"\0" in content or is_cut(content)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object from a run's file.

    Raises `UsageError` if the file is missing or is not a JSON object.
    """
    try:
        value = parse(plain.read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(_not_a_run(path)) from None
    except ValueError as error:
        reason = "it lacks its end, as after a power cut" if is_torn(path) else error
        raise UsageError(
            f"{path} is corrupt ({reason}): move the run folder away and run again"
        ) from error
    if not isinstance(value, dict):
        raise UsageError(f"{path} is corrupt (not a JSON object): move the run folder away")
    return value


def _not_a_run(missing: Path) -> str:
    folder = missing.parent
    if not folder.exists():
        return f"{folder} is not a run: there is no such folder"
    if not folder.is_dir():
        return f"{folder} is not a run: it is no folder"
    hint = f" (list runs with `harness runs {folder}`)" if missing.name == "manifest.json" else ""
    return f"{folder} is not a run: it has no {missing.name}{hint}"


def read_manifest(run: Path) -> dict[str, Any]:
    """Return the manifest of a run.

    Raises `UsageError` if it is missing or corrupt, or a newer version of this program wrote it.
    """
    if is_torn(run / "manifest.json"):
        raise UsageError(
            f"{run / 'manifest.json'} is empty or torn: run the same `harness run` again, which "
            "keeps the responses and writes a new manifest"
        )
    manifest = read_json(run / "manifest.json")
    if manifest.get("schema") != SCHEMA:
        raise UsageError(
            f"{run} has schema version {manifest.get('schema')!r}, this version reads {SCHEMA}: "
            "upgrade the harness, or move the run folder away"
        )
    try:
        record(_Manifest, manifest)
    except ValueError as error:
        raise UsageError(
            f"{run / 'manifest.json'} is corrupt ({error}): move the run folder away"
        ) from error
    return manifest


@dataclasses.dataclass(frozen=True, slots=True)
class SecondaryScore:
    """A native or judged score: response hash, judge and scorer version.

    ``answer`` is the answer's `answer_hash`, ``judge`` the judge's name if one was used. ``value``
    is None if there is none; ``why`` then says so.
    """

    id: str
    repeat: Repeat
    answer: str
    judge: str | None
    rules: str
    value: Value | None
    prediction: str | None = None
    why: str = ""

    @property
    def by(self) -> str:
        """The rules, and the judge if one was used."""
        return f"{self.rules}, judge {self.judge}" if self.judge else self.rules

    @classmethod
    def of(cls, score: Score, key: SampleKey, answer: str, judge: str | None, rules: str) -> Self:
        """Return a score of one answer (its text)."""
        hashed = answer_hash(answer)
        return cls(*key, hashed, judge, rules, score.value, score.prediction, score.why)

    def holds(self, answer: str, rules: str) -> bool:
        """Whether this score is for that answer under those rules."""
        return self.rules == rules and self.answer == answer_hash(answer)


class _Reply(TypedDict):
    key: str
    reply: str


def answer_hash(text: str) -> str:
    """Return a short hash that distinguishes answers."""
    return json_hash(text)[:16]


def _derived(path: Path, kind: type[T]) -> Iterator[T]:
    """Yield the records of a file; unreadable lines are skipped, and recomputed later.

    Raises `UsageError` if a line's value is not a score.
    """
    for line in read_lines(path):
        with suppress(ValueError):
            row = parse(line.text)
            value = row.get("value") if isinstance(row, dict) else None
            if isinstance(value, int | float) and not fits(value, Value):
                raise UsageError(
                    f"{path} is corrupt at line {line.number} (the score {value} is not between "
                    "0 and 1): remove that line and run again"
                )
            yield record(kind, row)


def secondary_rows(run: Path, kind: SecondaryKind, benchmark: str) -> Iterator[SecondaryScore]:
    """Yield the stored native or judged scores of one benchmark, oldest first."""
    return _derived(stored_file(run, kind, benchmark), SecondaryScore)


def read_secondary(
    run: Path, kind: SecondaryKind, benchmark: str, judge: str | None
) -> dict[SampleKey, SecondaryScore]:
    """Return the scores given by ``judge`` (None: no judge), by (item id, repeat)."""
    rows = secondary_rows(run, kind, benchmark)
    return {(row.id, row.repeat): row for row in rows if row.judge == judge}


def read_replies(run: Path) -> dict[str, str]:
    """Return the judges' stored replies by the hash of judge and question."""
    return {row["key"]: row["reply"] for row in _derived(run / _REPLIES, _Reply)}


def samples_size(run: Path, benchmark: str) -> int:
    """Return the bytes stored for a benchmark: equal sizes mean that nothing was added or lost.

    A torn tail is not counted, as it is not read.
    """
    return whole_size(stored_file(run, "samples", benchmark))


_BARE = ("manifest.json", "summary.json", ".lock")


def _remove_empty(run: Path) -> None:
    """Remove a run's folder if it has no answers, no log and no foreign files."""
    if {path.name for path in run.iterdir()} <= {*_BARE, "samples"}:
        with suppress(OSError):
            (run / "samples").rmdir()  # fails if it has answers
            for name in _BARE:
                (run / name).unlink(missing_ok=True)
            run.rmdir()


class RunStore:
    """One run folder, open for writing by this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[Path, Appender] = {}

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[RunStore]:
        """Open a run folder for writing, creating it if needed; locked until the block ends.

        A new folder is removed again if the block fails before storing anything. Raises
        `UsageError` if another process writes this run, or the folder cannot be written.
        """
        is_new = not os.path.lexists(path)
        with alone(path):
            store = cls(path)
            try:
                (path / "samples").mkdir(exist_ok=True)
                yield store
            except UsageError:
                if is_new:
                    _remove_empty(path)
                raise
            finally:
                for file in store._files.values():
                    file.close()

    def append(self, benchmark: str, sample: Sample) -> None:
        """Append one line, handing it to the operating system before returning."""
        self._append(stored_file(self.path, "samples", benchmark), encode(sample))

    def append_scores(
        self, kind: SecondaryKind, benchmark: str, rows: Iterable[SecondaryScore]
    ) -> None:
        """Append native or judged scores; the last line per item, repeat and judge counts."""
        lines = (json.dumps(dataclasses.asdict(row)) + "\n" for row in rows)
        self._append(stored_file(self.path, kind, benchmark), "".join(lines))

    def append_reply(self, key: str, reply: str) -> None:
        """Append the judge's reply to the question with this hash."""
        self._append(self.path / _REPLIES, json.dumps({"key": key, "reply": reply}) + "\n")

    def _append(self, path: Path, text: str) -> None:
        if path not in self._files:
            self._files[path] = Appender(path)
        self._files[path].append(text)

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write ``manifest.json`` or ``summary.json`` atomically."""
        write_json(self.path / name, value)
