"""Rewards: accuracy by the strict scorers plus a format term, or a function of the user's.

``examples/reward.py`` is a complete reward of one's own.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from benchmarks.scoring import Target, score
from harness.errors import UsageError
from harness.files.hashing import file_hash
from harness.reasoning import without_reasoning
from harness.records import Item

if TYPE_CHECKING:
    from ablations.settings import Settings


class Reward(Protocol):
    """A reward function, called by TRL once per step and process.

    Args:
        completions: the model's answers, in chat form (`text_of` gives the text).
        task: the RL item of each completion; ``benchmarks.scoring.score`` judges a text by its
            ``target``.
        selection: whether each is a selection prompt (`da-rl`), whose built-in reward is 0 or 1.
        more: TRL's other columns, such as ``log_metric``; take them as ``**_``.

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

    Accuracy is the strict scorer's.  Format is 1 where ``pattern`` matches the whole
    completion, or, without a pattern, where the scorer could read an answer.  A selection prompt
    (`da-rl`) is worth its accuracy alone, 0 or 1.
    """

    __name__ = "accuracy_and_format"

    def __init__(self, weight: float = 0.9, pattern: str | None = None) -> None:
        self.weight = weight
        try:
            self.pattern = re.compile(pattern, re.DOTALL) if pattern else None
        except re.error as error:
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
        rewards: list[float | None] = []
        sums = [0.0, 0.0]
        for completion, asked, chosen in zip(completions, task, selection, strict=True):
            accuracy, form = self.terms(text_of(completion), asked.target)
            rewards.append(self._mixed(accuracy, form, chosen))
            sums[0] += accuracy
            sums[1] += form
        if log_metric is not None:
            log_metric("reward/accuracy", sums[0] / len(rewards))
            log_metric("reward/format", sums[1] / len(rewards))
        return rewards

    def value(self, text: str, target: Target, selection: bool) -> float:
        """Return the reward of one completion."""
        return self._mixed(*self.terms(text, target), selection)

    def _mixed(self, accuracy: float, form: float, selection: bool) -> float:
        return accuracy if selection else self.weight * accuracy + (1 - self.weight) * form

    def terms(self, text: str, target: Target) -> tuple[float, float]:
        """Return accuracy and format of one completion, each 0 or 1."""
        verdict = score(without_reasoning(text), target)
        if self.pattern is None:
            form = verdict.status == "scored"
        else:
            form = self.pattern.fullmatch(text.strip()) is not None
        return float(verdict.value or 0.0), float(form)


def reward_payload(task: Item, selection: bool, settings: Settings) -> dict[str, Any]:
    """Return the columns of an exported row that `TextReward` is made of."""
    return {
        "id": task.id,
        "selection": selection,
        "target": orjson.dumps(task.target).decode(),
        "accuracy_weight": settings.accuracy_weight,
        "format_pattern": settings.format_pattern,
    }


class TextReward:
    """The reward of answers to one item, from the row that `reward_payload` wrote."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        fields = orjson.loads(row["target"])
        # JSON has lists where the scorers have tuples.
        tuples = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        self._target = Target(**{**fields, **tuples})
        self._selection = bool(row["selection"])
        self._reward = AccuracyAndFormat(row["accuracy_weight"], row["format_pattern"])

    def __call__(self, text: str) -> float:
        """Return the reward of one answer."""
        return self._reward.value(text, self._target, self._selection)


def text_of(completion: Any) -> str:
    """Return the text of a completion in TRL's conversational form, or as it is."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


def load_reward(name: str) -> Reward:
    """Return a user's reward function, ``module:function`` or ``module.function``.

    Modules of the current folder are found, too.

    Raises:
        UsageError: there is no such function.
    """
    module, attribute = _split(name)
    try:
        reward: Reward = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"--reward {name}: write MODULE:FUNCTION ({error})") from error
    except Exception as error:  # the user's own code runs here, and may raise anything
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise UsageError(f"--reward {name}: {module} cannot be imported ({reason})") from error
    if not callable(reward):
        raise UsageError(f"--reward {name} is not callable")
    return reward


def _split(name: str) -> tuple[str, str]:
    module, _, attribute = name.rpartition(":" if ":" in name else ".")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return module, attribute


def reward_source(name: str) -> str | None:
    """Return the hash of the file of a user's reward, None where there is none.

    The module is not imported, and what it imports is not covered.
    """
    try:
        spec = importlib.util.find_spec(_split(name)[0])
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return file_hash(Path(spec.origin))


def reward_of(settings: Settings) -> Reward:
    """Return the reward of a run: the user's, else accuracy and format.

    Raises:
        UsageError: there is no such function, or the format's pattern is not a regular expression.
    """
    if settings.reward:
        return load_reward(settings.reward)
    return AccuracyAndFormat(settings.accuracy_weight, settings.format_pattern)
