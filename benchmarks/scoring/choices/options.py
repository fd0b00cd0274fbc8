"""Reads the chosen option out of a response: its letter, or failing that its text.

What the response declares as its answer is read first and alone; only without a declaration are
the first and last lines and the sentences read.  None if nothing says which option is chosen.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.scoring.choices.letters import (
    after_filler,
    letter,
    letters_for,
    marked,
    named,
    names_no_option,
    simplify,
)
from benchmarks.scoring.choices.option_texts import REFUSAL, OptionTexts
from benchmarks.scoring.claims import claimed, segments, without_run_on
from benchmarks.scoring.extract import conclusions, cut_off, declared, flat, pleasantry, sentences

_PREFERS = re.compile(
    r"\b(?:most|best|more|likely|correspond\w*|match\w*|fits?|choose|select|should|must|correct)\b"
)
_CONTRASTS = re.compile(
    r"\b(?:whereas|while|although|unlike|different\w*|other|less|not|cannot)\b|n't\b"
)
_REASON = re.compile(r",?\s(?:because|since|as|whereas|while|unlike|rather than|instead of)\b")
_EXPLAINS = re.compile(
    r"(?:This|That|It|One|You|We)\s(?:can\b|is (?:evident|clear|because|seen|shown|apparent))"
)
_SUPPORTS = re.compile(r"(?:This|These|Both|It|That)\b")
_FEW, _SHORT = 2, 80


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the letters (one as a rule), by which rule, from which part.

    ``given`` is how the option was given: by its ``letter``, by its letter and its own text
    (``both``), by its ``text``, or by a ``hint`` where the response declares no answer and names
    the option in passing.  ``span`` is the part in full, with its LaTeX where that is known.
    ``passed_over`` are the parts that mention an option and do not claim it.
    """

    letters: tuple[str, ...]
    rule: str
    part: str
    given: Literal["letter", "both", "text", "hint"] = "letter"
    span: str = ""
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Parts:
    """A response that declares no answer, in its lines and its sentences."""

    text: str
    lines: list[str]
    sentences: list[str]


_NOT_LISTED = re.compile(
    r"\W*(?:none\b|not (?:among|listed|given|in\b)|n/?a\b|unlisted|no (?:option|answer|correct)"
    r"|(?:option|answer) (?:missing|not)|cannot|unknown|unclear)",
    re.IGNORECASE,
)
_OTHER_ITEM = re.compile(r"[;,]?\s\(?([A-Z])[).:]\s?(?=\S)")
# "(A) Oak or (C) Pine"; "B (green)", of which one bracket may be gone.
_JOINED_ITEM = re.compile(r"(?!as\b|because\b|since\b)[^,.;]{0,80}?\s(?:and|or)\s\(([A-Z])\)")
_INSIDE = re.compile(r"[(\[]([^()\[\]]{1,80})[)\]]?$")
_GLUED = re.compile(r"[(\[]?([A-Z])[)\]]?[.:]?\s?(?=\S)")
_AND = re.compile(r"\b(?:and|or)\b")
_LIST = re.compile(
    r"\(?[A-Z]\)?(?:\s?(?:[,;&/]|\band\b|\bor\b|\s)\s?(?:and\s|or\s)?\(?[A-Za-z]\)?(?![\w']))+[\s.]*"
)
_OPTION_LINE = re.compile(r"[\s*$\\(\[]{0,8}[A-Z][)\].:]")
_RANK = re.compile(r"\s{0,8}([1-9])[.):]\s{1,4}\W{0,4}[A-Z]\W{0,4}(?:\s.*)?\Z")  # "2. B"
# How a last paragraph sums up a review of the options.
_SUMS_UP = re.compile(
    r"\W*(?:based on|going by|given|on (?:this|these|that|balance)|considering|overall"
    r"|from (?:this|these)|therefore|thus|hence|so\b|in (?:conclusion|summary|short)|to sum up"
    r"|i (?:would|believe|think))",
    re.IGNORECASE,
)
_LABELLED = re.compile(r"(?:[Tt]he )?[A-Za-z][a-z]{2,} \(?([A-Z])\)?")  # "Field B"
_JOINED = re.compile(r"[A-Z]{2,10}")
# What may stand before a lone letter: a bullet, a number, an arrow, an emoji.
_BULLET = re.compile(r"(?:\d\.|[^\w\s([\\<{$¬~≠-]|[_\s])+")


