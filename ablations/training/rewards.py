"""Rewards: accuracy by the strict scorers plus a format term, or a custom function.

``examples/reward.py`` is a complete custom reward.
"""

from __future__ import annotations

import asyncio
import inspect
import reprlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from ablations.settings import CODE
from benchmarks.scoring import Target, score
from harness.errors import UsageError
from harness.files.text import counted
from harness.files.typed_json import parse, record
from harness.own_code import NamedCode, raised
from harness.patterns import Pattern
from harness.reasoning import without_reasoning
from harness.records import Item

if TYPE_CHECKING:
    from ablations.settings import Settings


class Reward(Protocol):
    """A reward function, called by TRL once per step and process.

    Args:
        completions: the model's answers, in chat form (`text_of` returns the text).
        task: the RL item of each completion; ``benchmarks.scoring.score`` scores a text against its
            ``target``.
        selection: whether each is a selection prompt (`da-rl`), whose built-in reward is 0 or 1.
        more: TRL's other columns, such as ``log_metric``; a custom reward may leave them out.

    Returns: one number per completion; None for no reward.
    """

    def __call__(
        self,
        completions: Sequence[Any],
        task: Sequence[Item],
        selection: Sequence[bool],
        **more: Any,
    ) -> list[float | None]:
        """Return the reward of each completion."""
        ...


