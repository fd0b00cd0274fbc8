"""Which item of a benchmark an answer in a log is of.

By official id, else by row, else by question (and image).  Whatever a name says, an item is the one
only if the log's text does not contradict it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.imports.log import LoggedSample
from harness.protocols import Benchmark, FailedItem
from harness.records import Item, TextPart

_TELLING = 12  # characters of a text that may be found within another
# What tools write before a question or an option: matches "A. ", "(B) ", "Question: "; not "A car".
_LABEL = re.compile(r"^(?:\(?[A-Z][.):]+\s+|(?:Question|Context|Choices|Hint):\s*)")
UNKNOWN_ITEM = "no item has that id or question"
AMBIGUOUS = "several items have that question"
CONTRADICTED = "the item of that id has another question"


def folded(text: str) -> str:
    """Return a text as questions are compared: NFKC, without images' marks and blank runs."""
    text = unicodedata.normalize("NFKC", re.sub(r"<image(?: ?\d+)?>", " ", text))
    return " ".join(text.split())


@dataclass(frozen=True)
class Items:
    """The items of a benchmark, without images, to be found by what logs say of them.

    ``benchmark`` was made without images.  Reading raises `UsageError` where there is no data.
    """

    benchmark: Benchmark

    @cached_property
    def all(self) -> Mapping[str, Item | FailedItem]:
        """Every item by its id."""
        return {item_id: self.benchmark.build(item_id) for item_id in self.benchmark.ids()}

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """Every item's prompt, as questions are compared."""
        return {item_id: folded(prompt_of(item)) for item_id, item in self.all.items()}

    @cached_property
    def _by_text(self) -> Mapping[str, list[str]]:
        by_text: dict[str, list[str]] = {}
        for item_id, text in self.texts.items():
            by_text.setdefault(text, []).append(item_id)
        return by_text

    @cached_property
    def _by_row(self) -> Mapping[tuple[str, int], str]:
        """The ids by lmms-eval's task and row, of the benchmarks that are made of its tasks."""
        prepared = getattr(self.benchmark, "prepared", None)
        forms = getattr(self.benchmark, "forms", ())
        rows = prepared.rows if prepared is not None else ()
        return {(forms[row.form].task, row.row): row.id for row in rows}

    @cached_property
    def _by_official(self) -> Mapping[str, list[str]]:
        """The ids by official name: the id without the prefix that keeps our forms apart."""
        prefixes = [form.prefix for form in getattr(self.benchmark, "forms", ()) if form.prefix]
        by_name: dict[str, list[str]] = {}
        for item_id in self.all:
            prefix = next((p for p in prefixes if item_id.startswith(p)), "")
            by_name.setdefault(item_id.removeprefix(prefix), []).append(item_id)
        return by_name

    @cached_property
    def _lines(self) -> Mapping[str, Sequence[str]]:
        """The lines of every item's prompt, without labels."""
        return {
            item_id: [folded(_LABEL.sub("", line.strip())) for line in prompt_of(item).splitlines()]
            for item_id, item in self.all.items()
        }

    @cached_property
    def _usual(self) -> frozenset[str]:
        """The lines that most items have: those of our template, or one question asked of many."""
        held = Counter(line for lines in self._lines.values() for line in set(lines))
        return frozenset(line for line, count in held.items() if 2 * count > len(self._lines))

    def find(self, task: str, sample: LoggedSample) -> tuple[str | None, str]:
        """Return the id of a sample's item, and why there is none where it is None."""
        named = [name for name in sample.official if name in self.all]
        named += [item for name in sample.official for item in self._by_official.get(name, ())]
        at_row = None if sample.row is None else self._by_row.get((task, sample.row))
        candidates = [*dict.fromkeys(named), *([at_row] if at_row else [])]
        fitting = [item_id for item_id in candidates if self._fits(item_id, sample)]
        fitting = self._shown(fitting, sample)
        if len(fitting) > 1 and at_row in fitting:
            return at_row, ""
        if found := fitting or self._shown(self._by_question(sample), sample):
            return (found[0], "") if len(found) == 1 else (None, AMBIGUOUS)
        return None, CONTRADICTED if candidates else UNKNOWN_ITEM

    def _fits(self, item_id: str, sample: LoggedSample) -> bool:
        """Whether nothing that the log says of the question is against an item."""
        text = self.texts[item_id]
        said = [folded(part) for part in (sample.question, "".join(sample.prompt)) if part]
        return not said or any(
            part and (part in text or text in part or self._holds(part, item_id)) for part in said
        )

    def _holds(self, text: str, item_id: str) -> bool:
        """Whether a text has all that an item says, in whatever template a tool asks it."""
        lines = [line for line in self._lines[item_id] if line in text or line not in self._usual]
        telling = sum(map(len, lines)) >= _TELLING and not self._usual.issuperset(lines)
        return telling and all(line in text for line in lines)

    def _by_question(self, sample: LoggedSample) -> list[str]:
        """Return the items of a sample's prompt, else of its question."""
        prompt, question = folded("".join(sample.prompt)), folded(sample.question)
        for text in filter(None, (prompt, question)):
            if text in self._by_text:
                return self._by_text[text]
        for text in (question, prompt):
            within = (
                item for item, own in self.texts.items() if len(text) >= _TELLING and text in own
            )
            if found := list(within):
                return found
        whole = [item for item, own in self.texts.items() if len(own) >= _TELLING and own in prompt]
        return whole or [item for item in self.all if self._holds(prompt, item)]

    def _shown(self, candidates: list[str], sample: LoggedSample) -> list[str]:
        """Return those of several items with one text that show the sample's image.

        They need not be candidates: an id may be a number that the tool gave.  Images that no such
        item shows tell nothing, since tools convert them.
        """
        alike = dict.fromkeys(i for item in candidates for i in self._by_text[self.texts[item]])
        image = f"images-{sample.image}"
        shown = [item for item in alike if sample.image and self._cluster(item) == image]
        return [item for item in candidates if item in shown] or shown or candidates

    def _cluster(self, item_id: str) -> str:
        item = self.all[item_id]
        return item.cluster if isinstance(item, Item) else ""


def prompt_of(item: Item | FailedItem) -> str:
    """Return the text of an item's prompt, "" where it could not be built."""
    if isinstance(item, FailedItem):
        return ""
    parts = (part for message in item.messages for part in message.content)
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def reasons(failures: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line per reason from samples' names and why they match no item, with the first."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for name, why in failures:
        first.setdefault(why, name)
        counts[why] += 1
    return [
        f"{count} of its answers match no item: {why} (the first: {first[why]})"
        for why, count in counts.items()
    ]
