"""The public Python API says what the commands say."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import ablations
import harness as harness_package
import reports
from harness.errors import UsageError
from harness.runs.store import encode, read_samples
from tests.commands import ROOT, harness
from tests.docs.notebook import outputs, recorded

STUDY = ROOT / "tests/golden/stored/studies/trained"
A = STUDY / "runs/grpo-seed-0/checkpoint-vqa12-102c17da"
B = STUDY / "runs/contextrl-seed-0/checkpoint-vqa12-68356d1a"
C = STUDY / "runs/da-sft-seed-0/checkpoint-vqa12-279c5b60"
SIDES = ([A, A.parents[1] / "grpo-seed-1/checkpoint-vqa12-17f2be24"],
         [B, B.parents[1] / "contextrl-seed-1/checkpoint-vqa12-1f6d24c1"])  # fmt: skip


def printed(*arguments: object) -> object:
    """Return the JSON document that a command prints."""
    return json.loads(harness(*arguments, "--json").stdout)


def as_json(record: object) -> object:
    return json.loads(json.dumps(dataclasses.asdict(record)))  # type: ignore[call-overload]


def test_a_run_is_what_its_files_hold() -> None:
    run = harness_package.read_run(str(A))
    scores = run.scores().set_index("benchmark")
    summary = json.loads((A / "summary.json").read_text())["benchmarks"]
    assert list(scores.index) == [row["benchmark"] for row in summary]
    assert list(scores.strict) == [row["strict"] for row in summary]
    assert scores.native.isna().tolist() == [row["native"] is None for row in summary]
    frame = run.samples()
    assert len(frame) == sum(row["answers"] for row in summary)
    for row in summary:
        of = frame[frame.benchmark == row["benchmark"]]
        assert (of.status == "unparsable").sum() == row["unparsable"]
        assert of.native.notna().sum() == row["native_n"]
    assert run.samples("vstar").value.mean() == pytest.approx(scores.strict["vstar"])
    parts = run.parts().set_index(["benchmark", "part"]).strict
    assert dict(parts["vstar"]) == next(r for r in summary if r["benchmark"] == "vstar")["parts"]


def test_a_row_of_a_frame_is_a_sample() -> None:
    first = harness_package.read_run(A).samples("vstar").iloc[0]
    sample = read_samples(A, "vstar")[first.id, first["repeat"]]
    assert first.response == sample.response.text  # type: ignore[union-attr]
    assert (first.value, first.status) == (sample.score.value, sample.score.status)
    assert first.target == sample.target
    assert first.prompt == "\n\n".join(sample.prompt)


def test_a_frame_without_rows_or_values_has_the_same_types(tmp_path: Path) -> None:
    run = harness_package.read_run(A)
    sample = next(iter(read_samples(A, "vstar").values()))
    failed = dataclasses.replace(
        sample, response=None, score=dataclasses.replace(sample.score, value=None, status="error")
    )
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "vstar.jsonl").write_text(encode(failed))
    (tmp_path / "manifest.json").write_bytes((A / "manifest.json").read_bytes())
    other = harness_package.read_run(tmp_path)
    assert other.scores().empty
    numbers = ["value", "native", "judged", "time", "prompt_tokens", "completion_tokens"]
    for frame in (other.samples("vstar"), other.samples("blink")):
        assert dict(frame[numbers].dtypes) == dict(run.samples("vstar")[numbers].dtypes)
    assert other.samples("vstar").value.isna().all()


@pytest.mark.parametrize(
    ("words", "sides"),
    [
        ((A, B), (A, B)),
        ((A, B), (harness_package.read_run(A), str(B))),
        (("--a", *SIDES[0], "--b", *SIDES[1]), SIDES),
    ],
)
def test_compare_is_what_the_command_prints(
    words: Sequence[object], sides: tuple[object, object]
) -> None:
    comparison = ablations.compare(*sides)  # type: ignore[arg-type]
    document = printed("compare", *words)
    assert as_json(comparison) == document or isinstance(sides[1], str)  # folders as they are given
    assert isinstance(document, dict)
    frame = comparison.to_frame().set_index("benchmark")
    assert list(frame.index) == [*(row["benchmark"] for row in document["benchmarks"]), "mean"]
    assert list(frame.delta) == [
        *(row["delta"] for row in document["benchmarks"]), document["macro"]["delta"]
    ]  # fmt: skip
    assert frame.verdict["mean"] == document["macro"]["verdict"]


def test_many_models_are_what_the_command_prints() -> None:
    found = ablations.compare_models([A, B, C], baseline=B)
    document = printed("compare", A, B, C, "--baseline", B)
    assert as_json(found) == document
    assert isinstance(document, dict)
    frame = found.to_frame()
    assert len(frame) == sum(len(each["benchmarks"]) + 1 for each in document["contrasts"])
    assert set(frame.minus) == {document["baseline"]}


def test_an_analysis_is_the_stored_one() -> None:
    report = ablations.analyse(STUDY)
    stored = json.loads((STUDY / "analysis.json").read_text())
    assert report.verdict == stored["verdict"]
    frame = report.to_frame()
    means = frame[frame.benchmark == "mean"]
    lines = [*stored["analysis"]["contrasts"], *stored["analysis"].get("checks", [])]
    assert list(means.delta) == [line["delta"] for line in lines]
    assert list(means.tested) == [line["tested"] for line in lines]
    assert len(frame) == sum(len(line["benchmarks"]) + 1 for line in lines)


def test_a_report_of_a_record_is_that_of_the_saved_comparison(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps(printed("compare", A, B)))
    assert harness("report", saved, "--out", tmp_path / "by_command.html").returncode == 0
    page, table = tmp_path / "saved.json.html", tmp_path / "table.csv"
    headline = reports.write(ablations.compare(A, B), page, csv=table)
    assert headline in page.read_text()
    ours, theirs = page.read_text(), (tmp_path / "by_command.html").read_text()
    assert ours == theirs
    assert table.read_text().startswith("table,source,")
    with pytest.raises(UsageError):
        reports.write(table, page)


@pytest.mark.parametrize(
    "call",
    [
        lambda: harness_package.read_run(ROOT / "docs"),
        lambda: harness_package.read_run(A).samples("vstarr"),
        lambda: ablations.compare(A, [B]),
        lambda: ablations.compare(A, B, margin=0),
        lambda: ablations.compare_models([A, B, C], baseline="nobody"),
        lambda: ablations.analyse(A),
        lambda: reports.write(ROOT / "nowhere", "page.html"),
    ],
)
def test_wrong_input_is_a_usage_error(call: object) -> None:
    with pytest.raises(UsageError):
        call()  # type: ignore[operator]


def test_the_faces_are_light_and_whole() -> None:
    program = (
        "import sys, harness, benchmarks, ablations, reports\n"
        "print({'numpy', 'pandas', 'torch', 'matplotlib', 'scipy'} & set(sys.modules))\n"
        "for face in (harness, ablations, reports):\n"
        "    assert all(getattr(face, name) for name in face.__all__)\n"
        "print({'torch', 'transformers', 'lmms_eval', 'datasets'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\nset()\n"
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'read_runs'"):
        _ = harness_package.read_runs  # type: ignore[attr-defined]


def test_the_notebook_prints_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "docs")
    notebook = Path("api.ipynb")
    assert outputs(notebook) == recorded(notebook)
