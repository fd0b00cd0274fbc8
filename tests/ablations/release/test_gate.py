"""``harness gate`` on real runs: verdicts, exit codes, what would decide, broken runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ablations.statistics.release.gate import Gate, gate
from ablations.statistics.release.policy import Policy, read_policy
from harness.errors import UsageError
from tests.ablations.statistics.test_compare import EASY, HARD, Alone, made
from tests.commands import harness, modules_of, one_line
from tests.sums import Adder, Sums

MEMBERS = (Alone(300, id=EASY), Sums(400, id=HARD))
TENTH = frozenset(range(0, 300, 10))  # of the items are wrong
QUARTER = frozenset(range(0, 300, 4))


def policy(folder: Path, text: str) -> Policy:
    file = folder / "policy.yaml"
    file.write_text(f"version: 1\n{text}\n")
    return read_policy(file)


def two(out: Path, wrong: frozenset[int], *more: Sums) -> tuple[Path, Path]:
    members = (*MEMBERS, *more)
    return made(out, "old", TENTH, *members), made(out, "new", wrong, *members)


def judged(out: Path, wrong: frozenset[int], text: str) -> Gate:
    old, new = two(out, wrong)
    return gate([old], [new], policy(out, text), 0.01)


# Wrong items of the candidate, limits -> verdict, and the status of easy.
VERDICTS = {
    "as good": (frozenset(range(5, 305, 10)), "defaults: {max_drop: 0.1}", "GO", "non-inferior"),
    "a large loss": (QUARTER, "defaults: {max_drop: 0.02}", "NO-GO", "inferior"),
    "a small limit": (TENTH, "defaults: {max_drop: 0.005}", "INCONCLUSIVE", "not enough data"),
    "advisory": (
        QUARTER,
        f"defaults: {{max_drop: 0.2}}\nbenchmarks: {{{EASY}: {{tier: advisory, max_drop: 0}}}}",
        "GO", "inferior",
    ),
    "a relative loss": (
        QUARTER, "defaults: {max_drop: 0.5, max_relative_drop: 0.02}",
        "NO-GO", "inferior",
    ),
    "a relative loss above the guard": (
        QUARTER,
        "defaults: {max_drop: 0.5, max_relative_drop: 0.02, relative_guard_below: 0.5}",
        "GO", "non-inferior",
    ),
    "where less is better": (
        QUARTER, "defaults: {max_drop: 0.02, direction: lower_is_better}",
        "GO", "non-inferior",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", VERDICTS)
def test_verdicts(case: str, tmp_path: Path) -> None:
    wrong, text, verdict, status = VERDICTS[case]
    found = judged(tmp_path, wrong, text)
    assert (str(found.verdict), str(found.benchmarks[0].status)) == (verdict, status), found


def test_the_command_prints_exits_and_imports_little(tmp_path: Path) -> None:
    old, new = two(tmp_path, frozenset(range(0, 300, 4)))
    limits = tmp_path / "policy.yaml"
    codes = {}
    for drop in (0.3, 0.1, 0.02):
        limits.write_text(f"defaults: {{max_drop: {drop}}}")
        done = harness("gate", old, new, "--policy", limits)
        codes[done.returncode] = done.stdout.partition(":")[0]
    assert codes == {0: "GO", 3: "INCONCLUSIVE", 1: "NO-GO"}
    document = json.loads(harness("gate", old, new, "-p", limits, "--json").stdout)
    assert document["verdict"] == "NO-GO"
    line = document["benchmarks"][0]
    assert line["missing"] == {
        side: {"answers": 300, "without_score": 0} for side in ("baseline", "candidate")
    }
    assert line["delta"] == pytest.approx(-0.15)
    limits.write_text("defaults: {max_drop: 0.3}")
    assert not modules_of("gate", old, new, "--policy", limits) & {"torch", "lmms_eval"}


def test_what_would_decide_is_the_closed_form(tmp_path: Path) -> None:
    found = judged(tmp_path, TENTH, "defaults: {max_drop: 0.01}")
    line = found.benchmarks[0]
    assert line.undecided is not None
    # Agreement on all 300: the error at the limit is sqrt(m (1 - m) / n).  Bonett-Price's, with one
    # item either way, sqrt(2 / 302) / sqrt(302), is smaller.
    variance = 0.01 * 0.99
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert line.undecided.if_unchanged.items == int(np.ceil(variance * z**2 / 0.01**2))
    assert line.undecided.if_unchanged.seeds is None
    assert line.available == 300


def test_with_training_seeds_it_is_welch_and_names_seeds(tmp_path: Path) -> None:
    wrong = {"old": (30, 34, 27), "new": (31, 29, 36)}
    sides = [
        [made(tmp_path, f"{side}{n}", frozenset(range(n)), *MEMBERS) for n in numbers]
        for side, numbers in wrong.items()
    ]
    found = gate(*sides, policy(tmp_path, "defaults: {max_drop: 0.02}"), 0.01)
    line = found.benchmarks[0]
    scores = [1 - np.array(numbers) / 300 for numbers in wrong.values()]
    test = stats.ttest_ind(scores[1], scores[0], equal_var=False).confidence_interval()
    assert (line.low, line.high) == pytest.approx((test.low, test.high))
    assert (line.test, str(line.status)) == ("Welch t", "not enough data")
    assert line.undecided is not None
    assert line.undecided.if_unchanged.seeds is not None
    assert line.undecided.if_unchanged.seeds > 3
    with pytest.raises(UsageError, match="at least two on each"):
        gate(sides[0], sides[1][:1], policy(tmp_path, ""), 0.01)


def test_errors_are_counted_by_side_and_refused(tmp_path: Path) -> None:
    limits = policy(tmp_path, f"defaults: {{max_drop: 0.5}}\nbenchmarks: {{{EASY}: {{}}}}")
    old = made(tmp_path, "old", TENTH, *MEMBERS)
    new = made(tmp_path, "new", TENTH, *MEMBERS, model=Adder(fails=frozenset({1, 2, 3, 4})))
    with pytest.raises(UsageError, match="easy: answers without a score: 4 of 300 in candidate"):
        gate([old], [new], limits, 0.01)
    found = gate([old], [new], limits, 0.02)
    assert [(s.without_score, s.answers) for s in found.benchmarks[0].missing.values()] == [
        (0, 300), (4, 300),
    ]  # fmt: skip
    advisory = policy(
        tmp_path, f"benchmarks: {{{EASY}: {{tier: advisory}}, {HARD}: {{max_drop: 0.3}}}}"
    )
    assert gate([old], [new], advisory, 0.01).benchmarks[0].missing["candidate"].without_score == 4


def test_what_is_missing_or_wrong_is_one_line_and_code_2(tmp_path: Path) -> None:
    old, new = two(tmp_path, TENTH)
    half = made(tmp_path, "half", frozenset({1}), MEMBERS[0])
    short = made(tmp_path, "short", frozenset({2}), *MEMBERS, limit=20)
    limits = tmp_path / "policy.yaml"
    cases = {
        (old, half, f"benchmarks: {{{HARD}: {{}}}}"): "hard (the candidate lacks it)",
        (half, old, f"benchmarks: {{{HARD}: {{}}}}"): "hard (the baseline lacks it)",
        (old, new, "benchmarks: {gpqa: {}}"): "the policy requires gpqa",
        (old, new, "defaults: {tier: advisory}"): "gates none",
        (old, short, ""): "holds 300 items and",
        (old, old, ""): "given twice",
        (old, tmp_path / "none", ""): "is not a run",
    }
    for (a, b, text), message in cases.items():
        limits.write_text(text or "version: 1")
        one_line(harness("gate", a, b, "--policy", limits), message)
    one_line(harness("gate", old, "--policy", limits), "BASELINE CANDIDATE")
    one_line(harness("gate", old, new, "--policy", tmp_path / "no.yaml"), "cannot be read")
    limits.write_text("benchmarks: {gpqa: {tier: advisory}}\ndefaults: {max_drop: 0.5}")
    assert harness("gate", old, new, "--policy", limits).returncode == 0


def test_pass_at_1_is_for_right_or_wrong_answers(tmp_path: Path) -> None:
    limits = policy(tmp_path, "defaults: {metric: pass@1, max_drop: 0.3}")
    old, new = two(tmp_path, TENTH)
    assert str(gate([old], [new], limits, 0.01).verdict) == "GO"
    samples = new / "samples" / f"{EASY}.jsonl"
    samples.write_text(samples.read_text().replace('"value":0.0', '"value":0.25', 1))
    with pytest.raises(UsageError, match="partial credit"):
        gate([old], [new], limits, 0.01)
