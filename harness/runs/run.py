"""One run from start to end: check whether it is finished, fill and summarise it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import chain, zip_longest
from typing import Any

from harness.errors import UsageError
from harness.protocols import Adapting, Benchmark, Model, Progress
from harness.runs.engine import Engine, OpenModel
from harness.runs.manifest import new_manifest, now, refuse_another_conversion, stored_manifest
from harness.runs.plan import RunPlan
from harness.runs.sources import count_sources, endpoint_source, number_of, refuse_another
from harness.runs.store import RunStore, read_samples, samples_size
from harness.runs.summary import (
    BenchmarkSummary,
    checked_summaries,
    read_summaries,
    sources_of,
    summarise,
)


def _known_summaries(run: RunPlan) -> dict[str, BenchmarkSummary]:
    try:
        return read_summaries(run.path)
    except UsageError:
        return {}


def _is_full(run: RunPlan, benchmark: Benchmark, known: BenchmarkSummary) -> bool:
    """Whether a stored summary is still valid and covers all that is requested now."""
    declared, settings, judge = benchmark.declaration, run.settings, run.settings.judge_name
    covered = [*known.covered, *[0] * settings.repeats][: settings.repeats]
    stored = read_samples(run.path, known.benchmark) if settings.only is not None else {}
    versions = ("scoring", "native_rules", "native_needs_judge", "judged_rules")
    by_judge = known.native_judge == judge or not declared.native_needs_judge
    native_done = known.native_missing == 0 and by_judge
    needs_native = settings.native and not (declared.native_needs_judge and judge is None)
    judged_done = known.judge == judge and known.judged_missing == 0
    return (
        settings.is_covered(benchmark, covered, stored)
        and known.errors == 0
        and all(getattr(known, name) == getattr(declared, name) for name in versions)
        and known.samples_bytes == samples_size(run.path, known.benchmark)
        and known.note == run.note(declared)
        and (native_done or not needs_native)
        and (judged_done or judge is None or not declared.judged_rules)
    )


def finished(run: RunPlan) -> list[BenchmarkSummary] | None:
    """Return the summaries of the chosen benchmarks if all are full, else None.

    Imports nothing heavy. A summary that is not what its samples say is made again. Raises
    `UsageError` if the folder holds another run, its manifest is corrupt, or its responses are from
    another server.
    """
    manifest = stored_manifest(run)
    if manifest is None:
        return None
    try:
        known = checked_summaries(run.path, manifest)
    except UsageError:
        return None
    rows = []
    for benchmark in run.chosen:
        row = known.get(benchmark.declaration.id)
        if row is None or not _is_full(run, benchmark, row):
            return None
        rows.append(row)
    if run.identity.endpoint and not run.same_model:
        refuse_another(manifest, sources_of(known.values()), endpoint_source(run.identity.endpoint))
    return rows


def execute(
    run: RunPlan, open_model: OpenModel | None, backend: Mapping[str, Any], progress: Progress
) -> list[BenchmarkSummary]:
    """Fill the run and return the summaries of the chosen benchmarks.

    ``open_model`` is None if the settings hold the responses. However it ends (done, interrupted,
    model gone), the run on disk is valid and its summary is up to date. Raises `UsageError` if
    another process writes the run, the store is corrupt, the model is gone, or stored responses are
    from another server.
    """
    with RunStore.open(run.path) as store:
        manifest = new_manifest(run, backend)
        engine = Engine(store, run.chosen, run.settings, progress)
        admit = _admission(run, engine, manifest)
        admit(None)

        @asynccontextmanager
        async def admitted() -> AsyncIterator[Model]:
            assert open_model is not None
            refuse_another_conversion(run, manifest)
            async with open_model() as model:
                # Updated while the model answers.
                manifest["invocations"][-1]["backend"]["changes"] = getattr(model, "changes", {})
                admit(getattr(model, "served", None) or {})
                if isinstance(model, Adapting):
                    model.on_change = lambda: store.write_json("manifest.json", manifest)
                yield model

        completed = False
        try:
            asyncio.run(engine.run(admitted))
            completed = True
        finally:
            rows = _write_summary(run, engine, completed)
            manifest["invocations"][-1]["ended"] = now()
            store.write_json("manifest.json", manifest)
    return [row for row in rows if row.benchmark in {b.declaration.id for b in run.chosen}]


def _admission(
    run: RunPlan, engine: Engine, manifest: dict[str, Any]
) -> Callable[[Mapping[str, Any] | None], None]:
    """Return a function that numbers the responding model in the manifest and writes it.

    Its argument is what a server reports about the model, None before the model is open. It raises
    UsageError if stored responses are from another server.
    """
    known = _known_summaries(run)
    for benchmark in run.chosen:
        known.pop(benchmark.declaration.id, None)
    samples = [engine.samples(benchmark.declaration.id).values() for benchmark in run.chosen]
    stored = [*sources_of(known.values()), *count_sources(chain.from_iterable(samples))]

    def admit(served: Mapping[str, Any] | None) -> None:
        url = run.identity.endpoint
        if url is None:
            backend = manifest["invocations"][-1]["backend"]["kind"]
            source = {"backend": backend, "checkpoint": run.identity.fingerprint}
        else:
            source = endpoint_source(url, served)
            if not run.same_model:
                refuse_another(manifest, stored, source)
        if url is None or served is not None:
            engine.source = number_of(manifest, source)
        engine.store.write_json("manifest.json", manifest)

    return admit


def _write_summary(run: RunPlan, engine: Engine, completed: bool) -> list[BenchmarkSummary]:
    known = _known_summaries(run)
    for benchmark in run.chosen:
        declared = benchmark.declaration
        before = known.get(declared.id)
        covered = list(before.covered) if before else []
        judge = run.settings.judge_name or (before.judge if before else None)
        if completed and run.settings.only is None:
            wanted = [run.settings.wanted(benchmark)] * run.settings.repeats
            covered = [max(pair) for pair in zip_longest(covered, wanted, fillvalue=0)]
        noted = dataclasses.replace(declared, note=run.note(declared))
        known[declared.id] = summarise(run.path, noted, covered, judge, engine.samples(declared.id))
    rows = [known[b.declaration.id] for b in run.members if b.declaration.id in known]
    engine.store.write_json(
        "summary.json", {"benchmarks": [dataclasses.asdict(row) for row in rows]}
    )
    return rows
