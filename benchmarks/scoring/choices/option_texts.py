"""Finds the one option that a sentence is, begins with, equals in value or names, if any."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

from benchmarks.scoring.choices.letters import letter, marked, mention_of, simplify
from benchmarks.scoring.claims import cover
from benchmarks.scoring.claims.clauses import ends_of
from benchmarks.scoring.claims.values import NUMBER_BEGINS, NUMBER_ENDS, PART_OF_VALUE
from benchmarks.scoring.extract import sentences
from benchmarks.scoring.mathematics.forms import Scalar
from benchmarks.scoring.mathematics.number_words import word_value
from benchmarks.scoring.mathematics.values import same_value, stated_option, value_of
from benchmarks.scoring.phrases import NOUN, REFUSAL, THAN, pattern

_DENIED = pattern(
    r"\b(?:not|never|cannot|neither|nor|less|except|unlikely)\b|n't\b", "It isn't red.", "a knot"
)
_DENYING = pattern(
    r"(?i)\b(?:not|no|none|never|cannot|insufficient|neither|without)\b|n't\b",
    "None of them",
    "another",
)
_YES_NO = pattern(r"(?:yes|no)[,.;:!]", "no, it is not", "no dog")  # it denies no option
_BREAK = pattern(
    r",?\s(?:because|since|as it|as the|as its|which|so that|due to)\b",
    "red because it is hot",
    "as red",
)
_APART = re.compile(r"\W*$|\s?[,.:;!(\-—]")
_VERB_BEFORE = pattern(
    r"(?:\b(?:is|are|was|were|be|(?<!(?<!is )(?<!are )followed )by|equals|count)\s|=\s?)"
    r"(?:an?\s|the\s)?$",
    "it is followed by ",
    "tops the chart, followed by ",
)
_ARTICLE = pattern(r"^(?:the|an?) (?=\w{2})", "the red one", "a B")
_COMMON = {"yes", "no", "true", "false", "a", "i", "an", "the", "none", "both", "all"}
_FUNCTION_WORDS = {"the", "and", "are", "has", "not", "its", "than", "with", "for", "from"}
_WORD = pattern(r"[A-Za-z]{3}|[^\W\d_a-zA-Z]{2}", "red", "5 cm")
# Where a name stands by itself.
_NAME_BEGINS, _NAME_ENDS = re.compile(r"(?<![\w.\-])"), re.compile(r"(?!\w|[.,]\d)")
_POINT = re.compile(r"\.\d")
_FACTORIAL = re.compile(r"\d\s?![ .]*$")
# "Post A, which is red, seems to be taller" names the option "A is taller".
_LINK_WORDS = {"is", "are"}
_LINKS = r"(?:,[^,.]{1,60},)?\s?(?:is|are|seems?|appears?|looks?)(?:\sto\sbe)?(?:\s\w+ly)?"
_ACRONYM = 2
_SHORT = 80
Spans = dict[int, list[tuple[int, int]]]


def key(text: str) -> str:
    """Return a text in the form in which option texts are compared."""
    text = simplify(text).replace("…", "...").replace("×", "x").casefold().strip(" \"'")
    # The signs of "9!" and ".5" are no punctuation.
    end = text.rstrip(" ." if _FACTORIAL.search(text) else " .,;:!?\"'")
    return end if _POINT.match(end) else end.lstrip(" .,;:!?\"'")


class OptionTexts:
    """The texts of an item's options (empty where unknown)."""

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = tuple(choices)
        self.keys = tuple(key(choice) for choice in choices)
        self.letters = {letter(index) for index in range(len(choices))}
        self._mention = mention_of(len(choices))

    @cached_property
    def values(self) -> bool:
        """Whether every option is a value."""
        return bool(self.choices) and all(value_of(choice) for choice in self.choices)

    @cached_property
    def _names(self) -> list[tuple[int, str, str]]:
        """The options that the words of a sentence can name (not "A", "OR"), a word of each."""
        return [
            (index, option, probe.removesuffix("s"))
            for index, option in enumerate(self.keys)
            if (len(option) > _ACRONYM or option in _COMMON or not option.isalpha())
            and (probe := max({*_tokens(option)} - _LINK_WORDS, key=len, default=""))
        ]

    @cached_property
    def _shared_noun(self) -> str:
        """The last word of all options where it is the same: "image" of "the first image"."""
        nouns = {option.rpartition(" ")[2] for option in self.keys if " " in option}
        return nouns.pop() if len(nouns) == 1 and all(" " in one for one in self.keys) else ""

    def _short(self, option: str) -> str:
        """Return an option's text without its article and the noun that all share: "second"."""
        return _ARTICLE.sub("", option).removesuffix(self._shared_noun).strip()

    @cached_property
    def noun(self) -> str:
        """A pattern of the nouns before an option's letter: "option", and "card" of four cards."""
        words = [set(re.findall(r"[a-z]{3,}", option)) for option in self.keys]
        shared = set().union(*(a & b for a, b in itertools.combinations(words, 2)))
        labels = set(re.findall(r"\b([a-z]+) [a-z]\b", " . ".join(self.keys)))
        return "|".join([NOUN, *sorted(shared - labels - _FUNCTION_WORDS)])

    def covered(self, text: str) -> str:
        """Return a text of the same length in which each mention of an option is a "§§§"."""
        for index, spans in self._spans(text, apart=False).items():
            for start, end in spans if self.keys[index] not in _COMMON else ():
                text = text[:start] + "§" * (end - start) + text[end:]
        return cover(text, self._mention)

    def masked(self, text: str) -> str:
        """Return a text of the same length, with the options that deny something covered."""
        for choice in self.choices:
            if len(choice) > _ACRONYM and _DENYING.search(choice):
                text = cover(text, re.compile(rf"(?i){re.escape(choice.strip(' .'))}"))
        return text

    def named_by(self, span: str, raw: str = "") -> int | None:
        """Return the one option that a span is, has the value of or names; ``raw`` has LaTeX."""
        whole = key(span)
        same = [i for i, option in enumerate(self.keys) if option and option == whole]
        short = self._short(whole) if self._shared_noun else ""
        if short and not same:
            same = [i for i, option in enumerate(self.keys) if short == self._short(option)]
        if same:
            return same[0] if len({self.keys[i] for i in same}) == 1 else None
        index = self.with_value(raw or span)
        if index is not None or _is_mathematics(raw or span):
            return index
        if self.values:
            return self._stated(next(iter(sentences(raw or span)), ""))
        claim = self._claim(next(iter(sentences(span)), ""))
        found = self.mentioned(claim) or self._at_ends(claim, begins=True)
        if len(found) != 1 or _DENIED.search(self.covered(claim)):
            return None
        return found[0] if self._unopposed(span, found[0]) else None

    def up_front(self, sentence: str) -> int | None:
        """Return the option that a first sentence is, begins with, or ends with after "is"."""
        claim = self._claim(sentence)
        if _DENIED.search(self.covered(claim)) and not _YES_NO.match(claim):
            return None
        begun = self._at_ends(claim, begins=True, ends=False)
        if not begun or set(self.mentioned(claim)) - set(begun):
            begun = self._at_ends(claim)
        return begun[0] if len(begun) == 1 and self._unopposed(sentence, begun[0]) else None

    def only_one(self, text: str, pieces: Sequence[str]) -> int | None:
        """Return the only option that a text names and affirms: no number in a calculation."""
        found = self.mentioned(text)
        if len(found) != 1:
            return None
        if (len(pieces) > 1 or self.values) and not _WORD.search(self.keys[found[0]]):
            return None
        if any(REFUSAL.search(self.covered(piece)) for piece in pieces):
            return None
        claims = [self._claim(piece) for piece in pieces if self._unopposed(piece, found[0])]
        affirmed = (claim for claim in claims if not _DENIED.search(self.covered(claim)))
        return found[0] if any(found[0] in self.mentioned(claim) for claim in affirmed) else None

    def with_number(self, text: str) -> int | None:
        """Return the option whose value is the one that the text's last sentence states."""
        pieces = sentences(text)
        read = self.values and pieces and not REFUSAL.search(text)
        return self._stated(pieces[-1]) if read else None

    def _stated(self, sentence: str) -> int | None:
        """Return the option whose value a sentence states, or with which it ends."""
        if PART_OF_VALUE.search(sentence):
            return None
        index = stated_option(sentence, self.choices)
        return _single(self._at_ends(key(sentence))) if index is None else index

    def contradicted(self, index: int, rest: str) -> bool:
        """Whether the text behind a letter is another option's, or another value than its own."""
        given = key(rest)
        if given in self.keys:
            return given != self.keys[index]
        right, value = (value_of(word_value(one)) for one in (self.choices[index], rest))
        return isinstance(right, Scalar) and isinstance(value, Scalar) and len(rest) <= _SHORT

    def is_own(self, index: int, rest: str) -> bool:
        """Whether the text behind an option's letter is the option's text or value, and no more."""
        own = _signs(self.choices[index])
        if own and _signs(rest) == own:
            return True
        return len(rest) <= _SHORT and bool(same_value(rest, self.choices[index]))

    def begins_own(self, index: int, rest: str) -> bool:
        """Whether the text behind an option's letter begins this option's text and no other's."""
        given = _signs(rest)
        begun = [i for i, choice in enumerate(self.choices) if _signs(choice).startswith(given)]
        return len(given) > _ACRONYM and begun == [index]

    def mentioned(self, text: str) -> list[int]:
        """Return the options named in a text, those inside the name of a longer one aside."""
        hits = self._spans(text)
        everything = [span for spans in hits.values() for span in spans]
        return [
            i
            for i, spans in hits.items()
            if self.keys[i] not in _COMMON
            and any(not any(_inside(span, other) for other in everything) for span in spans)
        ]

    def with_value(self, span: str) -> int | None:
        """Return the only option whose mathematical value a short span has."""
        if len(span) > _SHORT:
            return None
        return _single(i for i, choice in enumerate(self.choices) if same_value(span, choice))

    def _spans(self, text: str, apart: bool = True) -> Spans:
        """Return where a text names each option; ``apart``: by itself, as no part of a value."""
        low = text.casefold()
        hits: Spans = {}
        text = low if apart else text
        for index, option, probe in self._names:
            if probe not in low:
                continue
            number = apart and value_of(self.choices[index]) is not None
            begins = NUMBER_BEGINS if number else _NAME_BEGINS
            ends = NUMBER_ENDS if number else _NAME_ENDS
            hits[index] = [
                match.span()
                for match in _body(option).finditer(text)
                if begins.match(text, match.start()) and ends.match(text, match.end())
            ]
        return hits

    def _at_ends(self, claim: str, begins: bool = False, ends: bool = True) -> list[int]:
        """Return the options with which a claim begins, or ends behind "is" or "by"."""
        return [
            index
            for index, spans in self._spans(claim).items()
            if any(
                (begins and start == 0 and _APART.match(claim, end))
                or (ends and end == len(claim) and _VERB_BEFORE.search(claim, 0, start))
                for start, end in spans
            )
        ]

    def _claim(self, sentence: str) -> str:
        """Return what a sentence claims: of "red because it is hot" the first part."""
        whole = key(ends_of(sentence))
        named = [span for spans in self._spans(whole).values() for span in spans]
        whole = THAN.sub(lambda than: than[0] if _within(than.start(), named) else "", whole)
        head = _BREAK.split(whole, maxsplit=1)[0]
        return head if head in self.keys or self.mentioned(head) else whole

    def _unopposed(self, sentence: str, index: int) -> bool:
        """Whether no option's letter speaks against a reading: "The third image (C) is similar"."""
        found = marked(sentence)
        return not found or found[0] == letter(index) or found[0] not in self.letters


