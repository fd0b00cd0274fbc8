"""Compares our scorers with an official grader's verdicts on real responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from benchmarks.scoring import Target, cases, score
from benchmarks.scoring.target import Program
from harness.errors import UsageError
from harness.files.plain import read_given
from harness.files.typed_json import fits
from harness.records import Score

Row = Mapping[str, Any]
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("benchmark", "model", "id", "response"), str),
    "answer": str | list[Any],
    "official_correct": bool,
    "choices": list[Any] | None,
    "precision": float | None,
    **dict.fromkeys(("unit", "answer_type"), str | None),
}
_PROGRAMS: dict[str, Program] = {"mathvision": "mathvision", "mmmu": "mmmu", "mmmu_pro": "mmmu_pro"}
_ORDINALS = ("the first image", "the second image", "the third image", "the fourth image")
_POINTS = tuple(f"Point {letter}" for letter in "ABCD")
# BLINK's option texts by subtask, as in the data set; the released outputs leave them out, and
# Counting's differ from item to item.
_BLINK_TEXTS = {
    "Art_Style": _ORDINALS[1:3],
    "Forensic_Detection": _ORDINALS,
    "Functional_Correspondence": _POINTS,
    "IQ_Test": tuple(f"picture {letter}" for letter in "ABCD"),
    "Jigsaw": _ORDINALS[1:3],
    "Multi-view_Reasoning": ("left", "right"),
    "Object_Localization": ("Box A", "Box B"),
    "Relative_Depth": ("A is closer", "B is closer"),
    "Relative_Reflectance": ("A is darker", "B is darker", "About the same"),
    "Semantic_Correspondence": _POINTS,
    "Spatial_Relation": ("yes", "no"),
    "Visual_Correspondence": _POINTS,
    "Visual_Similarity": _ORDINALS[1:3],
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far our scorer and the official grader agree; all rates are between 0 and 1.

    ``lines_clean`` leaves out the lines whose official verdict is itself doubtful
    (``official_suspect``); ``agreement_clean`` is None where none is left.  ``false_accepts``,
    ``false_rejects`` and ``unparsable`` are counts over the clean lines.
    """

    benchmark: str
    model: str
    lines: int
    agreement: float
    lines_clean: int
    agreement_clean: float | None
    false_accepts: int
    false_rejects: int
    unparsable: int
    accuracy: float
    official_accuracy: float


