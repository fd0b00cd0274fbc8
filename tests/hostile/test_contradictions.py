"""A run folder that contradicts itself, or another one: no number is made of it in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.statistics.comparison.models import models
from ablations.statistics.comparison.sides import checkpoints
from ablations.statistics.comparison.stored import read_comparisons
from ablations.statistics.contrasts import Rules
from ablations.statistics.release.gate import Gate, gate
from ablations.statistics.release.policy import Limits, Policy
from ablations.statistics.release.stored import read_saved
from ablations.study.plan import json_text
from ablations.study.study import stored_report
from ablations.training.ledger import last_complete
from harness.errors import UsageError
from harness.reading import read_run
from harness.records import Score, Status
from harness.runs.store import read_samples
from reports.output import page_of
from reports.read.runs import answers, open_run
from reports.read.study import read as read_study
from tests.hostile.kinds import changed

STORED = Path(__file__).parents[1] / "golden" / "stored" / "studies" / "trained" / "runs"
SAMPLES = Path("samples", "vstar.jsonl")
Row = dict[str, Any]
READING: Sequence[Callable[[Path, Path], object]] = (
    lambda a, _: open_run(a, "a"),
    lambda a, _: read_run(a),
    lambda a, b: checkpoints(a, b, Rules()),
)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    sides = tmp_path / "a", tmp_path / "b"
    for side, arm in zip(sides, ("grpo", "contextrl"), strict=True):
        (stored,) = (STORED / f"{arm}-seed-0").glob("*-vqa12-*")
        shutil.copytree(stored, side)
    return sides


def change(path: Path, change_row: Callable[[Row], Row]) -> None:
    """Change each line, and keep the bytes of the others as they are."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [json.dumps(change_row(json.loads(line)), separators=(",", ":")) for line in lines]
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


@given(value=st.none() | st.floats(0, 1), status=st.sampled_from(get_args(Status)))
def test_a_score_has_the_value_that_its_status_allows(value: float | None, status: Status) -> None:
    allowed = {"scored": value is not None, "unparsable": value == 0}.get(status, value is None)
    try:
        Score(value, status)
    except ValueError:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize(
    "edited",
    [
        {"score": {"value": 1.0, "status": "error"}},
        {"score": {"value": 1.0, "status": "unparsable"}},
        {"score": {"value": None, "status": "scored"}},
        {"repeat": -7},
    ],
)
def test_a_line_that_contradicts_itself_is_refused(runs: tuple[Path, Path], edited: Row) -> None:
    change(runs[0] / SAMPLES, lambda row: row | edited)
    for read in (read_samples, answers):
        with pytest.raises(UsageError, match=r"vstar.jsonl is corrupt at line 1"):
            read(runs[0], "vstar")


@pytest.mark.parametrize("name", ["strict", "native", "n", "answers"])
def test_a_summary_that_its_samples_contradict_is_refused(
    runs: tuple[Path, Path], name: str
) -> None:
    path = runs[0] / "summary.json"
    document = json.loads(path.read_text())
    assert open_run(runs[0], "a").rows
    (row,) = (row for row in document["benchmarks"] if row["benchmark"] == "vstar")
    row[name] = 0.99 if name in ("strict", "native") else 1000
    path.write_text(json.dumps(document))
    for use in READING:
        with pytest.raises(UsageError, match="of vstar, whose samples say"):
            use(*runs)


def test_a_score_that_was_changed_in_place_is_not_the_one_that_is_shown(
    runs: tuple[Path, Path],
) -> None:
    path = runs[0] / SAMPLES
    path.write_bytes(path.read_bytes().replace(b'"value":0.0', b'"value":1.0'))
    for use in READING:
        with pytest.raises(UsageError, match="of vstar, whose samples say"):
            use(*runs)


def test_runs_with_other_right_answers_are_not_compared(runs: tuple[Path, Path]) -> None:
    change(runs[1] / SAMPLES, lambda row: row | {"target": "something else"})
    with pytest.raises(UsageError, match="vstar: the right answer to 0 is another"):
        checkpoints(*runs, Rules())


def test_clusters_that_differ_between_runs_are_told(runs: tuple[Path, Path]) -> None:
    assert not any("in other clusters" in note for note in checkpoints(*runs, Rules()).notes)
    change(runs[1] / SAMPLES, lambda row: row | {"cluster": f"own {row['id']}"})
    notes = checkpoints(*runs, Rules()).notes
    assert any("vstar: in other clusters or parts in" in note for note in notes)


