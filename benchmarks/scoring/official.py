r"""What an official grading program reads, where that is a rule: an accepted answer must agree.

`objection` returns None, or what the program takes the answer for instead.  Programs only take
credit away, so a wrong letter stays wrong.  No objection is made to a letter alone, to a letter
with its option's text in plain form, or because of what follows the answer: the programs misread
some of these, but no reader does.

The rules follow, in our own words,
MathVision: ``evaluation/evaluate.py`` and ``utils.py`` (github.com/mathvision-cuhk/MathVision);
MMMU: ``mmmu/utils/eval_utils.py``, MMMU-Pro: ``mmmu-pro/evaluate.py``, both
``parse_multi_choice_response`` (github.com/MMMU-Benchmark/MMMU);
BLINK: ``eval/test_benchmark.py``, ``analyze_answer`` (github.com/zeyofu/BLINK_Benchmark).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.scoring.choices.letters import letter
from benchmarks.scoring.choices.reading import Reading
from benchmarks.scoring.extract import flat
from benchmarks.scoring.mathematics.forms import Form, Reader, Scalar
from benchmarks.scoring.target import Program

# What MathVision's program takes out of an answer before it compares, in its order.
_SPACE = re.compile(r"\\,|[ \n]")
_DROPPED = re.compile(
    r"\\text|\\mbox|\\left|\\right|\\!|\^\{\\circ\}|\^\\circ|\{m\}\^3|m\^3|\{units\}|units|\{km\}|km"
    r"|\\?\$|\\%"
)
_FRACTION = re.compile(r"[td]frac")
_BRACKETED, _BRACED = re.compile(r"\(([a-e])\)"), re.compile(r"\{([a-e])\}")
_PLAIN = re.compile(r"[{}().,:;*\"'\[\]]")
_MATHEMATICS = re.compile(r"[\d\\]")
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*")
_CLOSING = re.compile(r" \(?([A-E])\)?\.\Z|\A\(?([A-E])\)?\n")
_NAMES = {"mmmu": "MMMU's", "mmmu_pro": "MMMU-Pro's", "blink": "BLINK's"}
_EXACT = Reader(plain_units=False)
# "A dog", "I see", "Florida": no letters, though the programs of MMMU take them for such.
_ARTICLE = re.compile(r"\b[AI](?= [a-z])")
_MORE = re.compile(r"\s(?:because|since|as)\b")  # a reason behind the answer
_INITIAL = re.compile(r"\b(?!Answer:)[A-J](?=[a-z])")


def objection(program: Program, text: str, reading: Reading, choices: Sequence[str]) -> str | None:
    """Return why the official program does not credit an option that we read; None if it may.

    Args:
        program: the official program.
        text: the whole response, cleaned.
        reading: our reading of it, of one letter.
        choices: the texts of the options in order.
    """
    if reading.given == "letter" or len(reading.letters) != 1:
        return None
    # What the response itself sets apart as its answer is one to any reader.
    if program == "mmmu" and reading.given != "hint" and reading.rule != "whole response":
        return None
    if program == "mathvision":
        return _objection_to_option(text, reading, choices[ord(reading.letters[0]) - ord("A")])
    found = read(program, _until(text, reading), choices)
    return None if found in (None, *reading.letters) else f"{_NAMES[program]} program reads {found}"


def _objection_to_option(text: str, reading: Reading, option: str) -> str | None:
    closing = _CLOSING.search(text)
    if closing and (closing[1] or closing[2]) in reading.letters:
        return None
    span = reading.span.strip()
    span = span if reading.rule == "boxed" else span.partition("\n")[0]
    formula = mathvision_formula(span)
    if reading.given == "both":
        plain = _formula(f"({reading.letters[0]}) {option}")
        credited = _PLAIN.sub("", _formula(span)) == _PLAIN.sub("", plain)
    else:
        number = _value(option.strip().strip("$").lower()) is not None
        words = not _MATHEMATICS.search(option)
        credited = words or number or formula == option.strip().lower()
    if credited:
        return None
    return f"MathVision's program reads the formula {formula[:60]!r}, which is no option"


def objection_to_value(text: str, right: Form, gold: str) -> str | None:
    """Return why MathVision's program does not credit a value that we read; None if it may.

    It takes the letters of most units for symbols.  What is written like the ``gold`` is right.
    """
    if not isinstance(right, Scalar) or right.node.symbols() or right.unit_text:
        return None
    formula = mathvision_formula(text)
    if formula == gold.strip().lower() or _value(formula) is not None:
        return None
    return f"MathVision's program reads the formula {formula[:60]!r}, which is no number"


def mathvision_formula(span: str) -> str:
    """Return an answer as MathVision's program compares it: of "The area is 24." the number."""
    end = span.rpartition("is ")[2].rstrip(".")
    if _NUMBER.fullmatch(end):
        return end
    return _formula(span).split("=")[-1].split("\\approx")[-1]


