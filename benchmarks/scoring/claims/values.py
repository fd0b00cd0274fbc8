"""Numbers in running text: where one stands by itself, is denied, or is left open."""

from __future__ import annotations

import re

from benchmarks.scoring.claims.denials import BEFORE, REJECTING_KEY
from benchmarks.scoring.phrases import pattern

# Where a number stands by itself: no part of "9\\sqrt{3}", "more than 9", "9 million".
NUMBER_BEGINS = re.compile(
    r"(?<![\w.\-+*/^<>≤≥±×·÷√:!\\])(?<![-+*/^<>≤≥±×·÷√:!] )(?<!than )(?<!half of )(?<!about half )"
    r"(?<!\d or )(?<![<>]=)(?<![<>]= )(?<!\bnot )(?<!\\frac )(?<!\\sqrt )(?<!\\pm )(?<!\\log )"
    r"(?<!\\times )"
)
NUMBER_ENDS = re.compile(
    r"(?!\w|[.,:]\d|\s?[-+*/^×·÷!√π%]|\s?\\(?!text|mathrm|,|%)|\s?:\s?\d"
    r"|\s(?:million|billion|thousand|hundred|dozen|times|or (?:\d|more|less|fewer)"
    r"|and (?:\d|a half)|to \d|percent\b|(?:plus|minus) \d|divided by))"
)
PART_OF_VALUE = pattern(
    r"(?i)\d\s(?:million|billion|thousand|hundred|dozen)\b|\b(?:half|twice|double|more than"
    r"|less than|fewer than|at least|at most|over|under|about half) (?:of )?[$\\(]*[\d.]+"
    r"|[<>≤≥]=?\s?[\d.]|\bnot [$\\(]*-?[\d.]+|\d(?:[)}°]| ?[a-z%]{1,9})? or [$\\(]*-?[\d.]"
    r"|\b(?:from|between) [$\\(]*-?[\d.]+[$\\) ]+(?:to|and) [$\\(]*-?[\d.]"
    r"|\b(?:minus|plus|(?:divided|multiplied) by) "
    r"(?![^.;]*(?:\b(?:is|are|equals?|gives?|makes?)\b|=))"
    r"|\d .*\b(?:so|thus|hence|therefore|is|choose|pick) (?:it's |it is |the )?"
    r"(?:picture|image|figure|number|drawing|shape) \d",
    "There are more than 9.",
    "There are 9.",
)
# A value in running text.
VALUE = r"[$\\(]{0,3}(?<![A-Za-z\d_.^/{])-?\.?\d[\d.,]*(?![A-Za-z\d_^/{])"
A_VALUE = re.compile(VALUE)
_DENYING_WORDS = (
    r"\b(?:not(?! only)|never|cannot|rather than|instead of|rules? out|doubt|wrong|incorrect"
    r"|(?:any|every)thing but|far from|nowhere near|hardly|scarcely|neither|no longer)\b"
    r"|n't\b"
)
_BOUND = re.compile(rf"(?:\A|[:(]|\b(?:is|are))[\s$\\(*]*(?:[<>≤≥]=?|\\[gl]eq?\b)\s?{VALUE}")
_RANGE = re.compile(
    rf"(?i)\W*(?:\w+\s){{0,2}}(?:from|between)\s{VALUE}\s(?:up )?(?:to|and)\s{VALUE}\W*\Z"
)
_EITHER = re.compile(
    r"(?<![\w./^])(-?\d[\d,]*(?:\.\d+)?)(?: ?([a-z%°]{1,9}))?"
    r" (?:or|oder|ou) (-?\d[\d,]*(?:\.\d+)?)(?![\d^/])(?: ?([a-z%°]{1,9})(?![a-z]))?"
)
# A derivation is full of conditions and of "not": only what denies the value itself counts.
_DENYING = (
    rf"(?i:(?:{_DENYING_WORDS}|{BEFORE})\s?"
    r"(?:(?:be|to|equal|exactly|the|answer|that|it|is|son|es|going|seem|ever|obvious|say|said|think"
    r"|believe|claim|conclude)\s){0,6})"
)
# The same before an expression.
DENIED_BEHIND = re.compile(rf"(?:{_DENYING}|\b(?:unlike|instead of)\s)[$\\(\s]*\Z")
DENIED = re.compile(
    rf"{_DENYING}{VALUE}(?!\s?[%°])|(?i:{REJECTING_KEY}){VALUE}"
    rf"|{VALUE}\s(?i:(?:is|was)\s(?:\w+ly\s)?(?:wrong|incorrect|false|ruled out"
    r"|too (?:large|small|high|low|few|many|much|little|long|short)"
    r"|not it\b|not (?:\w+ly )?(?:the (?:right |correct )?answer|correct|right|possible))\b"
    r"|\((?:wrong|incorrect)\b)"
)


def is_open(text: str) -> bool:
    """Whether a clause states a bound or a range, or two numbers of which it takes neither."""
    if _BOUND.search(text) or _RANGE.match(text):
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
