"""What a reading of an option is, and the checks that all readers of options share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.scoring.choices.letters import letters_for, simplify
from benchmarks.scoring.choices.option_texts import OptionTexts

# Behind it stands a reason, which claims no option.
REASON = re.compile(r",?\s(?:because|since|as|whereas|while|unlike|rather than|instead of)\b")
_OTHER_ITEM = re.compile(r"[;,]?\s\(?([A-Z])[).:]\s?(?=\S)")
# "(A) Oak or (C) Pine"; "B (green)", of which one bracket may be gone.
_JOINED_ITEM = re.compile(r"(?!as\b|because\b|since\b)[^,.;]{0,80}?\s(?:and|or)\s\(([A-Z])\)")
_INSIDE = re.compile(r"[(\[]([^()\[\]]{1,80})[)\]]?$")
_OPTION_LINE = re.compile(r"[\s*$\\(\[]{0,8}[A-Z][)\].:]")


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
    given: Literal["letter", "both", "text", "hint"] = "letter"
    span: str = ""


class Options:
    """The options of an item: their texts, and the forms of their letters."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.texts, self.forms = OptionTexts(choices), letters_for(len(choices))

    def only(self, letters: list[str]) -> str | None:
        """Return the letter that stands there alone, if it is an option's."""
        found = set(letters)
        return letters[0] if len(found) == 1 and found <= self.texts.letters else None

    def agreed(self, letters: tuple[str, ...], text: str, rule: str, span: str) -> Reading:
        """Return the reading of a letter: of no option where the text behind contradicts it.

        "(D) 120°" names no option when D is 108°; "(D) Rome" none when B is Rome.
        """
        rest = text.partition("\n")[0].lstrip("([ ")[1:].strip(" .):*],;")
        rest = re.sub(r"^(?:[-—–]|=|i\.e\.,?|namely|that is,?)\s", "", rest)
        joined = _JOINED_ITEM.match(rest)
        others = {m[1] for m in _OTHER_ITEM.finditer(rest)} & self.texts.letters - {*letters}
        if joined and joined[1] in self.texts.letters - {*letters}:
            others = {joined[1]}
        if others and (joined or rule != "answer statement"):
            return Reading((*letters, *sorted(others)), f"{rule}, several letters", text[:80])
        if len(letters) == 1 and rest:
            index = ord(letters[0]) - ord("A")
            if self.texts.contradicted(index, rest) or (
                (inside := _INSIDE.match(rest)) and self.texts.contradicted(index, inside[1])
            ):
                return Reading((), f"{rule}, letter and text disagree", text[:80])
            if rule == "boxed" or self.texts.is_own(index, rest):
                return Reading(letters, rule, text[:80], "both", span)
        return Reading(letters, rule, text[:80], "letter", span)

    def own_line(self, line: str) -> str | None:
        """Return the letter of a line that is an option's letter and text."""
        if not _OPTION_LINE.match(line):
            return None
        line = simplify(line)
        name = self.forms.on_line(line)
        rest = line.strip().lstrip("([")[1:].lstrip(")].: ").rstrip(" .,;")
        return name if name and rest and self.texts.is_own(ord(name) - ord("A"), rest) else None

    def is_beyond(self, line: str) -> bool:
        """Whether a line is an invented option: "(E) green" of four."""
        beyond = _OPTION_LINE.match(line) and letters_for(26).on_line(line)
        return bool(beyond) and beyond not in self.texts.letters and not self.forms.is_letter(line)
