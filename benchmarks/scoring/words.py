"""Reads and compares answers that are words: a name, a term, a yes or no."""

from __future__ import annotations

import re

from benchmarks.scoring.choices.letters import simplify
from benchmarks.scoring.extract import Span, declared, flat, sentences
from benchmarks.scoring.normal import trimmed

_SHORT = 60
_DENIED = re.compile(r"\b(?:not|never|no|isn't|wasn't|rather than|instead of)\s+(?:an?\s|the\s)?$")


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
    if not pieces:
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
        return False
    if key(part).replace(" ", "") == wanted.replace(" ", ""):
        return True
    if len(wanted) == 1 and wanted.isalpha():
        letters = set(re.findall(r"(?<![\w'])[A-Z](?![\w'])", simplify(part))) - {"I"}
        named = re.fullmatch(r"(?:the )?[a-z]{4,} ([a-z])", key(part))  # "line d"
        return letters == {wanted.upper()} or bool(named and named[1] == wanted)
    found = re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", key(part))
    return bool(found and not _DENIED.search(key(part)[: found.start()] + ""))
