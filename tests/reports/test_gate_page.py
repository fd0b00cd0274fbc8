"""The page of a release gate states the decision and what it rests on."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from ablations.statistics.release.gate import Gate, gate
from ablations.statistics.release.policy import read_policy
from ablations.statistics.release.stored import read_saved
from harness.cli.output import json_text
from harness.errors import UsageError
from reports import output as reports
from reports.pages import Page

# The decision -> limits, where the candidate loses 20 points on both benchmarks.
POLICIES = {
    "GO": "defaults: {max_drop: 0.5}",
    "NO-GO": "defaults: {max_drop: 0.01, max_relative_drop: 0.9}",
    "INCONCLUSIVE": "defaults: {max_drop: 0.2}",
    "GO, advisory": "defaults: {max_drop: 0.5}\nbenchmarks: {vstar: {tier: advisory}}",
}


def judged(gated: tuple[Path, Path], text: str, folder: Path) -> Gate:
    file = folder / "policy.yaml"
    file.write_text(text)
    return gate([gated[0]], [gated[1]], read_policy(file), 0.01)


def page_of(found: Gate, folder: Path) -> Page:
    saved = folder / "gate.json"
    saved.write_text(json_text(found))
    assert read_saved(saved) == found
    return reports.page_of([saved], None)[0]


@pytest.mark.parametrize("case", POLICIES)
def test_the_page_states_the_decision_and_every_benchmark(
    case: str, gated: tuple[Path, Path], tmp_path: Path
) -> None:
    found = judged(gated, POLICIES[case], tmp_path)
    verdict = case.partition(",")[0]
    page = page_of(found, tmp_path)
    assert page.headline.startswith(f"{verdict}: ")
    assert [step.verdict for step in page.steps] == [verdict]
    assert page.sentence.startswith(f"{verdict} for contextrl-0 against grpo-0: ")
    for reason in found.reasons:
        assert reason in page.sentence
    table = next(table for table in page.tables if table.id == "gate")
    shown = {row["benchmark"]: table.text(row, table.columns[2]) for row in table.rows}
    assert shown == {line.benchmark: str(line.status) for line in found.benchmarks}
    undecided = [line.benchmark for line in found.benchmarks if line.undecided]
    assert ("needs" in [table.id for table in page.tables]) == bool(undecided)
    assert {"validity", "provenance"} <= {section.id for section in page.sections}
    text = re.sub("<[^>]*>", "", reports.render(page))
    assert f"{verdict}: " in text
    assert all(line.benchmark in text for line in found.benchmarks)


def test_every_decision_was_made(gated: tuple[Path, Path], tmp_path: Path) -> None:
    found = {case: str(judged(gated, text, tmp_path).verdict) for case, text in POLICIES.items()}
    assert found == {case: case.partition(",")[0] for case in POLICIES}


def test_runs_that_are_gone_and_items_left_out_are_told(
    gated: tuple[Path, Path], tmp_path: Path
) -> None:
    found = judged(gated, POLICIES["GO"], tmp_path)
    gone = {side: [{"folder": "nowhere", "model": side}] for side in found.runs}
    told = dataclasses.replace(found, runs=gone, excluded={"vstar": 3}, with_all=found.verdict)
    page = page_of(told, tmp_path)
    blocks = [block for section in page.sections for block in section.blocks]
    assert "Items left out (--exclude): vstar 3. With them: GO." in blocks
    assert "Release gate: candidate against baseline" in page.label


@pytest.mark.parametrize("text", ["", "[1]", '{"reasons": []}', '{"reasons": 3, "verdict": "GO"}'])
def test_what_is_no_gate_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "gate.json").write_text(text)
    with pytest.raises(UsageError, match="is not what `harness"):
        reports.page_of([tmp_path / "gate.json"], None)


def test_a_gate_of_another_decision_is_refused(gated: tuple[Path, Path], tmp_path: Path) -> None:
    document = json.loads(json_text(judged(gated, POLICIES["GO"], tmp_path)))
    (tmp_path / "gate.json").write_text(json.dumps(document | {"verdict": "MAYBE"}))
    with pytest.raises(UsageError, match="verdict"):
        reports.page_of([tmp_path / "gate.json"], None)
