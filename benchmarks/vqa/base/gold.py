"""Reading a data set's gold answers and options, shared by the VQA adapters.

The adapters come in with a document's fields as the data set spells them; option texts and gold
letters leave.  What a *model* says is read elsewhere, by `benchmarks.scoring`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from harness.errors import ItemError

# "A:", "A :", "A.", "A)", "(A)", also with the signs of Chinese print, at the start of a line or
# after a space, comma, semicolon or quote.
_MARKER = re.compile(
    r"(?:(?<=^)|(?<=[\s,;，；、\"]))(?:[(（]([A-J])[)）]|([A-J])[ \t]?([:：.．)）、]))",
    re.MULTILINE,
)
# What may stand before the first option of a line.
_LINE_START = re.compile(r"[\s\"]*(?:(?:Options?|Choices?)\s*[:：]?[\s\"]*)?", re.IGNORECASE)
_LETTER = re.compile(r"\(?([A-J])\)?[.:]?")
_LETTERS = re.compile(r"\(?[A-J]\)?[.:]?(?:[\s,]+\(?[A-J]\)?[.:]?)*")
_STRINGS = re.compile(r"\s*\[\s*['\"\]]")
_WIDEN = str.maketrans("：．）", ":.)")


@dataclass(frozen=True, slots=True)
class _Mark:
    """A letter that may mark an option; ``style`` tells how ("()" for brackets around it)."""

    letter: str
    style: str
    start: int
    end: int
    first_in_line: bool


def parsed_choices(text: str, gold: str) -> tuple[str, ...]:
    """Return the texts of the options that a question lists, or blank ones; see `wide_enough`."""
    return wide_enough(options_in(text), gold)


def wide_enough(choices: Sequence[str], gold: str, width: int = 4) -> tuple[str, ...]:
    """Return option texts that were read from a question, if the gold letter is one of theirs.

    Else the list was not read in full: blank texts, ``width`` of them, or more where a letter of
    the gold answer lies beyond.  So the right answer can always be given.
    """
    letters = re.findall("[A-J]", gold) if _LETTERS.fullmatch(gold.strip()) else []
    needed = max((ascii_uppercase.index(name) + 1 for name in letters), default=0)
    return tuple(choices) if len(choices) >= max(needed, 1) else ("",) * max(width, needed)


def options_in(text: str) -> tuple[str, ...]:
    """Return the texts of the options that a question lists as A, B, C, ...; () if it lists none.

    Understands one option a line and all in one line, marked ``A:``, ``A.``, ``A)`` or ``(A)``.
    Of several lists the longest counts; of equals the one whose letters stand at line starts, then
    the one of a single style (so that an option may mention another), then the last.  A list in
    which a letter is missed is none.
    """
    marks = _marks(text)
    lists = [found for kind in _kinds(marks) if (found := _longest(kind))]
    best = max(lists, key=lambda run: (len(run), *_trust(run)), default=[])
    return () if not best or _broken(best, marks) else _texts(text, best)


def _trust(run: Sequence[_Mark]) -> tuple[bool, bool, int]:
    at_line_starts = all(mark.first_in_line for mark in run)
    return at_line_starts, len({mark.style for mark in run}) == 1, run[0].start


def _broken(run: Sequence[_Mark], marks: Sequence[_Mark]) -> bool:
    """Whether a later letter goes on with a list where the next one was not found."""
    last = run[-1]
    return any(
        mark.first_in_line and mark.letter > last.letter and mark.start > last.start
        for mark in marks
    )


def _marks(text: str) -> list[_Mark]:
    marks = []
    for match in _MARKER.finditer(text):
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        style = (match[3] or "()").translate(_WIDEN)
        first = _LINE_START.fullmatch(before) is not None
        marks.append(_Mark(match[1] or match[2], style, match.start(), match.end(), first))
    return marks


def _kinds(marks: Sequence[_Mark]) -> Iterator[list[_Mark]]:
    """Yield the marks that may make a list: at line starts or anywhere, of one style or of any."""
    for pool in ([mark for mark in marks if mark.first_in_line], list(marks)):
        for style in dict.fromkeys(mark.style for mark in pool):
            yield [mark for mark in pool if mark.style == style]
        yield pool


def _longest(marks: Sequence[_Mark]) -> list[_Mark]:
    """Return the longest run A, B, C, ... of two at least, the last of equals; else []."""
    best: list[_Mark] = []
    for first, mark in enumerate(marks):
        if mark.letter == "A":
            run = _run(marks[first:])
            if len(run) >= max(len(best), 2):
                best = run
    return best


def _run(marks: Sequence[_Mark]) -> list[_Mark]:
    """Return the marks A, B, C, ... in order from the first on, passing over others."""
    run: list[_Mark] = []
    for mark in marks:
        if mark.letter == ascii_uppercase[len(run)]:
            run.append(mark)
        elif mark.letter == "A":
            break
    return run


def _texts(text: str, run: Sequence[_Mark]) -> tuple[str, ...]:
    ends = [mark.start for mark in run[1:]]
    texts = [text[mark.end : end].strip() for mark, end in zip(run, ends, strict=False)]
    texts.append(text[run[-1].end :].strip().partition("\n")[0].strip())
    texts = [option.rstrip(",;，； ") for option in texts]
    return tuple(each[1:-1] if re.fullmatch('(?s)".*"', each) else each for each in texts)


def unlabelled(entries: Sequence[str]) -> tuple[str, ...]:
    """Return listed options without the letter that each begins with: ``(B) blue`` is ``blue``."""
    texts = []
    for name, entry in zip(ascii_uppercase, entries, strict=False):
        match = _MARKER.match(entry.strip())
        own = match is not None and name in (match[1], match[2])
        texts.append(entry.strip()[match.end() :].strip() if match and own else entry.strip())
    return tuple(texts)


def letter(gold: str, choices: Sequence[str]) -> str:
    """Return the letter of a gold answer ``C``, ``(C)`` or an option's text; ItemError if none."""
    match = _LETTER.fullmatch(gold.strip())
    if match and ascii_uppercase.index(match[1]) < len(choices):
        return match[1]
    for name, choice in zip(ascii_uppercase, choices, strict=False):
        if choice.strip() == gold.strip():
            return name
    raise ItemError(f"the data set's answer {gold!r} is none of its {len(choices)} options")


def literal(text: str) -> tuple[str, ...]:
    """Return the strings of a list that a data set stores as Python text; a lone string as one.

    An interval such as ``[1, 2)`` is a lone string. Raises `ItemError` if it opens like a list of
    strings and is none.
    """
    if not _STRINGS.match(text):
        return (text,)
    try:
        return tuple(str(entry) for entry in ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError, TypeError) as error:
        raise ItemError(f"the data set's list {text[:60]!r} does not parse: {error}") from error