def _formula(span: str) -> str:
    """Return the formula with the left sides of its equations."""
    formula = _SPACE.sub("", span.lower().replace("{}", ""))
    formula = _FRACTION.sub("frac", _DROPPED.sub("", formula.replace("\\\\", "\\")))
    formula = _BRACED.sub(r"\1", _BRACKETED.sub(r"\1", formula))
    return formula.rstrip(".").lstrip(":").strip()


def _value(formula: str) -> Scalar | None:
    """Return the number that a formula is; None where units or symbols are left in it."""
    form = _EXACT.form(formula)
    if not isinstance(form, Scalar) or form.percent or form.unit_text or form.node.symbols():
        return None
    return form


def read(program: Program, text: str, choices: Sequence[str]) -> str | None:
    """Return the letter that a program which looks for letters reads in a text, or None."""
    if program == "blink":
        return blink_letter(text, choices)
    return mmmu_letter(text, choices, after_answer=program == "mmmu_pro")


def mmmu_letter(text: str, choices: Sequence[str], after_answer: bool) -> str | None:
    """Return the letter that the program of MMMU reads, or None where it would draw one.

    Of the first of these forms that occurs it takes the last one: a letter in brackets; a letter
    with spaces around it; an option's text, if there are more than five words.  MMMU-Pro
    (``after_answer``) looks first for the only capital behind the last "Answer:", asks for no
    space before a letter, and also takes one with a full stop.
    """
    letters = [letter(index) for index in range(len(choices))]
    if after_answer and "Answer:" in text:
        behind = text.rpartition("Answer:")[2]
        inside = [one for one in letters if one in behind]
        if len(inside) == 1:
            return inside[0]
    text = f" {text.strip(',.!?;:')} "
    spaced = "{} " if after_answer else " {} "
    for form, place in (("({})",) * 2, (spaced, " {} "), ("{}.", " {} "))[: 2 + after_answer]:
        if found := [one for one in letters if form.format(one) in text]:
            return _last(text, found, [place.format(one) for one in found])
    if len(text.split()) > 5:
        low = text.lower()
        pairs = zip(letters, choices, strict=True)
        found = [one for one, option in pairs if option and option.lower() in low]
        if found:
            return _last(low, found, [choices[ord(one) - ord("A")].lower() for one in found])
    return None


def _last(text: str, letters: Sequence[str], places: Sequence[str]) -> str:
    """Return the letter whose place in the text is last; the first letter of equals."""
    found = [text.rfind(place) for place in places]
    return letters[found.index(max(found))]


def blink_letter(text: str, choices: Sequence[str]) -> str | None:
    """Return the only bracketed letter between spaces of the last paragraph, else of the text."""
    options = {f"({letter(index)})" for index in range(len(choices))}
    for part in (text.rpartition("\n\n")[2], text):
        found = options & set(part.split())
        if len(found) == 1:
            return found.pop()[1]
    return None


def _until(text: str, reading: Reading) -> str:
    """Return a response up to the line of a letter with its text, words that are no letters small.

    What is named by its text or in passing is read from the whole response, as the programs do.
    """
    plain, lines = flat(text), _INITIAL.sub(_small, text).split("\n")
    start = plain.rfind(reading.span) if reading.given == "both" else -1
    end = start + len(reading.span.rstrip())
    line = plain.count("\n", 0, end) if start >= 0 else len(lines)
    if start >= 0 and _MORE.match(plain, end):
        lines[line] = plain[plain.rfind("\n", 0, end) + 1 : end]
    return "\n".join(
        [*(_ARTICLE.sub(_small, one) for one in lines[:line]), *lines[line : line + 1]]
    )


def _small(match: re.Match[str]) -> str:
    return match[0].lower()
