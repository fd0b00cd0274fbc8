"""Runs on disk, compared: real runs through the engine, numbers from scipy, errors in one line."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from scipy import stats

from ablations.statistics import scores
from ablations.statistics.analysis import analyse
from ablations.statistics.comparison import sides as compare
from ablations.statistics.comparison.models import models
from ablations.statistics.contrasts import ONE_SEED, Rules
from harness.backends.models.settings import UNSET, ModelSettings
from harness.cli.main import cli
from harness.errors import UsageError
from harness.protocols import FailedItem
from harness.records import Item
from harness.runs import run as runs
from harness.runs.identity import ModelIdentity
from harness.runs.plan import plan_run
from harness.runs.todo import Settings
from tests.commands import harness, modules_of
from tests.sums import Adder, Quiet, Sums

RULES = Rules(resamples=500)
FIRST = frozenset(range(0, 40))
EASY, HARD = "easy", "hard"


@dataclasses.dataclass(frozen=True)
class Alone(Sums):
    """Sums whose items are each a cluster of their own."""

    def build(self, item_id: str) -> Item | FailedItem:
        item = super().build(item_id)
        return dataclasses.replace(item, cluster=item.id) if isinstance(item, Item) else item


def made(
    out: Path, name: str, wrong: frozenset[int], *benchmarks: Sums, model: Adder | None = None,
    asked: ModelSettings = UNSET, **more: int,
) -> Path:  # fmt: skip
    """Return the folder of a run of a model of that name that is wrong on some items."""
    identity = ModelIdentity(name, f"content of {name}", verified=True)
    members = list(benchmarks) or [Alone(60, id=EASY), Sums(80, id=HARD)]
    plan = plan_run(identity, "arithmetic", members, members, Settings(model=asked, **more), out)
    runs.execute(plan, (model or Adder(wrong=wrong)).open, {"kind": "test"}, Quiet())
    return plan.path


def test_two_checkpoints_are_mcnemar_where_items_are_single_and_else_clustered(
    tmp_path: Path,
) -> None:
    a = made(tmp_path, "a", frozenset({*range(0, 12), 70, 71, 75}))
    b = made(tmp_path, "b", frozenset({0, 1, 30, 70}))
    found = compare.checkpoints(a, b, RULES)
    assert (found.kind, found.heading) == (
        "checkpoints",
        "these two checkpoints, not the method that made them",
    )
    easy, hard = found.benchmarks
    # Easy: b gains 10 (2..11), loses 1 (30) of 60.
    p_easy = stats.binomtest(10, 11).pvalue
    assert (easy.items, easy.clusters, easy.delta) == (60, 60, pytest.approx(9 / 60))
    assert easy.p == pytest.approx(p_easy)
    # Hard: pairs of items are clusters; gains 2..11, 71, 75, loses 30.
    d = np.zeros(80)
    d[[*range(2, 12), 71, 75]], d[30] = 1, -1
    residual = (d - d.mean()).reshape(40, 2).sum(1)
    se = np.sqrt(40 / 39 * (residual**2).sum()) / 80
    p_hard = 2 * stats.t.sf(d.mean() / se, 39)
    assert (hard.items, hard.clusters, hard.delta) == (80, 40, pytest.approx(11 / 80))
    assert hard.p == pytest.approx(p_hard)
    assert hard.mde == pytest.approx((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * se)
    smaller, larger = sorted((p_easy, p_hard))
    adjusted = {smaller: 2 * smaller, larger: max(larger, 2 * smaller)}
    assert (easy.p_holm, hard.p_holm) == (
        pytest.approx(adjusted[p_easy]),
        pytest.approx(adjusted[p_hard]),
    )
    assert (easy.verdict, hard.verdict) == ("better", "better")
    assert (easy.test, hard.test) == ("McNemar", "clustered t")
    assert found.macro.delta == pytest.approx((9 / 60 + 11 / 80) / 2)
    assert found.macro.verdict == "better"
    assert not found.loses
    other = compare.checkpoints(b, a, RULES)
    assert (other.macro.delta, other.macro.p) == (-found.macro.delta, found.macro.p)
    assert other.loses


def test_the_mean_of_one_benchmark_is_that_benchmark(tmp_path: Path) -> None:
    """Five gains: McNemar's p is 2 * 0.5**5 = 0.0625; the clustered t's is below 0.05."""
    one = Alone(60, id=EASY)
    a = made(tmp_path, "a", frozenset(range(5)), one)
    b, c = (made(tmp_path, name, frozenset(), one) for name in "bc")
    two = compare.checkpoints(a, b, RULES)
    several = models([a, b, c], None, RULES)
    assert (two.macro.p, two.macro.verdict) == (pytest.approx(0.0625), "inconclusive")
    for each in (two, *several.contrasts):
        (line,), macro = each.benchmarks, each.macro
        assert (macro.p, macro.low, macro.high) == (line.p, line.low, line.high)
        assert (macro.verdict, macro.test) == (line.verdict, "McNemar")


def test_one_seed_has_the_intervals_of_its_two_checkpoints(tmp_path: Path) -> None:
    a = made(tmp_path, "a", frozenset({*range(0, 12), 70, 71, 75}))
    b = made(tmp_path, "b", frozenset({0, 1, 30, 70}))
    two = compare.checkpoints(a, b, RULES)
    one_seed = compare.arms([a], [b], RULES)
    table = scores.read({"grpo": [a], "contextrl": [b]})
    study = analyse(table.scores, table.items, RULES, table.single)
    (total,) = (line for line in study.contrasts if line.kind == "total")
    for lines in (one_seed.benchmarks, total.benchmarks):
        for line, expected in zip(lines, two.benchmarks, strict=True):
            assert (line.delta, line.low, line.high, line.test) == (
                expected.delta, expected.low, expected.high, expected.test,
            )  # fmt: skip
            assert (line.p, line.verdict) == (None, None)
    for macro in (one_seed.macro, total):
        assert (macro.delta, macro.low, macro.high, macro.test) == (
            two.macro.delta, two.macro.low, two.macro.high, "clustered t",
        )  # fmt: skip


def test_arms_are_welch_on_seeds(tmp_path: Path) -> None:
    wrong_a, wrong_b = (20, 22, 25), (10, 9, 14)
    a = [made(tmp_path, f"a{n}", frozenset(range(n))) for n in wrong_a]
    b = [made(tmp_path, f"b{n}", frozenset(range(n))) for n in wrong_b]
    found = compare.arms(a, b, RULES)
    easy = {side: [1 - n / 60 for n in wrong] for side, wrong in (("a", wrong_a), ("b", wrong_b))}
    hard = {side: [1 - n / 80 for n in wrong] for side, wrong in (("a", wrong_a), ("b", wrong_b))}
    macro = {side: np.add(easy[side], hard[side]) / 2 for side in "ab"}
    reference = stats.ttest_ind(macro["b"], macro["a"], equal_var=False)
    interval = reference.confidence_interval(0.95)
    assert found.macro.delta == pytest.approx(macro["b"].mean() - macro["a"].mean())
    assert (found.macro.low, found.macro.high) == (
        pytest.approx(interval.low),
        pytest.approx(interval.high),
    )
    assert found.macro.p == pytest.approx(reference.pvalue)
    for line, score in zip(found.benchmarks, (easy, hard), strict=True):
        expected = stats.ttest_ind(score["b"], score["a"], equal_var=False).pvalue
        assert line.p == pytest.approx(expected)
        # The two benchmarks' scores are proportional, so their p are equal: Holm doubles both.
        assert line.p_holm == pytest.approx(2 * expected)
    pooled = stats.ttest_ind(macro["b"], macro["a"]).confidence_interval(0.95)
    assert found.pooled == (pytest.approx(pooled.low), pytest.approx(pooled.high))
    assert (found.kind, found.macro.verdict) == ("arms", "better")
    assert found.spread is not None
    assert [side.seeds for side in found.spread] == [3, 3]


def test_one_seed_on_a_side_gets_no_word(tmp_path: Path) -> None:
    a = [made(tmp_path, "a", frozenset(range(20)))]
    b = [made(tmp_path, f"b{n}", frozenset(range(n))) for n in (3, 5)]
    found = compare.arms(a, b, RULES)
    assert (found.heading, found.macro.verdict, found.macro.p) == (ONE_SEED, None, None)
    assert {(line.verdict, line.p) for line in found.benchmarks} == {(None, None)}
    # b2 and b3 average: 4 wrong of each benchmark.
    assert found.macro.delta == pytest.approx((16 / 60 + 16 / 80) / 2)


def test_items_without_a_score_are_left_out_of_both_and_counted(tmp_path: Path) -> None:
    one = Alone(60, id=EASY)
    failing = Adder(fails=frozenset({1, 2}), wrong=frozenset({5}))
    a = made(tmp_path, "a", frozenset(), one, model=failing)
    b = made(tmp_path, "b", frozenset({1, 3}), Alone(60, id=EASY, broken=frozenset({9})))
    found = compare.checkpoints(a, b, RULES)
    assert found.benchmarks[0].items == 57
    assert found.benchmarks[0].delta == pytest.approx(0)  # gains 5, loses 3; 1 is not counted
    assert "easy: 3 items without a score in some run left out of all" in found.notes


def test_repeats_are_averaged_within_items_first(tmp_path: Path) -> None:
    one = Alone(40, id=EASY)
    a = made(tmp_path, "a", frozenset(range(10)), one, repeats=3)
    b = made(tmp_path, "b", frozenset(range(6)), one)
    table = scores.read({"a": [a], "b": [b]})
    assert table.scores[EASY]["a"].mean() == pytest.approx(30 / 40)
    assert table.single == frozenset()
    made(tmp_path, "a", frozenset(), one, repeats=4)  # one more repeat of each, all right
    table = scores.read({"a": [a], "b": [b]})
    assert sorted(set(table.scores[EASY]["a"][0])) == [0.25, 1.0]
    d = (table.scores[EASY]["b"] - table.scores[EASY]["a"])[0]
    found = compare.checkpoints(a, b, RULES).benchmarks[0]
    assert found.p == pytest.approx(stats.ttest_1samp(d, 0).pvalue)  # not McNemar: no 0/1 any more


def test_a_headline_of_parts_is_the_mean_of_the_parts(tmp_path: Path) -> None:
    one = Sums(41, id="halves", headline=("even", "odd"))
    a = made(tmp_path, "a", frozenset({0, 2}), one)
    b = made(tmp_path, "b", frozenset({0, 1, 3, 5}), one)
    found = compare.checkpoints(a, b, RULES).benchmarks[0]
    # 21 even and 20 odd items.
    assert found.delta == pytest.approx((1 / 21 - 3 / 20) / 2)


def test_benchmarks_of_one_run_only_are_left_out_and_said(tmp_path: Path) -> None:
    both, more = Alone(40, id=EASY), Sums(40, id=HARD)
    a, b = made(tmp_path, "a", frozenset(), both), made(tmp_path, "b", FIRST, both, more)
    found = compare.checkpoints(a, b, RULES)
    assert [line.benchmark for line in found.benchmarks] == [EASY]
    assert any(note.startswith("hard: left out") and str(a) in note for note in found.notes)


@dataclasses.dataclass(frozen=True)
class Reworded(Alone):
    @property
    def declaration(self):  # type: ignore[no-untyped-def]
        return dataclasses.replace(super().declaration, protocol={"prompt": "sum of a and b"})


Case = tuple[list[Path], list[Path], str]


def cases(out: Path) -> list[Case]:
    """Return pairs of sides that cannot be compared, and what is said of them."""
    one = Alone(20, id=EASY)
    a = made(out, "a", FIRST, one)
    again = made(out, "a", FIRST, one, seed=1)

    def b(message: str, benchmark: Sums = one, model: Adder | None = None, **more: Any) -> Case:
        return [a], [made(out / message[:9], "b", FIRST, benchmark, model=model, **more)], message

    return [
        b("differ in protocol", Reworded(20, id=EASY)),
        b("differ in data", Alone(21, id=EASY)),
        b("differ in max_tokens", asked=ModelSettings(max_tokens=9)),
        b("differ in temperature", asked=ModelSettings(temperature=0.5)),
        b("holds 20 items and .* 7, 7 of them", limit=7),
        b("different versions", Alone(20, id=EASY, scoring="2")),
        b("no benchmark in common", Sums(20, id=HARD)),
        (
            [a],
            [made(out / "none", "b", FIRST, one, Sums(80, id=HARD), model=Adder(fails=FIRST))],
            "nothing to compare",
        ),
        ([a], [out / "nothing"], "is not a run"),
        ([a], [a], "is given twice"),
        ([a, again], [made(out, "c", FIRST, one)], "same checkpoint"),
    ]


def test_what_cannot_be_compared_is_said_in_one_line(tmp_path: Path) -> None:
    for a, b, message in cases(tmp_path):
        with pytest.raises(UsageError, match=message) as error:
            compare.arms(a, b, RULES)
        assert "\n" not in str(error.value)


def test_a_corrupt_manifest_is_said_in_one_line(tmp_path: Path) -> None:
    a, b = (made(tmp_path, name, FIRST, Alone(20, id=EASY)) for name in "ab")
    manifest = json.loads((b / "manifest.json").read_text())
    manifest["sampling"] = None
    (b / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="corrupt"):
        compare.checkpoints(a, b, RULES)


def test_runs_without_any_difference_are_no_loss(tmp_path: Path) -> None:
    a, b = (made(tmp_path, name, FIRST) for name in "ab")
    found = compare.checkpoints(a, b, RULES)
    assert found.macro.delta == 0
    assert {line.p for line in found.benchmarks} == {1.0}
    assert not found.loses


def test_one_served_name_is_not_one_checkpoint(tmp_path: Path) -> None:
    """Two servers may call their models alike; only a content hash tells that they are one."""
    one = Alone(40, id=EASY)
    a, b = (made(tmp_path, "m", FIRST, one, seed=seed) for seed in (0, 1))
    for run in (a, b):
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["model"]["verified"] = False
        (run / "manifest.json").write_text(json.dumps(manifest))
    found = compare.checkpoints(a, b, RULES)
    assert found.heading == compare.CHECKPOINTS
    assert found.notes[0] == f"A and B {compare.ONE_NAME}"
    assert compare.arms([a], [b], RULES).notes[0].endswith(compare.ONE_NAME)


def test_one_checkpoint_on_both_sides_is_said(tmp_path: Path) -> None:
    one = Alone(40, id=EASY)
    first, again = (made(tmp_path, "a", FIRST, one, seed=seed) for seed in (0, 1))
    other = made(tmp_path, "b", frozenset(), one)
    assert compare.checkpoints(first, again, RULES).heading == compare.ONE_CHECKPOINT
    assert compare.checkpoints(first, other, RULES).heading == compare.CHECKPOINTS
    same = f"{first} and {again}, on both sides, are of the same checkpoint, sampled again"
    assert compare.arms([other, first], [again], RULES).notes[0] == same
    assert compare.arms([first], [other], RULES).notes == ()


def seeds(out: Path, name: str, wrong: tuple[int, ...], **more: object) -> list[Path]:
    """Return a run per number of wrong items, of the same benchmarks."""
    return [made(out, f"{name}{n}", frozenset(range(n)), **more) for n in wrong]  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Together(Sums):
    """Sums whose items are all of one cluster."""

    def build(self, item_id: str) -> Item | FailedItem:
        item = super().build(item_id)
        return dataclasses.replace(item, cluster="c") if isinstance(item, Item) else item


def test_a_benchmark_of_one_cluster_does_not_switch_off_the_mean(tmp_path: Path) -> None:
    many = [Alone(100, id=f"b{n}") for n in range(11)]
    a = made(tmp_path, "a", frozenset(), *many, Together(5, id="few"))
    b = made(tmp_path, "b", frozenset(range(4)), *many, Together(5, id="few"))
    found = compare.checkpoints(a, b, RULES)
    assert found.benchmarks[-1].p is None
    assert found.macro.delta == pytest.approx(-0.04)  # of the eleven
    assert (found.macro.verdict, found.macro.averaged) == ("worse", 11)
    note = "few: left out of the mean, it has no standard error over items (too few clusters)"
    assert note in found.notes
    assert note in compare.arms([a], [b], RULES).notes
    assert compare.gate(found, 0.01)
    table = scores.read({"grpo": [a], "contextrl": [b]})
    (total,) = analyse(table.scores, table.items, RULES, table.single).contrasts
    assert (total.delta, total.test) == (pytest.approx(-0.04), "clustered t, without few")


# What B is, next to an A that is right throughout -> what the gate says, None where it passes.
BROKEN: dict[str, tuple[dict[str, object], str | None]] = {
    "whole": ({}, None),
    "one error in a hundred": ({"fails": {3}}, None),
    "two errors in a hundred": ({"fails": {3, 4}}, "easy: .* 2 of 100 in B"),
    "nearly all": ({"fails": set(range(95))}, "easy: .* 95 of 100 in B"),
    "errors where B would be wrong": (
        {"fails": set(range(9)), "wrong": set(range(9))}, "easy: .* 9 of 100 in B",
    ),
    "a missing benchmark": ({"without": {HARD}}, "hard: .* all of B"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("turned", [False, True])
def test_the_gate_refuses_broken_runs_of_either_side(
    kind: str, turned: bool, tmp_path: Path
) -> None:
    how, message = BROKEN[kind]
    fails, wrong, without = (frozenset(how.get(k, ())) for k in ("fails", "wrong", "without"))  # type: ignore[call-overload]
    members = [Alone(100, id=EASY), Alone(100, id=HARD)]
    a = made(tmp_path, "a", frozenset(), *members)
    held = [member for member in members if member.id not in without]
    model = Adder(fails=frozenset(n for n in fails), wrong=wrong)
    b = made(tmp_path, "b", frozenset(), *held, model=model)
    found = compare.checkpoints(b, a, RULES) if turned else compare.checkpoints(a, b, RULES)
    if message is None:
        assert not compare.gate(found, 0.01)
        return
    with pytest.raises(UsageError, match=message.replace("B", "A") if turned else message) as error:
        compare.gate(found, 0.01)
    assert "\n" not in str(error.value)
    assert ("--max-errors" in str(error.value)) != bool(without)
    if not without:
        assert not compare.gate(found, 1.0)


def test_the_gate_does_not_pass_what_it_could_not_test(tmp_path: Path) -> None:
    # Every item of pairs lost: no residual, no standard error, and no p.
    pairs = Sums(40, id=HARD)
    whole = made(tmp_path, "a", frozenset(), pairs)
    lost = made(tmp_path, "b", frozenset(range(40)), pairs)
    found = compare.checkpoints(whole, lost, RULES)
    assert found.macro.verdict == "inconclusive"
    with pytest.raises(UsageError, match=r"cannot pass: .* in the mean, hard"):
        compare.gate(found, 0.01)
    assert not compare.gate(compare.checkpoints(whole, whole_again(tmp_path, pairs), RULES), 0.01)
    # Seeds that are exactly equal have no variance either.
    a, b = (seeds(tmp_path / side, side, (n, n + 40)) for side, n in (("a", 5), ("b", 5)))
    assert not compare.gate(compare.arms(a, b, RULES), 0.01)


def whole_again(out: Path, *members: Sums) -> Path:
    return made(out, "again", frozenset(), *members)


def test_both_scores_have_intervals(tmp_path: Path) -> None:
    members = [Alone(60, id=EASY), Sums(80, id=HARD)]
    a = made(tmp_path, "a", frozenset(range(12)), *members)
    b = made(tmp_path, "b", frozenset(), *members)
    rows = {(row.side, row.benchmark): row for row in compare.checkpoints(a, b, RULES).scores}
    # Wilson's closed form for 48 of 60.
    p, n, z = 48 / 60, 60, stats.norm.ppf(0.975)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    easy = rows["A", EASY]
    assert (easy.score, easy.low, easy.high) == (
        pytest.approx(p), pytest.approx(middle - half), pytest.approx(middle + half),
    )  # fmt: skip
    # Pairs of items: 6 of 40 clusters are all wrong.
    d = np.repeat([0.0, 1.0], (6, 34))
    half = stats.t.ppf(0.975, 39) * d.std(ddof=1) / np.sqrt(40)
    hard = rows["A", HARD]
    assert (hard.low, hard.high) == (pytest.approx(0.85 - half), pytest.approx(0.85 + half))
    # All right: as many trials as clusters.
    assert rows["B", HARD].low == pytest.approx(1 / (1 + z**2 / 40))
    assert rows["A", "mean"].score == pytest.approx((p + 0.85) / 2)
    # Several seeds: Student's t over their scores.
    many = compare.arms(seeds(tmp_path, "x", (12, 15, 9)), seeds(tmp_path, "y", (3, 4, 5)), RULES)
    by_seed = [1 - n / 60 for n in (12, 15, 9)]
    bounds = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
    row = next(r for r in many.scores if (r.side, r.benchmark) == ("A", EASY))
    assert (row.low, row.high) == (pytest.approx(bounds.low), pytest.approx(bounds.high))


AUTO, FLOAT32 = {"dtype": "auto"}, {"dtype": "float32"}


@pytest.mark.parametrize(
    ("backends", "note"),
    [
        (({"kind": "vllm"}, {"kind": "vllm"}), None),
        (
            (
                {"kind": "vllm", "options": {"dtype": "bfloat16"}},
                {"kind": "transformers", "options": {"dtype": "float32"}},
            ),
            "run in different ways, which alone can make a difference "
            "(A: vllm (bfloat16); B: transformers (float32))",
        ),
        # auto is the dtype of the weights.
        (({"kind": "vllm", "options": AUTO}, {"kind": "vllm", "options": FLOAT32}), None),
        (
            ({"kind": "vllm", "options": AUTO}, {"kind": "vllm", "options": {"dtype": "float16"}}),
            "run in different ways, which alone can make a difference (A: vllm (float32); B: vllm "
            "(float16))",
        ),
    ],
)
def test_sides_that_were_not_run_alike_are_named(
    backends: tuple[dict[str, object], ...], note: str | None, tmp_path: Path
) -> None:
    runs_ = [made(tmp_path, name, FIRST, Alone(40, id=EASY)) for name in "ab"]
    for run, backend in zip(runs_, backends, strict=True):
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["invocations"][0] |= {"backend": backend, "weights_dtype": "float32"}
        (run / "manifest.json").write_text(json.dumps(manifest))
    notes = compare.checkpoints(runs_[0], runs_[1], RULES).notes
    assert [n for n in notes if "run in different ways" in n] == ([] if note is None else [note])


# ---- the command ----


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Three runs each of a worse and a better method."""
    out = tmp_path_factory.mktemp("compare")
    worse = [made(out, f"w{n}", frozenset(range(n))) for n in (30, 33, 31)]
    return worse, [made(out, f"g{n}", frozenset(range(n))) for n in (5, 8, 4)]


