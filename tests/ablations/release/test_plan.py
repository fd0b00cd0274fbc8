"""What an effect needs: against statsmodels' power functions, simulation, and the command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import NormalIndPower, TTestIndPower

from ablations.statistics import estimates
from ablations.statistics.design.needs import (
    ItemsDesign,
    Needs,
    SeedsDesign,
    Target,
    sampling_part,
)
from ablations.statistics.estimates import Components
from ablations.study.sizing import _over_seeds, size
from harness.backends.models.settings import ModelSettings
from harness.protocols import Sampling
from harness.records import Message, Response
from tests.ablations.statistics.test_compare import made
from tests.commands import harness, modules_of, one_line
from tests.golden import cases
from tests.golden.cases import STORED
from tests.sums import Adder


@pytest.mark.parametrize(("effect", "power"), [(0.02, 0.8), (0.01, 0.9), (0.005, 0.5)])
def test_items_are_those_of_statsmodels(effect: float, power: float) -> None:
    """A paired difference of sd s is one normal sample: `NormalIndPower` with ratio 0."""
    sd, n = 0.3, 500
    needs = ItemsDesign(sd / n**0.5, n).needs(Target(effect, 0.05, power))
    expected = NormalIndPower(ddof=0).solve_power(
        effect / sd, power=power, alpha=0.05, ratio=0, alternative="larger"
    )
    two_sided = ((stats.norm.ppf(0.975) + stats.norm.ppf(power)) * sd / effect) ** 2
    assert needs.items == int(np.ceil(two_sided))
    assert needs.items > expected  # which is one-sided
    shifted = NormalIndPower(ddof=0).power(
        effect / sd, needs.items, alpha=0.05, ratio=0, alternative="two-sided"
    )
    assert shifted == pytest.approx(power, abs=0.01)


def test_seeds_are_at_least_those_of_the_pooled_t_and_reach_the_power() -> None:
    of, effect = Components(0.005**2, 0.002**2), 0.01
    needs = SeedsDesign(of, 3, 1000).needs(Target(effect))
    assert needs.seeds is not None
    sd = (of.training + of.decoding) ** 0.5
    pooled = TTestIndPower().solve_power(effect / sd, power=0.8, alpha=0.05)
    assert pooled <= needs.seeds <= pooled + 2  # Welch's estimated df cost a little
    drawn = np.random.default_rng(0).normal(0, sd, (2, 20_000, needs.seeds))
    seen = (estimates.welch(drawn[0] + effect, drawn[1]).p < 0.05).mean()
    assert 0.79 <= seen <= 0.9
    fewer = (estimates.welch(drawn[0, :, 1:] + effect, drawn[1, :, 1:]).p < 0.05).mean()
    assert fewer < 0.81


def test_repeats_shrink_sampling_only() -> None:
    """Items whose chances differ between sides keep their part, however many repeats."""
    rng = np.random.default_rng(1)
    chances, k = rng.uniform(0.1, 0.9, (2, 4000)), 4
    means = rng.binomial(k, chances) / k
    part = sampling_part(means[0], means[1], np.full(4000, 1 / 4000), k)
    true = (chances * (1 - chances)).sum() / k / 4000**2
    assert part == pytest.approx(true, rel=0.05)
    se = float((means[0] - means[1]).std() / 4000**0.5)
    design = ItemsDesign(se, 4000, k, part)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    reachable = z * (se**2 - part + part * k / 8) ** 0.5  # by 8 repeats
    assert design.needs(Target(reachable)).repeats in (8, 9)
    assert design.needs(Target(z * (se**2 - part) ** 0.5 * 0.99)).repeats is None
    assert sampling_part(means[0] + 0.01, means[1], np.full(4000, 1 / 4000), k) is None
    assert sampling_part(means[0], means[1], np.full(4000, 1 / 4000), 1) is None


def test_more_answers_help_until_training_varies_too_much() -> None:
    sampled = SeedsDesign(Components(0.0, 0.01**2), 3, 300, 2, sampled=True)
    needs = sampled.needs(Target(0.02))
    assert needs.items is not None
    assert needs.repeats is not None
    assert needs.items / 300 == pytest.approx(needs.repeats / 2, abs=0.5)
    only_training = SeedsDesign(Components(0.01**2, 0.001**2), 3, 300, 2, sampled=True)
    assert only_training.needs(Target(0.02)).items is None
    assert ItemsDesign(0.0, 10).needs(Target(0.01)) == Needs()
    assert ItemsDesign(0.1, 10).needs(Target(0.0)) == Needs()


def test_the_command_reads_comparisons_and_studies(tmp_path: Path) -> None:
    a, b = (made(tmp_path, name, frozenset(range(n))) for name, n in (("a", 9), ("b", 4)))
    file = tmp_path / "pilot.json"
    file.write_text(harness("compare", a, b, "--json").stdout)
    found = json.loads(harness("plan", "--from", file, "--effect", "4", "--json").stdout)
    rows = {row["name"]: row for row in found["rows"]}
    compared = json.loads(file.read_text())
    line = compared["benchmarks"][0]
    # The comparison's minimal detectable effect is that of its items: n (mde / effect)^2.
    expected = int(np.ceil(line["items"] * (line["mde"] / 0.04) ** 2))
    assert rows["easy"]["needs"]["items"] == expected
    assert rows["easy"]["mde"] == pytest.approx(line["mde"])
    study = STORED / "studies" / "trained"
    document = json.loads(harness("plan", "--from", study, "--json").stdout)
    assert (document["kind"], document["effect"]) == ("arms", 0.08)  # as it was planned
    assert document["rows"][-1]["needs"]["seeds"] >= 2
    text = harness("plan", "--from", study, "--power", "0.9").stdout
    assert "with 90 % power" in text
    assert not modules_of("plan", "--from", file) & {"torch", "lmms_eval"}


def test_a_comparison_that_names_no_runs_still_tells_of_the_mean(tmp_path: Path) -> None:
    """Versions before runs were named wrote such comparisons of methods."""
    interval = dict.fromkeys(("low", "high", "p", "p_holm", "mde", "verdict"))
    found = {
        "kind": "arms",
        "heading": "",
        "macro": {"delta": 0.01, **interval},
        "benchmarks": [
            {"benchmark": "easy", "items": 100, "clusters": 100, "delta": 0.01, **interval}
        ],
        "margin": 0.009,
        "alpha": 0.05,
        "notes": [],
        "spread": [{"seeds": 3, "training_sd": 0.01, "decoding_sd": 0.02}] * 2,
    }
    (tmp_path / "old.json").write_text(json.dumps(found))
    easy, mean = size(tmp_path / "old.json", None, None).rows
    assert easy.design is None
    assert mean.design is not None
    assert mean.needs.seeds is not None


@pytest.mark.parametrize("arms", [1, 2, 3])
def test_a_benchmark_is_sized_by_all_arms_with_several_seeds(arms: int) -> None:
    """A study whose first contrast lacks an arm is sized by all that it has."""
    scores = {"easy": [[0.1, 0.2, 0.3]] * arms}
    designs = _over_seeds(Components(1e-4, 1e-4), 3, scores, {"easy": 9}, (False, {}))
    assert designs["easy"] == SeedsDesign(Components(pytest.approx(0.01), 0.0), 3, 9, 1, False)


def test_what_plan_cannot_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    one_line(harness("plan", "--from", tmp_path / "no"), "does not exist")
    one_line(harness("plan", "--from", tmp_path), "not an analysed study")
    one_line(harness("plan", "--from", tmp_path / "x.json"), "compare --json")
    one_line(harness("plan", "--from", tmp_path / "x.json", "--effect", "0"), "above 0")
    one_line(harness("plan", "--from", tmp_path / "x.json", "--power", "1"), "power")


class Wavering(Adder):
    """A model that gets its k-th answer to a question wrong by a fixed rule."""

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        turn = self.asked.count(messages[-1].render())
        right = await super().chat(messages, sampling)
        wrong = (len(self.name) + turn + int(right.text)) % 3 == 0
        return replace(right, text="0") if wrong else right


def test_repeats_are_known_of_the_items_that_were_compared(tmp_path: Path) -> None:
    """Not after --exclude, nor of benchmarks that the document lacks."""
    a, b = (
        made(tmp_path, name, frozenset(), model=Wavering(name=name),
             asked=ModelSettings(temperature=0.7), repeats=4)
        for name in ("a", "other")
    )  # fmt: skip
    listed, file = tmp_path / "tainted.jsonl", tmp_path / "found.json"
    listed.write_text(json.dumps({"benchmark": "easy", "item": "s0"}))

    def repeats(*words: object) -> dict[str, int | None]:
        file.write_text(harness("compare", a, b, "--json", *words).stdout)
        return {row.name: row.needs.repeats for row in size(file, 0.2, None).rows}

    every = repeats()
    assert None not in every.values()
    without = repeats("--exclude", listed)
    assert without == {**every, "easy": None, "mean": None}
    document = json.loads(file.read_text())
    for side in document["runs"]:
        side[0]["benchmarks"] = [r for r in side[0]["benchmarks"] if r["benchmark"] != "hard"]
    file.write_text(json.dumps(document))
    assert {row.needs.repeats for row in size(file, 0.2, None).rows} == {None}


def test_a_study_over_items_needs_what_the_comparison_of_its_runs_needs(tmp_path: Path) -> None:
    runs = {arm: STORED / cases.runs(arm)[-1] for arm in ("base", "contextrl")}
    study, file = tmp_path / "parent.yaml", tmp_path / "found.json"
    study.write_text(
        "suite: vqa12\nbenchmarks: [mathverse, mmmu_pro, vstar]\ninference: items\nmargin: 2\n"
        f"arms: {{base: {{role: start, runs: {runs['base']}}},\n"
        f"       child: {{role: method, runs: {runs['contextrl']}}}}}\ncontrasts: [child - base]\n"
    )
    assert harness("ablate", study, "--studies", tmp_path).returncode == 0
    file.write_text(harness("compare", *runs.values(), "--margin", "2", "--json").stdout)
    of_study, of_runs = (size(source, None, None).rows for source in (tmp_path / "parent", file))
    assert [(row.name, row.mde, row.needs) for row in of_study] == [
        (row.name, pytest.approx(row.mde), row.needs) for row in of_runs
    ]
