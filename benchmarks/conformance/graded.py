"""Published responses of real models, each with the verdict of an official grader."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from benchmarks.conformance.cases import Case
from benchmarks.scoring import Target, score
from benchmarks.scoring.target import Program
from harness.errors import UsageError
from harness.files.plain import read_given
from harness.records import Score

_PROGRAMS: dict[str, Program] = {"mathvision": "mathvision", "mmmu": "mmmu", "mmmu_pro": "mmmu_pro"}
_ORDINALS = ("the first image", "the second image", "the third image", "the fourth image")
_POINTS = tuple(f"Point {letter}" for letter in "ABCD")
# BLINK's option texts by subtask, as in the data set; the released outputs leave them out, and
# Counting's differ from item to item.
_BLINK_TEXTS = {
    **dict.fromkeys(("Art_Style", "Jigsaw", "Visual_Similarity"), _ORDINALS[1:3]),
    **dict.fromkeys(("Functional_Correspondence", "Semantic_Correspondence"), _POINTS),
    "Visual_Correspondence": _POINTS,
    "Forensic_Detection": _ORDINALS,
    "IQ_Test": tuple(f"picture {letter}" for letter in "ABCD"),
    "Multi-view_Reasoning": ("left", "right"),
    "Object_Localization": ("Box A", "Box B"),
    "Relative_Depth": ("A is closer", "B is closer"),
    "Relative_Reflectance": ("A is darker", "B is darker", "About the same"),
    "Spatial_Relation": ("yes", "no"),
}


class Graded(msgspec.Struct, frozen=True):
    """A response with the official verdict; docs/conformance.md describes the fields."""

    benchmark: str
    model: str
    id: str
    response: str
    answer: str | list[Any]
    official_correct: bool
    choices: list[Any] | None = None
    question_type: str | None = None
    answer_type: str | None = None
    unit: str | None = None
    precision: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    n_choices: Annotated[int, msgspec.Meta(ge=1, le=26)] | None = None
    subtask: str | None = None
    official_suspect: Any = None
    official_extraction: Any = None
    official_rule_extraction: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.benchmark == "blink" and not self.n_choices:
            raise ValueError("a line of BLINK needs 'n_choices', the number of options")


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


def read(path: Path) -> list[Graded | Case]:
    """Return the graded responses of a file, and its cases; UsageError for one that is neither."""
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


def _row(line: bytes, where: str) -> Graded | Case:
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
        kind: type[Graded | Case] = Case if "expected" in fields else Graded
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}; docs/conformance.md describes the format.") from None
    except (msgspec.DecodeError, RecursionError):
        raise UsageError(f"{where} is not JSON; give one JSON object per line.") from None


def target_of(row: Graded) -> Target:
    """Return a response's right answer as the scorer wants it; UsageError if it is no choice."""
    choices, official = tuple(map(str, row.choices or ())), _PROGRAMS.get(row.benchmark)
    if row.benchmark == "blink":
        count, texts = row.n_choices or 0, _BLINK_TEXTS.get(row.subtask or "", ())
        choices = choices or (texts if len(texts) == count else ("",) * count)
        return Target("choice", str(row.answer), choices, official="blink")
    if row.benchmark == "mmmu_pro" and not choices:
        choices = ("",) * 10  # the vision form, whose options stand in the picture
    if choices and (official == "mmmu_pro" or (row.question_type or "").startswith("multi")):
        return Target("choice", _choice_letter(row, choices), choices, official=official)
    if row.benchmark == "mathvista":
        return _mathvista_target(row)
    if row.benchmark == "mathvision":
        return Target("math", str(row.answer), precision=2, official=official)
    first, *others = map(str, row.answer if isinstance(row.answer, list) else [row.answer])
    return Target("text", first, alternatives=tuple(others), precision=2)


def _choice_letter(row: Graded, choices: tuple[str, ...]) -> str:
    answer = str(row.answer)
    if answer in choices and row.benchmark == "mathvista":
        return chr(ord("A") + choices.index(answer))
    if len(answer) == 1 and answer.isalpha():
        return answer
    raise UsageError(f"item {row.id}: the answer {answer!r} is none of the choices.")


def _mathvista_target(row: Graded) -> Target:
    precision = {"integer": 0, "float": row.precision}.get(row.answer_type or "")
    return Target(
        "math" if row.answer_type == "list" else "number",
        str(row.answer),
        unit=row.unit,
        precision=None if precision is None else int(precision),
        answer_type=row.answer_type,
    )


def conformance(rows: Iterable[Graded], from_extraction: bool = False) -> list[Agreement]:
    """Return one record a benchmark and model, in order of appearance, and records of subsets.

    The subsets stand under the model's name with a note in brackets: ``[rule-read]`` and
    ``[model-read]`` part BLINK's lines by whether a rule or a language model chose the official
    letter.  ``from_extraction``: what the official grader extracted is scored.
    """
    groups: dict[tuple[str, str], list[tuple[Graded, Score]]] = {}
    for row in rows:
        text = str(row.official_extraction or "") if from_extraction else row.response
        pair, models = (row, score(text, target_of(row))), [row.model]
        if row.official_rule_extraction is not msgspec.UNSET:
            reader = "model-read" if row.official_rule_extraction is None else "rule-read"
            models.append(f"{row.model} [{reader}]")
        for model in models:
            groups.setdefault((row.benchmark, model), []).append(pair)
    return [_agreement(*key, pairs) for key, pairs in groups.items()]


def _agreement(benchmark: str, model: str, pairs: list[tuple[Graded, Score]]) -> Agreement:
    verdicts = [(ours.value == 1.0, row.official_correct) for row, ours in pairs]
    clean = [
        pair for pair, (row, _) in zip(verdicts, pairs, strict=True) if not row.official_suspect
    ]
    agreed = sum(ours == official for ours, official in clean)
    return Agreement(
        benchmark=benchmark,
        model=model,
        lines=len(pairs),
        agreement=sum(ours == official for ours, official in verdicts) / len(pairs),
        lines_clean=len(clean),
        agreement_clean=agreed / len(clean) if clean else None,
        false_accepts=clean.count((True, False)),
        false_rejects=clean.count((False, True)),
        unparsable=sum(
            ours.status == "unparsable" and not row.official_suspect for row, ours in pairs
        ),
        accuracy=sum(ours for ours, _ in verdicts) / len(pairs),
        official_accuracy=sum(official for _, official in verdicts) / len(pairs),
    )
