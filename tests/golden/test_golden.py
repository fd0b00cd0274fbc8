"""Stored runs and studies of commit 0bbc2f3 give what they gave then, whatever code reads them.

Numbers are equal to 1e-12, everything else is the same.  What may be called otherwise now stands
in the tables below and nowhere else.  README.md says what is stored and how it was made.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ablations.statistics.stored import SCHEMA, schema_1
from tests.golden import cases, study_bytes
from tests.golden.corrected import is_corrected

# A key of the old output, or a column of its tables -> what it may be called now.
RENAMED = {
    "word": "verdict",
    "wanted": "power",
    "planned": "effect_size",
    "brought": "external",
    "other_low": "alt_variance_low",
    "other_high": "alt_variance_high",
    "items_low": "boot_low",
    "items_high": "boot_high",
}
# Keys that the old output did not have and the new one may have.
ADDED: frozenset[str] = frozenset(
    {"macro", "runs", "source", "sources", "test", "time", "empty", "reasoning_only", "filtered"}
    | {
        "flag",
        "n_data",
        "native_missing",
        "source_value",
        "flags",
        "look",
        "strict_interval_low",
        "strict_interval_high",
        "averaged",
        "mean_low",
        "mean_high",
        "checks",
        "gaps",
        "excluded",
        "with_all",
        "left_out",
        "scores",
        "stderr",
        "tost_low",
        "tost_high",
        "p_holm",
        "system_prompt",
        "prompt_suffix",
    }
)
# A text of the old output -> what it may read now.
REWORDED: dict[str, str] = {
    "inference over items only; cannot support a claim about the method": (
        "one seed only: differences describe these checkpoints, not the method"
    ),
    "mean, on new items too (hierarchical bootstrap)": (
        "mean, items resampled (hierarchical bootstrap)"
    ),
    "planned effect": "effect size",
    "items a benchmark": "items per benchmark",
    "brought from elsewhere": "external",
    "New items too: interval of the hierarchical bootstrap; "
    "with so few seeds its error rates were not measured": (
        "Items resampled: interval of the hierarchical bootstrap; "
        "with so few seeds its error rates were not measured"
    ),
}
# Inference over few clusters is now corrected, and the note has their effective number.
for _few in (
    ("mathverse: only 6 clusters (fewer than 30)", "6.0"),
    ("mmmu_pro: only 15 clusters (fewer than 30)", "15.0"),
):
    REWORDED[f"{_few[0]}, so inference over items is not to be trusted"] = (
        f"{_few[0]}, effectively {_few[1]}, so inference over items is approximate"
    )
# Verdicts: the items they are about, the interval of TOST, and the arms against the base.
_TOTAL = "total better (contextrl - grpo +57.2 points [+53.6, +60.8]); "
_REST = (
    "; placebo not tested (contextrl - contextrl-shuffled -2.2 points [-5.8, +1.4]); "
    "data not tested (da-rl - grpo +56.1 points [+52.5, +59.7])"
)
_LOSS = (
    ": total worse (contextrl - grpo -59.4 points [-80.6, -38.3]); objective not tested "
    "(contextrl - da-sft -57.2 points [-64.3, -50.2]); placebo missing; "
    "data not tested (da-sft - grpo -2.2 points [-17.0, +12.5])."
)
_REAL = (
    "The gain of contextrl over grpo is real{}, but the objective adds nothing to what its data "
    "gives (within the margin)"
)
REWORDED |= {
    # A study of external runs: their scores were there before.
    "written, before any score was read": "written",
    "two methods, by 2 and 2 training seeds, on these benchmarks": (
        "two methods, by 2 and 2 training seeds, on these 90 items"
    ),
    # Of a stored analysis the sentence is made again of its numbers.
    _REAL.format(""): _REAL.format(" on these 90 items"),
    f"contextrl loses to grpo{_LOSS}": f"contextrl loses to grpo on these 90 items{_LOSS}",
    # The runs called grpo were trained to ruin: over the base nothing was gained.
    "The gain of contextrl over grpo is real, but the objective adds nothing to what its data "
    f"gives (within the margin): {_TOTAL}objective equivalent within 6 points "
    f"(contextrl - da-rl +1.1 points [-2.5, +4.7]){_REST}.": (
        "contextrl is better than grpo on these 90 items, but it is equivalent to base, so nothing "
        f"was gained: {_TOTAL}objective equivalent within 6 points "
        f"(contextrl - da-rl +1.1 points [-1.7, +3.9] (90 % interval)){_REST}; against base "
        "(grpo - base -57.8 points [-60.3, -55.2] worse, "
        "da-rl - base -1.7 points [-3.6, +0.3] (90 % interval) equivalent, "
        "contextrl - base -0.6 points [-2.5, +1.4] (90 % interval) equivalent, "
        "contextrl-shuffled - base +1.7 points [-0.3, +3.6] (90 % interval) equivalent)."
    ),
}
# A comparison of this age names no runs: seeds and invalid answers were shown as 0.
REWORDED["0 / 0"] = "2 / 2"
UNKNOWN = {"report-comparison": "invalid"}
ADDED |= frozenset(
    f"{side}_interval_{end}" for side in ("plus", "minus") for end in ("low", "high")
)
# Notes that there are now and were not: these words are in them.
NOTED = ("score alike on every item", "are external and were finished", "are also in")
# Hashes that hang on the names of keys or on our source; they are there, whatever they are.
HASHES = frozenset({"plan_hash", "read"})
AGAIN = "ablate-relabelled"  # the one study that is stored with its plan and made again


def same(old: Any, new: Any, place: str = "") -> list[str]:
    """Return where two documents differ, each place with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        return _same_keys(old, new, place)
    if isinstance(old, list) and isinstance(new, list):
        new = [v for v in new if not (isinstance(v, str) and any(note in v for note in NOTED))]
        if len(old) != len(new):
            return [f"{place}: {len(old)} entries, now {len(new)}"]
        pairs = enumerate(zip(old, new, strict=True))
        return [line for k, (one, other) in pairs for line in same(one, other, f"{place}[{k}]")]
    return [] if _equal(old, new) else [f"{place}: {old!r}, now {new!r}"]


