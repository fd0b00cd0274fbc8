"""Takes out of a response what it does not claim: what it denies, supposes, asks or takes back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Literal, TypeVar

from benchmarks.scoring.claims.clauses import (
    EXAMPLE,
    SUBJUNCTIVE,
    UNSEEN,
    Clause,
    clauses_of,
    ends_of,
)
from benchmarks.scoring.claims.values import DENIED, is_open
from benchmarks.scoring.phrases import pattern

T = TypeVar("T")
Mentioned = Literal["option", "name", "value", "number"]
# "The answer is A. Wait, B.": what comes before is taken back if what comes after is an answer.
_RETRACTED = re.compile(
    r"(?i)(?:(?<=[.!?,;:)\n*}…])|(?<=\s[-—])|(?<=\s--))\s{0,3}(?:"
    r"(?:no,?\s)?wait|hold on|oops|h+m+|(?:scratch|strike) that|correction|corrected|my mistake"
    r"|(?:i'm |i am )?sorry|apologies"
    r"|on (?:second thoughts?|reflection|closer \w+|further \w+|a second \w+|re-?\w+)"
    r"|(?:edit|update|erratum|revised(?: answer)?)(?=\s?:)"
    r"|i (?:take|took) (?:that|it) back|i retract|or rather|rather(?=,)"
    r"|i (?:must|have to|need to|should) (?:correct|revise)(?: (?:that|this|myself))?"
    r"|actually|i (?:meant|misread|miscounted|made an? \w+)"
    r"|let me (?:re-?[a-z]+|(?:look|check|count|think|try|see)(?: \w+)? again|correct)"
    r")\b[\s,.:;!…-]{0,8}(?:no\b[\s,.:;!]+)?(?:i meant\s)?"
    r"|(?:\.{3}|[?…—,]|\s-)\s{0,3}(?P<no>no)\b[,:]\s*"
)
# A model that runs on invents further questions and answers them.
_RUN_ON = pattern(
    r"\n[ \t]{0,8}(?:(?:Hint:[^\n]{0,200}\n)?[ \t]{0,8}(?:Question|Problem|Human|User|Q)\s?\d*\s?:"
    r"|The (?:correct )?option letter for\b)",
    "B\nQuestion: What",
    "Question: What",
)
_PARTS, _LONG, _NEAR = 6, 150, 2


def segments(text: str, with_no: bool) -> list[str]:
    """Return the parts of a text between which it takes back what it said, in order.

    ``with_no``: ", no, " takes back too; not where "no" may be an answer.
    """
    cuts = [match.span() for match in _RETRACTED.finditer(text) if with_no or not match["no"]]
    ends = [(0, 0), *cuts[-_PARTS:], (len(text), len(text))]
    return [text[before:after] for (_, before), (after, _) in itertools.pairwise(ends)]


def last_claim(
    text: str, read: Callable[[str, str], tuple[T | None, list[str]]], with_no: bool
) -> tuple[T | None, list[str]]:
    """Return what ``read`` reads in the last part that states something, and what was passed over.

    ``read`` is given a part and what comes behind it.
    """
    parts = segments(without_run_on(text), with_no)
    later: list[str] = []
    for index in reversed(range(len(parts))):
        found, passed = read(parts[index], " ".join(parts[index + 1 :]))
        if found is not None:
            taken_back = [part.strip()[-_LONG // 2 :] for part in parts[:index] if part.strip()]
            return found, [*taken_back, *passed]
        later = passed + later
    return None, later


def without_run_on(text: str) -> str:
    """Return a text without the further questions that a model invents behind its answer."""
    match = _RUN_ON.search(text.lstrip())
    return text.lstrip()[: match.start()] if match else text


def cover(text: str, mention: re.Pattern[str]) -> str:
    """Return a text of the same length in which each mention of an answer is a "§§§"."""
    return mention.sub(lambda match: "§" * len(match[0]), text)


def claimed(
    text: str, covered: str, masked: str = "", kind: Mentioned = "option"
) -> tuple[str, list[str]]:
    """Return a text without the clauses that mention an answer and do not claim it, and these.

    Args:
        text: a cleaned response.
        covered: the text with a "§" for each sign of a mention of a possible answer.
        masked: the text without options that deny something ("It does not move").
        kind: of names not all are known; of a ``value`` only plain denials count, as derivations
            are full of conditions; a ``number`` is no bound and no choice of two either.
    """
    if "§" not in covered:
        return text.lstrip(" ,;"), []
    clauses = [*clauses_of(masked or text, covered)]
    dropped = _cases(clauses, number=kind in {"value", "number"})
    if UNSEEN.search(text):
        dropped |= {i for i, clause in enumerate(clauses) if EXAMPLE.search(clause.text)}
    kept, passed, position = [], [], 0
    for index, clause in enumerate(clauses):
        if index in dropped or _dropped(clauses, index, kind):
            kept.append(text[position : clause.start])
            passed.append(text[clause.start : clause.end].strip(" ,"))
            position = clause.end
    return "".join([*kept, text[position:]]).lstrip(" ,;"), passed


def _dropped(clauses: list[Clause], index: int, kind: Mentioned) -> bool:
    """Whether a clause mentions an answer and does not claim it."""
    clause = clauses[index]
    if not clause.mentions:
        return False
    if kind in {"option", "name"}:
        adds = index > 0 and clause.only_adds(clauses[index - 1])
        return adds or clause.claims_none(clauses[index + 1 : index + 4], names=kind == "name")
    text = ends_of(clause.text)
    supposed = DENIED.search(text) or SUBJUNCTIVE.search(text)
    return bool(supposed) or (kind == "number" and is_open(text))


def _cases(clauses: list[Clause], number: bool) -> set[int]:
    """Return the clauses that give different answers for different cases."""
    before = ["", *(clause.text for clause in clauses)]
    cases = [(i, clause.case(before[i], number)) for i, clause in enumerate(clauses)]
    pairs = itertools.pairwise((i, name) for i, name in cases if name)
    return {
        index
        for (i, name), (j, other) in pairs
        if name != other and j - i <= _NEAR
        for index in (i, j)
    }