BENCHMARK = {
    "benchmark",
    "items",
    "clusters",
    "delta",
    "low",
    "high",
    "p",
    "p_holm",
    "mde",
    "verdict",
}
BENCHMARK |= {"test", "tost_low", "tost_high"}


def test_the_command_prints_the_documented_json(sides: tuple[list[Path], list[Path]]) -> None:
    worse, better = sides
    two = json.loads(harness("compare", worse[0], better[0], "--json").stdout)
    assert two["kind"] == "checkpoints"
    assert set(two["macro"]) >= {"delta", "low", "high", "p", "verdict"}
    assert all(set(row) == BENCHMARK for row in two["benchmarks"])
    arms = json.loads(harness("compare", "--a", *worse, "--b", *better, "--json").stdout)
    assert arms["kind"] == "arms"
    assert arms["macro"]["verdict"] == "better"
    assert [row["benchmark"] for row in arms["benchmarks"]] == [EASY, HARD]


def test_the_gate_fails_on_a_loss_only(sides: tuple[list[Path], list[Path]]) -> None:
    worse, better = sides
    lost = harness("compare", "--b", *worse, "--a", *better, "--gate")
    assert lost.returncode == 1
    assert "worse" in lost.stdout
    assert "hierarchical bootstrap" in lost.stdout
    assert "3 seeds" in lost.stdout
    won = harness("compare", "--a", *worse, "--gate", "--b", *better)
    assert won.returncode == 0
    two = harness("compare", better[0], worse[0], "--gate")
    assert two.returncode == 1
    assert two.stdout.startswith("these two checkpoints, not the method that made them\n")
    assert f"\nA  {better[0]} (g5)\nB  {worse[0]} (w30)\n" in two.stdout