def _same_keys(old: dict[str, Any], new: dict[str, Any], place: str) -> list[str]:
    found, known = [], set()
    for key, value in old.items():
        name = key if key in new else RENAMED.get(key, key)
        known.add(name)
        if name not in new:
            found.append(f"{place}.{key}: gone, it was {value!r}")
        elif key not in HASHES:
            found += same(value, new[name], f"{place}.{key}")
    return found + [f"{place}.{key}: new" for key in new if key not in known | ADDED]


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, str) and isinstance(new, str):
        if new in (old, REWORDED.get(old)):
            return True
        try:  # the tables of a report are texts
            return math.isclose(float(old), float(new), rel_tol=1e-12, abs_tol=1e-12)
        except ValueError:
            return False
    if isinstance(old, float) and type(new) in (int, float):
        return math.isclose(old, new, rel_tol=1e-12, abs_tol=1e-12) or is_corrected(old, new)
    return type(old) is type(new) and bool(old == new)


def expected(name: str) -> Any:
    """Return what a command of `cases.COMMANDS` said at commit 0bbc2f3."""
    return json.loads((cases.EXPECTED / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root with the data that the stored runs were made on."""
    folder = tmp_path_factory.mktemp("golden_data")
    cases.write_data(folder)
    return folder


@pytest.fixture
def world(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of all that is stored, which is the working folder of the test."""
    folder = tmp_path.resolve()
    cases.world(folder, data)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("name", [name for name in cases.COMMANDS if name != AGAIN])
@pytest.mark.usefixtures("world")
def test_a_command_says_what_it_said(name: str) -> None:
    old = expected(name)
    for row in old["rows"] if name in UNKNOWN else ():
        assert row.pop(UNKNOWN[name], "0") == "0"
    assert same(old, cases.called(name)) == []


def test_a_stored_study_is_analysed_again_alike(world: Path) -> None:
    path = world / cases.RELABELLED / "analysis.json"
    plan = (path.with_name("plan.json")).read_bytes()
    before = json.loads(path.read_text())
    path.write_text("{}")
    found = cases.called(AGAIN)
    assert same(expected(AGAIN), found) == []
    after = json.loads(path.read_text())
    assert same({**before, "schema": SCHEMA}, after) == []
    # A plan of schema 1 keeps its hash and its file.
    assert found["json"]["plan_hash"] == before["plan_hash"] == after["plan_hash"]
    assert path.with_name("plan.json").read_bytes() == plan


@pytest.mark.parametrize("study", study_bytes.STUDIES)
@pytest.mark.usefixtures("world")
def test_the_built_in_study_says_the_same_to_the_byte(study: str) -> None:
    """Plan, analysis, printed verdict and page, as at commit e03cad7."""
    assert study_bytes.said(study) == study_bytes.expected(study)


def test_a_stored_study_of_schema_1_that_is_finished_is_not_analysed_again(world: Path) -> None:
    folder = world / cases.RELABELLED
    cases.called(AGAIN)
    analysis = folder / "analysis.json"
    analysis.write_text(json.dumps(schema_1(json.loads(analysis.read_text()))))
    old = analysis.read_bytes()
    cases.called(AGAIN)
    assert analysis.read_bytes() == old


def test_a_plan_of_schema_1_that_differs_is_refused_by_its_names_of_today(world: Path) -> None:
    from click.testing import CliRunner

    from harness.cli.main import cli

    words = [*cases.words(AGAIN), "--effect-size", "14", "--margin", "7"]
    words = [word for word in words if word not in ("--planned", "12")]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert "its plan differs in rules.effect_size, rules.margin: " in str(done.exception)


def scores(samples: Path) -> dict[str, Any]:
    """Return the last score of every item in a file of samples."""
    rows = map(json.loads, samples.read_text().splitlines())
    return {row["id"]: row["score"] for row in rows}


def test_answers_that_another_scorer_scored_are_scored_again_alike(world: Path) -> None:
    """Nothing but the texts of the answers is left to say what the scores were."""
    files = sorted((world / cases.RUN / "samples").glob("*.jsonl"))
    before = {path: scores(path) for path in files}
    assert sum(map(len, before.values())) == 120
    lost = {"value": None, "status": "unscored", "prediction": "?", "why": "another scorer"}
    for path in files:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        lines = [json.dumps({**row, "score": lost, "scoring": "another"}) + "\n" for row in rows]
        path.write_text("".join(lines))
    assert same(expected("run"), cases.called("run")) == []
    for path in files:
        assert same(before[path], scores(path)) == [], path.stem
