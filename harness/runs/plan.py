"""A run before it starts: model, benchmarks, settings, folder and key; and its preview."""

from __future__ import annotations

import dataclasses
import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.files.text import abridged, counted
from harness.protocols import Benchmark, Declaration
from harness.reasoning import Tags
from harness.records import Item
from harness.runs.identity import ModelIdentity
from harness.runs.store import SCHEMA, read_manifest, read_samples
from harness.runs.todo import Settings, what_is_left

EXAMPLES = 3  # prompts in a preview


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """A run before any request: its key, its folder and what to fill.

    ``suite`` names the run; ``members`` are all benchmarks of the suite, which the key covers;
    ``chosen`` are those to fill now. ``data`` maps ids to data fingerprints, None if a benchmark
    that was not chosen has no local data. ``context`` is the requested context length in tokens:
    what does not fit scores 0. ``code`` is the hash of a custom backend that answers for a
    checkpoint. Outside the key: ``notes`` maps ids to caveats on scores with these data,
    ``origins`` model settings to where they were set, ``revisions`` to the data set's commit, if
    known; ``named_tags`` are the reasoning tags that the model's files name, None without files;
    ``fresh`` starts a new folder; ``same_model`` accepts responses of another server; ``run_name``
    names the folder.
    """

    identity: ModelIdentity
    suite: str
    members: Sequence[Benchmark]
    chosen: Sequence[Benchmark]
    data: Mapping[str, str | None]
    settings: Settings
    out: Path
    context: int | None = None
    code: str | None = None
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    revisions: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    named_tags: Tags | None = None
    fresh: bool = False
    same_model: bool = False
    run_name: str | None = None

    def note(self, declared: Declaration) -> str:
        """Return the note on a benchmark's scores: its own and that on its data."""
        return "; ".join(filter(None, (declared.note, self.notes.get(declared.id))))

    @cached_property
    def base(self) -> str:
        """The sha256 of everything that decides an answer, except the data."""
        return json_hash(
            {
                "schema": SCHEMA,
                "model": self.identity.fingerprint,
                "suite": self.suite,
                **({} if self.context is None else {"context": self.context}),
                **({} if self.code is None else {"backend": self.code}),
                **({"settings": keyed} if (keyed := self.settings.model.keyed()) else {}),
                "benchmarks": {
                    b.declaration.id: {
                        "protocol": dict(b.declaration.protocol),
                        "sampling": self.settings.sampling(b).used(),
                    }
                    for b in self.members
                },
            }
        )

    @cached_property
    def key(self) -> str:
        """The sha256 of everything that decides an answer, including the available data."""
        return json_hash([self.base, dict(self.data)])

    @cached_property
    def path(self) -> Path:
        """The run's folder: that of the run it continues, else a new one named by the key.

        A run is continued if everything but the data agrees and no benchmark's data has changed:
        data that was missing when the run began may be there now. Of several (a fresh one's name
        ends in -2, -3, ...) the latest is continued.
        """
        if self.run_name is not None:
            return self._named(self.run_name)
        checkpoint = self.identity.checkpoint
        older = [checkpoint.name] if checkpoint else []  # the name that older versions gave runs
        called = [_folder_name(name) for name in (self.identity.name, *older)]
        own = self.out / f"{called[0]}-{self.suite}-{self.key[:8]}"
        folders = []
        for name in dict.fromkeys(called):
            stem = f"{name}-{self.suite}-"
            pattern = re.compile(re.escape(stem) + r"[0-9a-f]{8}(?:-(\d+))?")
            for folder in sorted(self.out.glob(f"{glob.escape(stem)}*")):
                match = pattern.fullmatch(folder.name)
                same_key = folder.name.startswith(f"{stem}{self.key[:8]}")
                if match and (same_key or self._is_continued_by(folder)):
                    folders.append((int(match[1] or 1), folder == own, folder))
        if not folders:
            return own
        number, _, latest = max(folders)
        return own.with_name(f"{own.name}-{number + 1}") if self.fresh else latest

    def _named(self, name: str) -> Path:
        own = self.out / name
        if self.fresh:
            numbers = (own.with_name(f"{name}-{number}") for number in count(2))
            return next(path for path in numbers if not path.exists()) if own.exists() else own
        if (own / "manifest.json").exists() and not self._is_continued_by(own):
            raise UsageError(
                f"{own} holds a run of another model, or with other settings or data: give another "
                "--run-name"
            )
        return own

    def _is_continued_by(self, folder: Path) -> bool:
        try:
            return self.agrees_with(read_manifest(folder))
        except UsageError:
            return False

    def agrees_with(self, manifest: Mapping[str, Any]) -> bool:
        """Whether a manifest belongs to this run."""
        entries = manifest["benchmarks"]
        known = {name: entries.get(name, {}).get("data_fingerprint") for name in self.data}
        return manifest["base"] == self.base and all(
            None in (mine, known[name]) or mine == known[name] for name, mine in self.data.items()
        )


