"""The folder of one build of pairs: manifest, funnel, results, and model replies.

Every builder opens its folder with `open_build`, counts what each step keeps in a `Funnel`, and
ends with `Build.finish`. A rerun of the same build uses the folder and repeats no request.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.pairs.folders import MANIFEST, PAIRS, is_manifest
from harness.errors import UsageError
from harness.files.atomic import write_json
from harness.files.hashing import file_hash, json_hash, source_hash
from harness.files.jsonl import Appender, read_lines, rewrite
from harness.files.locking import alone
from harness.files.plain import read_given
from harness.files.typed_json import parse

UNCERTAIN, REJECTED = "uncertain.jsonl", "rejected.jsonl"
SCHEMA = 1

Row = Mapping[str, Any]


class Funnel:
    """What each step of a build keeps, in order, and notes for the reader."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def step(self, name: str, unit: str, count: int, dropped: Mapping[str, int] = {}) -> None:
        """Add a step: ``count`` of ``unit`` remain; ``dropped`` counts the rest by reason."""
        counted = {reason: number for reason, number in dropped.items() if number}
        self.steps.append({"name": name, "unit": unit, "count": count, "dropped": counted})


@dataclass(frozen=True)
class BuildPlan:
    """What a user asked for: the same plan is the same build.

    ``settings`` are JSON values. ``inputs`` are content hashes of the inputs, by name. Another
    version of the builders goes on with a build: it takes every step again, and of what is stored
    (replies, embeddings, edited images) it uses what it would ask or make itself, which is why
    such things are stored under what they are made of.
    """

    command: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    seed: int = 0

    @cached_property
    def record(self) -> dict[str, Any]:
        """The plan as JSON, with the version of the builders' source, which decides nothing."""
        plan = {**dataclasses.asdict(self), "version": source_hash(Path(__file__).parent)}
        return json.loads(json.dumps(plan))  # type: ignore[no-any-return]


class Memo:
    """Values by key that survive a kill: an append-only file of JSON lines.

    For the results of model requests; the key is a `json_hash` of the whole request.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        rows = (parse(line.text) for line in read_lines(path))
        self._known: dict[str, Any] = {row["key"]: row["value"] for row in rows}
        self._file: Appender | None = None

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Any:
        return self._known[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._file = self._file or Appender(self._path)
        self._file.append(json.dumps({"key": key, "value": value}) + "\n")
        self._known[key] = value


class Build:
    """A build's folder, open for writing by this process alone; see `open_build`."""

    def __init__(self, path: Path, plan: BuildPlan) -> None:
        self.path = path
        self.plan = plan
        self.funnel = Funnel()
        self._replies: Appender | None = None

    @property
    def finished(self) -> dict[str, Any] | None:
        """The manifest of this build if it is finished and its pairs are unchanged."""
        manifest, pairs = _manifest(self.path), self.path / PAIRS
        if not manifest or manifest["state"] != "finished" or not pairs.is_file():
            return None
        return manifest if manifest["pairs_hash"] == file_hash(pairs) else None

    def memo(self, name: str) -> Memo:
        """Return the values stored under a name, for reading and adding."""
        return Memo(self.path / f"{name}.jsonl")

    def append_reply(self, key: str, reply: str) -> None:
        """Store a judge's reply, as required by `harness.runs.judge.Replies`."""
        self._replies = self._replies or Appender(self.path / "judge-replies.jsonl")
        self._replies.append(json.dumps({"key": key, "reply": reply}) + "\n")

    def finish(
        self,
        pairs: Sequence[Row],
        uncertain: Sequence[Row] = (),
        rejected: Sequence[Row] = (),
        *,
        missed: int = 0,
    ) -> dict[str, Any]:
        """Write the pairs and the other rows, then the manifest; return the manifest.

        ``missed``: requests that failed; the build is then unfinished, and a rerun repeats them.
        """
        counts = _write_rows(self.path, {PAIRS: pairs, UNCERTAIN: uncertain, REJECTED: rejected})
        return self._write("incomplete" if missed else "finished", counts, missed)

    def _write(self, state: str, counts: Mapping[str, int], missed: int = 0) -> dict[str, Any]:
        pairs = self.path / PAIRS
        manifest = {
            "schema": SCHEMA,
            "state": state,
            "plan": self.plan.record,
            "key": json_hash(self.plan.record),
            "counts": dict(counts),
            "missed": missed,
            "funnel": self.funnel.steps,
            "notes": self.funnel.notes,
            "pairs_hash": file_hash(pairs) if counts else None,
        }
        write_json(self.path / MANIFEST, manifest)
        return manifest


