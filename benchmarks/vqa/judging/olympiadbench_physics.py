"""OlympiadBench: the judge says whether the final answer equals the right one within tolerance.

The official grader is a program (github.com/OpenBMB/OlympiadBench, inference/judge.py and
code/math_judger.py); lmms-eval asks a judge instead
(tasks/olympiadbench/testmini_utils.py).  The question put here is lmms-eval's (only the result
counts, not its form or the way to it), with the program's rules: absolute tolerances, all of
several answers, a percentage or the number.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.vqa.judging import SHOWN, compare, empty, fenced
from harness.protocols import Ask
from harness.records import Score

_PROMPT = """\
Decide whether the final answer of a solution agrees with the right answer to a problem of a \
physics competition. Only the result counts: not the way to it, not its notation, not LaTeX or \
boxes around it.

- Expressions agree if they are mathematically equal; equations if one is a multiple of the other; \
intervals and tuples if every entry and bracket agrees, in order.
- {tolerance}
- A percentage and the number that it stands for agree. {unit}
- Where there are several right answers, all of them must be given, in any order, and no other.

[Problem]
{question}

[Right answer]
{gold}

[Solution]
{response}

Write 1 if it agrees and 0 if it does not. Write this digit and nothing else.

[1 or 0]
"""


async def judged(
    question: str,
    answers: Sequence[str],
    unit: str | None,
    tolerances: Sequence[float],
    response: str,
    ask: Ask,
) -> Score:
    """Score a solution without thinking.

    ``question`` has its context, ``answers`` are as the data set lists them; ``tolerances`` are the
    official absolute errors, one for all numbers or one each, empty where there are none.
    """
    if not response:
        return empty()
    tolerance = "Numbers must be equal; in another notation they are the same number."
    if tolerances:
        listed = ", ".join(f"{value:g}" for value in tolerances)
        each = "" if len(tolerances) == 1 else " (one for each, in order)"
        tolerance = f"Numbers agree if they differ by at most {listed}{each}."
    in_unit = f"The right answer is in {unit}; in another unit it must be the same quantity."
    prompt = _PROMPT.format(
        tolerance=tolerance,
        unit=in_unit if unit else "",
        question=question,
        gold="\n".join(answers),
        response=fenced(response),
    )
    return await compare(ask, prompt, response[-SHOWN:])