def _folder_name(model: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", model).strip("._") or "model"


def plan_run(
    identity: ModelIdentity,
    suite: str,
    members: Sequence[Benchmark],
    chosen: Sequence[Benchmark],
    settings: Settings,
    out: Path,
) -> RunPlan:
    """Return the plan of a run, without the notes on its data.

    Raises `UsageError` if the data of a chosen benchmark is missing.
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
        others = counted(len(missing) - 1, "more benchmark")
        more = f" (and {others} without data)" if len(missing) > 1 else ""
        raise UsageError(missing[0] + more)
    return RunPlan(identity, suite, members, chosen, data, settings, out)


def preview(run: RunPlan, backend: str) -> dict[str, Any]:
    """Return what would be run: counts per benchmark and three rendered prompts."""
    return {
        "model": run.identity.name,
        "backend": backend,
        "run": str(run.path),
        "settings": _settings(run),
        "benchmarks": [_row(run, benchmark) for benchmark in run.chosen],
        "examples": list(islice(_examples(run), EXAMPLES)),
    }


def _settings(run: RunPlan) -> dict[str, Any]:
    """Return the effective settings, each with where it was set; sampling is always included."""
    model = run.settings.model
    values: dict[str, Any] = dict(model.sampling(1, run.settings.seed).used())
    del values["max_tokens"]
    if model.max_tokens:
        values["max_tokens"] = model.max_tokens
    if run.identity.adapter is not None:
        values["adapter"] = str(run.identity.adapter.folder)
    return {
        name: {"value": value, "from": run.origins.get(name, "default")}
        for name, value in (values | model.recorded()).items()
    }


def _row(run: RunPlan, benchmark: Benchmark) -> dict[str, Any]:
    declared, settings = benchmark.declaration, run.settings
    stored = read_samples(run.path, declared.id)
    return {
        "benchmark": declared.id,
        "n_data": settings.total(benchmark),
        "wanted": settings.wanted(benchmark),
        "to_ask": what_is_left(run.path, benchmark, stored, settings).to_ask,
        "stored": sum(sample.response is not None for sample in stored.values()),
        "max_tokens": settings.sampling(benchmark).max_tokens,
        "judge": settings.judge_name if declared.judged_rules else None,
        "protocol": dict(declared.protocol),
    }


def _examples(run: RunPlan) -> Iterator[dict[str, Any]]:
    each = -(-EXAMPLES // len(run.chosen))
    for benchmark in run.chosen[:EXAMPLES]:
        ids = run.settings.chosen(benchmark, benchmark.ids())
        for item in map(benchmark.build, ids[:each]):
            if isinstance(item, Item):
                asked = run.settings.model.asked(item.messages)
                prompt = [f"[{m.role}] {abridged(m.render())}" for m in asked]
                yield {"benchmark": benchmark.declaration.id, "id": item.id, "prompt": prompt}
