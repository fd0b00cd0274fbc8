"""Numbers that a sentence writes as words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.scoring.mathematics.notation import SCALES

# What gives the value behind it as a result.
CUE = re.compile(
    r"(?i)(?:\b(?:is|are|was|were|be|equals?|equal to|get|gives?|yields?|obtain|have|has|had|find"
    r"|(?<!out )of|costs?|measures?|needs?|counts?|counted|sees?|shows?|contains?|becomes?|makes?"
    r"|leav(?:es?|ing)"
    r"|total(?:s|ing)?|there(?:'s| is| are))"
    r"|,\s(?:so|thus|hence|therefore)|[=≈:])\s*(?:(?:exactly|approximately|about|around|roughly"
    r"|only|therefore|thus|also|simply|equal to|a total of|then)\s+){0,3}$"
)
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: number for number, word in enumerate(_SMALL)} | {"none": 0}
_WORDS |= {word: number for number, word in zip(range(20, 100, 10), _TENS, strict=True)}
NUMBER_WORD = re.compile(
    rf"(?i)\b(?:(?P<tens>{'|'.join(_TENS)})(?:[ -](?P<ones>{'|'.join(_SMALL[1:10])}))?"
    rf"|(?P<small>{'|'.join(_SMALL)}|none))\b"
    r"(?!-|\s(?:and (?:a|one|two|three)\b|times|percent|hal[fv]|third|quarter|\w+ths?\b))"
    r"(?P<scale> (?:hundred|thousand|million))?"
)


def word_value(text: str) -> str:
    """Return the digits of a text that is a number word, else the text: ``12`` for "Twelve"."""
    match = NUMBER_WORD.fullmatch(text.strip(" ."))
    return _digits(match) if match and match[0].lower() != "none" else text


def number_words(sentence: str) -> Iterator[tuple[int, str]]:
    """Yield the numbers that a sentence writes as words: alone, first, or behind "is"."""
    bare = sentence.strip(" .*!-").lower()
    for match in NUMBER_WORD.finditer(sentence):
        before = sentence[max(0, match.start() - 60) : match.start()]
        sign = "-" if re.search(r"(?<!\S)-$", before) else ""
        word = match[0].lower()
        begins = bare.startswith(word) and match.start() < 3
        if not CUE.search(before.removesuffix(sign)) and not (
            begins and (len(bare) == len(word) or word != "one")
        ):
            continue
        yield match.start(), f"{sign}{_digits(match)}"


def _digits(match: re.Match[str]) -> str:
    parts = [match[name] for name in ("tens", "ones", "small") if match[name]]
    number = sum(_WORDS[part.lower()] for part in parts)
    return str(number * SCALES.get((match["scale"] or "").strip().lower(), 1))
