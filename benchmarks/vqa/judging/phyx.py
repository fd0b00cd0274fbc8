"""PhyX: the judge sees the right answer and the response, and says whether they match.

Rules: github.com/NastyMarcus/PhyX, vlmeval/dataset/utils/phyx.py, PhyX_auxeval_MC and PhyX_auxeval
(answers that are equal letter by letter need no judge).  The official rule that takes the first
capital A to D after the word "answer" for the chosen letter is left out: it reads "the answer is
not A" as A.
"""

from __future__ import annotations

from benchmarks.vqa.judging import SHOWN, compare, empty, fenced
from harness.protocols import Ask
from harness.records import Score

_CHOICE = """\
A multiple-choice question has the options A, B, C and D. Decide whether the option that the \
response below settles on is the right one. A response that settles on no letter, or on several, \
does not match.

[Right option]
{gold}

[Response]
{response}

Write 1 if it matches and 0 if it does not. Write this digit and nothing else.

[1 or 0]
"""
_OPEN = """\
Decide whether the final answer of the response below to a problem of physics matches the right \
answer.

- The same quantity in another form or unit matches: 50 cm is 0.5 m, 46300 N is 46.3 kN. An \
expression matches the number that it evaluates to. A unit that is left out is no fault if the \
number fits the right answer's unit or the base unit.
- Where the response says that its value is approximate or rounded, a small error of \
approximation matches: approximately 0.5 for 0.49, about 36.1 for 36.00. A value that is off by \
several percent does not match: 11.3 is not 12.

[Right answer]
{gold}

[Response]
{response}

Write 1 if it matches and 0 if it does not. Write this digit and nothing else.

[1 or 0]
"""


async def judged(gold: str, multiple_choice: bool, response: str, ask: Ask) -> Score:
    """Score a response without thinking; ``gold`` is the right letter or the open answer."""
    if not response:
        return empty()
    if response.casefold() == gold.strip().casefold():
        return Score(1.0, "scored", response, "the response is the right answer")
    if multiple_choice and response in ("A", "B", "C", "D"):
        return Score(0.0, "scored", response, "the response is another letter")
    question = (_CHOICE if multiple_choice else _OPEN).format(gold=gold, response=fenced(response))
    return await compare(ask, question, response[-SHOWN:])
