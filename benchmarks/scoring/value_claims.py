"""What running text denies of a number, or leaves open."""

from __future__ import annotations

import re

from benchmarks.scoring.denials import BEFORE

# A value in running text.
VALUE = r"[$\\(]{0,3}(?<![A-Za-z\d_.^/{])-?\.?\d[\d.,]*(?![A-Za-z\d_^/{])"
_DENYING_WORDS = (
    r"\b(?:not(?! only)|never|cannot|rather than|instead of|rules? out|doubt|wrong|incorrect)\b"
    r"|n't\b"
)
_BOUND = re.compile(rf"(?:\A|[:(]|\b(?:is|are))[\s$\\(*]*(?:[<>≤≥]=?|\\[gl]eq?\b)\s?{VALUE}")
_EITHER = re.compile(
    r"(?<![\w./^])(-?\d[\d,]*(?:\.\d+)?)(?: ?([a-z%]{1,3}))?"
    r" (?:or|oder|ou) (-?\d[\d,]*(?:\.\d+)?)(?![\d^/])(?: ?([a-z%]{1,3})(?![a-z]))?"
)
# A derivation is full of conditions and of "not": only what denies the value itself counts.
DENIED = re.compile(
    rf"(?i:(?:{_DENYING_WORDS}|{BEFORE})\s?"
    r"(?:(?:be|to|equal|exactly|the|answer|that|it|is|son|es)\s){0,4})"
    rf"{VALUE}(?!\s?[%°])"
    rf"|{VALUE}\s(?i:(?:is|was)\s(?:\w+ly\s)?(?:wrong|incorrect|false|ruled out"
    r"|too (?:large|small|high|low)"
    r"|not (?:\w+ly )?(?:the (?:right |correct )?answer|correct|right|possible))\b)"
)


def is_open(text: str) -> bool:
    """Whether a clause states a bound, or two numbers of which it takes neither."""
    if _BOUND.search(text):
        return True
    pairs = [
        sorted((first.replace(",", ""), second.replace(",", "")), key=len)
        for first, unit, second, other in _EITHER.findall(text)
        # 5 cm is 50 mm, and 0.5 is 50 %.
        if unit == other or (not (unit and other) and "%" not in unit + other)
    ]
    return any(not rounds(*pair) for pair in pairs)


def rounds(shorter: str, longer: str) -> bool:
    """Whether a number is another one, rounded: "3.1416 or 3.14"."""
    return round(float(longer), len(shorter.partition(".")[2])) == float(shorter)
