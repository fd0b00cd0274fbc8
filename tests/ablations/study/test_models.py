"""`harness compare` of any number of runs, on stored runs: scores, contrasts with Holm, flips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import statsmodels.api as sm

from ablations.statistics.comparison.models import ModelsComparison, models
from ablations.statistics.comparison.sides import checkpoints
from ablations.statistics.comparison.stored import read_comparison, read_comparisons
from ablations.statistics.contrasts import Rules
from harness.errors import UsageError
from tests.commands import harness
from tests.golden import cases

RULES = Rules(margin=0.05, effect_size=0.1)
BASE, METHOD, RUINED, PLAIN = (
    cases.STORED / cases.runs(arm)[0] for arm in ("base", "contextrl", "da-sft", "grpo")
)
RUNS = (METHOD, RUINED, PLAIN)


@pytest.fixture(scope="module")
def found() -> ModelsComparison:
    return models([BASE, *RUNS], "weights", RULES)


def test_each_contrast_is_the_comparison_of_two_with_holm_over_all(found: ModelsComparison) -> None:
    pairs = [checkpoints(BASE, run, RULES) for run in RUNS]
    ps = [line.p for pair in pairs for line in pair.benchmarks]
    adjusted = list(sm.stats.multipletests(ps, method="holm")[1])
    lines = [line for contrast in found.contrasts for line in contrast.benchmarks]
    assert [line.p_holm for line in lines] == pytest.approx(adjusted)
    for contrast, pair in zip(found.contrasts, pairs, strict=True):
        assert contrast.minus == found.baseline == "weights"
        assert (contrast.macro.delta, contrast.macro.p) == (pair.macro.delta, pair.macro.p)
        for one, other in zip(contrast.benchmarks, pair.benchmarks, strict=True):
            assert (one.benchmark, one.delta, one.low, one.p) == (
                other.benchmark, other.delta, other.low, other.p,
            )  # fmt: skip
    assert [model.split(" ")[-1].strip("()") for model in found.losing] == [RUINED.name]


def test_scores_are_those_of_the_comparison_of_two(found: ModelsComparison) -> None:
    pair = checkpoints(BASE, RUINED, RULES)
    expected = {(row.side, row.benchmark): (row.score, row.low, row.high) for row in pair.scores}
    names = {"A": found.baseline, "B": found.losing[0]}
    rows = {(row.name, row.benchmark): (row.score, row.low, row.high) for row in found.models}
    for (side, benchmark), score in expected.items():
        assert rows[names[side], benchmark] == score


def right(run: Path, benchmark: str) -> dict[str, tuple[bool, list[str]]]:
    rows = map(json.loads, (run / "samples" / f"{benchmark}.jsonl").read_text().splitlines())
    return {row["id"]: (row["score"]["value"] >= 0.5, row["parts"]) for row in rows}


def test_flips_are_counted_by_category_and_the_worst_is_first(found: ModelsComparison) -> None:
    flips = found.contrasts[1].flips
    rates = [(row.gained - row.lost) / row.items for row in flips]
    assert rates == sorted(rates)
    for benchmark in ("vstar", "mathverse"):
        before, after = right(BASE, benchmark), right(RUINED, benchmark)
        for row in (row for row in flips if row.benchmark == benchmark):
            inside = [item for item, (_, parts) in before.items() if row.category in parts]
            lost = sum(before[item][0] and not after[item][0] for item in inside)
            gained = sum(after[item][0] and not before[item][0] for item in inside)
            assert (row.items, row.gained, row.lost) == (len(inside), gained, lost)


def test_a_difference_without_a_variance_is_named(found: ModelsComparison) -> None:
    assert found.untested == []
    ruined = found.contrasts[1]
    unknown = replace(ruined, macro=replace(ruined.macro, p=None))
    assert replace(found, contrasts=(unknown,)).untested == [f"{ruined.plus}: the mean"]


def test_the_command_prints_saves_and_gates(tmp_path: Path) -> None:
    words: Sequence[object] = ("compare", BASE, METHOD, RUINED)
    done = harness(*words, "--baseline", BASE, "--json")
    document = json.loads(done.stdout)
    assert {"models", "contrasts", "baseline"} <= document.keys()
    assert document["kind"] == "checkpoints"
    saved = tmp_path / "models.json"
    saved.write_text(done.stdout)
    assert isinstance(read_comparisons(saved), ModelsComparison)
    with pytest.raises(UsageError, match="more than two models"):
        read_comparison(saved)
    page = harness("report", saved, "--out", tmp_path / "page.html")
    assert page.stdout.startswith("A loss to weights: ")
    gated = harness(*words, "--gate")
    assert gated.returncode == 1
    assert "items that flip, worst first" in gated.stdout
    assert harness("compare", BASE, METHOD, PLAIN, "--margin", 20, "--gate").returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((BASE, METHOD, "--baseline", RUINED), "is none of the runs"),
        ((BASE, METHOD, "--baseline", "weigths"), "did you mean weights?"),
        ((BASE,), "two or more RUNs"),
        ((BASE, METHOD, BASE), "given twice"),
        (("--a", BASE, "--b", METHOD, "--baseline", BASE), "two or more RUNs"),
    ],
)
def test_what_cannot_be_compared_is_one_line(words: Sequence[object], told: str) -> None:
    done = harness("compare", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr
