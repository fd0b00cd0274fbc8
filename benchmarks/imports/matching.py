"""Match answers in a log to a benchmark's items.

By official id, else by row, else by question (and image). Whatever the name, a match must not
contradict the log's text. Numbers that the tool may have assigned are no evidence.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from string import ascii_uppercase

from benchmarks.imports.log import LoggedSample
from harness.protocols import Benchmark, FailedItem
from harness.records import Item, TextPart

_TELLING = 12  # minimum length of a text to search for within another
# What tools write before a question: matches "Question: ", "Options:"; not "Questions".
_LABEL = re.compile(r"^(?:Question|Context|Choices|Options|Hint):\s*")
# An option's letter and text: matches "A. red", "(B) blue", "c:" (an image); not "A car", "1. red".
_OPTION = re.compile(r"\(?([A-Za-z])[.):]+(?:\s+(\S.*))?")
UNKNOWN_ITEM = "no item has that id or question"
AMBIGUOUS = "several items have that question"
NUMBERED = "several items have that question, and its id may be a number that the tool gave"
CONTRADICTED = "the item of that id has another question or other options"


def folded(text: str) -> str:
    """Normalise a text for comparing questions: NFKC, no image marks, single blanks."""
    text = unicodedata.normalize("NFKC", re.sub(r"<image(?: ?\d+)?>", " ", text))
    return " ".join(text.split())


# Where an option begins within a line: matches "A. ", "(B) ", ", C: "; not "car. ".
_BEGINS = re.compile(r"(?<![^\s,;])\(?([A-Z])[.):]+\s+")
Line = tuple[str, str]


def _split(line: str) -> Sequence[str]:
    """Return a line's question and options, if it lists two or more options from A."""
    starts: list[int] = []
    for mark in _BEGINS.finditer(line):
        if mark[1] == ascii_uppercase[len(starts) : len(starts) + 1]:
            starts.append(mark.start())
    if len(starts) < 2:
        return [line]
    return [line[a:b].strip(" ,;") for a, b in pairwise([0, *starts, len(line)])]


@lru_cache(maxsize=16)  # a sample's texts are compared with every item
def lines_of(text: str) -> Sequence[Line]:
    """Return a text's normalised lines and options, each with its option's letter, or ""."""
    found = []
    for line in (part for row in text.splitlines() for part in _split(folded(row))):
        option = _OPTION.fullmatch(line)
        letter, rest = (option[1], option[2] or "") if option else ("", _LABEL.sub("", line))
        if letter or rest:
            found.append((letter, rest))
    return found


@lru_cache(maxsize=16)
def options_of(text: str) -> Sequence[Line]:
    """Return the last options that a text lists from A."""
    listed = [line for line in lines_of(text) if line[0]]
    first = max((number for number, (letter, _) in enumerate(listed) if letter in "Aa"), default=-1)
    return listed[first:] if first >= 0 else ()


def inside(short: str, long: str) -> bool:
    """Whether a text is within another: in whole words, and not as the first of more options."""
    if not short or short not in long:
        return False
    listed = re.search(r"(?<!\w)\(?[A-Z][.):]+\s", short)
    after = r"(?!\w)(?!\W?\s*\(?[A-Z][.):]+\s)" if listed else r"(?!\w)"
    return re.search(rf"(?<!\w){re.escape(short)}{after}", long) is not None


