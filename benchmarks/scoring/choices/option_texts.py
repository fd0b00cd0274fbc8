"""Finds the one option that a sentence is, begins with, equals in value or names.

None if it names none or several.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache

from benchmarks.scoring.choices.letters import NOUN, WORDLY, letter, marked, simplify
from benchmarks.scoring.extract import sentences
from benchmarks.scoring.mathematics.forms import Scalar
from benchmarks.scoring.mathematics.values import same_value, stated_option, value_of

REFUSAL = re.compile(
    r"\b(?:cannot|can't|unable to|impossible to|not (?:possible|enough)|insufficient|none of)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|never|cannot|neither|nor|less|except|unlikely)\b|n't\b")
_DENYING = re.compile(
    r"\b(?:not|no|none|never|cannot|insufficient|neither|without)\b|n't\b", re.IGNORECASE
)
_YES_NO = re.compile(r"(?:yes|no)[,.;:!]")  # "No, it is not": what follows denies no option
_REASON = re.compile(r",?\s(?:because|since|as it|as the|as its|which|so that|due to)\b")
_OTHERWISE = re.compile(
    r",?\s(?:whereas|while|unlike|rather than|instead of|but|compared (?:to|with)|than)\s"
    r"|,\s(?:and\s)?not\s"
)
THAN = re.compile(r"\s(?:than|compared (?:to|with))\b[^,;]*")
_APART = re.compile(r"\W*$|\s?[,.:;!(\-—]")
_VERB_BEFORE = re.compile(r"(?:\b(?:is|are|was|were|be|by|equals|count)\s|=\s?)(?:an?\s|the\s)?$")
_COMMON = {"yes", "no", "true", "false", "a", "i", "an", "the", "none", "both", "all"}
_FUNCTION_WORDS = {"the", "and", "are", "has", "not", "its", "than", "with", "for", "from"}
_WORD = re.compile(r"[A-Za-z]{3}|[^\W\d_a-zA-Z]{2}")
# What makes a number beside it part of a larger value: "9\sqrt{3}", "more than 9", "9 million".
_BEFORE = (
    r"(?<![\w.\-+*/^<>≤≥±×·÷√:!\\])(?<![-+*/^<>≤≥±×·÷√:!] )(?<!than )(?<!half of )(?<!about half )"
    r"(?<!\d or )(?<![<>]=)(?<![<>]= )(?<!\bnot )(?<!\\frac )(?<!\\sqrt )(?<!\\pm )(?<!\\log )"
    r"(?<!\\times )"
)
_BEHIND = (
    r"(?!\w|[.,:]\d|\s?[-+*/^×·÷!√π%]|\s?\\(?!text|mathrm|,|%)|\s?:\s?\d"
    r"|\s(?:million|billion|thousand|hundred|dozen|times|or \d|and \d|to \d|percent\b))"
)
_PART = re.compile(
    r"\d\s(?:million|billion|thousand|hundred|dozen)\b|\b(?:half|twice|double|more than|less than"
    r"|fewer than|at least|at most|over|under|about half) (?:of )?[$\\(]*[\d.]+"
    r"|[<>≤≥]=?\s?[\d.]|\bnot [$\\(]*-?[\d.]+|[\d)}] or [$\\(]*-?[\d.]",
    re.IGNORECASE,
)
# "A dog" is no mention of option A, "A is" is one.
_NO_ARTICLE = (
    r"(?!(?<=[AI])\s(?!is\b|was\b|and\b|or\b|can|does|may\b|would\b|looks|seems|if\b|has\b"
    r"|fits)[a-z])"
)
_POINT = re.compile(r"\.\d")
_FACTORIAL = re.compile(r"\d\s?![ .]*$")
# "Post A, which is red, seems to be taller" names the option "A is taller".
_LINK_WORDS = ("is", "are")
_LINKS = r"(?:,[^,.]{1,60},)?\s?(?:is|are|seems?|appears?|looks?)(?:\sto\sbe)?(?:\s\w+ly)?"
_ACRONYM = 2
_SHORT, _LONG = 80, 600


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
        self.values = bool(choices) and all(value_of(choice) for choice in choices)

    @cached_property
    def patterns(self) -> list[tuple[int, re.Pattern[str]]]:
        """The options whose texts the words of a sentence can name: not "A", not "OR"."""
        return [
            (index, pattern)
            for index, (option, choice) in enumerate(zip(self.keys, self.choices, strict=True))
            if (pattern := _pattern(option, value_of(choice) is not None))
            and (len(option) > _ACRONYM or option in _COMMON or not option.isalpha())
        ]

    @cached_property
    def noun(self) -> str:
        """A pattern of the nouns before an option's letter: "option", and "card" of four cards."""
        words = [set(re.findall(r"[a-z]{3,}", option)) for option in self.keys]
        shared = set().union(*(a & b for a, b in itertools.combinations(words, 2)))
        labels = set(re.findall(r"\b([a-z]+) [a-z]\b", " . ".join(self.keys)))
        return "|".join([NOUN, *sorted(shared - labels - _FUNCTION_WORDS)])

    @cached_property
    def mention(self) -> str:
        """A regular expression for a mention of an option: its letter or its text."""
        last = letter(len(self.choices) - 1)
        texts = [
            rf"(?i:{_body(self.keys[i])})" for i, _ in self.patterns if self.keys[i] not in _COMMON
        ]
        return "|".join(
            [
                rf"(?<!{WORDLY})(?<!\\)[(\[\"']{{0,2}}[A-{last}]{_NO_ARTICLE}[)\]\"']{{0,2}}(?!{WORDLY})",
                "§",
                *texts,
            ]
        )

    def masked(self, text: str) -> str:
        """Return a text of the same length, with the options that deny something covered."""
        for choice in self.choices:
            if len(choice) > _ACRONYM and _DENYING.search(choice):
                bare = re.escape(choice.strip(" ."))
                text = re.sub(rf"(?i){bare}", lambda match: "§" * len(match[0]), text)
        return text

    def named_by(self, span: str, raw: str = "") -> int | None:
        """Return the only option that a span is, has the value of, or names in its sentence.

        ``raw`` is the span with its LaTeX, where that is known.
        """
        whole = key(span)
        same = [i for i, option in enumerate(self.keys) if option and option == whole]
        if same:
            return same[0] if len({self.keys[i] for i in same}) == 1 else None
        index = self.with_value(raw or span)
        if index is not None or _is_mathematics(raw or span):
            return index
        if self.values:
            return self._stated(next(iter(sentences(raw or span)), ""))
        claim = self._claim(next(iter(sentences(span)), ""))
        found = self.mentioned(claim) or [i for i, p in self.patterns if _framed(p, claim)]
        if len(found) != 1 or _DENIED.search(self.masked(claim)):
            return None
        return found[0] if self._unopposed(span, found[0]) else None

    def up_front(self, sentence: str) -> int | None:
        """Return the option that a first sentence is, begins with, or ends with after "is"."""
        claim = self._claim(sentence)
        if _DENIED.search(self.masked(claim)) and not _YES_NO.match(claim):
            return None
        begun = [
            i
            for i, pattern in self.patterns
            if (match := pattern.match(claim)) and _APART.match(claim, match.end())
        ]
        if not begun or set(self.mentioned(claim)) - set(begun):
            begun = [i for i, pattern in self.patterns if _ends(pattern, claim)]
        return begun[0] if len(begun) == 1 and self._unopposed(sentence, begun[0]) else None

    def only_one(self, text: str, pieces: Sequence[str]) -> int | None:
        """Return the option that a text names if it names no other and affirms this one.

        A bare number counts only in a single sentence: in a calculation it may stand for anything.
        """
        found = self.mentioned(text)
        counted = len(pieces) > 1 or _is_mathematics(text) or self.values
        if len(found) == 1 and counted and not _WORD.search(self.keys[found[0]]):
            return None
        if len(found) != 1 or any(REFUSAL.search(self.masked(piece)) for piece in pieces):
            return None
        claims = [
            claim
            for piece in pieces
            if self._unopposed(piece, found[0])
            and not _DENIED.search(self.masked(claim := self._claim(piece)))
        ]
        return found[0] if any(found[0] in self.mentioned(claim) for claim in claims) else None

    def with_number(self, text: str) -> int | None:
        """Return the option whose value is the one that the text's last sentence states."""
        pieces = sentences(text)
        if marked(text) or not self.values or not pieces or REFUSAL.search(text):
            return None
        return self._stated(pieces[-1])

    def _stated(self, sentence: str) -> int | None:
        """Return the option whose value a sentence states, or with which it ends."""
        if _PART.search(sentence):
            return None
        index = stated_option(sentence, self.choices)
        if index is not None:
            return index
        claim = key(sentence)
        ended = [i for i, pattern in self.patterns if _ends(pattern, claim)]
        return ended[0] if len(ended) == 1 else None

    def contradicted(self, index: int, rest: str) -> bool:
        """Whether the text behind a letter is another option's, or another value than its own."""
        given = key(rest)
        if given == self.keys[index] or not self.keys[index] or self.is_own(index, rest):
            return False
        if given in self.keys:
            return True
        right, value = value_of(self.choices[index]), value_of(rest)
        return isinstance(right, Scalar) and isinstance(value, Scalar) and len(rest) <= _SHORT

    def is_own(self, index: int, rest: str) -> bool:
        """Whether the text behind an option's letter is the option's text or value, and no more."""
        same = same_value(rest, self.choices[index]) if len(rest) <= _SHORT else None
        own = _signs(self.choices[index])
        return bool(same) or (bool(own) and _signs(rest) == own)

    def begins_own(self, index: int, rest: str) -> bool:
        """Whether the text behind an option's letter begins this option's text and no other's."""
        given = _signs(rest)
        begun = [i for i, choice in enumerate(self.choices) if _signs(choice).startswith(given)]
        return len(given) > _ACRONYM and begun == [index]

    def mentioned(self, text: str) -> list[int]:
        """Return the options named in a text, those inside the name of a longer one aside."""
        text = text.casefold()
        hits = {i: [m.span() for m in p.finditer(text)] for i, p in self.patterns}
        everything = [span for spans in hits.values() for span in spans]
        return [
            i
            for i, spans in hits.items()
            if self.keys[i] not in _COMMON
            and any(not any(_inside(span, other) for other in everything) for span in spans)
        ]

    def with_value(self, span: str) -> int | None:
        """Return the only option whose mathematical value a short span has."""
        if len(span) > _SHORT or not re.search(r"\d|\\|π", span):
            return None
        found = [i for i, choice in enumerate(self.choices) if same_value(span, choice)]
        return found[0] if len(found) == 1 else None

    def _claim(self, sentence: str) -> str:
        """Return what a sentence claims of the options: its key, or "" where it asks.

        Of "Rome, not Paris" and "Rome is older than Paris" that is the first part.
        """
        if sentence.rstrip(" \"')").endswith("?"):
            return ""
        if len(sentence) > 2 * _LONG:
            sentence = f"{sentence[:_LONG]} … {sentence[-_LONG:]}"
        whole = key(sentence)
        whole = THAN.sub("", whole)
        for parted in (_REASON, _OTHERWISE):
            head = parted.split(whole, maxsplit=1)[0]
            whole = head if self.mentioned(head) else whole
        return whole

    def _unopposed(self, sentence: str, index: int) -> bool:
        """Whether no option's letter speaks against a reading of a sentence's words.

        In "The third image (C) is most similar" the words are the option's and C is no option.
        """
        found = marked(sentence)
        return not found or found[0] == letter(index) or found[0] not in self.letters


