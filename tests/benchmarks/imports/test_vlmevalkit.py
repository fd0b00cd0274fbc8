"""Tables as VLMEvalKit's public code (ms-vlmeval 0.0.20) writes them, and what is read of them.

Columns and names are those of its `inference.py`, `get_intermediate_file_path` and
`evaluate_heuristic`: MODEL/MODEL_DATASET.xlsx, and beside it the same with _exact_matching_result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.imports import formats
from benchmarks.imports.log import Log
from harness.errors import UsageError
from tests.benchmarks.imports.test_lm_eval import imported
from tests.commands import harness, one_line

QUESTIONS = [(3, 4), (12, 9), (25, 17), (8, 8)]
ANSWERS = ["B", "The answer is A.", "Failed to obtain answer via API.", "C"]
HITS = [1, 0, 0, 0]


def rows() -> list[dict[str, Any]]:
    return [
        {"index": i, "question": f"What is {a} + {b}?", "A": a + b + 1, "B": a + b, "answer": "B",
         "category": "sums", "prediction": text}
        for i, ((a, b), text) in enumerate(zip(QUESTIONS, ANSWERS, strict=True))
    ]  # fmt: skip


def write(folder: Path, model: str = "Qwen2-VL_2B", suffix: str = ".xlsx") -> Path:
    (folder / model).mkdir(parents=True)
    own = folder / model / f"{model}_Some_Bench{suffix}"
    graded = [{**row, "hit": hit, "log": "x"} for row, hit in zip(rows(), HITS, strict=True)]
    for path, table in (
        (own, rows()),
        (own.with_stem(f"{own.stem}_exact_matching_result"), graded),
    ):
        frame = pd.DataFrame(table)
        if suffix == ".tsv":
            frame.to_csv(path, sep="\t", index=False)
        else:
            frame.to_excel(path, index=False)
    acc = pd.DataFrame({"split": ["none"], "Overall": [0.25]})
    acc.to_csv(own.with_name(f"{own.stem}_acc.csv"), index=False)
    return own


def read(path: Path) -> Log:
    assert formats.recognise([path]) == "vlmevalkit"
    (log,) = formats.get("vlmevalkit").read([path])
    return log


@pytest.mark.parametrize("suffix", [".xlsx", ".tsv"])
def test_predictions_are_read_with_their_verdicts(tmp_path: Path, suffix: str) -> None:
    log = read(write(tmp_path, suffix=suffix).parent)
    (task,) = log.tasks
    assert (log.model, task.name, log.notes) == ("Qwen2-VL_2B", "Some_Bench", [])
    samples = list(task.samples())
    assert [sample.scores for sample in samples] == [{"hit": hit} for hit in HITS]
    assert [s.response and s.response.text for s in samples] == [*ANSWERS[:2], None, ANSWERS[3]]
    assert samples[2].error == "inference obtained no answer"
    assert (samples[0].question, samples[0].target) == ("What is 3 + 4?", "B")


def test_rotated_copies_count_once(tmp_path: Path) -> None:
    own = write(tmp_path)
    copies = [{**row, "index": row["index"] + 1_000_000} for row in rows()]
    both = [{**row, "g_index": row["index"] % 1_000_000} for row in (*rows(), *copies)]
    pd.DataFrame(both).to_excel(own, index=False)
    log = read(tmp_path)
    assert len(list(log.tasks[0].samples())) == len(QUESTIONS)
    assert log.notes == ["Some_Bench: 4 rotated copies counted in the verdict of the first"]


def test_two_tables_compare(tmp_path: Path) -> None:
    for model in ("base", "tuned"):
        write(tmp_path / "out", model)
    base, tuned = imported(tmp_path, tmp_path / "out")
    assert base["benchmarks"][0]["strict"] == pytest.approx(1 / 3)  # of three that were answered
    done = harness("compare", base["run"], tuned["run"], "--json")
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    own = write(tmp_path)
    for each in own.parent.glob("*_result.xlsx"):
        each.unlink()
    done = harness("import", own, "--out", tmp_path / "runs")
    one_line(done, "no metric has a number for each answer")
    own.write_bytes(own.read_bytes()[:2000])
    with pytest.raises(UsageError, match="cannot be read as a table"):
        list(formats.get("vlmevalkit").read([own]))
    one_line(harness("import", own, "--out", tmp_path / "runs"), "is not a known log")
