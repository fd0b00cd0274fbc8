"""Traces of an agent's work as text (tool calls, file reads, command outputs) and a question each.

The answer depends on one step; `contrast` makes two traces that differ in that step alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from benchmarks.micro.content.splits import Split, draw_until, owner

LETTERS = "ABCDEFGHIJ"

KEYS = tuple(
    "port host user mode level theme queue cache route token shard owner stage topic branch "
    "region".split()
)
VALUES = tuple(
    "kiwi mango peach lemon grape melon olive cedar maple birch otter raven tiger zebra panda "
    "koala coral amber pearl ivory".split()
)
KINDS = ("read", "shown", "set")

# How a step of each kind reads, and how the question about it.
_STEPS = {
    "read": "read {key}.txt: {value}",
    "shown": "$ show {key}\n{value}",
    "set": "call set({key}, {value})",
}
_QUESTIONS = {
    "read": "What does {key}.txt hold?",
    "shown": "What did show {key} print?",
    "set": "What was {key} set to?",
}
_FILLER = tuple(
    "$ run tests\nok|$ list\nempty|call wait()|read log.txt: no change|$ run lint\nok|call save()|"
    "read plan.txt: go on|$ run build\ndone".split("|")
)

# What traces and their questions are made of besides keys and values: whole tokens of the embedded
# model, since its budget is counted in tokens.
PHRASES = (
    *_FILLER,
    *"read |.txt: |$ show |call set(|, |)|What does |.txt hold?".split("|"),
    *"What did show | print?|What was | set to?".split("|"),
)


@dataclass(frozen=True, slots=True)
class Trace:
    """Steps in order, a question on step ``place``, its answer, and options that hold it once."""

    steps: tuple[str, ...]
    place: int
    question: str
    answer: str
    options: tuple[str, ...]
    kind: str

    @property
    def text(self) -> str:
        """The trace, one step after the other; a step has one or two lines."""
        return "\n".join(self.steps)

    @property
    def letter(self) -> str:
        """The letter of the right option."""
        return LETTERS[self.options.index(self.answer)]

    @property
    def evidence(self) -> tuple[int, int]:
        """Start and end of the decisive step in ``text``, in characters."""
        start = sum(len(step) + 1 for step in self.steps[: self.place])
        return start, start + len(self.steps[self.place])

    @property
    def depth(self) -> float:
        """Where the decisive step begins, as a share of the text (0: at its start)."""
        return self.evidence[0] / len(self.text)


def trace(
    rng: random.Random,
    words: int,
    split: Split,
    *,
    depth: float | None = None,
    options: int = 4,
    filler: float = 0.3,
) -> Trace:
    """Return a trace whose text ``split`` owns; content of one split never occurs in another.

    The decisive step's subject (a key and a kind of step) occurs once; the same key in another kind
    of step, and other keys, are distractors.  The length differs from ``words`` (separated by white
    space) by less than four, but there is at least one step.  ``depth`` is where the decisive step
    goes, from 0 (first) to 1 (last), None draws it; ``options`` their number, at most ten;
    ``filler`` the share of other steps that say nothing.
    """
    return draw_until(
        lambda: _draw(rng, words, depth, options, filler),
        lambda drawn: owner(drawn.text) == split,
    )


def contrast(
    rng: random.Random, words: int, split: Split, *, filler: float = 0.3
) -> tuple[Trace, Trace]:
    """Return a trace and the same one with another value in its decisive step alone.

    ``split`` owns both; each has the answer that its own step gives, and the other's among its
    options.
    """

    def draw() -> tuple[Trace, Trace]:
        given = trace(rng, words, split, filler=filler)
        value = rng.choice([value for value in given.options if value != given.answer])
        step = given.steps[given.place].replace(given.answer, value)
        steps = (*given.steps[: given.place], step, *given.steps[given.place + 1 :])
        return given, replace(given, steps=steps, answer=value)

    return draw_until(
        draw,
        lambda pair: owner(pair[1].text) == split,
    )


def _draw(rng: random.Random, words: int, depth: float | None, number: int, filler: float) -> Trace:
    kind, key, answer = rng.choice(KINDS), rng.choice(KEYS), rng.choice(VALUES)
    decisive = _STEPS[kind].format(key=key, value=answer)
    others: list[str] = []
    seen: list[str] = []
    left = words - len(decisive.split())
    while left > 1:
        step, value = _other(rng, (kind, key), filler)
        others.append(step)
        seen += [value] if value else []
        left -= len(step.split())
    place = round(len(others) * (rng.random() if depth is None else depth))
    # Values that the trace tells elsewhere tempt more than values that it never tells.
    near = list(dict.fromkeys(value for value in seen if value != answer))
    wrong = rng.sample(near, min(number - 1, len(near)))
    far = [value for value in VALUES if value != answer and value not in wrong]
    chosen = [answer, *wrong, *rng.sample(far, number - 1 - len(wrong))]
    rng.shuffle(chosen)
    steps = (*others[:place], decisive, *others[place:])
    question = _QUESTIONS[kind].format(key=key)
    return Trace(steps, place, question, answer, tuple(chosen), kind)


def _other(rng: random.Random, decisive: tuple[str, str], filler: float) -> tuple[str, str]:
    """Return a step that does not tell the decisive subject, and the value that it tells or ""."""
    if rng.random() < filler:
        return rng.choice(_FILLER), ""
    while (told := (rng.choice(KINDS), rng.choice(KEYS))) == decisive:
        pass
    value = rng.choice(VALUES)
    return _STEPS[told[0]].format(key=told[1], value=value), value