class AccuracyAndFormat:
    """``weight`` x accuracy + (1 - ``weight``) x format.

    Accuracy is the strict scorer's. Format is 1 if ``pattern`` matches the whole completion or,
    without a pattern, if the scorer could extract an answer. A match that is not found within
    `harness.patterns.SECONDS` is none; its share is logged as ``reward/format_timeout``. The reward
    of a selection prompt (`da-rl`) is its accuracy alone, 0 or 1. ``opening`` is the reasoning tag
    that the chat template writes before a completion: it is scored as a part of it; a pattern may
    begin with it.
    """

    __name__ = "accuracy_and_format"

    def __init__(self, weight: float = 0.9, pattern: str | None = None, opening: str = "") -> None:
        self.weight, self.opening, self._timeouts = weight, opening, 0
        try:
            self.pattern = Pattern(pattern) if pattern else None
        except ValueError as error:
            raise UsageError(
                f"the format pattern {pattern!r} is not a regular expression: {error}"
            ) from error

    def __call__(
        self,
        completions: Sequence[Any],
        task: Sequence[Item],
        selection: Sequence[bool],
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Return the reward of each completion; TRL's signature."""
        self._timeouts = 0
        terms = [
            self._terms(text_of(completion), item.target)
            for completion, item in zip(completions, task, strict=True)
        ]
        if log_metric is not None:
            accuracies, formats = zip(*terms, strict=True)
            log_metric("reward/accuracy", sum(accuracies) / len(terms))
            log_metric("reward/format", sum(formats) / len(terms))
            if self.pattern is not None:
                log_metric("reward/format_timeout", self._timeouts / len(terms))
        return [self._mixed(*pair, chosen) for pair, chosen in zip(terms, selection, strict=True)]

    def value(self, text: str, target: Target, selection: bool) -> float:
        """Return the reward of one completion."""
        return self._mixed(*self._terms(text, target), selection)

    def _mixed(self, accuracy: float, form: float, selection: bool) -> float:
        return accuracy if selection else self.weight * accuracy + (1 - self.weight) * form

    def _terms(self, text: str, target: Target) -> tuple[float, float]:
        whole = self.opening + text
        verdict = score(without_reasoning(whole), target)
        if self.pattern is None:
            return float(verdict.value or 0.0), float(verdict.status == "scored")
        try:
            form = any(self.pattern.fullmatch(part.strip()) for part in (whole, text))
        except TimeoutError:
            self._timeouts += 1
            form = False
        return float(verdict.value or 0.0), float(form)


def reward_payload(task: Item, selection: bool, settings: Settings, opening: str) -> dict[str, Any]:
    """Return the columns of an exported row that `exported_reward` reads."""
    return {
        "id": task.id,
        "selection": selection,
        "target": orjson.dumps(task.target).decode(),
        "accuracy_weight": settings.accuracy_weight,
        "format_pattern": settings.format_pattern,
        "opening": opening,
    }


def exported_reward(row: Mapping[str, Any], text: str) -> float:
    """Return the reward of an answer, from the row that `reward_payload` wrote."""
    reward = AccuracyAndFormat(row["accuracy_weight"], row["format_pattern"], row["opening"])
    return reward.value(text, record(Target, parse(row["target"])), row["selection"])


def text_of(completion: Any) -> str:
    """Return the text of a completion, in TRL's conversational form or plain."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


class CustomReward:
    """A user's function as TRL's reward, called by keyword with the arguments it takes.

    A value that is None, not finite, or beyond float32 is no reward. Raises `UsageError` if the
    function needs other arguments, raises, or does not return a number or None per completion.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.__name__ = getattr(function, "__name__", name)
        self._name, self._function = name, function
        self._takes = _arguments(name, function)

    def __call__(
        self,
        completions: Sequence[Any],
        task: Sequence[Item],
        selection: Sequence[bool],
        **more: Any,
    ) -> list[float | None]:
        """Return the reward of each completion."""
        columns = {"completions": completions, "task": task, "selection": selection, **more}
        taken = columns.keys() if self._takes is None else columns.keys() & self._takes
        try:
            values = self._function(**{name: columns[name] for name in taken})
            if inspect.isawaitable(values):
                values = asyncio.run(_awaited(values))
            ordered = isinstance(values, Iterable) and not isinstance(values, _UNORDERED)
            values = list(values) if ordered else None
        except (Exception, SystemExit) as error:  # user code may raise anything
            raise UsageError(f"--reward {self._name} failed: {raised(error)}") from error
        if values is None or len(values) != len(completions):
            returned = "no list" if values is None else counted(len(values), "value")
            raise UsageError(
                f"--reward {self._name} returned {returned} for "
                f"{counted(len(completions), 'completion')}: "
                "it must return a number or None for each"
            )
        return [self._number(value) for value in values]

    def _number(self, value: Any) -> float | None:
        if value is None:
            return None
        try:
            number = float(value) if not isinstance(value, str | bytes) else None
        except OverflowError:
            return None
        except Exception:
            number = None
        if number is None:
            shown = " ".join(reprlib.repr(value).split())
            raise UsageError(f"--reward {self._name} returned {shown}, not a number or None")
        return number if abs(number) <= _LARGEST else None  # also rejects nan


_UNORDERED = (str, bytes, Mapping, Set)  # no list of rewards
_LARGEST = 3.4e38  # float32's maximum, as TRL keeps rewards in float32
# The arguments TRL calls a reward with; `episode_score` if an agent plays.
_COLUMNS = (
    "completions", "task", "selection", "prompts", "completion_ids", "trainer_state", "log_extra",
    "log_metric", "episode_score",
)  # fmt: skip


def _arguments(name: str, function: Callable[..., Any]) -> set[str] | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-in functions
        return None
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    optional = {p.name for p in parameters if p.default is not p.empty}
    required = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [p.name for p in required if p.name not in optional | (named & {*_COLUMNS})]
    if missing:
        raise UsageError(
            f"--reward {name} needs {', '.join(missing)}: a reward is called with completions, "
            "task and selection as keywords"
        )
    return None if any(p.kind is p.VAR_KEYWORD for p in parameters) else named


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


def load_reward(name: str) -> Callable[..., Any]:
    """Import and return a custom reward function: FILE.py:NAME, MODULE:NAME, or an installed one.

    Raises `UsageError` if there is no such function.
    """
    reward = NamedCode("--reward", name, CODE["reward"]).load()
    if not callable(reward):
        raise UsageError(f"--reward {name} is not callable")
    function: Callable[..., Any] = reward
    return function


def reward_of(settings: Settings, opening: str = "") -> Reward:
    """Return the reward of a run: the custom one, imported, or else accuracy and format.

    Raises `UsageError` if there is no such function, or the format's pattern is not a regular
    expression.
    """
    if settings.reward:
        return CustomReward(settings.reward, load_reward(settings.reward))
    return AccuracyAndFormat(settings.accuracy_weight, settings.format_pattern, opening)