def read(path: Path) -> list[Row]:
    """Return the graded responses of a file, and its cases with an expected value.

    Raises:
        UsageError: the file is missing or empty, is no JSON Lines, or a line lacks a field.
    """
    try:
        lines = read_given(path).splitlines()
    except OSError as problem:
        raise UsageError(
            f"{path} cannot be read ({problem.strerror}); give a JSONL file."
        ) from None
    rows = [_row(line, f"{path}, line {n}") for n, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise UsageError(f"{path} holds no lines; give graded responses, one JSON object per line.")
    return rows


def _row(line: bytes, where: str) -> Row:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise UsageError(f"{where} is not JSON; give one JSON object per line.") from None
    if not isinstance(row, dict):
        raise UsageError(f"{where} is not a JSON object; give one per line.")
    if "expected" in row:
        cases.read(row, where)
        return row
    wrong = [name for name, kind in _TYPES.items() if not fits(row.get(name), kind)]
    if row.get("benchmark") == "blink" and not isinstance(row.get("n_choices"), int):
        wrong.append("n_choices")
    if wrong:
        raise UsageError(
            f"{where}: {wrong[0]!r} is missing or of the wrong type; "
            "docs/conformance.md describes the format."
        )
    return row


def target_of(row: Row) -> Target:
    """Return the right answer of a graded response as the scorer wants it.

    Raises:
        UsageError: the row's answer is none of its choices.
    """
    choices = tuple(map(str, row.get("choices") or ()))
    multiple = str(row.get("question_type", "")).startswith("multi")
    if row["benchmark"] == "blink":
        return Target("choice", row["answer"], choices or _blink_choices(row), official="blink")
    official = _PROGRAMS.get(row["benchmark"])
    if row["benchmark"] == "mmmu_pro" and not choices:
        # The vision form, whose options stand in the picture.
        return Target("choice", _choice_letter(row, ()), ("",) * 10, official=official)
    if multiple:
        return Target("choice", _choice_letter(row, choices), choices, official=official)
    if row["benchmark"] == "mathvista":
        return _mathvista_target(row)
    if row["benchmark"] == "mathvision":
        return Target("math", str(row["answer"]), precision=2, official=official)
    answers = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
    return Target("text", str(answers[0]), alternatives=tuple(map(str, answers[1:])), precision=2)


def _blink_choices(row: Row) -> tuple[str, ...]:
    count = int(row["n_choices"])
    texts = _BLINK_TEXTS.get(str(row.get("subtask")), ())
    return texts if len(texts) == count else ("",) * count


def _choice_letter(row: Row, choices: tuple[str, ...]) -> str:
    answer = str(row["answer"])
    if answer in choices and row["benchmark"] == "mathvista":
        return chr(ord("A") + choices.index(answer))
    if len(answer) == 1 and answer.isalpha():
        return answer
    raise UsageError(f"item {row['id']}: the answer {answer!r} is none of the choices.")


def _mathvista_target(row: Row) -> Target:
    kind = row.get("answer_type")
    precision = {"integer": 0, "float": row.get("precision")}.get(str(kind))
    return Target(
        "math" if kind == "list" else "number",
        str(row["answer"]),
        unit=row.get("unit"),
        precision=None if precision is None else int(precision),
        answer_type=kind,
    )


def judge(row: Row, from_extraction: bool) -> Score:
    """Score one graded response, or what the official grader extracted from it."""
    field = "official_extraction" if from_extraction else "response"
    return score(str(row.get(field) or ""), target_of(row))


def conformance(rows: Iterable[Row], from_extraction: bool = False) -> list[Agreement]:
    """Return one record a benchmark and model, in order of appearance, and records of subsets.

    The subsets stand under the model's name with a note in brackets: ``[rule-read]`` and
    ``[model-read]`` part BLINK's lines by whether a rule or a language model chose the official
    letter.
    """
    groups: dict[tuple[str, str], list[tuple[Row, Score]]] = {}
    for row in rows:
        verdict = judge(row, from_extraction)
        for model in _subsets(row):
            groups.setdefault((row["benchmark"], model), []).append((row, verdict))
    return [_agreement(*key, pairs) for key, pairs in groups.items()]


def _subsets(row: Row) -> list[str]:
    model = str(row["model"])
    names = [model]
    if "official_rule_extraction" in row:
        reader = "model-read" if row["official_rule_extraction"] is None else "rule-read"
        names.append(f"{model} [{reader}]")
    return names


def _agreement(benchmark: str, model: str, pairs: list[tuple[Row, Score]]) -> Agreement:
    clean = [(row, ours) for row, ours in pairs if not row.get("official_suspect")]
    agreed = [_right(ours) == row["official_correct"] for row, ours in pairs]
    agreed_clean = [_right(ours) == row["official_correct"] for row, ours in clean]
    return Agreement(
        benchmark=benchmark,
        model=model,
        lines=len(pairs),
        agreement=sum(agreed) / len(pairs),
        lines_clean=len(clean),
        agreement_clean=sum(agreed_clean) / len(clean) if clean else None,
        false_accepts=sum(_right(ours) and not row["official_correct"] for row, ours in clean),
        false_rejects=sum(not _right(ours) and row["official_correct"] for row, ours in clean),
        unparsable=sum(ours.status == "unparsable" for _, ours in clean),
        accuracy=sum(_right(ours) for _, ours in pairs) / len(pairs),
        official_accuracy=sum(bool(row["official_correct"]) for row, _ in pairs) / len(pairs),
    )


def _right(ours: Score) -> bool:
    return ours.value == 1.0
