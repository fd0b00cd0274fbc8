"""Studies on disk with planted effects: real run folders by the store, analysed by `ablations`.

Tests and the bench of the report come in with effects by arm; a study's folder leaves.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablations.statistics.contrasts import Rules
from ablations.study.plan import Request, json_text, plan
from ablations.study.study import Measured, analysed
from harness.files.hashing import json_hash
from harness.protocols import Declaration
from harness.records import Response, Sample, Score
from harness.runs.store import RunStore, encode, read_samples
from harness.runs.summary import summarise
from reports.pages import Page

ARMS = ("base", "grpo", "da-sft", "da-rl", "da-qa", "contextrl", "contextrl-shuffled")
BENCHMARKS = {
    **{"mathvista": 0.52, "mathverse": 0.41, "mathvision": 0.24, "mmmu_pro": 0.33, "mmmu": 0.47},
    **{"vstar": 0.66, "mmstar": 0.55, "blink": 0.5, "scienceqa": 0.78, "phyx": 0.36},
    **{"olympiadbench_physics": 0.12, "mme_realworld_lite": 0.4},
}
SCRIPT = (
    '<script>document.title="owned"</script><img src="http://example.invalid/x.png" onerror="x">'
)


@dataclass(frozen=True)
class Planted:
    """A study to write: what each arm adds to the chance of a right answer, and how large it is."""

    effects: Mapping[str, float]
    seeds: int = 3
    items: int = 400
    benchmarks: Mapping[str, float] = field(default_factory=lambda: BENCHMARKS)
    seed_sd: float = 0.004
    selection: Mapping[str, float] = field(default_factory=dict)
    training: bool = True
    needles: bool = False
    note: str = "Synthetic: written by a test with planted effects."


def declaration(name: str, items: int) -> Declaration:
    return Declaration(
        id=name, title=name, protocol={"prompt": "synthetic"}, scoring="1", max_tokens=64,
        native_max_tokens=16, n_items=items, metric="accuracy", clusters="three questions a scene",
    )  # fmt: skip


def write(folder: Path, planted: Planted) -> Path:
    """Write a study's folder, analysis and all."""
    rng = np.random.default_rng(7)
    difficulty = {name: rng.random(planted.items) for name in planted.benchmarks}
    groups: dict[str, list[Path]] = {}
    models: list[dict[str, Any]] = []
    for arm, effect in planted.effects.items():
        for seed in range(1 if arm == "base" else planted.seeds):
            shift = effect + rng.normal(0, planted.seed_sd)
            right = {
                name: difficulty[name] + rng.normal(0, 0.08, planted.items) < level + shift
                for name, level in planted.benchmarks.items()
            }
            run = _run(folder, arm, seed, planted.items, right, planted.needles)
            groups.setdefault(arm, []).append(run)
            models.append(_model(folder, arm, seed, run, planted, rng))
    _analysis(folder, planted, groups, models)
    return folder


def _run(
    folder: Path, arm: str, seed: int, items: int, right: Mapping[str, Any], needles: bool
) -> Path:
    declared = [declaration(name, items) for name in right]
    path = folder / "runs" / f"{arm}-seed-{seed}" / f"{arm}-vqa12-{json_hash([arm, seed])[:8]}"
    cells = {"niah": [f"{n}/{d}" for n in (4096, 8192, 16384, 32768) for d in range(0, 101, 25)]}
    if needles:
        declared.append(declaration("niah", 200))
        lost = {"16384/50": 0.3, "32768/50": 0.6, "32768/75": 0.4}
        right = {**right, "niah": np.array([
            np.random.default_rng([seed, n]).random() > lost.get(cells["niah"][n % 20], 0.02)
            for n in range(200)
        ])}  # fmt: skip
    with RunStore.open(path) as store:
        store.write_json("manifest.json", manifest(f"{arm}-{seed}", declared))
        for each in declared:
            rows = [
                sample(each.id, number, bool(value), arm, cells.get(each.id, ()))
                for number, value in enumerate(right[each.id])
            ]
            # One write a benchmark: the store's own append flushes every line.
            lines = "".join(encode(row) for row in rows)
            (path / "samples" / f"{each.id}.jsonl").write_text(lines)
        done = [
            summarise(path, each, [each.n_items], None, read_samples(path, each.id))
            for each in declared
        ]
        rows_json = {"benchmarks": [dataclasses.asdict(row) for row in done]}
        store.write_json("summary.json", rows_json)
    return path


def sample(name: str, number: int, right: bool, arm: str, cells: Sequence[str] = ()) -> Sample:
    """Return an answer; a few are unparsable, and a few hold what must never run in a page."""
    letters = "ABCD"
    target = letters[number % 4]
    letter = target if right else letters[(number + 1) % 4]
    unparsable = not right and number % 17 == 0
    text = SCRIPT if number % 5 == 0 else f"The scene shows what {arm} looked for."
    return Sample(
        id=f"{number}",
        repeat=0,
        cluster=f"c{number // 3}",
        parts=(cells[number % len(cells)],) if cells else (),
        prompt=(f"<image 96x96>{name}, scene {number // 3}: which colour is at row {number % 3}?\n"
                "A. red\nB. green\nC. blue\nD. orange",),
        target={"kind": "choice", "answer": target},
        response=Response(f"{text}\nThe answer is {letter}.", completion_tokens=12,
                          finish_reason="length" if unparsable else "stop", seconds=0.1),
        score=Score(float(right), "unparsable" if unparsable else "scored",
                    None if unparsable else letter, "rule"),
        scoring="1",
    )  # fmt: skip


