"""Reads and compares answers that are words: a name, a term, a yes or no."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.scoring.choices.letters import simplify
from benchmarks.scoring.claims import claimed, cover
from benchmarks.scoring.extract import declared, flat, sentences
from benchmarks.scoring.normal import trimmed
from benchmarks.scoring.phrases import WORDLY
from benchmarks.scoring.statements import NEXT_KEY, Span

_SHORT = 60
# "Norway, Denmark or Iceland": one of several is no answer.
_OR_BEHIND = re.compile(
    r"(?i)(?:,\s[^,.;:\n]{1,30}){0,4},?\s(?:or|oder|ou|或|(?:and|und|et)(?=\s(?-i:[A-Z])))\s"
)
_DATE = re.compile(
    r"(?i)\b(?:(?P<a>\d{1,2})(?:st|nd|rd|th)?(?: of)? )?"
    r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
    r"(?: (?P<b>\d{1,2})(?:st|nd|rd|th)?)?(?(a)|(?(b)|(?!))),? (?P<year>\d{4})\b"
)
# Clauses about the answer that name other answers: "Sweden, which borders Norway".
_ASIDE = re.compile(
    r"(?i)(?<=\w),?\s(?:which|who|where|whose|unlike|(?:looks )?like (?:that|those) of"
    r"|similar to)\b[^,.;]*"
)
_OPPOSITES = {"yes": "no", "no": "yes", "true": "false", "false": "true"}
_OR_BEFORE = re.compile(r"(?i)[\w.)],?\s(?:or|oder|ou|或)\s(?:an?\s|the\s)?$")
_NAMES = re.compile(r"[A-Z]\w+(?: [A-Z]\w+)?(?:, [A-Z]\w+(?: [A-Z]\w+)?){2,}[. ]*")


def key(text: str) -> str:
    """Return words in the form in which they are compared: lower case, no outer punctuation."""
    text = re.sub(r"[_\s]+", " ", simplify(text).casefold())
    return trimmed(text, " .,;:!?\"'()[]")


def answer_part(text: str) -> Span | None:
    """Return the part of a cleaned response that states its answer, or None where it is empty."""
    plain = flat(text)
    for span in declared(plain):
        if key(span.text):
            return Span(span.rule, next(iter(sentences(span.text)), span.text))
    pieces = sentences(plain)
    if not pieces or (plain.startswith("{") and NEXT_KEY.search(plain)):
        return None
    if len(pieces) == 1 or len(plain) <= _SHORT:
        return Span("whole response", plain)
    return Span("last sentence", pieces[-1])


def states(part: str, right: str) -> bool:
    """Whether a part of a response gives an answer: equal, or holding it as undenied words.

    A single letter counts only as the whole part, behind its noun, or as a capital standing alone.
    """
    wanted = key(right)
    if not wanted:
        return bool(_signs(right)) and _signs(part) == _signs(right)
    if key(part).endswith(_OPPOSITES.get(wanted, " ")):
        return False
    if key(part).replace(" ", "") == wanted.replace(" ", ""):
        return True
    if (day := _days(right)) and _days(part) == day:
        return True
    if len(wanted) == 1 and wanted.isalpha():
        letters = set(re.findall(r"(?<![\w'])[A-Z](?![\w'])", simplify(part))) - {"I"}
        named = re.fullmatch(r"(?:the )?[a-z]{4,} ([a-z])", key(part))  # "line d"
        return letters == {wanted.upper()} or bool(named and named[1] == wanted)
    plain = _ASIDE.sub("", re.sub(r"[_\s]+", " ", simplify(part)))
    found = re.search(rf"(?<![\w-]){re.escape(wanted)}(?![\w]|-\w)", plain, re.IGNORECASE)
    return found is not None and not _is_part(
        plain[: found.start()], found[0], plain[found.end() :]
    )


def _signs(text: str) -> set[str]:
    """Return the words of a text that are signs alone, such as "*"; a full stop is none."""
    words = (word.strip("`'\"") for word in text.removesuffix(".").split())
    return {word for word in words if not any(map(str.isalnum, word))} - {""}


def _days(text: str) -> set[tuple[str, str, int]]:
    """Return the dates of a text, ``4 July 1999`` or ``July 4th, 1999``: year, month, day."""
    return {
        (match["year"], match["month"].casefold(), int(match["a"] or match["b"]))
        for match in _DATE.finditer(text)
    }


def _is_part(before: str, name: str, after: str) -> bool:
    """Whether a name is part of a longer one ("STOP AHEAD"), or one of several ("Rome or Oslo")."""
    if name.isupper() and len(name) > 1:
        return bool(re.match(r"\s[A-Z]{2}", after) or re.search(r"(?<![A-Z])[A-Z]{2,}\s$", before))
    if name[0].isupper() and re.match(r"\s[A-Z][a-z]", after):
        return True
    return bool(
        _OR_BEHIND.match(after)
        or _OR_BEFORE.search(before)
        or _NAMES.fullmatch(before + name + after)
    )


def read_words(text: str, answers: Sequence[str]) -> tuple[Span | None, list[str]]:
    """Return the part of a text that states its answer, and what was passed over."""
    names = "|".join(re.escape(key(answer)) for answer in answers if key(answer)) or "(?!)"
    own = re.compile(rf"(?i:(?<!{WORDLY})(?:{names})(?:'s)?(?!{WORDLY}))")
    masked = cover(text, own)
    plain, passed = claimed(text, masked, masked, "name")
    return answer_part(plain), passed