def _write_rows(folder: Path, files: Mapping[str, Sequence[Row]]) -> dict[str, int]:
    """Write rows to a build's files, and return the count of each kind."""
    for name, rows in files.items():
        rewrite(folder / name, (json.dumps(row, ensure_ascii=False) for row in rows))
    return {name.removesuffix(".jsonl"): len(rows) for name, rows in files.items()}


def is_build(path: Path) -> bool:
    """Whether a folder holds a build of pairs."""
    try:
        return is_manifest(parse(read_given(path / MANIFEST)))
    except (OSError, ValueError):
        return False


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a build; UsageError if there is none."""
    if (manifest := _manifest(path)) is None:
        raise UsageError(f"{path} is not a build of pairs: it has no {MANIFEST}")
    return manifest


def revise(
    path: Path, files: Mapping[str, Sequence[Row]], step: str, dropped: Mapping[str, int]
) -> dict[str, Any]:
    """Write rows decided on later, and add a step to the funnel; return the manifest."""
    manifest, funnel = read_manifest(path), Funnel()
    counts = _write_rows(path, files)
    funnel.step(step, "pairs", counts["pairs"], dropped)
    manifest["funnel"] += funnel.steps
    manifest |= {"counts": counts, "pairs_hash": file_hash(path / PAIRS)}
    write_json(path / MANIFEST, manifest)
    return manifest


@contextmanager
def open_build(path: Path, plan: BuildPlan) -> Iterator[Build]:
    """Open a folder for a build, creating it if needed; locked until the block ends.

    Raises `UsageError` if another process writes there, or the folder holds another build or
    anything else.
    """
    unknown = path.is_dir() and not (path / MANIFEST).exists()
    if unknown and any(not file.name.startswith(".") for file in path.iterdir()):
        raise UsageError(f"{path} is not empty and holds no {MANIFEST}: give another --out folder")
    with alone(path):
        manifest = _manifest(path)
        build = Build(path, plan)
        if manifest is None:
            build._write("started", {})
        elif differences := _differences(manifest["plan"], plan.record | _version(manifest)):
            raise UsageError(
                f"{path} holds another build (it differs in {', '.join(differences)}): give "
                "another --out folder"
            )
        yield build


def _version(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": manifest["plan"].get("version")}


def made_by_other_code(manifest: Mapping[str, Any]) -> bool:
    """Whether another version of the builders wrote a build's pairs."""
    return bool(_version(manifest)["version"] != source_hash(Path(__file__).parent))


def _manifest(path: Path) -> dict[str, Any] | None:
    file = path / MANIFEST
    if not file.is_file():
        return None
    try:
        manifest = parse(read_given(file))
    except ValueError as error:
        raise UsageError(f"{file} is corrupt ({error}): give another --out folder") from error
    if not is_manifest(manifest):
        raise UsageError(f"{file} is not the manifest of a build of pairs")
    return manifest  # type: ignore[no-any-return]


def _differences(old: Any, new: Any, name: str = "") -> list[str]:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if old == new else [name]
    return [
        difference
        for key in sorted(old.keys() | new.keys())
        for difference in _differences(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))
    ]


def funnel_text(manifest: Mapping[str, Any]) -> str:
    """Return the funnel of a manifest as lines: step, number remaining, reasons for the rest."""
    steps = manifest["funnel"]
    name_width = max((len(step["name"]) for step in steps), default=0)
    count_width = max((len(f"{step['count']:,} {step['unit']}") for step in steps), default=0)
    lines = []
    for step in steps:
        count = f"{step['count']:,} {step['unit']}"
        dropped = ", ".join(f"{reason} {n:,}" for reason, n in step["dropped"].items())
        lines.append(
            f"  {step['name']:<{name_width}}  {count:>{count_width}}"
            + (f"   dropped: {dropped}" if dropped else "")
        )
    return "\n".join([*lines, *(f"note: {note}" for note in manifest["notes"])])
