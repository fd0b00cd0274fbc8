"""Locate the parts of a written selection prompt: a regular expression with four named groups.

``harness pairs template`` proposes one from the shared text of a file's prompts; a person corrects
it and passes it as ``--pair-template``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

from harness.errors import UsageError
from harness.patterns import Pattern

GROUPS = ("query", "answer", "context_a", "context_b")
_SHARED = 0.75
"""Share of the prompts that a line must be in, once in each, to be taken for wording."""


@dataclass(frozen=True)
class PairTemplate:
    """A regular expression for a whole prompt, ``.`` matching newlines too."""

    pattern: Pattern

    @classmethod
    def load(cls, path: Path) -> PairTemplate:
        """Read a file with the regular expression; one trailing newline is dropped.

        Raises:
            UsageError: it cannot be read, or is not a regular expression with the four groups.
        """
        try:
            return cls.of(path.read_text(encoding="utf-8").removesuffix("\n"))
        except (OSError, ValueError) as error:
            raise UsageError(f"--pair-template {path} cannot be used: {error}") from error

    @classmethod
    def of(cls, text: str) -> PairTemplate:
        """Return the template of a regular expression.

        Raises `ValueError` if it is invalid, or lacks one of the four groups.
        """
        pattern = Pattern(text)
        missing = [name for name in GROUPS if name not in pattern.groups]
        if missing:
            raise ValueError(
                f"it has no group {', '.join(missing)}: write (?P<query>.+?), and so for answer, "
                "context_a and context_b"
            )
        return cls(pattern)

    def exchanged(self, text: str) -> str | None:
        """Return a prompt with its two contexts exchanged.

        None if the prompt does not match, matches in several ways, or exchanging the contexts again
        does not restore it.
        """
        spans = self._spans(text)
        if spans is None:
            return None
        made = _exchange(text, spans)
        again = self._spans(made)
        back = None if again is None else _exchange(made, again)
        return made if back == text and made != text else None

    def parts(self, text: str) -> dict[str, str] | None:
        """Return the parts of a prompt by the names of `GROUPS`; None under the same conditions."""
        spans = self._spans(text)
        if spans is None or self.exchanged(text) is None:
            return None
        return {name: text[slice(*span)] for name, span in spans.items()}

    def without(self, text: str, names: Sequence[str], by: str) -> str | None:
        """Return a prompt with parts of it replaced; None where `exchanged` is."""
        spans = self._spans(text)
        if spans is None or self.exchanged(text) is None:
            return None
        for start, end in sorted((spans[name] for name in names), reverse=True):
            text = f"{text[:start]}{by}{text[end:]}"
        return text

    def _spans(self, text: str) -> dict[str, tuple[int, int]] | None:
        try:
            match = self.pattern.fullmatch(text)
        except TimeoutError as error:
            raise UsageError(
                f"--pair-template takes more than {self.pattern.seconds:g} s on the prompt "
                f"{text[:60]!r}...: remove that prompt"
            ) from error
        if match is None or not all(match[name] for name in GROUPS):
            return None
        spans = {name: match.span(name) for name in GROUPS}
        return spans if _is_unique(text, sorted(spans.values())) else None


def _exchange(text: str, spans: dict[str, tuple[int, int]]) -> str:
    first, second = sorted((spans["context_a"], spans["context_b"]))
    between = text[first[1] : second[0]]
    return (
        f"{text[: first[0]]}{text[slice(*second)]}{between}{text[slice(*first)]}{text[second[1] :]}"
    )


def _is_unique(text: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether the text between the parts occurs nowhere else, so that the split is unique."""
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        return False  # one group inside another
    between = [text[end:start] for (_, end), (start, _) in pairwise(spans)]
    inner = text[spans[0][0] : spans[-1][1]]
    return all(
        each and len(re.findall(f"(?={re.escape(each)})", inner)) == between.count(each)
        for each in between
    )


@dataclass(frozen=True, slots=True)
class Proposal:
    """A template as text, and how its contexts were recognised."""

    text: str
    contexts_by: str


def propose(prompts: Sequence[str]) -> Proposal:
    """Return a template for prompts, from the lines and labels that they share.

    Raises:
        UsageError: there are fewer than two, or no four varying parts between what they share.
    """
    if len(prompts) < 2:
        raise UsageError("a template is proposed from at least two written prompts of text")
    shared = _shared(prompts)
    split = [gaps for text in prompts if (gaps := _gaps(text, shared)) is not None]
    if not split:
        raise UsageError("the prompts share no line: write the template by hand")
    columns = [list(column) for column in zip(*split, strict=True)]
    varying = [number for number, column in enumerate(columns) if len(set(column)) > 1]
    if len(varying) != len(GROUPS):
        raise UsageError(
            f"{len(varying)} parts vary between the lines that the prompts share, not the four of "
            f"{', '.join(GROUPS)}: write the template by hand"
        )
    labels = [
        "\n".join(shared[(varying[n - 1] if n else 0) : number]) for n, number in enumerate(varying)
    ]
    named, told_by = _named(labels, [columns[number] for number in varying])
    names = dict(zip(varying, named, strict=True))
    pieces = []
    for number, column in enumerate(columns):
        if number:
            pieces.append(_literal(shared[number - 1]))
        if number in names:
            before, after = _common(column)
            group = f"(?P<{names[number]}>.+?)"
            pieces += [_literal(before), group, _literal(after)]
        else:
            pieces.append(_literal(column[0]))
    return Proposal("".join(pieces), told_by)


