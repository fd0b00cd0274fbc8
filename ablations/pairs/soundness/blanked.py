"""How often a model selects right with a part of the prompt left out.

A model that reads needs question, answer and contexts; one that is right without them uses
something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ablations.pairs.progress import Note, Progress, silent
from ablations.pairs.soundness.shortcuts import (
    FAMILY_ALPHA,
    FEWEST,
    Shortcut,
    clusters,
    context_name,
    separated,
)
from benchmarks.pairs.selection import PLAIN, AnyPair, Asking, SelectionPrompt
from benchmarks.probe import Probe
from harness.errors import ItemError, one_failure
from harness.protocols import Model, Tools
from harness.records import ImagePart, Item, Message, Pair, Sampling, TextPart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.pairs.template import PairTemplate

CONCURRENCY = 16
BLANK = TextPart("(left out)")
SEES = {
    "model": "all",
    "model, question blanked": "answer and contexts",
    "model, answer blanked": "question and contexts",
    "model, contexts blanked": "question and answer",
}
HONEST = "model, question blanked"
"""A text that supports an answer usually names it: no alarm, as of the reader of the same name."""
_SAMPLING = Sampling(max_tokens=2048)  # if a backend gives no log-probabilities
Right = dict[tuple[str, int], list[float]]
"""By test and pair, whether each order was right."""
Opened = Callable[[], AbstractAsyncContextManager[Model]]


def prompts(
    pair: AnyPair, test: str, template: PairTemplate | None = None
) -> tuple[SelectionPrompt, ...]:
    """Return the prompts of a test, of which all orders are asked; none where it has no such part.

    Without contexts both orders are one prompt, asked for the letter of the pair as it is written.
    The ``template`` tells where the parts of a written prompt of text are.
    """
    if test == "model":
        return PLAIN.prompts(pair)
    shown = _without(pair, _BLANKED[test], template)
    if shown is None:
        return ()
    once = test == "model, contexts blanked"
    return (Asking(orders="written") if once else PLAIN).prompts(shown)


_BLANKED = {
    "model, question blanked": ("query",),
    "model, answer blanked": ("answer",),
    "model, contexts blanked": ("context_a", "context_b"),
}


def _without(pair: AnyPair, parts: Sequence[str], template: PairTemplate | None) -> AnyPair | None:
    """Return a pair without a part; None where it is not known where that is."""
    contexts = len(parts) > 1
    if isinstance(pair, Pair):
        if contexts:
            return replace(pair, context_positive=(BLANK,), context_negative=(BLANK,))
        blank = BLANK.text
        return replace(pair, query=blank) if "query" in parts else replace(pair, answer=blank)
    if pair.exchanged is None:
        return None
    if contexts and separated(pair):
        messages = tuple(map(_without_images, pair.messages))
        return replace(pair, messages=messages, exchanged=None)
    shown = _without_texts(pair.messages, parts, template)
    exchanged = _without_texts(pair.exchanged, parts, template)
    return None if shown is None else replace(pair, messages=shown, exchanged=exchanged)


def _without_images(message: Message) -> Message:
    parts = (BLANK if isinstance(part, ImagePart) else part for part in message.content)
    return replace(message, content=tuple(parts))


def _without_texts(
    messages: tuple[Message, ...], parts: Sequence[str], template: PairTemplate | None
) -> tuple[Message, ...] | None:
    *before, last = messages
    if template is None or any(isinstance(part, ImagePart) for part in last.content):
        return None
    text = template.without(last.render(), parts, BLANK.text)
    return None if text is None else (*before, replace(last, content=(TextPart(text),)))


@dataclass(frozen=True, slots=True)
class _Question:
    test: str
    pair: int
    prompt: SelectionPrompt


def asked(
    pairs: Sequence[AnyPair],
    open_model: Opened,
    template: PairTemplate | None = None,
    note: Note = silent,
) -> tuple[list[Shortcut], list[str]]:
    """Return the model's fraction of right selections in each test, and the failed requests.

    Raises `UsageError` if the model cannot be used.
    """
    questions = [
        _Question(test, index, prompt)
        for index, pair in enumerate(pairs)
        for test in SEES
        for prompt in prompts(pair, test, template)
    ]
    with one_failure():
        right, missed = asyncio.run(_ask_all(questions, open_model, note))
    groups = clusters([_names(pair, template) for pair in pairs])
    return [_tested(test, right, groups) for test in SEES], missed


def _names(pair: AnyPair, template: PairTemplate | None) -> tuple[str, str]:
    """Return hashes of both contexts, or twice the prompt's if its contexts are unknown."""
    apart = separated(pair, template)
    if apart is None:
        parts = [part for message in pair.messages for part in message.content]  # type: ignore[union-attr]
        return (context_name(parts),) * 2
    return context_name(apart.context_positive), context_name(apart.context_negative)


async def _ask_all(
    questions: Sequence[_Question], open_model: Opened, note: Note
) -> tuple[Right, list[str]]:
    """Return whether each order was right, and the failed requests."""
    right: Right = {}
    missed: list[str] = []
    probe = Probe(Path())
    async with open_model() as model:

        async def ask(question: _Question) -> None:
            prompt = question.prompt
            item = Item("", prompt.messages, {"letter": prompt.letter}, "")
            try:
                response = await probe.solve(item, model, _SAMPLING, Tools())
                score = await probe.score(item, response, Tools())
            except ItemError as error:
                missed.append(str(error))
            else:
                right.setdefault((question.test, question.pair), []).append(score.value or 0.0)

        await Progress("the model", len(questions), note).over(questions, ask, CONCURRENCY)
    return right, missed


def _tested(test: str, right: Right, groups: NDArray[Any]) -> Shortcut:
    """Return the fraction right, one vote per cluster, with Clopper and Pearson's interval.

    Clusters that are half right (a preference for one letter, in both orders) are left out of the
    interval's count and pull it toward a half.
    """
    from scipy.stats import binomtest

    votes: dict[int, list[float]] = {}
    for (name, pair), values in right.items():
        if name == test:
            votes.setdefault(int(groups[pair]), []).append(sum(values) / len(values) - 0.5)
    sums = np.sign([round(sum(values), 9) for values in votes.values()])
    number = sum(name == test for name, _ in right)
    plain = Shortcut(test, SEES[test], number, len(sums))
    wins, decided = int((sums > 0).sum()), int((sums != 0).sum())
    if len(sums) < FEWEST:
        return plain
    halves = (len(sums) - decided) / 2
    low = high = 0.5
    p = 1.0
    if decided:
        exact = binomtest(wins, decided, alternative="two-sided")
        bounds = exact.proportion_ci(1 - FAMILY_ALPHA / len(SEES))
        low, high = ((bound * decided + halves) / len(sums) for bound in bounds)
        p = float(exact.pvalue)
    above = bool(low > 0.5) and test != "model"
    return replace(
        plain, accuracy=(wins + halves) / len(sums), low=float(low), high=float(high), p=p,
        alarm=above and test != HONEST, notice=above and test == HONEST,
    )  # fmt: skip