def _single(indexes: Iterable[int]) -> int | None:
    found = [*indexes]
    return found[0] if len(found) == 1 else None


def _tokens(option: str) -> list[str]:
    return re.findall(r"\.?\d+(?:[.,]\d+)*|[^\W\d_]+|[^\s\w]|_", option[:400])


@lru_cache(maxsize=4096)
def _body(option: str) -> re.Pattern[str]:
    """Return a pattern that finds an option's words, whatever stands around them."""
    tokens = _tokens(option)
    body = r"\s?".join(_LINKS if token in _LINK_WORDS else re.escape(token) for token in tokens)
    if len(tokens[-1]) > _ACRONYM and tokens[-1].isalpha():
        body = body.removesuffix("s") + "s?"
    return re.compile(body, re.IGNORECASE)


def _signs(text: str) -> str:
    """Return the letters, digits and signs of a text, however it is set."""
    text = simplify(text).replace("\\times", "x").replace("×", "x").replace("…", "...")
    return re.sub(r"[^\w\-+<>=.]|_|\.(?!\d)|(?<!\d)-(?!\d)", "", text).casefold()


def _is_mathematics(span: str) -> bool:
    """Whether a span is an expression, in which words of an option may stand by chance."""
    bare = re.sub(r"\\[A-Za-z]+", "", span)
    return not _WORD.search(bare) and value_of(span[:200]) is not None


def _within(position: int, spans: Iterable[tuple[int, int]]) -> bool:
    return any(start < position < end for start, end in spans)


def _inside(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span != other and other[0] <= span[0] and span[1] <= other[1]
