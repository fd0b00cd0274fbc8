"""MathVerse: the judge first copies out the answer, then compares it with the right one.

Rules: github.com/ZrrSkywalker/MathVerse, evaluation/{extract_answer_s1,score_answer_s2,prompts}.py
(the extraction sees the response alone; the comparison sees question, right answer and extraction).
"""

from __future__ import annotations

from benchmarks.vqa.judging import compare, empty, fenced, stated
from harness.protocols import Ask
from harness.records import Score

_EXTRACT = """\
Below is a model's response to a mathematical problem. Copy out the final answer that it gives, \
as it stands there and with all its parts (for example both a domain and a range), without any \
explanation. If the response names an option's letter, the letter is enough. If it gives no \
answer, write: null

[Response]
{response}

[The answer that the response gives]
"""
_COMPARE = """\
Decide whether a model's answer to a mathematical question agrees with the right answer.

- It agrees only if it matches completely: every part must be there and right, and the kind of \
bracket of an interval matters.
- Where the question lists options, an option's letter and that option's text are the same answer.
- Elsewhere, the same value or meaning in another form or unit agrees: 50 cm is 0.5 m.
- If the right answer names several options, all of them must be named and no other.

Write 1 if it agrees and 0 if it does not. Write this digit and nothing else.

[Question]
{question}

[Right answer]
{gold}

[Model's answer]
{extraction}

[1 or 0]
"""


async def judged(question: str, gold: str, response: str, ask: Ask) -> Score:
    """Score a response without thinking in the two official steps."""
    if not response:
        return empty()
    extraction = await ask(_EXTRACT.format(response=fenced(response)), stated)
    if not extraction:
        return Score(0.0, "unparsable", None, "the judge finds no answer in the response")
    put = _COMPARE.format(question=question, gold=gold.strip(), extraction=fenced(extraction))
    return await compare(ask, put, extraction)
