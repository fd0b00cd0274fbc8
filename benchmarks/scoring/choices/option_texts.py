"""Finds the one option that a sentence is, begins with, equals in value or names.

None if it names none, several, or denies what it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from benchmarks.scoring.choices.letters import letter, marked, simplify
from benchmarks.scoring.extract import sentences
from benchmarks.scoring.mathematics.equality import Rule, equal, far
from benchmarks.scoring.mathematics.forms import Form, Reader, Scalar, symbols_of
from benchmarks.scoring.mathematics.reader import MathReader

REFUSAL = re.compile(
    r"\b(?:cannot|can't|unable to|impossible to|not (?:possible|enough)|insufficient|none of)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|never|cannot|neither|nor|less|except|unlikely)\b|n't\b")
_YES_NO = re.compile(r"(?:yes|no)[,.;:!]")  # "No, it is not": what follows denies no option
_OTHERWISE = re.compile(
    r",?\s(?:whereas|while|unlike|rather than|instead of|but|compared (?:to|with)|than)\s"
    r"|,\s(?:and\s)?not\s"
)
_APART = re.compile(r"\W*$|\s?[,.:;!(\-—]")
_VERB_BEFORE = re.compile(r"\b(?:is|are|was|were|be|by)\s(?:an?\s|the\s)?$")
_COMMON = {"yes", "no", "true", "false", "a", "i", "an", "the", "none", "both", "all"}
_WORD = re.compile(r"[A-Za-z]{3}|[^\W\d_a-zA-Z]{2}")
_ACRONYM = 2
_SHORT, _LONG = 80, 600


def key(text: str) -> str:
    """Return a text in the form in which option texts are compared."""
    return simplify(text).casefold().strip(" .,;:!?\"'")


class OptionTexts:
    """The texts of an item's options (empty where unknown)."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = tuple(choices)
        self.keys = tuple(key(choice) for choice in choices)
        self.letters = {letter(index) for index in range(len(choices))}

    def named_by(self, span: str, raw: str = "") -> int | None:
        """Return the only option that a span is, has the value of, or names in its sentence.

        ``raw`` is the span with its LaTeX, where that is known.
        """
        whole = key(span)
        same = [i for i, option in enumerate(self.keys) if option and option == whole]
        if same:
            return same[0] if len({self.keys[i] for i in same}) == 1 else None
        index = self._with_value(raw or span)
        if index is not None or _is_mathematics(raw or span):
            return index
        first = next(iter(sentences(span)), "")
        claim = self._claim(first)
        found = self.mentioned(claim) or [i for i, p in self._patterns() if _framed(p, claim)]
        if len(found) != 1 or _DENIED.search(claim):
            return None
        return found[0] if self._unopposed(span, found[0]) else None

    def up_front(self, sentence: str) -> int | None:
        """Return the option that a first sentence is, begins with, or ends with after "is"."""
        claim = self._claim(sentence)
        if _DENIED.search(claim) and not _YES_NO.match(claim):
            return None
        begun = [
            i
            for i, pattern in self._patterns()
            if (match := pattern.match(claim)) and _APART.match(claim, match.end())
        ]
        if not begun or set(self.mentioned(claim)) - set(begun):
            begun = [i for i, pattern in self._patterns() if _ends(pattern, claim)]
        return begun[0] if len(begun) == 1 and self._unopposed(sentence, begun[0]) else None

    def only_one(self, text: str, pieces: Sequence[str]) -> int | None:
        """Return the option that a text names if it names no other and affirms this one.

        A bare number counts only in a single sentence: in a calculation it may stand for anything.
        """
        found = self.mentioned(text)
        counted = len(pieces) > 1 or _is_mathematics(text)
        if len(found) == 1 and counted and not _WORD.search(self.keys[found[0]]):
            return None
        if len(found) != 1 or any(REFUSAL.search(piece) for piece in pieces):
            return None
        claims = [
            claim
            for piece in pieces
            if self._unopposed(piece, found[0]) and not _DENIED.search(claim := self._claim(piece))
        ]
        return found[0] if any(found[0] in self.mentioned(claim) for claim in claims) else None

    def with_number(self, text: str) -> int | None:
        """Return the option whose value is the only number of the text's last sentence."""
        values = [_form(choice) for choice in self.choices]
        if marked(text) or not all(isinstance(value, Scalar) for value in values):
            return None
        found = MathReader(Reader(frozenset())).only_number(text)
        same = [i for i, v in enumerate(values) if found and v and equal(v, found.form, Rule())]
        return same[0] if len(same) == 1 else None

    def contradicted(self, index: int, rest: str) -> bool:
        """Whether the text behind a letter is another option's, or another value than its own."""
        given = key(rest)
        if given == self.keys[index] or not self.keys[index]:
            return False
        if given in self.keys:
            return True
        right = _form(self.choices[index]) if len(rest) <= _SHORT else None
        value = Reader().form(rest) if isinstance(right, Scalar) else None
        return isinstance(value, Scalar) and isinstance(right, Scalar) and far(right, value)

    def is_own(self, index: int, rest: str) -> bool:
        """Whether the text behind an option's letter is the option's text or value, and no more."""
        own = _signs(self.choices[index])
        return bool(own) and (_signs(rest) == own or self._with_value(rest) == index)

    def mentioned(self, text: str) -> list[int]:
        """Return the options named in a text, those inside the name of a longer one aside."""
        text = text.casefold()
        hits = {i: [m.span() for m in p.finditer(text)] for i, p in self._patterns()}
        everything = [span for spans in hits.values() for span in spans]
        return [
            i
            for i, spans in hits.items()
            if self.keys[i] not in _COMMON
            and any(not any(_inside(span, other) for other in everything) for span in spans)
        ]

    def _claim(self, sentence: str) -> str:
        """Return what a sentence claims of the options: its key, or "" where it asks.

        Of "Rome, not Paris" and "Rome is older than Paris" that is the first part.
        """
        if sentence.rstrip(" \"')").endswith("?"):
            return ""
        if len(sentence) > 2 * _LONG:
            sentence = f"{sentence[:_LONG]} … {sentence[-_LONG:]}"
        whole = key(sentence)
        head = _OTHERWISE.split(whole, maxsplit=1)[0]
        return head if self.mentioned(head) else whole

    def _patterns(self) -> Iterator[tuple[int, re.Pattern[str]]]:
        """Yield the options whose texts the words of a sentence can name: not "A", not "OR"."""
        for index, option in enumerate(self.keys):
            pattern = _pattern(option)
            if pattern and (len(option) > _ACRONYM or option in _COMMON or not option.isalpha()):
                yield index, pattern

    def _unopposed(self, sentence: str, index: int) -> bool:
        """Whether no option's letter speaks against a reading of a sentence's words.

        In "The third image (C) is most similar" the words are the option's and C is no option.
        """
        found = marked(sentence)
        return not found or found[0] == letter(index) or found[0] not in self.letters

    def _with_value(self, span: str) -> int | None:
        """Return the only option whose mathematical value a short span has."""
        if len(span) > _SHORT or not re.search(r"\d|\\|π", span):
            return None
        found = []
        for index, choice in enumerate(self.choices):
            right = _form(choice)
            given = right and Reader(symbols_of(right)).form(span)
            if right and given and equal(right, given, Rule()):
                found.append(index)
        return found[0] if len(found) == 1 else None


