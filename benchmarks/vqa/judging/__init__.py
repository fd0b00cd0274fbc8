"""What the judge is asked: the rules of the official protocols in our words, one file a benchmark.

An answer and what the data set says of its question come in; a `harness.records.Score` leaves.
A reply of the judge that does not follow the form asked for is no verdict; it is never guessed at.
"""

from __future__ import annotations

import re

from harness.protocols import Ask
from harness.records import Score

__all__ = ["NONE", "compare", "one_or_zero", "stated"]

# What judges write where there is nothing to extract; the prompts ask for the first.
NONE = frozenset({"none", "null", "n/a", "na", "no answer"})

_PUNCTUATION = r"[\s*`\"'.:()\[\]]*"
_VERDICT = re.compile(rf"(?:\W*judge?ment|\W*verdict)?{_PUNCTUATION}([01]){_PUNCTUATION}", re.I)
_LABEL = re.compile(r"\W{0,3}(?:extracted |final )?answer[ *]*:[ *]*", re.I)


def one_or_zero(reply: str) -> bool | None:
    """Return the verdict in the last line of a reply; None where that is neither 1 nor 0."""
    match = _VERDICT.fullmatch(_last_line(reply))
    return match[1] == "1" if match else None


def stated(reply: str) -> str | None:
    """Return the answer that a reply copies out, "" where it says that there is none.

    None where the reply is empty.
    """
    text = _LABEL.sub("", reply.strip(), count=1).strip().strip("`").strip()
    if not text:
        return None
    return "" if text.strip(".'\"").casefold() in NONE else text


async def compare(ask: Ask, question: str, prediction: str) -> Score:
    """Return the judge's verdict on a question that asks for 1 (right) or 0."""
    right = await ask(question, one_or_zero)
    word = "right" if right else "wrong"
    return Score(float(right), "scored", prediction, f"the judge calls it {word}")


def empty() -> Score:
    """Return the score of a response without a word: nobody is asked about that."""
    return Score(0.0, "unparsable", None, "the response is empty: the judge was not asked")


def _last_line(reply: str) -> str:
    lines = [line for line in reply.splitlines() if line.strip()]
    return lines[-1] if lines else ""
