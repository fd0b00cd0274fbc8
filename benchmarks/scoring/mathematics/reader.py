"""Reads a number, an expression or a list of them out of a response.

Uses the shape of the right answer (its symbols), never its value.  None if the response states no
answer or several that differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.scoring.claims.values import DENIED_BEHIND, rounds
from benchmarks.scoring.extract import boxes, conclusions, declared, flat, sentences
from benchmarks.scoring.mathematics.forms import Form, Group, Reader
from benchmarks.scoring.mathematics.notation import FUNCTIONS, SCALES
from benchmarks.scoring.mathematics.number_words import CUE, NUMBER_WORD, number_words
from benchmarks.scoring.mathematics.units import parse_unit
from benchmarks.scoring.normal import trimmed
from benchmarks.scoring.phrases import REFUSAL
from benchmarks.scoring.statements import Span

_SEGMENT = re.compile(
    r"\$\$(?P<a>[^$]{1,400})\$\$|\$(?P<b>[^$\n]{1,400})\$"
    r"|\\\((?P<c>[^\n]{1,400}?)\\\)|\\\[(?P<d>.{1,400}?)\\\]",
    re.DOTALL,
)
_BOLD = re.compile(r"\*\*(?P<inner>[^*\n]{1,200})\*\*")
_LISTED = re.compile(r"\[[^\[\]\n]{0,300}\]")
_MATHISH = re.compile(
    r"[\d\\π√^=<>≤≥±∞½¼¾∪]|^[-+*/×·÷]$|^\(?(?:sqrt|pi|infinity)\b|^[a-zA-Z](?:\([a-zA-Z\d]\))?$"
)
_PROSE = re.compile(r"[A-Za-z]{3,}")
_ANCHOR = re.compile(r"\d|\\(?:pi|frac|sqrt|infty|[dt]frac)|[π√∞½¼¾]|\bpi\b")
_BEGINS = re.compile(_ANCHOR.pattern + r"|[=(\[\-+\\<>]|^[a-zA-Z]$")
_RESULT = re.compile(
    r"(?i)\b(?:so|therefore|thus|hence|then|which|giv\w+|mak\w+|total|sum|equals?|get|result\w*)\b|[=≈]"
)
_BOUND = re.compile(
    r"(?i)\b(?:than(?: just)?|up to|beyond|exceed\w*|at least|at most"
    r"|over|under|above|below|between|after|before|since|until|step"
    r"|figure|question|option|table|number|problem|line|row|column|image|picture"
    r"|(?:between|from) \S{1,12} (?:and|to)|half(?: of)?|twice|double)\s+[(#]?$"
)
_ADDED = re.compile(
    r"(?i)[$\s]{1,3}(?:and (?:a|one|two|three) (?:hal|quarter|third)|short of\b"
    r"|or (?:more|less|fewer)\b)"
)
_SUPPOSES = re.compile(
    r"(?i)\b(?:assum\w+|suppose|let|if|denote|(?:start|begin)\w* (?:off |out )?with)\b"
    r"[^,;:\d]{0,24}\d"
)
_CONCEDED = re.compile(r"(?i)\A\W*(?:although|though|while|whereas)\b[^,;]*[,;]\s*")
_DECADE = re.compile(r"(?i)\b(?:the|early|late|mid)[ -]\d{3}0s\b")
_JOINED = re.compile(r"\s*(?:and|und|et|和)\s*")  # 7 and 14
# What stands behind a value of which it makes another: 7 cm + 3 cm, 7 cm plus 3 cm, 7 to 14,
# 7 by 14.
_OPERATED = re.compile(
    r"(?:\$|\\\))?\s*(?:[+*/×÷±]|-(?=\s?[\d$])|\b(?:to|bis|plus|times|divided by|by(?! \d{4}\b))\b"
    r"|\\(?:times|cdot|div|pm)\b)\s*(?!\d+ (?:decimal|sig|digit|place|d\.?p|s\.?f))"
    r"(?:[\d$\\(]|\.\d)"
)
_ENDS = re.compile(r"(?:\s(?:[a-z]+s|old|each))?\s*(?:[.,;:!?)]|\Z)")  # a clause, or its noun does
_NO_THINGS = re.compile(r"(?i)\bthere (?:are|is|were|was) no [a-z]")
_COUNTED_APART = re.compile(r"\s[a-z][a-z -]*\sand\s")  # 6 red cubes and 6 balls
_LISTS_PARTS = re.compile(r"^[a-z -]+:\s*$")  # 3 objects left: 1 cube and 2 balls
_SIGN_WORD = re.compile(r"(?i)\b(?:minus|negative)\s+(?=[\d.$\\(a-z])")
# "3.1416, i.e. 3.14", "3.1416 (3.14 when rounded)"
_RESTATED = re.compile(r"[\s,(]*(?:i\.e\.|that is|or|about|roughly|rounded(?: to)?)?[\s,(:]*")
_DECIMAL = re.compile(r"-?\d{1,12}(?:\.\d{1,12})?")
_AND_ONLY = re.compile(r"\s*(?:,|,?\s*and|,?\s*or|;)\s*")
_UNIT_BEHIND = re.compile(r"\s{0,2}(?P<unit>[A-Za-z°][A-Za-z°^/²³\d]{0,11})(?![A-Za-z])")
_RATE = re.compile(r"[A-Za-z]+ per [A-Za-z]+(?: (?:squared|cubed)\b)?")
_COMMITTED, _BOLDS = 40, 12
_CURRENCY_ONLY = re.compile(r"[^$]*(?:\$(?=\d)[^$]*)+")
_SPOKEN = re.compile(
    "|".join([r"\\[A-Za-z]+", *sorted(FUNCTIONS | {"infinity"}, key=len, reverse=True)])
)  # commands and functions, which are no prose


# A dash, not a minus: "7 - the smallest one", but "7 - tax".
_DASH = re.compile(
    r"(?<=\s)-(?=\s(?:the|this|that|these|those|it|its|which|as|since|because|so|but|and|not|with"
    r"|just|exactly|only|our|we|there|all)\b)"
)


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that was read: its form, by which rule, from which part."""

    form: Form
    rule: str
    part: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of a sentence that reads as mathematics."""

    position: int
    text: str
    form: Form

    def is_rounded_to(self, other: _Piece) -> bool:
        """Whether another piece is this number, rounded."""
        pair = sorted((self.text, other.text), key=len)
        return all(map(_DECIMAL.fullmatch, pair)) and rounds(*pair)

    def cued(self, sentence: str) -> bool:
        """Whether a verb or a sign right before the piece gives it as a result."""
        return bool(CUE.search(sentence[max(0, self.position - 60) : self.position]))


@dataclass(frozen=True, slots=True)
class MathReader:
    """Reads answers with the symbols of the right one; ``several`` when it has several parts."""

    reader: Reader
    several: bool = False
    bracketed: bool = False

    def read(self, text: str) -> Found | None:
        """Return the answer that a cleaned response states, or None."""
        if self.several and (found := self._boxes(text)):
            return found
        spans = declared(flat(text))
        for span in spans:
            if found := self._declared(span):
                return found
        if spans and (spans[0].rule != "answer statement" or len(spans[0].text) <= _COMMITTED):
            return None
        return self._undeclared(text)

    def _boxes(self, text: str) -> Found | None:
        """Read several boxes of the last paragraph as one answer with several parts."""
        last = [*boxes(text.rpartition("\n\n")[2])] or [*boxes(text)]
        forms = [form for box in last if (form := self.reader.form(box.text))]
        if len(last) < 2 or len(forms) < len(last) or any(isinstance(f, Group) for f in forms):
            return None
        return Found(Group(tuple(forms)), "several boxes", ", ".join(b.text for b in last)[:80])

    def _declared(self, span: Span) -> Found | None:
        text = clean_span(span.text)
        if form := self.reader.form(text):
            return Found(form, span.rule, text[:80])
        first, *others = sentences(text) or [""]
        numbers = self._pieces(first) if others else []
        if len(numbers) > 1 and _PROSE.search(first[: numbers[0].position]):
            return self._undeclared(text)  # a retold question comes first
        return self._sentence(first, span.rule, stated=True)

    def _undeclared(self, text: str) -> Found | None:
        plain = flat(text)
        if len(plain) <= 200 and (form := self.reader.form(clean_span(plain))):
            return Found(form, "whole response", plain[:80])
        pieces = sentences(plain)
        if not pieces or REFUSAL.search(plain):
            return None
        inner = [match["inner"] for match in _BOLD.finditer(text)][-_BOLDS:]
        bold = [self._sentence(part, "emphasis", stated=False) for part in inner]
        stressed = [found for found in bold if found]
        if stressed and all(found.form == stressed[0].form for found in stressed):
            return stressed[0]
        ended = conclusions(pieces)[:1]
        for rule, piece in [("conclusion", one) for one in ended] + [("last sentence", pieces[-1])]:
            if found := self._sentence(piece, rule, stated=False):
                return found
        if len(pieces) > 1 and _SUPPOSES.search(pieces[0]):
            return None
        return self._sentence(pieces[0], "first sentence", stated=False, alone=True)

    def _sentence(
        self, sentence: str, rule: str, stated: bool, alone: bool = False
    ) -> Found | None:
        """Read the answer in one sentence; ``alone``: it must hold no other number."""
        sentence = _DASH.sub(";", _SIGN_WORD.sub("-", sentence[:600]))
        if _CURRENCY_ONLY.fullmatch(sentence):
            sentence = sentence.replace("\\$", " $")
        sentence = _CONCEDED.sub("", sentence)
        if self.bracketed and (lists := _LISTED.findall(sentence)):
            form = self.reader.form(lists[-1])
            return Found(form, rule, lists[-1][:80]) if form else None
        parsed = self._pieces(sentence)
        if not parsed and _NO_THINGS.search(sentence) and (zero := self.reader.form("0")):
            return Found(zero, rule, sentence[:80])
        if alone and (len(parsed) != 1 or len(NUMBER_WORD.findall(sentence)) > 1):
            return None
        chosen = self._choose(sentence, parsed, stated)
        if not chosen or (not self.several and _is_joined(sentence, parsed, chosen)):
            return None
        return Found(chosen.form, rule, chosen.text[:80].replace("¤", "$"))

    def _pieces(self, sentence: str) -> list[_Piece]:
        """Return what reads as a value in a sentence, bounds and labels aside, in order."""
        sentence = _DECADE.sub(lambda match: " " * len(match[0]), sentence)
        return [
            _Piece(position, chunk, form)
            for position, chunk in sorted([*_chunks(sentence), *number_words(sentence)])
            if not _BOUND.search(before := sentence[max(0, position - 60) : position])
            and not DENIED_BEHIND.search(before)
            and not _ADDED.match(sentence, position + len(chunk))
            and (form := self.reader.form(chunk))
            and _ANCHOR.search(chunk)
        ]

    def _choose(self, sentence: str, parsed: list[_Piece], stated: bool) -> _Piece | None:
        if not parsed:
            return None
        if len(parsed) == 1 or (stated and not _PROSE.search(sentence[: parsed[0].position])):
            return parsed[0]
        between = sentence[parsed[0].position + len(parsed[0].text) : parsed[1].position]
        if len(parsed) == 2 and _COUNTED_APART.fullmatch(between):
            return None
        if _RESTATED.fullmatch(between) and parsed[0].is_rounded_to(parsed[1]):
            return parsed[0]
        if _LISTS_PARTS.search(between) and parsed[0].cued(sentence):
            return parsed[0]
        cued = [piece for piece in parsed if piece.cued(sentence)]
        equations = [piece for piece in parsed if "=" in piece.text]
        if equations and not parsed[-1].cued(sentence):
            return equations[-1]
        if len(cued) > 1 and not _RESULT.search(sentence[cued[-2].position : cued[-1].position]):
            return None
        return cued[-1] if cued else None


def _is_joined(sentence: str, parsed: list[_Piece], chosen: _Piece) -> bool:
    """Whether a piece is the first of two values: "7 and 14", not "7, and 3 of them are red"."""
    end = chosen.position + len(chosen.text)
    if _OPERATED.match(sentence, end):
        return True
    return any(
        _JOINED.fullmatch(sentence[end : piece.position])
        and piece.form != chosen.form
        and _ENDS.match(sentence, piece.position + len(piece.text))
        for piece in parsed[parsed.index(chosen) + 1 :][:1]
    )


def clean_span(text: str) -> str:
    """Return a span without what surrounds an answer: quotes, colons, a closing full stop."""
    return trimmed(text.strip().strip("\"'*_` \t\n"), " :;,.")


def _chunks(sentence: str) -> Iterator[tuple[int, str]]:
    """Yield the pieces of a sentence that may be mathematics, with their positions, in order."""
    if _CURRENCY_ONLY.fullmatch(sentence):
        sentence = sentence.replace("$", "¤")
    segments = [*_segments(sentence)]
    for start, end, _ in segments:
        sentence = sentence[:start] + "\x00" * (end - start) + sentence[end:]
    found = [(start, text) for start, _, text in segments]
    run: list[tuple[int, str]] = []
    for match in re.finditer(r"\S+", sentence):
        word = match[0]
        if _MATHISH.search(word.strip("(),.;:!?\"'")) and not _PROSE.search(_SPOKEN.sub("", word)):
            run.append((match.start(), word))
            continue
        rate = _RATE.match(sentence, match.start())
        found += _run(run, rate[0] if rate and parse_unit(rate[0]) else word)
        run = []
    found += _run(run, "")
    yield from sorted(found)


def _segments(sentence: str) -> Iterator[tuple[int, int, str]]:
    """Yield what stands between dollar signs: joined where only "and" parts it, with its unit."""
    joined: list[tuple[int, int, str]] = []
    for match in _SEGMENT.finditer(sentence):
        inner = clean_span(next(group for group in match.groups() if group))
        tail = _UNIT_BEHIND.match(sentence, match.end())
        if tail and parse_unit(tail["unit"]):
            inner += f" \\text{{{tail['unit']}}}"
        between = sentence[joined[-1][1] : match.start()] if joined else "-"
        if _AND_ONLY.fullmatch(between):
            start, _, before = joined.pop()
            joined.append((start, match.end(), f"{before}, {inner}"))
        else:
            joined.append((match.start(), match.end(), inner))
    yield from joined


def _run(run: list[tuple[int, str]], following: str) -> Iterator[tuple[int, str]]:
    """Yield a run of mathematical words, with the unit behind it where there is one."""
    while run and not _BEGINS.search(run[0][1]):
        run = run[1:]
    if not run:
        return
    ended = run[-1][1][-1] in ",;:.!?"
    text = " ".join(word for _, word in run)
    text = _balanced(clean_span(text))
    unit = following.strip(".,;:!?)\"'") if not ended and following != "in" else ""
    scaled = unit.lower() in SCALES or parse_unit(unit)
    yield run[0][0], f"{text} {unit}" if scaled else text


def _balanced(text: str) -> str:
    """Return text without brackets at its ends that have no partner."""
    for opening, closing in ("()", "[]", "{}"):
        if text.count(opening) == text.count(closing):
            continue
        if text.endswith(closing) and text.count(closing) > text.count(opening):
            text = text[:-1]
        if text.startswith(opening) and text.count(opening) > text.count(closing):
            text = text[1:]
    return trimmed(text, " :;,.")
