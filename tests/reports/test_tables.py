"""Tables: the paper's averages through our code, the analysis' numbers, LaTeX that compiles."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ablations.statistics.analysis import macro_average
from ablations.statistics.estimates import Verdict
from ablations.statistics.lines import ArmLine
from reports import output as reports
from reports import tables
from reports.read.study import read
from tests.reports.studies import frame


def test_the_papers_table_has_its_printed_averages() -> None:
    # The VQA table that the paper (arXiv 2606.17053) prints.
    text = (Path(__file__).parent / "paper_vqa12.csv").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    printed = {row.pop("benchmark"): row for row in csv.DictReader(lines)}
    for row in printed.values():
        del row["category"]
    last = printed.pop("average")
    rows = {
        name: {arm: float(score) / 100 for arm, score in row.items()}
        for name, row in printed.items()
    }
    averages = macro_average(
        {name: {arm: np.array([score]) for arm, score in row.items()} for name, row in rows.items()}
    )
    arms = {arm: ArmLine(arm, 1, float(mean[0]), None, None) for arm, mean in averages.items()}
    table = tables.scores(rows, arms)
    assert table.foot == 12
    shown = {c.key: table.text(table.rows[12], c) for c in table.columns[1:]}
    assert shown == {name: f"{float(value):.1f}" for name, value in last.items()}
    assert list(shown.values()) == ["47.0", "51.4", "52.2", "53.4", "58.3", "64.1", "65.7"]


def test_the_average_row_is_the_macro_average_of_the_analysis(study: Path) -> None:
    stored = read(study)
    page, _ = reports.page_of([study], None)
    shown = frame(page, "scores")
    for line in stored.report.analysis.arms:
        assert shown[line.arm].iloc[-1] == pytest.approx(line.mean, abs=1e-12)
        assert shown[line.arm].iloc[:-1].mean() == pytest.approx(line.mean, abs=1e-12)
        by_seed = [stored.scores[name][line.arm] for name in stored.scores]
        averages = [sum(seed) / len(seed) for seed in zip(*by_seed, strict=True)]
        assert stored.report.macro[line.arm] == pytest.approx(averages, abs=1e-12)


def test_cells_say_points_signs_and_words() -> None:
    assert tables.cell(0.0182, "delta") == "+1.8"
    assert tables.cell(-0.0004, "delta") == "−0.0"
    assert tables.cell(None, "score") == tables.cell(float("nan"), "p") == "–"
    assert tables.cell(0.0004, "p") == "<.001"
    assert tables.interval(-0.009, 0.009) == "[−0.9, +0.9]"
    assert tables.interval(None, 0.1) == "–"
    assert tables.signed(Verdict.BETTER_WITHIN_MARGIN) == "▲ better (within the margin)"
    assert [tables.seconds(v) for v in (90, 840, 9000)] == ["90 s", "14 min", "2.5 h"]


def test_csv_holds_the_numbers_of_the_analysis_and_every_flip(study: Path, tmp_path: Path) -> None:
    page, _ = reports.page_of([study], None)
    reports.csv(page, tmp_path / "all.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    stored = json.loads((study / "analysis.json").read_text())["analysis"]["contrasts"]
    shown = [row for row in rows if row["table"] == "contrasts"]
    assert [row["name"] for row in shown] == [line["name"] for line in stored]
    assert [float(row["delta"]) for row in shown] == [line["delta"] for line in stored]
    for bound in ("low", "high"):
        assert [float(row[f"interval_{bound}"]) for row in shown] == [
            line[bound] for line in stored
        ]
    assert "interval" not in rows[0]
    counts = [row for row in rows if row["table"] == "flips-counts"]
    flips = [row for row in rows if row["table"] == "flips"]
    total = sum(int(row["gained"]) + int(row["lost"]) for row in counts)
    assert len(flips) == total > 0
    gained = [row for row in flips if float(row["contextrl"]) > float(row["grpo"])]
    assert len(gained) == sum(int(row["gained"]) for row in counts)


def test_latex_escapes_what_it_must() -> None:
    assert tables.latex(r"a_b & 5 % \x {y} −1 ▲ é") == (
        r"a\_b \& 5 \% \textbackslash{}x \{y\} $-$1 $\uparrow$ ?"
    )


def test_the_latex_compiles(study: Path, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        assert not os.environ.get("CI"), "CI installs pdflatex"
        pytest.skip("no pdflatex on this machine")
    page, _ = reports.page_of([study], None)
    reports.latex(page, tmp_path / "tables.tex")
    (tmp_path / "main.tex").write_text(
        r"\documentclass{article}\begin{document}\scriptsize\input{tables}\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "main.pdf").stat().st_size > 1000
