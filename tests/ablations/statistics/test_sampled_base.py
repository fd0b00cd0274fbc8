"""A sampled model before training: measured once per seed, or nothing is claimed over it."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ablations.statistics import scores
from ablations.statistics.analysis import analyse
from ablations.statistics.contrasts import (
    BASE,
    BASELINE,
    METHOD,
    Contrast,
    Rules,
    Variance,
    estimate,
)
from ablations.statistics.estimates import Items
from ablations.study.jobs import jobs
from ablations.study.plan import Plan, Request, plan
from harness.errors import UsageError
from tests.ablations.conftest import HIGH, LOW, names_of
from tests.commands import harness, one_line

Runs = dict[str, Path]
START = Contrast("start", METHOD, BASE)
SAMPLED = ("--temperature", "0.7")


def drawn(reps: int, seeds: int, training_sd: float, decoding_sd: float) -> dict[str, Any]:
    """Return macro averages of equal arms, simulated studies x seeds; the base only decodes."""
    rng = np.random.default_rng(3)
    sd = math.hypot(training_sd, decoding_sd)
    arms = {arm: rng.normal(0.5, sd, (reps, seeds)) for arm in (BASELINE, METHOD)}
    return {**arms, BASE: rng.normal(0.5, decoding_sd, (reps, seeds))}


@pytest.mark.parametrize("variance", ["welch", "pooled"])
@pytest.mark.parametrize("training_sd", [0.0, 0.005, 0.01])
@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_a_sampled_base_per_seed_keeps_the_level_and_one_run_does_not(
    variance: Variance, training_sd: float, seeds: int
) -> None:
    """10,000 studies; three standard errors of a rate of 5 % are 0.7 points."""
    y = drawn(10_000, seeds, training_sd, decoding_sd=0.0033)
    once = {**y, BASE: y[BASE][:, :1]}
    after, before = ((estimate(each, START, variance).p < 0.05).mean() for each in (y, once))
    assert after < 0.057
    assert before > after
    if training_sd == 0 and seeds == 8:
        assert before > 0.4


def test_against_runs_of_the_base_welchs_test_is_scipys() -> None:
    y = {arm: values[0] for arm, values in drawn(1, 5, 0.01, 0.003).items()}
    for runs in (2, 5):
        found = estimate({**y, BASE: y[BASE][:runs]}, START)
        expected = stats.ttest_ind(y[METHOD], y[BASE][:runs], equal_var=False)
        assert (found.p, found.df) == (pytest.approx(expected.pvalue), pytest.approx(expected.df))
    single = estimate({**y, BASE: y[BASE][:1]}, START)
    assert single.p == pytest.approx(stats.ttest_1samp(y[METHOD], y[BASE][0]).pvalue)
    # Pooled over arms that train; the base keeps its own variance.
    pooled = estimate(y, START, "pooled")
    trained = (y[METHOD].var(ddof=1) + y[BASELINE].var(ddof=1)) / 2
    assert pooled.se**2 == pytest.approx((trained + y[BASE].var(ddof=1)) / 5)


@pytest.mark.parametrize(
    ("sampled", "runs", "tested"), [(False, 1, True), (True, 1, False), (True, 3, True)]
)
def test_over_one_sampled_run_of_the_base_nothing_is_claimed(
    sampled: bool, runs: int, tested: bool
) -> None:
    rng = np.random.default_rng(5)
    means = {BASE: (runs, 0.9), BASELINE: (3, 0.3), "da-rl": (3, 0.3), METHOD: (3, 0.5)}
    y = {
        arm: (rng.random((seeds, 400)) < mean).astype(float) for arm, (seeds, mean) in means.items()
    }
    found = analyse({"phyx": y}, {"phyx": Items.plain(400)}, Rules(resamples=20), sampled=sampled)
    starts = [line for line in found.checks if line.kind == "start"]
    assert {line.tested for line in starts} == {tested}
    assert all((line.verdict is not None) == (line.p is not None) == tested for line in starts)
    assert ("so nothing was gained" in found.verdict) == tested
    assert ("not compared with base" in found.verdict) != tested


def planned(tmp_path: Path, *run_args: str, **changes: Any) -> Plan:
    model = tmp_path / "model"
    if not model.exists():
        model.mkdir()
        (model / "config.json").write_text("{}")
        (model / "model.safetensors").write_text("weights")
    arms = (BASE, BASELINE, METHOD)
    asked = Request(tmp_path / "study", "niah", str(model), "micro", "micro", arms, seeds=5)
    return plan(replace(asked, run_args=run_args, **changes))


def test_a_config_of_runs_leaves_to_the_study_what_is_its_own(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("temperature: 0.7\ntop-p: 0.9\n")
    made = planned(tmp_path, "--config", str(config))
    assert [arm.seeds for arm in made.arms if arm.arm == BASE] == [5]
    before = made.hash
    config.write_text("temperature: 0.7\ntop-p: 0.8\n")  # hashed by content
    assert planned(tmp_path, "--config", str(config)).hash != before
    config.write_text("limit: 3\n")
    with pytest.raises(UsageError, match="its --config sets limit, which the study sets"):
        planned(tmp_path, "--config", str(config))
    with pytest.raises(UsageError, match="--top-p has no effect under greedy decoding"):
        planned(tmp_path, "--top-p", "0.9")


@pytest.mark.parametrize(
    ("args", "runs"),
    [
        ((), 1),
        (("--temperature", "0"), 1),
        (SAMPLED, 5),
        (("--temperature=0.7",), 5),
        ((*SAMPLED, "--temperature", "0"), 1),  # the last one holds
        (("--repeats", "4"), 1),
        (("--model-settings", "qwen3_vl_8b"), 5),  # its authors sample
        (("--model-settings", "qwen3_vl_8b", "--temperature", "0"), 1),
    ],
)
def test_a_base_is_measured_per_seed_where_it_is_sampled(
    args: tuple[str, ...], runs: int, tmp_path: Path
) -> None:
    made = planned(tmp_path, *args)
    (base,) = [arm for arm in made.arms if arm.arm == BASE]
    assert base.seeds == runs
    assert len([job for job in jobs(made) if job.arm == BASE]) == runs


def seeds_of(made: Plan) -> dict[str, list[str]]:
    """Return the sampling seed that each model's evaluation is given, "" without one."""
    given: dict[str, list[str]] = {}
    for job in jobs(made):
        ((_, args),) = job.suites
        at = len(args) - 1 - args[::-1].index("--seed") if "--seed" in args else -1
        given.setdefault(job.arm, []).append("" if at < 0 else args[at + 1])
    return given


