"""Preview a run without sending any request."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from harness.files.text import abridged
from harness.protocols import Benchmark
from harness.records import Item
from harness.runs.plan import RunPlan
from harness.runs.store import read_samples
from harness.runs.todo import what_is_left

EXAMPLES = 3


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
    drawn = model.sampling(1, run.settings.seed).used()
    values: dict[str, Any] = {name: drawn[name] for name in drawn if name != "max_tokens"}
    values |= {"max_tokens": model.max_tokens} if model.max_tokens else {}
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