# A whole line, or the label at its start: "Question:" of "Question: why?"
_PIECE = re.compile(r"^(?:[^\n:]{1,60}:|[^\n]+$)", re.MULTILINE)


def _shared(prompts: Sequence[str]) -> list[str]:
    """Return the lines and labels that nearly all prompts have once, in the most common order."""
    once: Counter[str] = Counter()
    for text in prompts:
        pieces = Counter(_PIECE.findall(text))
        once.update(piece for piece, times in pieces.items() if times == 1)
    common = {piece for piece, times in once.items() if times >= _SHARED * len(prompts)}
    orders = Counter(
        tuple(piece for piece in _PIECE.findall(text) if piece in common) for text in prompts
    )
    return list(orders.most_common(1)[0][0])


def _gaps(text: str, shared: Sequence[str]) -> list[str] | None:
    """Return the text before, between and after the shared pieces; None if they are missing."""
    gaps, rest = [], text
    for piece in shared:
        parts = re.split(f"^{re.escape(piece)}", rest, maxsplit=1, flags=re.MULTILINE)
        if len(parts) < 2:
            return None
        gaps.append(parts[0])
        rest = parts[1]
    return [*gaps, rest]


# "Context A:", "<log_2>", "the second one": the number of a part in its label.
_PLACE = re.compile(
    r"(?<![a-z])(?:[a-d]|\d+|first|second|third|fourth|one|two|three|four)(?![a-z])", re.IGNORECASE
)
_TWO = ({"a", "b"}, {"1", "2"}, {"first", "second"}, {"one", "two"})
_ANSWER = re.compile(r"answer|patch|fix|solution|response|diff", re.IGNORECASE)
_QUERY = re.compile(r"question|query|issue|task|problem|statement", re.IGNORECASE)


def _named(labels: Sequence[str], columns: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], str]:
    """Return the role of each varying part, and how the two contexts were recognised."""
    contexts, told_by = _by_label(labels), "their labels"
    if contexts is None:
        contexts, told_by = _by_texts(columns), "texts that are in both places"
    if contexts is None:
        longest = sorted(range(len(columns)), key=lambda n: -sum(map(len, columns[n])))
        contexts, told_by = sorted(longest[:2]), "their length alone"
    first, second = (number for number in range(len(columns)) if number not in contexts)
    if _is_answer(labels[first]) > _is_answer(labels[second]):
        first, second = second, first
    names = dict(zip((first, second, *contexts), GROUPS, strict=True))
    return tuple(names[number] for number in range(len(columns))), told_by


def _is_answer(label: str) -> int:
    """Return 1 for an answer's label, -1 for a query's; closing tags do not count."""
    label = re.sub(r"</[^>]*>", "", label)
    return bool(_ANSWER.search(label)) - bool(_QUERY.search(label))


def _by_label(labels: Sequence[str]) -> list[int] | None:
    """Return the two parts whose labels differ only in a letter or number."""
    places: dict[str, dict[str, int]] = {}
    for number, label in enumerate(labels):
        last = label.rstrip().rpartition("\n")[2]
        for match in list(_PLACE.finditer(last))[-1:]:
            stem = f"{last[: match.start()]} {last[match.end() :]}"
            places.setdefault(stem, {})[match[0].lower()] = number
    found = [sorted(group.values()) for group in places.values() if set(group) in _TWO]
    return found[0] if len(found) == 1 else None


def _by_texts(columns: Sequence[Sequence[str]]) -> list[int] | None:
    """Return the two parts that share some text: a context appears under either."""
    texts = [{text.strip() for text in column} for column in columns]
    found = [
        list(two) for two in combinations(range(len(texts)), 2) if texts[two[0]] & texts[two[1]]
    ]
    return found[0] if len(found) == 1 else None


def _common(texts: Sequence[str]) -> tuple[str, str]:
    before = min((text[: len(text) - len(text.lstrip())] for text in texts), key=len)
    after = min((text[len(text.rstrip()) :] for text in texts), key=len)
    return before, after


def _literal(text: str) -> str:
    """Return a text as a readable regular expression."""
    escaped = re.sub(r"\\([ \n#&~-])", r"\1", re.escape(text))
    return re.sub(r"\n\Z", r"\\n", escaped)
