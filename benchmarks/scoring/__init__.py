"""The strict scorers: pure functions, bounded in time, which guess nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from benchmarks.scoring.choices.options import OptionReader
from benchmarks.scoring.claims import claimed, cover, last_claim
from benchmarks.scoring.claims.values import A_VALUE
from benchmarks.scoring.extract import UNDECLARED, clean, cut_off
from benchmarks.scoring.mathematics.equality import Rule, equal
from benchmarks.scoring.mathematics.forms import Form, Group, Reader, Scalar, symbols_of
from benchmarks.scoring.mathematics.reader import Found, MathReader
from benchmarks.scoring.official import objection, objection_to_value
from benchmarks.scoring.target import Target, normalised
from benchmarks.scoring.words import read_words, states
from harness.records import Score

__all__ = ["Target", "score"]

_PLAIN_NUMBER = re.compile(r"\$?\\?[-+]?[\d,]*\.?\d+%?\$?")
_PROSE = re.compile(r"(?=.*[A-Za-z]{3})[A-Za-z][A-Za-z\s.,'-]*")
_SYMBOLIC = {"expression", "equation"}
_OLYMPIAD = {"numerical", "expression", "equation", "tuple", "interval"}
_UNKNOWN_OPTIONS, _PASSED = 5, 3


def score(text: str, target: Target) -> Score:
    """Judge one response strictly; never raises on any text.

    Returns:
        A `Score` of 1.0 or 0.0, ``unparsable`` where no answer was read; ``prediction`` is the
        letter or the text that was read, ``why`` says by which rule and from which part.
    """
    text, target = clean(text), normalised(target)
    if not text:
        return Score(0.0, "unparsable", None, "the response is empty")
    if target.kind == "choice":
        return _score_choice(text, target)
    rights = tuple(form for form in _right_forms(target) if form is not None)
    if target.kind == "text" and not (rights and _PLAIN_NUMBER.fullmatch(target.answer.strip())):
        return _score_words(text, target, rights)
    if not rights:
        return _score_words(text, target, ())
    return _score_mathematics(text, target, rights)


def _score_choice(text: str, target: Target) -> Score:
    choices = target.choices or ("",) * _UNKNOWN_OPTIONS
    reader = OptionReader(choices, last_named=target.official in {"mmmu", "mmmu_pro"})
    reading, passed = reader.read(text)
    if reading is None or not reading.letters:
        rule = reading.rule if reading else "no rule found an option"
        part = repr(reading.part) if reading else ""
        return Score(0.0, "unparsable", None, _why(rule, part, passed))
    read = ", ".join(reading.letters)
    why = _why(reading.rule, f"{reading.part!r} reads as {read}", passed)
    # The official programs compare letters alone.
    texts = () if target.official else choices
    given = {_same_text(letter, texts) for letter in reading.letters}
    right = any(given == _letters(a, texts) for a in (target.answer, *target.alternatives))
    if right and target.official and (wrong := objection(target.official, text, reading, choices)):
        return Score(0.0, "scored", read, f"{why}, but is not credited: {wrong}")
    return Score(float(right), "scored", read, why)


def _letters(answer: str, choices: tuple[str, ...]) -> set[str]:
    return {_same_text(letter, choices) for letter in re.findall(r"\b[A-Z]\b", answer)}


def _same_text(letter: str, choices: tuple[str, ...]) -> str:
    """Return the first letter with this letter's text: some items list one option twice."""
    index = ord(letter) - ord("A")
    text = choices[index].strip() if index < len(choices) else ""
    return chr(ord("A") + choices.index(choices[index])) if text else letter


def _score_mathematics(text: str, target: Target, rights: tuple[Form, ...]) -> Score:
    known = frozenset().union(*map(symbols_of, rights))
    first = rights[0]
    reader = MathReader(
        Reader(known, plain_units=_plain_units(target)),
        several=isinstance(first, Group) and not first.ordered,
        bracketed=isinstance(first, Group) and first.brackets == "[]",
    )
    found, passed = last_claim(
        text, lambda part, _: _value(reader, part, isinstance(first, Scalar)), with_no=True
    )
    if found is None:
        return Score(0.0, "unparsable", None, _why("no rule found an answer", "", passed))
    why = _why(found.rule, repr(found.part), passed)
    right = any(equal(right, found.form, _rule(target)) for right in rights)
    asked = right and target.official == "mathvision"
    if asked and (wrong := objection_to_value(found.part, first, target.answer)):
        return Score(0.0, "scored", found.part, f"{why}, but is not credited: {wrong}")
    return Score(float(right), "scored", found.part, why)


def _value(reader: MathReader, text: str, single: bool) -> tuple[Found | None, list[str]]:
    """Read a value that a text claims; one that breaks off states only what it declares."""
    plain, passed = claimed(text, cover(text, A_VALUE), kind="number" if single else "value")
    found = reader.read(plain)
    return (None if found and found.rule in UNDECLARED and cut_off(text) else found), passed


def _score_words(text: str, target: Target, rights: tuple[Form, ...]) -> Score:
    answers = (target.answer, *target.alternatives)
    part, passed = last_claim(
        text,
        lambda part, _: read_words(part, answers),
        with_no="no" not in map(str.lower, answers),
    )
    if part is None:
        return Score(0.0, "unparsable", None, _why("the response states no answer", "", passed))
    right = any(states(part.text, answer) for answer in answers)
    if not right and rights:
        found = _score_mathematics(text, target, rights)
        right = found.value == 1.0
    return Score(
        float(right), "scored", part.text[:80], _why(part.rule, repr(part.text[:80]), passed)
    )


def _why(rule: str, reading: str, passed: Sequence[str]) -> str:
    """Return which rule read what, and the last parts that claim no answer."""
    why = f"{rule}: {reading}" if reading else rule
    over = ", ".join(repr(part[:60]) for part in passed[-_PASSED:])
    return f"{why} (passed over: {over})" if over else why


def _plain_units(target: Target) -> bool:
    return (target.answer_type or "").lower() not in _SYMBOLIC


@lru_cache(maxsize=8192)
def _right_forms(target: Target) -> tuple[Form | None, ...]:
    if _plain_units(target) and _PROSE.fullmatch(target.answer.strip()):
        return ()
    reader = Reader(None, plain_units=_plain_units(target))
    unit = f" \\text{{{'dollar' if target.unit == '$' else target.unit}}}" if target.unit else ""
    answers = (target.answer, *target.alternatives)
    return tuple(reader.form(f"{a}{unit}") or reader.form(a) for a in answers)


def _rule(target: Target) -> Rule:
    single = () if target.tolerance is None else (target.tolerance,)
    return Rule(
        precision=target.precision,
        truncate=target.kind == "number" and target.answer_type == "integer",
        tolerances=target.tolerances or single,
        exact=(target.answer_type or "").lower() in _OLYMPIAD,
    )