STUDY = STORED.parents[1] / "relabelled"


def analysis() -> Row:
    """Return the analysis of a stored study as it is written now."""
    document: Row = json.loads(json_text(stored_report(STUDY)))
    return document


def forged(document: Row, what: str) -> Row:
    """Edit one number of an analysis; the rest stays."""
    line = document["analysis"]["contrasts"][0]
    if what == "scores":
        for row in document["benchmarks"]:
            row["scores"][line["plus"]] = [0.9] * len(row["scores"][line["plus"]])
    elif what == "average":
        document["macro"][line["plus"]][0] = 0.9
    elif what == "difference":
        line["delta"] = 0.4
    elif what == "on a benchmark":
        line["benchmarks"][0]["delta"] = 0.4
    else:
        line["verdict"] = "worse" if line["delta"] >= 0 else "better"
    return document


@pytest.mark.parametrize("what", ["scores", "average", "difference", "on a benchmark", "verdict"])
def test_an_analysis_that_contradicts_itself_is_refused(tmp_path: Path, what: str) -> None:
    shutil.copy(STUDY / "plan.json", tmp_path)
    path = tmp_path / "analysis.json"
    path.write_text(json.dumps(forged(analysis(), what)))
    with pytest.raises(UsageError, match=r"analysis\.json is corrupt"):
        stored_report(tmp_path)


def test_the_sentence_of_an_analysis_is_made_of_its_numbers(tmp_path: Path) -> None:
    shutil.copy(STUDY / "plan.json", tmp_path)
    document, said = analysis(), stored_report(STUDY).verdict
    for of in (document, document["analysis"]):
        of["verdict"] = "The objective is proven."
    (tmp_path / "analysis.json").write_text(json.dumps(document))
    assert stored_report(tmp_path).verdict == said


def test_an_analysis_that_its_runs_contradict_is_refused(tmp_path: Path) -> None:
    """All its numbers fit each other, but two benchmarks have each other's names."""
    shutil.copytree(STORED.parents[1], tmp_path / "studies")
    path = tmp_path / "studies" / "relabelled" / "analysis.json"
    text = json.dumps(analysis())
    for name, other in (("vstar", "x"), ("mathverse", "vstar"), ("x", "mathverse")):
        text = text.replace(f'"{name}"', f'"{other}"')
    assert read_study(path.parent).report
    path.write_text(text)
    with pytest.raises(UsageError, match=r"analysis\.json has the score .*, whose run says"):
        read_study(path.parent)


