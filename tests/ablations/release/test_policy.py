"""Policy files: NeMo Evaluator's schema and merging, and every wrong file in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.statistics.release.policy import Limits, Policy, read_policy
from harness.errors import UsageError

# In the schema of NeMo Evaluator (nemo_evaluator.config.gate_policy, version 1), every field used.
RELEASE = """
version: 1
defaults:
  tier: supporting
  metric: mean_reward
  direction: higher_is_better
  max_drop: 0.015
benchmarks:
  mathvista: {tier: critical, max_drop: 1e-2}
  mathvision:
    tier: critical
    max_drop: 0.01
    max_relative_drop: 0.02
    relative_guard_below: 0.30
  vstar: {}
  blink:
  livecodebench_v6: {metric: pass@1}
  error_rate: {direction: lower_is_better, max_drop: 0}
  hallucination: {tier: advisory, metric: "scorer:judge"}
"""


def policy(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    return read_policy(file)


def test_entries_override_defaults_field_by_field(tmp_path: Path) -> None:
    read = policy(tmp_path, RELEASE)
    assert read.of("mathvista") == Limits("critical", 0.01, metric="mean_reward")
    assert read.of("mathvision") == Limits("critical", 0.01, 0.02, 0.3, "mean_reward")
    assert read.of("vstar") == read.of("blink") == read.of("not listed") == read.defaults
    assert read.of("livecodebench_v6").metric == "pass@1"
    assert read.of("error_rate").sign == -1
    assert not read.of("hallucination").is_supported
    listed = {"mathvista", "mathvision", "vstar", "blink", "livecodebench_v6", "error_rate"}
    assert read.required == listed


def test_built_in_defaults_are_those_of_nemo_evaluator(tmp_path: Path) -> None:
    """BenchmarkGateDefaults: supporting, 0.015, no relative limit, higher_is_better."""
    read = policy(tmp_path, "version: 1\n")
    assert read.defaults == Limits("supporting", 0.015, None, None, "strict", "higher_is_better")
    assert not read.required


def test_the_relative_limit_counts_below_the_guard_only() -> None:
    """As in nel: baseline < relative_guard_below, and never for a baseline of 0."""
    guarded = Limits("critical", 0.01, 0.02, 0.2)
    assert [guarded.relative_drop(b) for b in (0.0, 0.1, 0.2, 0.5)] == [None, 0.02, None, None]
    assert Limits("critical", 0.01, 0.02).relative_drop(0.9) == 0.02
    assert Limits("critical", 0.01).relative_drop(0.1) is None


WRONG = {
    "version: 2": "version must be 1",
    "- a": "not a mapping",
    "version: 1\nbenchmark: {}": "did you mean benchmarks",
    "benchmarks: [a]": "benchmarks is not a mapping",
    "benchmarks: {a: 3}": "benchmark a is not a mapping",
    "benchmarks: {a: {max_drops: 1}}": "did you mean max_drop",
    "benchmarks: {a: {tier: high}}": "tier must be one of critical, supporting, advisory",
    "benchmarks: {a: {max_drop: 1.5}}": "benchmark a: max_drop must be a share",
    "benchmarks: {a: {max_drop: -0.1}}": "benchmark a: max_drop must be a share",
    "benchmarks: {a: {max_drop: .nan}}": "benchmark a: max_drop must be a share",
    "benchmarks: {a: {max_drop: [1]}}": "benchmark a: max_drop must be a share",
    "defaults: {relative_guard_below: 20}": "defaults: relative_guard_below must be a share",
    "defaults: {metric: bleu}": "the metric 'bleu' cannot be gated",
    "defaults: {direction: up}": "direction must be one of higher_is_better, lower_is_better",
    "a: b: c": "cannot be read",
    "benchmarks: {a: {}, a: {tier: advisory}}": "a is given twice",
    "\x00": "cannot be read",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"policy .*policy\.yaml") as error:
        policy(tmp_path, text)
    assert WRONG[text] in str(error.value)
    assert "\n" not in str(error.value)