def _body(option: str) -> str:
    """Return a regular expression for an option's text as whole words."""
    words = re.findall(r"\w+|[^\s\w]", option[:100])
    body = r"\s?".join(map(re.escape, words))
    return rf"(?<![\w.]){body}(?!\w|[.,]\d)"


@lru_cache(maxsize=4096)
def _pattern(option: str, is_value: bool) -> re.Pattern[str] | None:
    """Return a pattern that finds an option's text as whole words; None where it is empty."""
    tokens = re.findall(r"\.?\d+(?:[.,]\d+)*|[^\W\d_]+|[^\s\w]|_", option[:400])
    if not tokens:
        return None
    body = r"\s?".join(_LINKS if token in _LINK_WORDS else re.escape(token) for token in tokens)
    if len(tokens[-1]) > 2 and tokens[-1].isalpha():
        body = body.removesuffix("s") + "s?"
    if is_value:
        return re.compile(f"{_BEFORE}{body}{_BEHIND}")
    return re.compile(rf"(?<![\w.\-]){body}(?!\w|[.,]\d)")


def _signs(text: str) -> str:
    """Return the letters, digits and signs of a text, however it is set."""
    text = simplify(text).replace("\\times", "x").replace("×", "x").replace("…", "...")
    return re.sub(r"[^\w\-+<>=.]|_|\.(?!\d)|(?<!\d)-(?!\d)", "", text).casefold()


def _is_mathematics(span: str) -> bool:
    """Whether a span is an expression, in which words of an option may stand by chance."""
    bare = re.sub(r"\\[A-Za-z]+", "", span)
    return not _WORD.search(bare) and value_of(span[:200]) is not None


def _framed(pattern: re.Pattern[str], sentence: str) -> bool:
    """Whether a sentence begins with an option's text that stands apart, or ends with it.

    For common words ("yes", "no", "none"), which elsewhere in a sentence name no option.
    """
    match = pattern.match(sentence)
    return bool(match and _APART.match(sentence, match.end())) or _ends(pattern, sentence)


def _ends(pattern: re.Pattern[str], sentence: str) -> bool:
    """Whether a sentence ends with an option's text behind "is" or "by"."""
    ends = [match.start() for match in pattern.finditer(sentence) if match.end() == len(sentence)]
    return any(_VERB_BEFORE.search(sentence[max(0, start - 20) : start]) for start in ends)


def _inside(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span != other and other[0] <= span[0] and span[1] <= other[1]