@lru_cache(maxsize=4096)
def _form(choice: str) -> Form | None:
    return Reader().form(choice)


@lru_cache(maxsize=4096)
def _pattern(option: str) -> re.Pattern[str] | None:
    """Return a pattern that finds an option's text as whole words; None where it is empty."""
    tokens = re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\s\w]|_", option[:400])
    if not tokens:
        return None
    body = r"\s?".join(map(re.escape, tokens))
    if len(tokens[-1]) > 2 and tokens[-1].isalpha():
        body = body.removesuffix("s") + "s?"
    return re.compile(rf"(?<![\w.\-]){body}(?!\w|[.,]\d)")


def _signs(text: str) -> str:
    """Return the letters and digits of a text, however it is set."""
    return re.sub(r"[\W_]", "", simplify(text).replace("\\times", "x")).casefold()


def _is_mathematics(span: str) -> bool:
    """Whether a span is an expression, in which words of an option may stand by chance."""
    return not _WORD.search(re.sub(r"\\[A-Za-z]+", "", span)) and _form(span[:200]) is not None


def _framed(pattern: re.Pattern[str], sentence: str) -> bool:
    """Whether a sentence begins with an option's text that stands apart, or ends with it.

    For common words ("yes", "no", "none"), which elsewhere in a sentence name no option.
    """
    match = pattern.match(sentence)
    return bool(match and _APART.match(sentence, match.end())) or _ends(pattern, sentence)


def _ends(pattern: re.Pattern[str], sentence: str) -> bool:
    """Whether a sentence ends with an option's text behind "is" or "by"."""
    ends = [match.start() for match in pattern.finditer(sentence) if match.end() == len(sentence)]
    return any(_VERB_BEFORE.search(sentence[max(0, start - 20) : start]) for start in ends)


def _inside(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span != other and other[0] <= span[0] and span[1] <= other[1]
