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
from typing import Any, Literal

import msgspec

from benchmarks import registry
from benchmarks.scoring import Target, score
from harness.errors import ItemError, UsageError

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
    expected: Literal[0, 1]
    target: Target | None = None
    benchmark: str = ""
    item: dict[str, Any] | None = None
    model: str = ""

    def __post_init__(self) -> None:
        if self.target is None and (self.item is None or self.benchmark not in registry.names()):
            raise ValueError("a case needs 'target', or 'item' and a known 'benchmark'")


@dataclass(frozen=True, slots=True)
class Expectation:
    """How often the scorers give the expected value; ``wrong`` counts the cases that expect 0."""

    benchmark: str
    model: str
    lines: int
    expected_agreement: float
    wrong: int
    wrong_credited: int


def target_of(case: Case) -> Target:
    """Return a case's right answer, maybe by its benchmark's adapter; UsageError without one."""
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

    It has ``q`` (the question), ``choices``, ``a`` (the gold as the data set writes it), and where
    needed ``type``, ``unit``, ``precision``, ``error``, ``raw`` (the question with its options),
    ``opts`` (the options with their letters).
    """
    gold, choices = item["a"], list(item.get("choices") or ())
    form, between = _LISTS.get(benchmark, ("({}) {}", "\n"))
    pairs = [*zip(ascii_uppercase, choices, strict=False)]
    listed = between.join(form.format(*pair) for pair in pairs)
    question = item.get("raw", f"{item.get('q', '')}\n{listed}".strip())
    free, chosen = _QUESTION_TYPES.get(benchmark, ("", ""))
    return {
        **dict.fromkeys(("question", "question_for_eval", "text"), question),
        "choices": choices,
        "options": repr(choices) if benchmark in {"mmmu", "mmmu_pro"} else choices,
        "multi-choice options": item.get("opts", [f"({name}) {text}" for name, text in pairs]),
        "answer": ascii_uppercase.index(gold) if benchmark == "scienceqa" else gold,
        "label": gold,
        "final_answer": gold if isinstance(gold, list) else [gold],
        "question_type": chosen if choices else free,
        "answer_type": item.get("type", "text" if benchmark == "mathvista" else "Numerical"),
        **{name: item.get(name) for name in ("unit", "precision", "error")},
    }


def expectations(cases: Iterable[Case]) -> list[Expectation]:
    """Return one record per benchmark and model, in order of appearance, and one over all cases."""
    groups: dict[tuple[str, str], list[tuple[bool, bool]]] = {}
    for case in cases:
        target = target_of(case)
        verdict = (score(case.response, target).value == 1.0, case.expected == 1)
        groups.setdefault((case.benchmark or target.kind, case.model), []).append(verdict)
    whole = [verdict for verdicts in groups.values() for verdict in verdicts]
    return [
        Expectation(
            benchmark,
            model,
            lines=len(verdicts),
            expected_agreement=sum(ours == expected for ours, expected in verdicts) / len(verdicts),
            wrong=sum(not expected for _, expected in verdicts),
            wrong_credited=verdicts.count((True, False)),
        )
        for (benchmark, model), verdicts in [*groups.items(), (("all", ""), whole)]
        if verdicts
    ]