def test_the_gate_on_broken_runs_is_one_line(tmp_path: Path) -> None:
    easy = Alone(100, id=EASY)
    a = made(tmp_path, "a", frozenset(), easy)
    b = made(tmp_path, "b", frozenset(), easy, model=Adder(fails=frozenset(range(95))))
    done = harness("compare", a, b, "--gate")
    assert done.returncode == 2
    assert "95 of 100 in B" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "note: easy: answers without a score: 95 of 100 in B" in done.stdout
    words = ["compare", str(a), str(b), "--gate", "--max-errors"]
    assert cli.main([*words, "95%"], standalone_mode=False) == 0
    assert cli.main([*words, "0.95"], standalone_mode=False) == 0
    for wrong in ("95", "-1%", "101%", "nan", "one"):
        with pytest.raises(click.UsageError, match="is not a share"):
            cli.main([*words, wrong], standalone_mode=False)


def test_two_seeds_have_no_measured_error_rates(sides: tuple[list[Path], list[Path]]) -> None:
    worse, better = sides
    said = harness("compare", "--a", *worse[:2], "--b", *better).stdout
    (line,) = [row for row in said.splitlines() if "hierarchical bootstrap" in row]
    assert line.endswith("; with so few seeds its error rates were not measured")


def test_wrong_use_of_the_command_is_one_line(sides: tuple[list[Path], list[Path]]) -> None:
    worse, better = sides
    done = harness("compare", worse[0], worse[0])
    assert (done.returncode, done.stdout) == (2, "")
    assert "given twice" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    for words, message in (
        ([worse[0]], "pass either two or more RUNs"),
        (["--a", worse[0]], "pass either two or more RUNs"),
        ([worse[0], better[0], "--margin", "-1"], "--margin -1: must be positive"),
        ([worse[0], better[0], "--margin", "0"], "--margin 0: must be positive"),
        ([worse[0], worse[0].parent], "is not a run"),
        (["--a", worse[0], "--b", *better, "--gate"], "--gate needs two training seeds"),
    ):
        with pytest.raises(UsageError, match=message) as error:
            cli.main(["compare", *map(str, words)], standalone_mode=False)
        assert "\n" not in str(error.value)


def test_compare_imports_no_torch(sides: tuple[list[Path], list[Path]]) -> None:
    loaded = modules_of("compare", "--a", *sides[0], "--b", *sides[1])
    assert loaded.isdisjoint({"torch", "transformers", "datasets", "lmms_eval", "vllm", "PIL"})
    assert "scipy" in loaded


def test_a_copy_of_a_run_is_the_same_checkpoint(
    sides: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    worse, better = sides
    shutil.copytree(worse[0], tmp_path / "copy")
    with pytest.raises(UsageError, match="same checkpoint"):
        compare.arms([worse[0], tmp_path / "copy"], better, RULES)


def test_a_right_answer_is_told_from_its_json_text() -> None:
    answers = ["1", 1, 1.5, {"a": 1}, '{"a": 1}', None, "null", ["x"], '["x"]', True, "true", ""]
    assert len({scores._hashed(answer) for answer in answers}) == len(answers)
    assert scores._hashed({"a": 1, "b": 2}) == scores._hashed({"b": 2, "a": 1})
