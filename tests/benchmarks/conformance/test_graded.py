"""Agreement with official graders: on made-up lines, and on the real ones where they exist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.cli.conformance import conformance as command
from benchmarks.conformance.graded import Agreement, Graded, conformance, read, target_of
from harness.errors import UsageError

Agreements = dict[tuple[str, str], Agreement]
FIELDS = (
    "benchmark",
    "model",
    "lines",
    "agreement",
    "lines_clean",
    "agreement_clean",
    "false_accepts",
    "false_rejects",
    "unparsable",
    "accuracy",
    "official_accuracy",
)


def row(response: str, correct: bool, **fields: Any) -> Graded:
    """Return a graded response; fields may be replaced."""
    return msgspec.convert(line(response, correct, **fields), Graded)


def line(response: str, correct: bool, **fields: Any) -> dict[str, Any]:
    """Return a graded response as the conformance data have it."""
    return {
        "benchmark": "mmmu_pro",
        "model": "m",
        "id": "1",
        "choices": ["Rome", "Paris", "Berlin"],
        "question_type": "multiple-choice",
        "answer": "B",
        "response": response,
        "official_extraction": "B" if correct else "A",
        "official_correct": correct,
        **fields,
    }


def test_counts_and_rates() -> None:
    rows = [
        row("B", True),
        row("A", False),
        row("C", True),
        row("It must be Paris.", False),
        row("no idea", True, official_suspect="drawn at random"),
    ]
    (main,) = conformance(rows)
    assert main.model == "m"
    assert (main.lines, main.lines_clean) == (5, 4)
    assert (main.agreement, main.agreement_clean) == (2 / 5, 2 / 4)
    assert (main.false_accepts, main.false_rejects, main.unparsable) == (1, 1, 0)
    assert (main.accuracy, main.official_accuracy) == (2 / 5, 3 / 5)
    assert tuple(asdict(main)) == FIELDS


def test_from_extraction() -> None:
    rows = [row("something unreadable", True), row("something else", False)]
    (main,) = conformance(rows, from_extraction=True)
    assert main.agreement == 1.0


def test_blink_lines_are_parted_by_who_read_them() -> None:
    blink = {"benchmark": "blink", "n_choices": 2, "answer": "(B)", "choices": None}
    rows = [
        row("(B)", True, official_rule_extraction="(B)", **blink),
        row("Both are similar.", True, official_rule_extraction=None, **blink),
    ]
    found = {one.model: one for one in conformance(rows)}
    assert set(found) == {"m", "m [rule-read]", "m [model-read]"}
    assert found["m [rule-read]"].agreement == 1.0
    assert found["m [model-read]"].agreement == 0.0


def test_targets() -> None:
    vista = {"benchmark": "mathvista", "answer_type": "float", "precision": 1, "unit": None}
    text = target_of(row("", True, **vista, answer="Paris"))
    assert (text.kind, text.answer) == ("choice", "B")
    number = target_of(
        row("", True, **vista, answer="1.2", choices=None, question_type="free_form")
    )
    assert (number.kind, number.precision) == ("number", 1)
    vision = target_of(
        row("", True, benchmark="mathvision", choices=None, question_type="free-form", answer="7")
    )
    assert (vision.kind, vision.precision) == ("math", 2)
    picture = target_of(row("", True, choices=None, question_type=None, answer="H"))
    assert (picture.kind, picture.choices, picture.official) == ("choice", ("",) * 10, "mmmu_pro")
    opened = target_of(
        row(
            "",
            True,
            benchmark="mmmu",
            choices=None,
            question_type="short-answer",
            answer=["a", "b"],
        )
    )
    assert (opened.kind, opened.alternatives) == ("text", ("b",))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"benchmark": "mmmu"}',
        json.dumps(line("B", True, official_correct="yes")),
        json.dumps(line("B", True, benchmark="blink")),
        json.dumps(line("B", True, choices=5)),
        json.dumps(line("B", True, unit=["g"])),
        json.dumps(line("B", True, precision="two")),
        json.dumps(line("B", True, answer="Madrid")),
    ],
)
def test_corrupt_files_are_errors_of_use(content: str, tmp_path: Path) -> None:
    path = tmp_path / "graded.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError):
        CliRunner().invoke(command, [str(path)], catch_exceptions=False)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read(tmp_path / "none.jsonl")


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "graded.jsonl"
    path.write_text(
        "\n".join(json.dumps(one) for one in (line("B", True), line("B. Paris", False)))
    )
    printed = CliRunner().invoke(command, [str(path), "--json"], catch_exceptions=False)
    rows = json.loads(printed.stdout)["rows"]
    assert [tuple(one) for one in rows] == [FIELDS]
    assert rows[0]["agreement"] == 0.5
    table = CliRunner().invoke(command, [str(path)], catch_exceptions=False).stdout
    assert "mmmu_pro" in table


CASES = [
    {"expected": 1, "response": "B", "benchmark": "scienceqa", "item": {"a": "B", "choices": "xy"}},
    {"expected": 0, "response": "C", "target": {"kind": "choice", "answer": "B"}},
    {"expected": 0, "response": "7", "target": {"kind": "number", "answer": "7"}},
]


def test_command_on_cases(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(json.dumps(case) for case in CASES))
    printed = CliRunner().invoke(command, [str(path), "--json"], catch_exceptions=False)
    document = json.loads(printed.stdout)
    assert [row["benchmark"] for row in document["rows"]] == ["scienceqa", "choice", "number"]
    assert document["expected_agreement"] == pytest.approx(2 / 3)
    assert (document["wrong"], document["wrong_credited"]) == (2, 1)
    table = CliRunner().invoke(command, [str(path)], catch_exceptions=False).stdout
    assert "66.67%" in table


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"target": {"kind": "riddle", "answer": "B"}},
        {"benchmark": "scienceqa"},
        {"benchmark": "riddles", "item": {"a": "B"}},
        {"benchmark": "scienceqa", "item": {"a": "E", "choices": ["x", "y"]}},
        {"benchmark": "niah", "item": {"a": "E"}},
    ],
)
def test_corrupt_cases_are_errors_of_use(fields: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps({"expected": 1, "response": "B", **fields}))
    with pytest.raises(UsageError):
        CliRunner().invoke(command, [str(path)], catch_exceptions=False)


@pytest.fixture(scope="module", params=[8, pytest.param(1, marks=pytest.mark.slow)])
def real(request: pytest.FixtureRequest, shared: Path) -> tuple[Agreements, float]:
    """Return the agreement by benchmark and model on every eighth real response, or on all.

    With it, by how much the sample may fall short of what all of them reach.
    """
    files = sorted((shared / "data" / "conformance").glob("*.jsonl"))
    rows = (graded(path)[:: request.param] for path in files)
    found = {(o.benchmark, o.model): o for some in rows for o in conformance(some)}
    return found, 0.005 if request.param > 1 else 0


def graded(path: Path) -> list[Graded]:
    return [one for one in read(path) if isinstance(one, Graded)]


def clean_rate(chosen: Iterator[Agreement]) -> float:
    """Return the agreement over all clean lines of several records."""
    pairs = [(one.agreement_clean or 0.0, one.lines_clean) for one in chosen]
    return sum(rate * lines for rate, lines in pairs) / sum(lines for _, lines in pairs)


# What a scorer must reach to be comparable with the published figures, over all models.
FLOORS = [
    ("mathvista", "", 0.975),
    ("blink", " [rule-read]", 0.985),
    ("mathvision", "", 0.995),
    ("mmmu_pro", "", 0.995),
    ("mmmu", "", 0.99),
]


@pytest.mark.parametrize(("benchmark", "note", "floor"), FLOORS)
def test_agreement(real: tuple[Agreements, float], benchmark: str, note: str, floor: float) -> None:
    found, slack = real
    models = {model.partition(" [")[0] for name, model in found if name == benchmark}
    rate = clean_rate(found[benchmark, model + note] for model in sorted(models))
    assert rate >= floor - slack


def test_mathvista_from_extraction(shared: Path) -> None:
    rows = graded(shared / "data" / "conformance" / "mathvista.jsonl")
    for one in conformance(rows, from_extraction=True):
        assert one.agreement_clean == 1.0
