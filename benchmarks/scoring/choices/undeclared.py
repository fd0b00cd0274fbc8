"""Reads the option out of a response that nowhere says which part of it is the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.scoring.choices.letters import letter, marked
from benchmarks.scoring.choices.reading import Options, Reading
from benchmarks.scoring.extract import conclusions, sentences
from benchmarks.scoring.phrases import REASON, REFUSAL, THAN

_PREFERS = re.compile(
    r"\b(?:most|best|more|likely|correspond\w*|match\w*|fits?|choose|select|should|must|correct)\b"
)
_CONTRASTS = re.compile(
    r"\b(?:whereas|while|although|unlike|different\w*|other|less|not|cannot)\b|n't\b"
)
_EXPLAINS = re.compile(r"(?:This|That|It|One|You|We)\s(?:can\b|is (?:evident|clear|because))")
# How a last paragraph sums up a review of the options.
_SUMS_UP = re.compile(
    r"(?i)\W*(?:based on|going by|given|on (?:this|these|that|balance)|considering|overall"
    r"|from (?:this|these)|therefore|thus|hence|so\b|in (?:conclusion|summary|short)|to sum up"
    r"|i (?:would|believe|think))"
)
_TICK, _CROSS, _SIGNS = re.compile("[✅✔✓☑]"), re.compile("[❌✗✘☒]"), re.compile(r"[|*✅✔✓☑]")
_FEW = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """A response that declares no answer, in its lines and its sentences."""

    text: str
    lines: list[str]
    sentences: list[str]


class Undeclared:
    """Reads the option that running text names: its letter, or failing that its text."""

    def __init__(self, options: Options, last_named: bool) -> None:
        self.options, self.last_named = options, last_named
        self.texts, self.forms = options.texts, options.forms

    def read(self, parts: Parts) -> Reading | None:
        """Return what the first rule that applies reads, or None."""
        rules = (self._ticked, self._edges, self._announced, self._verdict)
        for rule in (*rules, self._marked, self._contents):
            if reading := rule(parts):
                return reading
        return self._last(parts) if self.last_named else None

    def _ticked(self, parts: Parts) -> Reading | None:
        """One line is ticked where others are crossed out."""
        ticked = [line for line in parts.lines if _TICK.search(line)]
        if len(ticked) != 1 or not any(_CROSS.search(line) for line in parts.lines):
            return None
        line = _SIGNS.sub("", ticked[0]).strip()
        found = self.forms.on_line(line)
        return Reading((found,), "ticked line", line[:80]) if found else None

    def _edges(self, parts: Parts) -> Reading | None:
        """The first or the last line is an option, and its neighbour is not another one."""
        lines = parts.lines
        ends = (("first line", lines[0], lines[1:2]), ("last line", lines[-1], lines[-2:-1]))
        for rule, line, neighbours in ends:
            found = self.forms.on_line(line) or self.options.own(line)
            if found and not any(self.forms.on_line(other) for other in neighbours):
                return self.options.agreed(self.forms.at(line) or (found,), line, rule, line)
        return None

    def _announced(self, parts: Parts) -> Reading | None:
        """A line that ends with a colon announces an option, alone on the next line."""
        rows = [*parts.lines, ""]
        for line, option, after in zip(rows[-3::-1], rows[-2::-1], rows[::-1], strict=False):
            found = self.forms.on_line(option) if line.endswith(":") else None
            if found and not self.forms.on_line(after):
                return Reading((found,), "announced line", option[:80])
        return None

    def _verdict(self, parts: Parts) -> Reading | None:
        """A sentence judges ("B is correct"), concludes ("Therefore, B.") or is a letter."""
        final = self.forms.is_letter(parts.sentences[-1])
        if final and not any(self.forms.on_line(piece) for piece in parts.sentences[-2:-1]):
            return Reading((final,), "last sentence is a letter", parts.sentences[-1])
        if judgement := self.forms.judgement(parts.text):
            judged, rule, part = judgement
            return Reading(judged, rule, part[:80])
        return None

    def _marked(self, parts: Parts) -> Reading | None:
        """One marked letter stands alone in a sentence that prefers it, or in the whole text."""
        ends = (
            ("summary", self._summary(parts)),
            ("last sentence", parts.sentences[-1]),
            ("first sentence", parts.sentences[0]),
        )
        for rule, part in ends:
            claim = REASON.split(part, maxsplit=1)[0]
            only = self.options.only(claim)
            prefers = rule == "summary" or _PREFERS.search(claim)
            if only and prefers and not _CONTRASTS.search(claim):
                return Reading((only,), f"only letter in {rule}", part[-80:], "hint", part)
        only = self.options.only(THAN.sub("", parts.text))
        if only and not REFUSAL.search(parts.text):
            return Reading((only,), "only letter", parts.text[-80:], "hint", parts.text)
        return None

    def _summary(self, parts: Parts) -> str:
        """Return the sentence that begins the last paragraph, where it sums up or prefers."""
        review, _, paragraph = parts.text.rstrip().rpartition("\n\n")
        begun = next(iter(sentences(paragraph)), "") if review else ""
        return begun if _SUMS_UP.match(begun) or _PREFERS.search(begun) else ""

    def _last(self, parts: Parts) -> Reading | None:
        """The last option in brackets, unless the response refuses or joins it to another."""
        naming = [piece for piece in parts.sentences if marked(piece)]
        last = {*marked(naming[-1])} if naming else set()
        if len(last) != 1 or not last <= self.texts.letters or REFUSAL.search(parts.text):
            return None
        return Reading((*last,), "last option named", naming[-1][:80], "hint", naming[-1])

    def _contents(self, parts: Parts) -> Reading | None:
        """An option's text stands in a conclusion, up front, alone, or in a claim."""
        pieces = [piece for piece in parts.sentences if not self.forms.on_line(piece)]
        if not pieces:
            return None
        first, last = pieces[0], pieces[-1]
        ended = (conclusions(pieces) or [""])[0]
        summary = self._summary(parts)
        found = (
            ("conclusion", ended, self.texts.named_by(ended)),
            ("summary", summary, self.texts.named_by(summary)),
            ("first sentence", first, self.texts.up_front(first)),
            ("only option named", last, self.texts.only_one(parts.text, pieces)),
            ("claim", last, self._claimed(pieces)),
            ("value in last sentence", last, self.texts.with_number(parts.text)),
        )
        for rule, part, index in found:
            if index is not None:
                return Reading((letter(index),), f"option text, {rule}", part[:80], "hint", part)
        return None

    def _claimed(self, pieces: list[str]) -> int | None:
        """Return the option that the first or the last sentence claims, if they agree."""
        few = len(pieces) <= _FEW
        explained = len(pieces) > 1 and _EXPLAINS.match(pieces[1])
        ends = pieces[:1] if explained else [pieces[0], pieces[-1]]
        strong = [sentence for sentence in ends if _PREFERS.search(sentence)]
        for some in (strong, ends if few or explained else []):
            named_ = [index for part in some if (index := self.texts.named_by(part)) is not None]
            if named_:
                return named_[0] if not few or len(set(named_)) == 1 else None
        return None
