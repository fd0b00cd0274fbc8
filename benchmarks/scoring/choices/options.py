"""Reads the chosen option out of a response: its letter, or failing that its text."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.scoring.choices.letters import (
    after_filler,
    letter,
    marked,
    named,
    names_no_option,
    simplify,
)
from benchmarks.scoring.choices.reading import Options, Reading
from benchmarks.scoring.choices.undeclared import Parts, Undeclared
from benchmarks.scoring.claims import claimed, cover, last_claim, without_run_on
from benchmarks.scoring.extract import LEAVE, cut_off, declared, flat, sentences
from benchmarks.scoring.phrases import REASON, REFUSAL, THAN

_FEW, _SHORT = 2, 80


_NOT_LISTED = re.compile(
    r"(?i)\W*(?:n(?:one|ull)\b(?! of the (?:other|rest))|not (?:among|listed|given|in\b)"
    r"|n/?a\b|unlisted|no (?:option|answer|correct)|(?:option|answer) (?:missing|not)|cannot"
    r"|unknown|unclear)"
)
_AND = re.compile(r"\b(?:and|or)\b")
_LIST = re.compile(
    r"\(?[A-Z]\)?(?:\s?(?:[,;&/]|\band\b|\bor\b|\s)\s?(?:and\s|or\s)?\(?[A-Za-z]\)?(?![\w']))+[\s.]*"
)
_RANK = re.compile(r"\s{0,8}([1-9])[.):]\s{1,4}\W{0,4}[A-Z]\W{0,4}(?:\s.*)?\Z")  # "2. B"
_LABELLED = re.compile(r"(?:[Tt]he )?[A-Za-z][a-z]{2,} \(?([A-Z])\)?")  # "Field B"
_JOINED = re.compile(r"[A-Z]{2,10}")
# What may stand before a lone letter: a bullet, a number, an arrow, an emoji.
_BULLET = re.compile(r"(?:\d\.|[^\w\s([\\<{$¬~≠-]|[_\s])+")


def _bare(line: str) -> str:
    """Return a line without what stands before its first word."""
    match = _BULLET.match(line)
    return line[match.end() :] if match else line


class OptionReader:
    """Reads the chosen option; ``last_named``: by convention the last one named in brackets."""

    def __init__(self, choices: Sequence[str], last_named: bool = False) -> None:
        self.options = Options(choices)
        self.undeclared = Undeclared(self.options, last_named)
        self.texts, self.forms = self.options.texts, self.options.forms
        self.cut = False  # whether the response stops in the middle of a sentence

    def read(self, text: str) -> tuple[Reading | None, list[str]]:
        """Return the option that a cleaned response chooses, and what was passed over.

        Without letters where it chooses none of the options or takes its choice back.
        """
        plain = flat(text)
        self.cut = cut_off(without_run_on(plain))
        return last_claim(plain, self._part, with_no="no" not in self.texts.keys)

    def _is_claimed(self, reading: Reading, later: str) -> bool:
        """Whether what comes later does not deny a reading."""
        if len(reading.letters) != 1:
            return True
        own = re.compile(rf"(?<![\w'])[(\[]?{reading.letters[0]}[)\]]?(?![\w'])")
        return not claimed(later, cover(later, own))[1]

    def _part(self, text: str, later: str) -> tuple[Reading | None, list[str]]:
        """Read what is left of a part of a response without what it does not claim."""
        text = self._without_lists(text)
        masked = self.texts.masked(text)
        plain, passed = claimed(text, self.texts.covered(masked), masked)
        reading = self._final_line(plain) or self._declared(plain)
        if reading and later and not self._is_claimed(reading, later):
            reading = replace(reading, letters=(), rule=f"{reading.rule}, taken back")
        return reading, passed

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
        listed = [self.options.listed(line) for line in lines]
        filled = [i for i, name in enumerate(listed) if lines[i].strip()]
        for i, j in itertools.pairwise(filled):
            name, following = listed[i], listed[j]
            if name and following and ord(following) == ord(name) + 1:
                lines[i] = lines[j] = ""
        return "\n".join(lines)

    def _final_line(self, plain: str) -> Reading | None:
        """Read a last line that is a letter, alone or with its text behind a review of options."""
        lines = [line.strip() for line in simplify(plain).splitlines() if line.strip()]
        if len(lines) < _FEW:
            return None
        last = _bare(lines[-1])
        found = self.forms.is_letter(last)
        if found:
            return Reading((found,), "last line is a letter", last[:80])
        found = self.options.own(last)
        listed = [self.forms.on_line(line) for line in lines[:-1]]
        if not found or found not in listed:
            return None
        return Reading((found,), "last line repeats an option", last[:80], "both", last)

    def _span(self, text: str, rule: str) -> Reading | None:
        """Read a span that is declared to be the answer."""
        raw, text = text, simplify(text)
        claim = REASON.split(text, maxsplit=1)[0] if rule == "whole response" else text
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
        only = self.options.only(THAN.sub("", text))
        if only and not REFUSAL.search(text):
            return Reading((only,), f"{rule}, marked letter", text[:80])
        return None

    def _at(self, text: str, raw: str, rule: str) -> Reading | None:
        """Read the letter, letters or option's text with which a span begins."""
        line = text.partition("\n")[0]
        if own := self.options.own(line, begun=True):
            return Reading((own,), rule, text[:80], "both", raw)
        if _LIST.fullmatch(text):
            names = dict.fromkeys(re.findall("[A-Z]", _AND.sub(" ", text).upper()))
            if set(names) <= self.texts.letters:
                return Reading((*names,), f"{rule}, several letters", text[:80])
        if letters := self.forms.at(text):
            return self.options.agreed(letters, text, rule, raw)
        label = _LABELLED.fullmatch(text.rstrip(" ."))
        if label and label[1] in self.texts.letters and label[1].lower() in self.texts.keys:
            return Reading((label[1],), f"{rule}, label", text[:80], "letter", raw)
        index = self.texts.named_by(text, raw)
        if index is not None:
            return Reading((letter(index),), f"{rule}, option text", text[:80], "text", raw)
        if (joined := _JOINED.fullmatch(text.strip(" ."))) and set(joined[0]) <= self.texts.letters:
            return Reading(tuple(dict.fromkeys(joined[0])), f"{rule}, several letters", text[:80])
        return None

    def _undeclared(self, plain: str) -> Reading | None:
        """Read a response that nowhere says which part of it is the answer."""
        text = simplify(plain)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        lines = [line for line in lines if not LEAVE.match(line)]
        if self.cut and lines:  # only a letter on its first line is an answer
            found = self.forms.is_letter(lines[0])
            return Reading((found,), "first line", lines[0]) if found else None
        lines = [line for line in lines if not self.options.is_beyond(line)]
        if not lines:
            return None
        text = "\n".join(
            line for line in text.split("\n") if not self.options.is_beyond(line.strip())
        )
        parts = Parts(text, lines, sentences(text) or lines)
        if len(lines) == 1 and _BULLET.match(plain) and self.forms.is_letter(_bare(lines[0])):
            return self._span(_bare(lines[0]), "whole response")
        short = len(parts.sentences) == 1 and len(text) <= _SHORT and len(set(named(text))) < _FEW
        if short and (reading := self._span(plain, "whole response")):
            return reading
        return self.undeclared.read(parts)
