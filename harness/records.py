"""The records that all layers share: frozen and typed.

An `Item` gets a `Response` and a `Score`; a `Sample` is the stored line of all three.  A `Pair` is
for contrastive training and the probe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from harness.reasoning import without_reasoning

if TYPE_CHECKING:
    from PIL import Image

Role = Literal["system", "user", "assistant"]
Status = Literal["scored", "unparsable", "unscored", "error"]
Absence = Literal["filtered", "reasoning_only", "empty", "cut"]
Value = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""A score; stored ones are checked against these bounds wherever they are read."""
Repeat = Annotated[int, msgspec.Meta(ge=0)]
"""The number of an answer among those to one item, from 0."""
Moment = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds of the Unix epoch, up to the year 9999, the last that a date can have."""
Number = Annotated[int, msgspec.Meta(ge=0)]
"""A place in a list, from 0."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image in a message, decoded (PIL, RGB)."""

    image: Image.Image


Part = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message: a role and its parts in reading order."""

    role: Role
    content: tuple[Part, ...]

    def render(self) -> str:
        """Return the message as text, each image as ``<image WxH>``."""
        return "".join(
            part.text
            if isinstance(part, TextPart)
            else f"<image {part.image.width}x{part.image.height}>"
            for part in self.content
        )


@dataclass(frozen=True, slots=True)
class Item:
    """One question of a benchmark.

    ``id`` is unique in its benchmark and stable across machines (the official id where one
    exists).  ``target`` is what the benchmark's scorer needs: a frozen dataclass or a JSON value,
    stored with the sample.  Items that share a ``cluster`` are not independent.  ``parts`` names
    the subscores that the item counts towards.
    """

    id: str
    messages: tuple[Message, ...]
    target: Any
    cluster: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """A contrastive pair: two contexts that are alike, of which one supports the answer.

    ``answer`` is right for ``query`` in ``context_positive`` and wrong in ``context_negative``,
    where ``answer_negative`` is right (None where that is not known).  ``domain`` names the kind
    (such as ``trajectory`` or a visual domain), ``source`` where the pair was made from.
    """

    id: str
    domain: str
    query: str
    answer: str
    answer_negative: str | None
    context_positive: tuple[Part, ...]
    context_negative: tuple[Part, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn.  ``max_tokens`` counts generated tokens; temperature 0 is greedy.

    The settings below ``seed`` are None where they are not used; penalties are vLLM's and OpenAI's:
    that of presence looks at the answer, that of repetition (1: none) also at the prompt.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None

    def used(self) -> dict[str, float]:
        """Return what is used, by name."""
        fields = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in fields if value is not None}


@dataclass(frozen=True, slots=True)
class Response:
    """What the model answered.

    ``text`` includes thinking; ``reasoning`` is thinking that the server returned separately.
    Token counts are None if the backend gives none.  ``seconds`` is wall time from request to
    answer.  ``prompt_tokens_cut`` tokens of the prompt were left out because the benchmark's
    protocol limits its length.  A finish reason of "content_filter" means that the server withheld
    the answer.

    An agent's text is what it submitted: ``trajectory`` holds the messages of its episode (JSON
    objects with ``role`` and ``content``), tokens count all its steps, and the finish reason
    "length" means that a limit ended it.
    """

    text: str
    reasoning: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None
    seconds: float = 0.0
    prompt_tokens_cut: int = 0
    trajectory: list[dict[str, Any]] | None = None

    @property
    def truncated(self) -> bool:
        """Whether a limit cut the answer."""
        return self.finish_reason == "length"

    @property
    def absence(self) -> Absence | None:
        """Why there is no answer to score; None where there is one.

        ``filtered``: a content filter withheld it, or a step of the episode.  Of episodes there is
        no other.  ``reasoning_only``: all text is reasoning.
        ``cut``: a limit left no room for it.
        """
        if self.finish_reason == "content_filter":
            return "filtered"
        if self.trajectory is not None or self.text.strip():
            return None
        if self.reasoning:
            return "reasoning_only"
        return "cut" if self.truncated else "empty"

    @property
    def answer(self) -> str:
        """The text to score: without thinking, by the rule of `without_reasoning`."""
        return without_reasoning(self.text)


def sum_counts(counts: Iterable[int | None]) -> int | None:
    """Return the sum of token counts; None if one of them is not known."""
    known = list(counts)
    return None if None in known else sum(filter(None, known))


@dataclass(frozen=True, slots=True)
class Score:
    """The verdict on one response.

    ``value`` is in [0, 1], or None where there is none (``unscored``, ``error``).
    ``scored``: read and compared.  ``unparsable``: the model's fault, value 0.
    ``unscored``: a judge gave no verdict.  ``error``: a failure of infrastructure; retried.
    ``why`` says which rule read which part of the response.  ``flag`` says what a reader should
    know of a response whose score stands, in words that several responses share, to be counted.

    Raises:
        ValueError: value and status contradict each other.
    """

    value: Value | None
    status: Status
    prediction: str | None = None
    why: str = ""
    flag: str = ""

    def __post_init__(self) -> None:
        there = self.status in ("scored", "unparsable")
        if (self.value is not None) is not there or (self.status == "unparsable" and self.value):
            raise ValueError(f"a score that is {self.status!r} cannot have the value {self.value}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One stored line: one item, one repeat, its response and its score.

    ``prompt``: the rendered messages, one string per message, long ones without their middle
    (`harness.files.text.abridged`).  ``scoring``: version of the scorer of ``score``.
    ``response``: None if the infrastructure failed.  ``source``: number of what answered in the
    manifest's list of sources; ``time``: when, in seconds of the Unix epoch; both None in lines of
    older versions.  ``source_value``: the score in the units of the tool whose log it is from.
    """

    id: str
    repeat: Repeat
    cluster: str
    parts: tuple[str, ...]
    prompt: tuple[str, ...]
    target: Any
    response: Response | None
    score: Score
    scoring: str
    source: Number | None = None
    time: Moment | None = None
    source_value: float | None = None
