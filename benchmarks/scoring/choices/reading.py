"""What a reading of an option is, and the checks that all readers of options share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.scoring.choices.letters import letters_for, marked, named, simplify
from benchmarks.scoring.choices.option_texts import OptionTexts

_OTHER_ITEM = re.compile(r"[;,]?\s\(?(?:([A-Z])[).:]|([a-z])\))\s?(?=\S)")
# "(A) Oak or (C) Pine"; "B (green)", of which one bracket may be gone.
_JOINED_ITEM = re.compile(r"(?!as\b|because\b|since\b)[^,.;]{0,80}?\s(?:and|or)\s\(([A-Z])\)")
_INSIDE = re.compile(r"[(\[]([^()\[\]]{1,80})[)\]]?$")
_LETTER = re.compile(r"[(\[]?([A-Z])[)\].:]*\s*(?=\S)")
_OPTION_LINE = re.compile(r"[\s*$\\(\[]{0,8}[A-Z][)\].:]")


Given = Literal["letter", "both", "text", "hint"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the letters (one as a rule), by which rule, from which part.

    ``given`` is how the option was given: by its ``letter``, by its letter and its own text
    (``both``), by its ``text``, or by a ``hint`` where the response declares no answer and names
    the option in passing.  ``span`` is the part in full, with its LaTeX where that is known.
    """

    letters: tuple[str, ...]
    rule: str
    part: str
    given: Given = "letter"
    span: str = ""


class Options:
    """The options of an item: their texts, and the forms of their letters."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.texts, self.forms = OptionTexts(choices), letters_for(len(choices))

    def only(self, text: str) -> str | None:
        """Return the only letter in brackets, else the only one named as an option."""
        found = {*(marked(text) or named(text, self.texts.noun))}
        return found.pop() if len(found) == 1 and found <= self.texts.letters else None

    def agreed(self, letters: tuple[str, ...], text: str, rule: str, span: str) -> Reading:
        """Return the reading of a letter: of none in "(D) Rome" when B is Rome."""
        rest = text.partition("\n")[0].lstrip("([ ")[1:].strip(" .):*],;")
        rest = re.sub(r"^(?:[-—–]|=|i\.e\.,?|namely|that is,?)\s", "", rest)
        index = ord(letters[0]) - ord("A")
        alone = len(letters) == 1 and bool(rest)
        if alone and self.texts.is_own(index, rest):
            return Reading(letters, rule, text[:80], "both", span)
        joined = _JOINED_ITEM.match(rest)
        items = {(m[1] or m[2]).upper() for m in _OTHER_ITEM.finditer(rest)}
        others = items & self.texts.letters - {*letters}
        if joined and joined[1] in self.texts.letters - {*letters}:
            others = {joined[1]}
        if others and (joined or rule != "answer statement"):
            return Reading((*letters, *sorted(others)), f"{rule}, several letters", text[:80])
        inside = _INSIDE.match(rest)
        parts = [rest, *([inside[1]] if inside else [])]
        if alone and any(self.texts.contradicted(index, part) for part in parts):
            return Reading((), f"{rule}, letter and text disagree", text[:80])
        given: Given = "both" if alone and rule == "boxed" else "letter"
        return Reading(letters, rule, text[:80], given, span)

    def own(self, line: str, begun: bool = False) -> str | None:
        """Return the letter of a line that is a letter and its own text, or begins that text."""
        match = _LETTER.match(line)
        if not match or match[1] not in self.texts.letters:
            return None
        index, rest = ord(match[1]) - ord("A"), line[match.end() :].rstrip(" .,;")
        own = self.texts.is_own(index, rest) or (begun and self.texts.begins_own(index, rest))
        return match[1] if own else None

    def listed(self, line: str) -> str | None:
        """Return the letter of a line that lists an option: "(B) blue", not "B blue"."""
        return self.own(simplify(line)) if _OPTION_LINE.match(line) else None

    def is_beyond(self, line: str) -> bool:
        """Whether a line is an invented option: "(E) green" of four."""
        beyond = _OPTION_LINE.match(line) and letters_for(26).on_line(line)
        return bool(beyond) and beyond not in self.texts.letters and not self.forms.is_letter(line)
