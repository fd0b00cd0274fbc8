"""What to edit: a language model proposes the smallest change that gives another answer."""

from __future__ import annotations

from dataclasses import dataclass

from harness.files.typed_json import parse
from harness.records import ImagePart, Message, Part, TextPart

_PROPOSE = """\
Question about the image: {query}
Right answer: {answer}

Propose the smallest edit of the image after which the question has another definite answer. \
Change only what decides it; keep the style, and add no text or marks.
Reply with one JSON object and nothing else:
{{"instruction": "one sentence for an image editor", "answer": "the new answer"}}"""
_ANSWER = "{query}\nAnswer with a single word, number or phrase."


@dataclass(frozen=True, slots=True)
class Proposal:
    """An editing instruction, and the answer that the edited image should have."""

    instruction: str
    answer: str


def propose(query: str, answer: str, image: ImagePart) -> Message:
    """Return the message to the language model."""
    return Message("user", (image, TextPart(_PROPOSE.format(query=query, answer=answer))))


def read_proposal(reply: str) -> Proposal | None:
    """Parse a reply's JSON object; None without an instruction or answer."""
    begin, end = reply.find("{"), reply.rfind("}")
    try:
        value = parse(reply[begin : end + 1]) if 0 <= begin < end else None
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    texts = [value.get(name) for name in ("instruction", "answer")]
    if not all(isinstance(text, str | int | float) and str(text).strip() for text in texts):
        return None
    return Proposal(*(str(text).strip() for text in texts))


def ask_about(query: str, image: ImagePart) -> Message:
    """Return the question that checks an image's answer."""
    parts: tuple[Part, ...] = (image, TextPart(_ANSWER.format(query=query)))
    return Message("user", parts)
