"""Options that are values: whether a text, as a whole, has the value of an option."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from benchmarks.scoring.mathematics.equality import Rule, equal
from benchmarks.scoring.mathematics.forms import Form, Reader, Scalar, symbols_of
from benchmarks.scoring.mathematics.number_words import word_value
from benchmarks.scoring.mathematics.reader import MathReader

_VALUE = re.compile(r"\d|\\(?:pi|[dt]?frac|sqrt|infty)|[π√∞]")
_COMMAND = re.compile(r"\\(?:text\w*|mathrm|mbox)\s*\{[^{}]*\}|\\[A-Za-z]+")
_PROSE = re.compile(r"[A-Za-z]{3}|[^\W\d_a-zA-Z]{2}")
_RANGE = re.compile(r"\s*\d+\s?-\s?\d+\s*")  # "1990-1995" is no difference


def same_value(text: str, option: str) -> bool | None:
    """Return whether a text as a whole has the value of an option; None where that is no value."""
    right = value_of(word_value(option))
    if right is None:
        return None
    text = word_value(text)
    given = None if _RANGE.fullmatch(text) else Reader(symbols_of(right)).form(text)
    return given is not None and equal(right, given, Rule()) and not _counts_differ(right, given)


def stated_option(sentence: str, options: Sequence[str]) -> int | None:
    """Return the only option whose value a sentence states; None where an option is no value."""
    rights = [value_of(option) for option in options]
    if not all(rights):
        return None
    known = frozenset().union(*(symbols_of(right) for right in rights))
    found = MathReader(Reader(known)).read(sentence)
    same = [
        i for i, right in enumerate(rights) if found and right and equal(right, found.form, Rule())
    ]
    return same[0] if len(same) == 1 else None


@lru_cache(maxsize=4096)
def value_of(option: str) -> Form | None:
    """Return the form of an option that is a number, an expression or an amount, else None."""
    if not _VALUE.search(option) or _RANGE.fullmatch(option):
        return None
    form = Reader().form(option)
    counted = isinstance(form, Scalar) and form.unit_text
    return form if counted or not _PROSE.search(_COMMAND.sub("", option)) else None


def _counts_differ(right: Form, given: Form) -> bool:
    """Whether two amounts count different things: "3 dogs" and "3 cats"."""
    counted = [form for form in (right, given) if isinstance(form, Scalar) and not form.unit]
    return len({s.unit_text.strip("⟨⟩ ").casefold().rstrip("s") for s in counted} - {""}) > 1
