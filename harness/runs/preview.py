"""What a run would ask, without asking."""

from __future__ import annotations

from typing import Any

from harness.files.text import abridged
from harness.protocols import Benchmark, build_items
from harness.records import Item
from harness.runs.plan import RunPlan
from harness.runs.store import read_samples
from harness.runs.todo import what_is_left

EXAMPLES = 3


def preview(run: RunPlan, backend: str) -> dict[str, Any]:
    """Return who would be asked what: counts per benchmark and three rendered prompts."""
    rows = [_row(run, benchmark) for benchmark in run.chosen]
    return {
        "model": run.identity.name,
        "backend": backend,
        "run": str(run.path),
        "benchmarks": rows,
        "examples": _examples(run),
    }


def _row(run: RunPlan, benchmark: Benchmark) -> dict[str, Any]:
    stored = read_samples(run.path, benchmark.declaration.id)
    todo = what_is_left(run.path, benchmark, stored, run.settings)
    return {
        "benchmark": benchmark.declaration.id,
        "to_ask": todo.to_ask,
        "stored": sum(sample.response is not None for sample in stored.values()),
        "max_tokens": run.settings.sampling(benchmark).max_tokens,
        "judge": run.judge if benchmark.declaration.judged_rules else None,
        "protocol": dict(benchmark.declaration.protocol),
    }


def _examples(run: RunPlan) -> list[dict[str, Any]]:
    """Return the first items of the first benchmarks, three in all."""
    each = -(-EXAMPLES // len(run.chosen))
    examples = []
    for benchmark in run.chosen[:EXAMPLES]:
        for item in build_items(benchmark, each):
            if isinstance(item, Item):
                prompt = [f"[{m.role}] {abridged(m.render())}" for m in item.messages]
                name = benchmark.declaration.id
                examples.append({"benchmark": name, "id": item.id, "prompt": prompt})
    return examples[:EXAMPLES]