def manifest(model: str, declared: Sequence[Declaration]) -> dict[str, Any]:
    entry = {
        "started": "2026-06-01T10:00:00+00:00", "ended": "2026-06-01T11:00:00+00:00",
        "backend": {"kind": "test"}, "benchmarks": [each.id for each in declared], "limit": None,
        "repeats": 1, "judge": None, "sandbox": None, "packages": {"torch": "2.13.0"},
        "git": {"commit": "0" * 40, "dirty": False},
        "machine": {"platform": "synthetic", "python": "3.11", "cpus": 2},
    }  # fmt: skip
    return {
        "schema": 1,
        "base": json_hash(model),
        "model": {
            "name": model,
            "revision": None,
            "fingerprint": json_hash(f"content of {model}"),
            "verified": True,
        },
        "suite": "vqa12",
        "benchmarks": {
            each.id: {
                "title": each.title, "protocol": dict(each.protocol),
                "protocol_hash": json_hash(dict(each.protocol)), "data_revision": None,
                "data_fingerprint": json_hash(each.id), "n": each.n_items,
                "n_official": each.n_items,
                "max_tokens": each.max_tokens, "metric": each.metric, "clusters": each.clusters,
                "headline": [], "native_rules": "",
            }
            for each in declared
        },
        "sampling": {"temperature": 0.0, "top_p": 1.0, "seed": 0},
        "invocations": [entry],
    }  # fmt: skip


def _model(
    folder: Path, arm: str, seed: int, run: Path, planted: Planted, rng: np.random.Generator
) -> dict[str, Any]:
    training = None
    if planted.training and arm != "base":
        training = f"arms/{arm}/seed-{seed}"
        _train(folder / training, arm, rng)
    level = planted.selection.get(arm)
    return {
        "arm": arm, "seed": seed, "run": str(run.relative_to(folder)), "probe": None,
        "selection": None if level is None else min(1.0, level + rng.normal(0, 0.02)),
        "training": training, "train_seconds": 840.0, "run_seconds": 130.0,
    }  # fmt: skip


def _train(folder: Path, arm: str, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    joint = arm.startswith("contextrl")
    with (folder / "training.jsonl").open("w") as file:
        for step in range(1, 301):
            noise = rng.normal(0, 0.05, 4)
            row = {"stage": "rl", "step": step, "grpo/loss": 0.02 * noise[0], "seconds": 1.2}
            row["grad_norm/grpo"] = 0.4 + noise[1]
            if joint:
                fall = 0.69 if arm == "contextrl-shuffled" else 0.69 * float(np.exp(-step / 120))
                row |= {"ca/loss": fall + noise[2] * 0.3, "grad_norm/ca": 0.5 * fall + 0.1}
            file.write(json.dumps(row) + "\n")
    counts = {
        "exposures": 1200 if joint else 0,
        "train_tokens": 910_000,
        "generated_tokens": 420_000,
    }
    forwards = {"grpo_forwards": 1500, "selection_forwards": 600 if joint else 0}
    norms = {"grpo": 0.41, "ca": 0.22 if joint else None}
    document = {"optimizer_steps": 300, **counts, **forwards, "gradient_norms": norms,
                "clipped_wrong": 0.02 if joint else None, "seconds": 840.0}  # fmt: skip
    (folder / "ledger.json").write_text(json.dumps(document))


def _analysis(
    folder: Path,
    planned: Planted,
    groups: Mapping[str, Sequence[Path]],
    models: Sequence[Mapping[str, Any]],
) -> None:
    """Analyse the runs as brought ones, and tell of them as of trained ones."""
    made = plan(
        Request(
            folder, "vqa12", benchmarks=tuple(planned.benchmarks), note=planned.note,
            runs={arm: tuple(runs) for arm, runs in groups.items()}, rules=Rules(resamples=500),
        )
    )  # fmt: skip
    stored = {"hash": made.hash, "written": "2026-06-01T09:00:00+00:00", "plan": made.content}
    (folder / "plan.json").write_text(json_text({**stored, "paths": {}}))
    report = analysed(made, ())
    measured = dataclasses.replace(report, models=tuple(Measured(**model) for model in models))
    (folder / "analysis.json").write_text(json_text(measured))


EFFECTS = {
    **{"base": -0.05, "grpo": 0.0, "da-sft": -0.004, "da-rl": 0.001, "da-qa": 0.0},
    **{"contextrl": 0.03, "contextrl-shuffled": 0.001},
}
SELECTION = {
    **{"base": 0.55, "grpo": 0.54, "da-sft": 0.9, "da-rl": 0.6, "da-qa": 0.56},
    **{"contextrl": 0.87, "contextrl-shuffled": 0.51},
}


def frame(page: Page, table: str) -> pd.DataFrame:
    """Return the rows of a page's table as a frame."""
    rows = next(shown.rows for shown in page.tables if shown.id == table)
    return pd.DataFrame(list(rows), dtype=object)