def test_each_run_of_the_base_draws_its_own_answers(tmp_path: Path) -> None:
    assert seeds_of(planned(tmp_path, *SAMPLED))[BASE] == ["", "1", "2", "3", "4"]
    own = seeds_of(planned(tmp_path, *SAMPLED, "--seed", "7"))
    assert own == {BASE: ["7", "8", "9", "10", "11"], BASELINE: ["7"] * 5, METHOD: ["7"] * 5}
    folder = tmp_path / "model"
    external = planned(tmp_path, *SAMPLED, checkpoints={BASE: (folder,)})
    assert seeds_of(external)[BASE] == ["", "1", "2", "3", "4"]


def test_a_study_that_measured_its_base_once_keeps_its_plan(tmp_path: Path) -> None:
    made = planned(tmp_path, *SAMPLED)
    arms = tuple(replace(arm, seeds=1) if arm.arm == BASE else arm for arm in made.arms)
    older = replace(made, arms=arms)
    made.folder.mkdir()
    (made.folder / "plan.json").write_text(json.dumps({"hash": older.hash}))
    assert planned(tmp_path, *SAMPLED).hash == older.hash != made.hash


def sampled(runs: Runs, copies: Path, name: str, seed: int, temperature: float = 0.7) -> Path:
    """Return a copy of a run, sampled with a seed; a few of its answers are others."""
    copy = copies / f"{name}-{seed}-{temperature:g}"
    shutil.copytree(runs[name], copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["sampling"] |= {"temperature": temperature, "seed": seed}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    path = copy / "samples" / "phyx.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[: seed + 1]:
        row["score"]["value"] = 1 - row["score"]["value"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return copy


def test_external_runs_of_a_sampled_base(planted_runs: Runs, tmp_path: Path) -> None:
    base = names_of(BASELINE, LOW)[0]
    words: list[object] = ["ablate", "objective-vs-data", "--suite", "vqa12", "--studies", tmp_path]
    words += ["--benchmarks", "mathvista,mathverse,phyx", "--json"]
    for arm, level in ((BASELINE, LOW), (METHOD, HIGH)):
        names = names_of(arm, level)
        runs = [sampled(planted_runs, tmp_path / "arms", name, 0) for name in names]
        words += ["--runs", f"{arm}={','.join(map(str, runs))}"]
    of_base = [sampled(planted_runs, tmp_path / "base", base, seed) for seed in range(3)]

    def study(name: str, *runs: Path) -> dict[str, Any]:
        done = harness(*words, "--name", name, "--runs", f"base={','.join(map(str, runs))}")
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads((tmp_path / name / "analysis.json").read_text())
        return document

    one, several = study("one", of_base[0]), study("several", *of_base)
    (note,) = [note for note in one["notes"] if note.startswith("base: ")]
    assert "measured once" in note
    assert "--runs base=RUN,RUN" in note
    assert not [note for note in several["notes"] if note.startswith("base: ")]
    for document, tested, seeds in ((one, False, 1), (several, True, 3)):
        starts = [line for line in document["analysis"]["checks"] if line["kind"] == "start"]
        assert [line["tested"] for line in starts] == [tested, tested]
        assert len(document["macro"]["base"]) == seeds
    # A copy is the same sample, and greedy answers are the same with any seed.
    copy = sampled(planted_runs, tmp_path / "copy", base, 0)
    refused = ("--name", "copy", "--runs", f"base={of_base[0]},{copy}")
    one_line(harness(*words, *refused), "are runs of the same checkpoint")
    greedy = [sampled(planted_runs, tmp_path / "cold", base, seed, 0.0) for seed in range(2)]
    with pytest.raises(UsageError, match="same checkpoint"):
        scores.check({BASE: greedy})
    # Elsewhere one checkpoint counts once, sampled or not.
    with pytest.raises(UsageError, match="same checkpoint"):
        scores.check({BASELINE: of_base})