@dataclass(frozen=True)
class Items:
    """The items of a benchmark made without images, searchable by what logs say about them."""

    benchmark: Benchmark

    @cached_property
    def all(self) -> Mapping[str, Item | FailedItem]:
        """Every item by its id."""
        return {item_id: self.benchmark.build(item_id) for item_id in self.benchmark.ids()}

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """Every item's prompt, normalised for comparing questions."""
        return {item_id: folded(prompt_of(item)) for item_id, item in self.all.items()}

    @cached_property
    def _by_text(self) -> Mapping[str, list[str]]:
        by_text: dict[str, list[str]] = {}
        for item_id, text in self.texts.items():
            by_text.setdefault(text, []).append(item_id)
        return by_text

    @cached_property
    def _by_row(self) -> Mapping[tuple[str, int], str]:
        """The ids by lmms-eval's task and row, for benchmarks made from its tasks."""
        prepared = getattr(self.benchmark, "prepared", None)
        forms = getattr(self.benchmark, "forms", ())
        rows = prepared.rows if prepared is not None else ()
        return {(forms[row.form].task, row.row): row.id for row in rows}

    @cached_property
    def _by_official(self) -> Mapping[str, list[str]]:
        """The ids by official name: the id without the prefix that distinguishes our variants."""
        prefixes = [form.prefix for form in getattr(self.benchmark, "forms", ()) if form.prefix]
        by_name: dict[str, list[str]] = {}
        for item_id in self.all:
            prefix = next((p for p in prefixes if item_id.startswith(p)), "")
            by_name.setdefault(item_id.removeprefix(prefix), []).append(item_id)
        return by_name

    @cached_property
    def _lines(self) -> Mapping[str, Sequence[Line]]:
        return {item_id: lines_of(prompt_of(item)) for item_id, item in self.all.items()}

    @cached_property
    def _options(self) -> Mapping[str, Sequence[Line]]:
        return {item_id: options_of(prompt_of(item)) for item_id, item in self.all.items()}

    @cached_property
    def _usual(self) -> frozenset[Line]:
        """The lines that most items have: our template's, or a question asked of many."""
        held = Counter(line for lines in self._lines.values() for line in set(lines))
        return frozenset(line for line, count in held.items() if 2 * count > len(self._lines))

    @cached_property
    def _bodies(self) -> Mapping[str, Sequence[Line]]:
        """Every item's lines without our template's below; () if too little is left.

        The template's are the usual lines after the last option, or the last line of an item
        without options.
        """
        return {item_id: self._body(lines) for item_id, lines in self._lines.items()}

    def _body(self, lines: Sequence[Line]) -> Sequence[Line]:
        listed = [number for number, (letter, _) in enumerate(lines, 1) if letter]
        end = listed[-1] if listed else len(lines) - 1
        body = [*lines[:end], *(line for line in lines[end:] if line not in self._usual)]
        telling = sum(len(text) for _, text in body) >= _TELLING
        return body if telling and not self._usual.issuperset(body) else ()

    def find(self, task: str, sample: LoggedSample) -> tuple[str | None, str]:
        """Return the id of a sample's item, or None and the reason."""
        named = [name for name in sample.official if name in self.all]
        named += [item for name in sample.official for item in self._by_official.get(name, ())]
        at_row = None if sample.row is None else self._by_row.get((task, sample.row))
        candidates = [*dict.fromkeys(named), *([at_row] if at_row else [])]
        fitting = [item_id for item_id in candidates if self._fits(item_id, sample)]
        if fitting and sample.numbered:
            every = (item_id for item_id in self.all if self._fits(item_id, sample))
            fitting = self._by_question(sample) or list(every)
        fitting = self._shown(fitting, sample)
        if len(fitting) > 1 and at_row in fitting:
            return at_row, ""
        if found := fitting or self._shown(self._by_question(sample), sample):
            if len(found) == 1:
                return found[0], ""
            return None, NUMBERED if candidates and sample.numbered else AMBIGUOUS
        return None, CONTRADICTED if candidates else UNKNOWN_ITEM

    def _fits(self, item_id: str, sample: LoggedSample) -> bool:
        text = self.texts[item_id]
        said = [part for part in (sample.question, "\n".join(sample.prompt)) if part]
        if any(self._has_other_options(part, item_id) for part in said):
            return False
        return not said or any(
            inside(folded(part), text) or inside(text, folded(part)) or self._holds(part, item_id)
            for part in said
        )

    def _has_other_options(self, text: str, item_id: str) -> bool:
        said, own = options_of(text), self._options[item_id]
        return bool(said and own) and said != own

    def _holds(self, text: str, item_id: str) -> bool:
        """Whether a text asks an item in another template than ours.

        All lines of the item are in the text, in order, options with their letters, and no other
        option is among them or follows. Only what our template adds below may be missing.
        """
        body, lines = self._bodies[item_id], lines_of(text)
        starts = (n for n, line in enumerate(lines) if body and line == body[0])
        return any(_follows(body, lines[start:]) for start in starts)

    def _by_question(self, sample: LoggedSample) -> list[str]:
        """Return the items with a sample's prompt, else with its question."""
        asked = "\n".join(sample.prompt)
        prompt, question = folded(asked), folded(sample.question)
        for text in filter(None, (prompt, question)):
            if text in self._by_text:
                return self._by_text[text]
        possible = [item for item in self.all if not self._has_other_options(asked, item)]
        for text in (question, prompt):
            within = (i for i in possible if len(text) >= _TELLING and inside(text, self.texts[i]))
            if found := list(within):
                return [item for item in found if self._holds(asked, item)] or found
        own = ((item, self.texts[item]) for item in possible)
        whole = [item for item, text in own if len(text) >= _TELLING and inside(text, prompt)]
        return whole or [item for item in possible if self._holds(asked, item)]

    def _shown(self, candidates: list[str], sample: LoggedSample) -> list[str]:
        """Return, of several items with the same text, those that show the sample's image.

        They need not be candidates: an id may be a number assigned by the tool. If no such item
        shows the image it is no evidence, since tools convert images.
        """
        alike = dict.fromkeys(i for item in candidates for i in self._by_text[self.texts[item]])
        image = f"images-{sample.image}"
        clusters = {name: getattr(self.all[name], "cluster", "") for name in alike}
        shown = [name for name in alike if sample.image and clusters[name] == image]
        return [item for item in candidates if item in shown] or shown or candidates


def _follows(body: Sequence[Line], lines: Sequence[Line]) -> bool:
    """Whether lines contain a body's in order, with no other option among or after them."""
    left = list(body)
    for line in lines:
        if left and line == left[0]:
            left.pop(0)
        elif line[0]:
            return False
    return not left


def prompt_of(item: Item | FailedItem) -> str:
    """Return the text of an item's prompt, "" if it could not be built."""
    if isinstance(item, FailedItem):
        return ""
    parts = (part for message in item.messages for part in message.content)
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def reasons(failures: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line per reason why samples match no item, naming the first sample."""
    names: dict[str, list[str]] = {}
    for name, why in failures:
        names.setdefault(why, []).append(name)
    return [
        f"{len(of)} of its answers match no item: {why} (the first: {of[0]})"
        for why, of in names.items()
    ]