def test_a_saved_gate_whose_benchmarks_say_something_else_is_refused(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    policy = Policy(Limits(), {"vstar": Limits(max_drop=0.5)})
    path = tmp_path / "gate.json"
    path.write_text(json_text(gate([runs[0]], [runs[1]], policy, 1.0)))
    saved = read_saved(path)
    assert isinstance(saved, Gate)
    (other,) = {"GO", "NO-GO"} - {"GO" if saved.verdict == "INCONCLUSIVE" else saved.verdict}
    path.write_text(path.read_text().replace(f'"{saved.verdict}"', f'"{other}"', 1))
    with pytest.raises(UsageError, match=f"its benchmarks do not say {other}"):
        read_saved(path)


def saved(runs: tuple[Path, Path], path: Path, several: bool) -> Row:
    """Save a comparison, which is read as it was written, and return it."""
    third = runs[0].parent / "c"
    shutil.copytree(runs[1], third)
    found = models([*runs, third], None, Rules()) if several else checkpoints(*runs, Rules())
    path.write_text(json_text(found))
    assert read_comparisons(path).to_frame().equals(found.to_frame())
    document: Row = json.loads(path.read_text())
    return document


EDITS: Sequence[tuple[tuple[str | int, ...], Any]] = (
    (("delta",), 0.4), (("low",), -0.9), (("p",), 1e-9), (("verdict",), "mixed"),
    (("tost_high",), 0.001), (("p",), 2.0),
)  # fmt: skip


@pytest.mark.parametrize(("where", "value"), EDITS)
@pytest.mark.parametrize("line", [("macro",), ("benchmarks", 0)])
@pytest.mark.parametrize("several", [False, True])
def test_a_saved_comparison_that_contradicts_itself_is_refused(
    runs: tuple[Path, Path], tmp_path: Path, several: bool, line: Any, where: Any, value: Any
) -> None:
    path = tmp_path / "comparison.json"
    document = saved(runs, path, several)
    line = ("contrasts", 0, *line) if several else line
    path.write_text(json.dumps(changed(document, (*line, *where), value)))
    with pytest.raises(UsageError, match="is not what `harness compare --json` prints"):
        read_comparisons(path)


@pytest.mark.parametrize("several", [False, True])
def test_a_score_that_a_saved_comparison_does_not_compare_is_refused(
    runs: tuple[Path, Path], tmp_path: Path, several: bool
) -> None:
    path = tmp_path / "comparison.json"
    document = saved(runs, path, several)
    at = ("models", 0, "score") if several else ("scores", 0, "score")
    path.write_text(json.dumps(changed(document, at, 0.99)))
    with pytest.raises(UsageError, match="is not the difference of the scores"):
        read_comparisons(path)


@pytest.mark.parametrize("several", [False, True])
def test_what_a_saved_comparison_is_about_is_not_believed(
    runs: tuple[Path, Path], tmp_path: Path, several: bool
) -> None:
    path = tmp_path / "comparison.json"
    document = saved(runs, path, several)
    path.write_text(json.dumps(document | {"heading": "two methods, by 50 and 50 training seeds"}))
    assert read_comparisons(path).heading == document["heading"]


@pytest.mark.parametrize("several", [False, True])
def test_a_page_says_that_the_runs_of_a_saved_document_were_not_read(
    runs: tuple[Path, Path], tmp_path: Path, several: bool
) -> None:
    path = tmp_path / "comparison.json"
    saved(runs, path, several)
    said = "the answers of its runs were not read"
    assert not any(said in warning for warning in page_of([path], None)[0].warnings)
    shutil.rmtree(runs[0])
    assert any(said in warning for warning in page_of([path], None)[0].warnings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "inferior"), ("p", 0.001), ("p", -0.1), ("delta", -0.1),
     ("candidate", 0.0), ("low", -0.9), ("baseline", 1.5)],
)  # fmt: skip
def test_a_saved_gate_whose_numbers_contradict_each_other_is_refused(
    runs: tuple[Path, Path], tmp_path: Path, name: str, value: Any
) -> None:
    policy = Policy(Limits(), {"vstar": Limits(max_drop=0.9)})
    path = tmp_path / "gate.json"
    path.write_text(json_text(gate([runs[0]], [runs[1]], policy, 1.0)))
    found = read_saved(path)
    assert isinstance(found, Gate)
    at = [line.benchmark for line in found.benchmarks].index("vstar")
    document = changed(json.loads(path.read_text()), ("benchmarks", at, name), value)
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"vstar|do not say"):
        read_saved(path)


def test_a_saved_gate_that_was_not_decided_is_no_go_by_another_word(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    policy = Policy(Limits(max_drop=0.05), {"vstar": Limits(max_drop=0.05)})
    path = tmp_path / "gate.json"
    document = json.loads(json_text(gate([runs[0]], [runs[1]], policy, 1.0)))
    assert "not enough data" in {row["status"] for row in document["benchmarks"]}
    for row in document["benchmarks"]:
        row |= {"status": "non-inferior", "p": 1.0, "undecided": None}
    path.write_text(json.dumps(document | {"verdict": "GO"}))
    with pytest.raises(UsageError, match="do not say non-inferior"):
        read_saved(path)


def test_a_saved_gate_may_have_a_rounding_error_above_1(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    policy = Policy(Limits(), {"vstar": Limits(max_drop=0.9)})
    path = tmp_path / "gate.json"
    document = json.loads(json_text(gate([runs[0]], [runs[1]], policy, 1.0)))
    names = [row["benchmark"] for row in document["benchmarks"]]
    row = document["benchmarks"][names.index("vstar")]
    above = 1 + 2e-16
    row["candidate"], row["baseline"] = above + min(0, row["delta"]), above - max(0, row["delta"])
    path.write_text(json.dumps(document))
    assert isinstance(read_saved(path), Gate)


@pytest.mark.parametrize("step", [10**9, 2, "3", None])
def test_a_checkpoint_that_names_another_step_is_not_resumed(tmp_path: Path, step: Any) -> None:
    """Of a billion steps a training of twenty would be at its end, with nothing trained."""
    for number, stated in ((2, 2), (3, step)):
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": stated}))
    assert last_complete(tmp_path) == tmp_path / "checkpoint-2"