def _bare(line: str) -> str:
    """Return a line without what stands before its first word."""
    match = _BULLET.match(line)
    return line[match.end() :] if match else line


class OptionReader:
    """Reads the chosen option among ``choices`` (their texts in order, empty where unknown).

    ``last_named``: by the benchmark's convention the last of several options that a response
    names in brackets is its answer, where nothing else says which.
    """

    def __init__(self, choices: Sequence[str], last_named: bool = False) -> None:
        self.texts, self.last_named = OptionTexts(choices), last_named
        self.forms = letters_for(len(choices))
        self.cut = False  # whether the response stops in the middle of a sentence

    def read(self, text: str) -> Reading | None:
        """Return the option that a cleaned response chooses, or None."""
        plain = without_run_on(flat(text))
        self.cut = cut_off(plain)
        parts = segments(plain, with_no="no" not in self.texts.keys)
        for index in reversed(range(len(parts))):
            if reading := self._part(parts[index]):
                later = " ".join(parts[index + 1 :])
                if not reading.letters or (later and not self._is_claimed(reading, later)):
                    return None
                taken_back = [part.strip()[-_SHORT:] for part in parts[:index] if part.strip()]
                return replace(reading, passed_over=(*taken_back, *reading.passed_over))
        return None

    def _is_claimed(self, reading: Reading, later: str) -> bool:
        """Whether what comes later does not deny a reading."""
        if len(reading.letters) != 1:
            return True
        own = rf"(?<![\w'])[(\[]?{reading.letters[0]}[)\]]?(?![\w'])"
        return not claimed(later, own)[1]

    def _part(self, text: str) -> Reading | None:
        """Read what is left of a part of a response without what it does not claim."""
        text = self._without_lists(text)
        plain, passed = claimed(text, self.texts.mention, self.texts.masked(text))
        reading = self._final_line(plain) or self._declared(plain)
        return replace(reading, passed_over=tuple(passed)) if reading else None

    def _declared(self, plain: str) -> Reading | None:
        """Read the last declaration that names an option, else what the rest names."""
        spans = declared(plain)
        for span in spans:
            if reading := self._span(span.text, span.rule):
                return reading
        if any(span.rule == "boxed" for span in spans):
            return None
        return self._undeclared(plain)

    def _without_lists(self, text: str) -> str:
        """Return a text without lists, which choose no option: of the options, or of ranks."""
        lines = text.split("\n")
        ranks = [(i, int(match[1])) for i, line in enumerate(lines) if (match := _RANK.match(line))]
        for (i, rank), (j, next_rank) in itertools.pairwise(ranks):
            if next_rank == rank + 1:
                lines[i] = lines[j] = ""
        listed = [self._own_line(line) for line in lines]
        filled = [i for i, name in enumerate(listed) if lines[i].strip()]
        for i, j in itertools.pairwise(filled):
            name, following = listed[i], listed[j]
            if name and following and ord(following) == ord(name) + 1:
                lines[i] = lines[j] = ""
        return "\n".join(lines)

    def _own_line(self, line: str) -> str | None:
        """Return the letter of a line that is an option's letter and text."""
        if not _OPTION_LINE.match(line):
            return None
        line = simplify(line)
        name = self.forms.on_line(line)
        rest = line.strip().lstrip("([")[1:].lstrip(")].: ").rstrip(" .,;")
        return name if name and rest and self.texts.is_own(ord(name) - ord("A"), rest) else None

    def _final_line(self, plain: str) -> Reading | None:
        """Read a last line that is a letter, alone or with its text behind a review of options."""
        lines = [line.strip() for line in simplify(plain).splitlines() if line.strip()]
        if len(lines) < _FEW:
            return None
        last = _bare(lines[-1])
        found = self.forms.is_letter(last)
        if found:
            return Reading((found,), "last line is a letter", last[:80])
        found = self.forms.on_line(last)
        rest = last.lstrip("([")[1:].lstrip(")].: ")
        if found is None or not self.texts.is_own(ord(found) - ord("A"), rest.rstrip(". ")):
            return None
        listed = [self.forms.on_line(line) for line in lines[:-1]]
        if found not in listed:
            return None
        return Reading((found,), "last line repeats an option", last[:80], "both", last)

    def _span(self, text: str, rule: str) -> Reading | None:
        """Read a span that is declared to be the answer."""
        raw, text = text, simplify(text)
        claim = _REASON.split(text, maxsplit=1)[0] if rule == "whole response" else text
        inside = dict.fromkeys(one for one in marked(claim) if one in self.texts.letters)
        if rule != "answer statement" and len(inside) > 1:
            return Reading(tuple(inside), f"{rule}, several letters", text[:80])
        start = after_filler(text)
        for position in dict.fromkeys((0, start)):
            if reading := self._at(text[position:], raw, rule):
                return reading
        if _NOT_LISTED.match(text):
            return Reading((), f"{rule}, none of the options", text[:80])
        if names_no_option(text, start):
            return Reading((), f"{rule}, no option's letter", text[:80])
        only = self._only(marked(text)) or self._only(named(text, self.texts.noun))
        if only and not REFUSAL.search(text):
            return Reading((only,), f"{rule}, marked letter", text[:80])
        return None

    def _at(self, text: str, raw: str, rule: str) -> Reading | None:
        """Read the letter, letters or option's text with which a span begins."""
        glued = _GLUED.match(text)
        if glued and glued[1] in self.texts.letters:
            rest = text[glued.end() :].partition("\n")[0].rstrip(" .")
            own = ord(glued[1]) - ord("A")
            if self.texts.is_own(own, rest) or self.texts.begins_own(own, rest):
                return Reading((glued[1],), rule, text[:80], "both", raw)
        if _LIST.fullmatch(text):
            names = tuple(
                dict.fromkeys(name.upper() for name in re.findall("[A-Za-z]", _AND.sub(" ", text)))
            )
            if set(names) <= self.texts.letters:
                return Reading(names, f"{rule}, several letters", text[:80])
        if letters := self.forms.at(text):
            return self._agreed(letters, text, rule, raw)
        label = _LABELLED.fullmatch(text.rstrip(" ."))
        if label and label[1] in self.texts.letters and label[1].lower() in self.texts.keys:
            return Reading((label[1],), f"{rule}, label", text[:80], "letter", raw)
        index = self.texts.named_by(text, raw)
        if index is not None:
            return Reading((letter(index),), f"{rule}, option text", text[:80], "text", raw)
        if (joined := _JOINED.fullmatch(text.strip(" ."))) and set(joined[0]) <= self.texts.letters:
            return Reading(tuple(dict.fromkeys(joined[0])), f"{rule}, several letters", text[:80])
        return None

    def _agreed(self, letters: tuple[str, ...], text: str, rule: str, span: str) -> Reading:
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

    def _only(self, letters: list[str]) -> str | None:
        """Return the letter that stands there alone, if it is an option's."""
        found = set(letters)
        return letters[0] if len(found) == 1 and found <= self.texts.letters else None

    def _undeclared(self, plain: str) -> Reading | None:
        """Read a response that nowhere says which part of it is the answer."""
        text = simplify(plain)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        lines = [line for line in lines if not pleasantry(line)] or lines
        if not lines:
            return None
        if self.cut:
            return self._begun(lines)
        lines = [line for line in lines if not self._is_beyond(line)]
        text = "\n".join(line for line in text.split("\n") if not self._is_beyond(line.strip()))
        if not lines:
            return None
        parts = _Parts(text, lines, sentences(text) or lines)
        if len(lines) == 1 and _BULLET.match(plain) and self.forms.is_letter(_bare(lines[0])):
            return self._span(_bare(lines[0]), "whole response")
        short = len(parts.sentences) == 1 and len(text) <= _SHORT and len(set(named(text))) < _FEW
        if short and (reading := self._span(plain, "whole response")):
            return reading
        for rule in (self._edges, self._announced, self._verdict, self._marked, self._contents):
            if reading := rule(parts):
                return reading
        return self._last(parts) if self.last_named else None

    def _begun(self, lines: list[str]) -> Reading | None:
        """Read a response that breaks off: only a letter on its first line is an answer."""
        found = self.forms.is_letter(lines[0])
        return Reading((found,), "first line", lines[0]) if found else None

    def _is_beyond(self, line: str) -> bool:
        """Whether a line is an invented option: "(E) green" of four."""
        beyond = _OPTION_LINE.match(line) and letters_for(26).on_line(line)
        return bool(beyond) and beyond not in self.texts.letters and not self.forms.is_letter(line)

    def _edges(self, parts: _Parts) -> Reading | None:
        """The first or the last line is an option, and its neighbour is not another one."""
        lines = parts.lines
        ends = (("first line", lines[0], lines[1:2]), ("last line", lines[-1], lines[-2:-1]))
        for rule, line, neighbours in ends:
            found = self.forms.on_line(line) or self._bare(line)
            if found and not any(self.forms.on_line(other) for other in neighbours):
                return self._agreed(self.forms.at(line) or (found,), line, rule, line)
        return None

    def _bare(self, line: str) -> str | None:
        """Return the letter of a line such as "D 12 cm", where D is 12 cm."""
        said, _, rest = line.rstrip(" .").partition(" ")
        if said not in self.texts.letters or not self.texts.is_own(ord(said) - ord("A"), rest):
            return None
        return said

    def _announced(self, parts: _Parts) -> Reading | None:
        """A line that ends with a colon announces an option, alone on the next line."""
        rows = [*parts.lines, ""]
        for line, option, after in zip(rows[-3::-1], rows[-2::-1], rows[::-1], strict=False):
            found = self.forms.on_line(option) if line.endswith(":") else None
            if found and not self.forms.on_line(after):
                return Reading((found,), "announced line", option[:80])
        return None

    def _verdict(self, parts: _Parts) -> Reading | None:
        """A sentence judges ("B is correct"), concludes ("Therefore, B.") or is a letter."""
        final = self.forms.is_letter(parts.sentences[-1])
        if final and not any(self.forms.on_line(piece) for piece in parts.sentences[-2:-1]):
            return Reading((final,), "last sentence is a letter", parts.sentences[-1])
        if judgement := self.forms.judgement(parts.text):
            judged, rule, part = judgement
            return Reading(judged, rule, part[:80])
        return None

    def _marked(self, parts: _Parts) -> Reading | None:
        """One marked letter stands alone in a sentence that prefers it, or in the whole text."""
        ends = (
            ("summary", self._summary(parts)),
            ("last sentence", parts.sentences[-1]),
            ("first sentence", parts.sentences[0]),
        )
        for rule, part in ends:
            claim = _REASON.split(part, maxsplit=1)[0]
            only = self._only(marked(claim)) or self._only(named(claim, self.texts.noun))
            if (
                only
                and (rule == "summary" or _PREFERS.search(claim))
                and not _CONTRASTS.search(claim)
            ):
                return Reading((only,), f"only letter in {rule}", part[-80:], "hint", part)
        letters = marked(parts.text) or named(parts.text, self.texts.noun)
        only = self._only(letters)
        if only and not REFUSAL.search(parts.text):
            return Reading((only,), "only letter", parts.text[-80:], "hint", parts.text)
        return None

    def _summary(self, parts: _Parts) -> str:
        """Return the sentence that begins the last paragraph, where it sums up or prefers."""
        review, _, paragraph = parts.text.rstrip().rpartition("\n\n")
        begun = next(iter(sentences(paragraph)), "") if review else ""
        return begun if _SUMS_UP.match(begun) or _PREFERS.search(begun) else ""

    def _last(self, parts: _Parts) -> Reading | None:
        """The last option in brackets, unless the response refuses or joins it to another."""
        found = marked(parts.text)
        if not found or not set(found) <= self.texts.letters or REFUSAL.search(parts.text):
            return None
        naming = [piece for piece in parts.sentences if marked(piece)]
        if not naming or len(set(marked(naming[-1]))) > 1:
            return None
        (last, *_) = marked(naming[-1])
        return Reading((last,), "last option named", naming[-1][:80], "hint", naming[-1])

    def _contents(self, parts: _Parts) -> Reading | None:
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
        """Return the option that the first or the last sentence claims, if they agree.

        A second sentence that supports the first ("This is evident because ...") claims nothing.
        """
        few = len(pieces) <= _FEW
        explained = len(pieces) > 1 and (
            _EXPLAINS.match(pieces[1]) or (few and _SUPPORTS.match(pieces[1]))
        )
        ends = pieces[:1] if explained else [pieces[0], pieces[-1]]
        strong = [sentence for sentence in ends if _PREFERS.search(sentence)]
        for some in (strong, ends if few or explained else []):
            named_ = [index for part in some if (index := self.texts.named_by(part)) is not None]
            if named_:
                return named_[0] if not few or len(set(named_)) == 1 else None
        return None
