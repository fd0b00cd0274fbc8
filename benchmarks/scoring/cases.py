"""Hand-made cases with an expected value, and our scorers' agreement with them.

A case has ``response``, ``expected`` (1 or 0), and either ``target`` (the fields of a `Target`) or
``benchmark`` and ``item``: a question in a form common to all benchmarks, which becomes the
benchmark's own document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import msgspec

from benchmarks import registry
from benchmarks.scoring import Target, score
from harness.errors import ItemError, UsageError

Row = Mapping[str, Any]
# How each benchmark lists options in its question: one option's form, what parts them.
_LISTS = {
    "mathverse": ("{}:{}", "\n"),
    "phyx": ("{}: {}", "\n"),
    "mmstar": ("{}: {}", ", "),
    "vstar": ("({}) {}", "\n"),
}
_QUESTION_TYPES = {
    "mathvista": ("free_form", "multi_choice"),
    "mathverse": ("free-form", "multi-choice"),
    "mmmu": ("open", "multiple-choice"),
}


class Case(msgspec.Struct, frozen=True):
    """One case; see the module."""

    response: str
    expected: int
    target: Target | None = None
    benchmark: str = ""
    item: dict[str, Any] | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """How often the scorers give the expected value; ``wrong`` counts the cases that expect 0."""

    benchmark: str
    model: str
    lines: int
    expected_agreement: float
    wrong: int
    wrong_credited: int


def read(row: Row, where: str) -> Case:
    """Return a row as a case.

    Raises:
        UsageError: a field is missing or of the wrong type; ``where`` names the line.
    """
    try:
        case = msgspec.convert(row, Case)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}; docs/conformance.md describes the format.") from None
    if case.target is None and (case.item is None or case.benchmark not in registry.names()):
        raise UsageError(f"{where}: a case needs 'target', or 'item' and a known 'benchmark'.")
    return case


def target_of(case: Case) -> Target:
    """Return a case's right answer, by its benchmark's adapter where it has an item.

    Raises:
        UsageError: the item has no usable answer.
    """
    if case.target is not None:
        return case.target
    adapter = registry.kind(case.benchmark)(Path())
    try:
        target: Target = adapter.target(document(case.benchmark, case.item or {}))
    except (ItemError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"an item of {case.benchmark} does not read: {error!r}") from None
    return target


def document(benchmark: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item as the benchmark's document, with the fields that its ``target`` reads.

    Args:
        benchmark: its id.
        item: ``q`` (the question), ``choices``, ``a`` (the gold as the data set writes it), and
            where needed ``type``, ``unit``, ``precision``, ``error``, ``raw`` (the question with
            its options), ``opts`` (the options with their letters).
    """
    gold, choices = item["a"], list(item.get("choices") or ())
    form, between = _LISTS.get(benchmark, ("({}) {}", "\n"))
    pairs = [*zip(ascii_uppercase, choices, strict=False)]
    listed = between.join(form.format(*pair) for pair in pairs)
    question = item.get("raw", f"{item.get('q', '')}\n{listed}".strip())
    free, chosen = _QUESTION_TYPES.get(benchmark, ("", ""))
    return {
        "question": question,
        "question_for_eval": question,
        "text": question,
        "choices": choices,
        "options": repr(choices) if benchmark in {"mmmu", "mmmu_pro"} else choices,
        "multi-choice options": item.get("opts", [f"({name}) {text}" for name, text in pairs]),
        "answer": ascii_uppercase.index(gold) if benchmark == "scienceqa" else gold,
        "label": gold,
        "final_answer": gold if isinstance(gold, list) else [gold],
        "question_type": chosen if choices else free,
        "answer_type": item.get("type", "text" if benchmark == "mathvista" else "Numerical"),
        "unit": item.get("unit"),
        "precision": item.get("precision"),
        "error": item.get("error"),
    }


def expectations(cases: Iterable[Case]) -> list[Expectation]:
    """Return one record per benchmark and model, in order of appearance."""
    groups: dict[tuple[str, str], list[tuple[bool, bool]]] = {}
    for case in cases:
        target = target_of(case)
        right = score(case.response, target).value == 1.0
        key = (case.benchmark or target.kind, case.model)
        groups.setdefault(key, []).append((right, case.expected == 1))
    return [_expectation(*key, pairs) for key, pairs in groups.items()]


def total(records: Iterable[Expectation]) -> Expectation:
    """Return the record over all cases."""
    each = list(records)
    lines = sum(record.lines for record in each)
    agreed = sum(record.expected_agreement * record.lines for record in each)
    wrong, credited = sum(r.wrong for r in each), sum(r.wrong_credited for r in each)
    return Expectation("all", "", lines, agreed / lines, wrong, credited)


def _expectation(benchmark: str, model: str, pairs: list[tuple[bool, bool]]) -> Expectation:
    return Expectation(
        benchmark,
        model,
        lines=len(pairs),
        expected_agreement=sum(ours == expected for ours, expected in pairs) / len(pairs),
        wrong=sum(not expected for _, expected in pairs),
        wrong_credited=sum(ours and not expected for ours, expected in pairs),
    )
