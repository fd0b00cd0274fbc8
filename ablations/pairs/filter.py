"""The difficulty filter: pairs that the model to be trained gets right neither always nor never.

The authors keep a pair if their base model is right in 2 to 5 of 8 tries, so filtered pairs belong
to one model and start near chance for it.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ablations.pairs.build import Build, BuildPlan, Memo
from ablations.pairs.progress import Note, Progress
from benchmarks.pairs import selection
from benchmarks.pairs.saving import row_of
from benchmarks.pairs.selection import LETTERS, AnyPair, SelectionPrompt, both_orders
from harness.errors import ItemError, UsageError, one_failure
from harness.files.hashing import source_hash
from harness.protocols import Model
from harness.records import Sampling


@dataclass(frozen=True)
class Settings:
    """The difficulty range, and how difficulty is measured.

    ``by``: ``letters`` answers ``tries`` times, equally often in both orders, each read strictly as
    a choice; ``logprobs`` takes the right letter's probability among the two, mean over both
    orders. Written prompts with unknown contexts have one. Kept are fractions of right selections
    from ``low`` to ``high``.
    """

    by: Literal["letters", "logprobs"] = "letters"
    tries: int = 8
    low: float = 0.25
    high: float = 0.63
    temperature: float = 1.0
    max_tokens: int = 2048

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise UsageError(f"--keep {self.low} {self.high}: the first must not be larger")
        if self.by == "letters" and self.tries % 2:
            raise UsageError(f"--tries {self.tries} must be even: half of them in either order")


def plan_of(content: str, fingerprint: str, settings: Settings, seed: int) -> BuildPlan:
    """Return the identity of a filtering: the pairs' content and the model's."""
    inputs = {"pairs": content, "model": fingerprint}
    return BuildPlan("filter", asdict(settings), inputs, seed)


@dataclass(frozen=True)
class Asking:
    """The model, the number of concurrent requests, and the progress callback."""

    open_model: Callable[[], AbstractAsyncContextManager[Model]]
    concurrency: int
    note: Note


def filter_pairs(
    build: Build, pairs: Sequence[AnyPair], settings: Settings, asking: Asking
) -> dict[str, Any]:
    """Ask the model about every pair, keep those of the right difficulty, return the manifest.

    Answers are stored as they arrive; a rerun asks only what is missing, or what a version with
    other selection prompts asked. Raises `UsageError` if the model cannot be used, or gives no
    log-probabilities when needed.
    """
    memo = build.memo("selections")
    with one_failure():
        missed = asyncio.run(_ask_all(build, pairs, settings, asking, memo))
    return _finish(build, pairs, settings, memo, missed)


def _finish(
    build: Build, pairs: Sequence[AnyPair], settings: Settings, memo: Memo, missed: Sequence[str]
) -> dict[str, Any]:
    kept: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    for index in range(len(pairs)):
        measured, reason = _measured(memo, _keys(index, settings), settings)
        reasons[reason] += 1
        if measured is None:
            continue
        pair = pairs[index]
        if reason:
            others.append({"id": pair.id, "difficulty": measured, "reason": reason})
        else:
            kept.append({**row_of(pair, build.path), "difficulty": measured})
    del reasons[""]
    name = f"right in {settings.low:g} to {settings.high:g}"
    build.funnel.step("read", "pairs", len(pairs))
    build.funnel.step(name, "pairs", len(kept), reasons)
    if missed:
        build.funnel.notes.append(f"not asked, the first: {missed[0]}")
    return build.finish(kept, rejected=others, missed=reasons["not asked"])


def _measured(
    memo: Memo, keys: Sequence[str], settings: Settings
) -> tuple[dict[str, Any] | None, str]:
    """Return a pair's fraction of right selections, and why it is dropped ('': it is kept)."""
    if not all(key in memo for key in keys):
        return None, "not asked"
    right = [_right(memo[key]) for key in keys]
    share = sum(value or 0.0 for value in right) / len(right)
    reason = "too hard" if share < settings.low else "too easy" if share > settings.high else ""
    return {"right": round(share, 4), "unparsable": right.count(None)}, reason


def _keys(index: int, settings: Settings) -> list[str]:
    """Return the keys of a pair's requests, which alternate between the two orders."""
    number = settings.tries if settings.by == "letters" else len(LETTERS)
    asked = _prompts()
    return [f"{asked}/{index}/{LETTERS[attempt % 2]}/{attempt}" for attempt in range(number)]


@cache
def _prompts() -> str:
    return source_hash(Path(selection.__file__))


async def _ask_all(
    build: Build, pairs: Sequence[AnyPair], settings: Settings, asking: Asking, memo: Memo
) -> list[str]:
    """Store the model's reply to each open request; return the failures."""
    questions = [
        (index, key)
        for index in range(len(pairs))
        for key in _keys(index, settings)
        if key not in memo
    ]
    missed: list[str] = []
    if not questions:
        return missed
    async with asking.open_model() as model:

        async def ask(question: tuple[int, str]) -> None:
            index, key = question
            attempt = int(key.rpartition("/")[2])
            seed = build.plan.seed * 1_000_003 + index * settings.tries + attempt
            orders = both_orders(pairs[index])  # one for a written pair with unknown contexts
            prompt = orders[attempt % len(orders)]
            try:
                memo[key] = await _asked(model, prompt, settings, seed)
            except ItemError as error:
                missed.append(f"pair {pairs[index].id}: {error}")

        progress = Progress("the model", len(questions), asking.note)
        await progress.over(questions, ask, asking.concurrency)
    return missed


async def _asked(
    model: Model, prompt: SelectionPrompt, settings: Settings, seed: int
) -> float | list[str]:
    """Return the right letter and an answer; or the right letter's probability."""
    messages, letter = prompt.messages, prompt.letter
    if settings.by == "letters":
        sampling = Sampling(settings.max_tokens, settings.temperature, seed=seed)
        return [letter, (await model.chat(messages, sampling)).answer]
    values = await model.logprobs(messages, LETTERS)
    if values is None or all(value is None for value in values):
        raise UsageError(
            f"{model.name} gives no log-probabilities of A and B here: use --by letters"
        )
    first, second = (-math.inf if value is None else value for value in values)
    share = 1 / (1 + math.exp(min(second - first, 700.0)))
    return share if letter == "A" else 1 - share


def _right(asked: float | list[str]) -> float | None:
    """Return 1 or 0 for an answer, None if not a choice; a probability as it is."""
    from benchmarks.probe import NAMES
    from benchmarks.scoring import Target
    from benchmarks.scoring import score as read_letter

    if isinstance(asked, float):
        return asked
    letter, answer = asked
    score = read_letter(answer, Target("choice", letter, choices=NAMES))
    return score.value if score.status == "scored" else None
