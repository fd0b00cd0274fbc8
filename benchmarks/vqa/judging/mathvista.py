"""MathVista: the judge copies the answer out of the response; the strict scorer compares it.

Rules: github.com/lupantech/MathVista, evaluation/extract_answer.py (a response that is an option's
text or a plain number is its own extraction, nothing is extracted from an empty one) and
calculate_score.py.  The official fallback to the option that is spelled most alike is left out: it
credits refusals.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase

from benchmarks.scoring import Target, score
from benchmarks.vqa.judging import empty, fenced, stated
from harness.protocols import Ask
from harness.records import Score

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
# How judges say in a sentence what they should say by "none".
_DECLINES = re.compile(
    r"\b(?:no|not|cannot|can't|unable|insufficient|missing|incorrect|sorry|provide|without)\b", re.I
)
_PROMPT = """\
A model was asked the question below and gave the response below. Copy out the final answer that \
the response gives. Do not solve the question, and do not correct the response.

{form}
If the response gives no answer, or none of that form, write: none
Write this and nothing else, on one line.

[Question]
{question}

[Response]
{response}

[The answer that the response gives]
"""
_FORMS = {
    "choice": "Write the letter of the option. Where the response gives an option's text, or says "
    "in other words which one holds, write the letter of that option.",
    "integer": "Write a whole number in digits, without its unit.",
    "float": "Write a decimal number in digits, without its unit, with {precision} decimals.",
    "list": "Write a Python list, such as [1, 2, 3] or [1.2, 1.3].",
}


async def judged(
    question: str, choices: Sequence[str], target: Target, response: str, ask: Ask
) -> Score:
    """Score a response without thinking; ``choices`` are the options' texts, empty if none."""
    if not response:
        return empty()
    if response in choices or (not choices and _NUMBER.fullmatch(response)):
        return score(response, target)

    def read(reply: str) -> Score | None:
        text = stated(reply)
        extracted = score(text or "", target)
        if text == "" or (extracted.status == "unparsable" and _DECLINES.search(text or "")):
            return Score(
                0.0, "unparsable", None, f"the judge finds no answer: {reply.strip()!r:.200}"
            )
        if extracted.status == "unparsable":
            return None
        return replace(extracted, why=f"the judge extracts {text!r:.200}; {extracted.why}")

    return await ask(prompt(question, choices, target, response), read)


def prompt(question: str, choices: Sequence[str], target: Target, response: str) -> str:
    """Return what the judge is asked."""
    kind = "choice" if choices else str(target.answer_type)
    listed = [f"({name}) {text}" for name, text in zip(ascii_uppercase, choices, strict=False)]
    return _PROMPT.format(
        form=_FORMS[kind].format(precision=target.precision),
        question="\n".join([question, *listed]),
        response=fenced(response),
    )
