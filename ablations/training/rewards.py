"""Rewards: accuracy by the strict scorers plus a format term, or a custom function.

``examples/reward.py`` is a complete custom reward.
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
from harness.errors import UsageError, first_line
from harness.files.hashing import file_hash
from harness.files.typed_json import parse, record
from harness.reasoning import without_reasoning
from harness.records import Item

if TYPE_CHECKING:
    from ablations.settings import Settings


class Reward(Protocol):
    """A reward function, called by TRL once per step and process.

    Args:
        completions: the model's answers, in chat form (`text_of` returns the text).
        task: the RL item of each completion; ``benchmarks.scoring.score`` judges a text by its
            ``target``.
        selection: whether each is a selection prompt (`da-rl`), whose built-in reward is 0 or 1.
        more: TRL's other columns, such as ``log_metric``.

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

    Accuracy is the strict scorer's.  Format is 1 if ``pattern`` matches the whole completion or,
    without a pattern, if the scorer could read an answer.  The reward of a selection prompt
    (`da-rl`) is its accuracy alone, 0 or 1.
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
        terms = [
            self._terms(text_of(completion), item.target)
            for completion, item in zip(completions, task, strict=True)
        ]
        if log_metric is not None:
            for name, values in zip(("accuracy", "format"), zip(*terms, strict=True), strict=True):
                log_metric(f"reward/{name}", sum(values) / len(values))
        return [self._mixed(*pair, chosen) for pair, chosen in zip(terms, selection, strict=True)]

    def value(self, text: str, target: Target, selection: bool) -> float:
        """Return the reward of one completion."""
        return self._mixed(*self._terms(text, target), selection)

    def _mixed(self, accuracy: float, form: float, selection: bool) -> float:
        return accuracy if selection else self.weight * accuracy + (1 - self.weight) * form

    def _terms(self, text: str, target: Target) -> tuple[float, float]:
        """Return accuracy and format of one completion, each 0 or 1."""
        verdict = score(without_reasoning(text), target)
        if self.pattern is None:
            form = verdict.status == "scored"
        else:
            form = self.pattern.fullmatch(text.strip()) is not None
        return float(verdict.value or 0.0), float(form)


def reward_payload(task: Item, selection: bool, settings: Settings) -> dict[str, Any]:
    """Return the columns of an exported row that `exported_reward` reads."""
    return {
        "id": task.id,
        "selection": selection,
        "target": orjson.dumps(task.target).decode(),
        "accuracy_weight": settings.accuracy_weight,
        "format_pattern": settings.format_pattern,
    }


def exported_reward(row: Mapping[str, Any], text: str) -> float:
    """Return the reward of an answer, from the row that `reward_payload` wrote."""
    reward = AccuracyAndFormat(row["accuracy_weight"], row["format_pattern"])
    return reward.value(text, record(Target, parse(row["target"])), row["selection"])


def text_of(completion: Any) -> str:
    """Return the text of a completion in TRL's conversational form, or as it is."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


def load_reward(name: str) -> Reward:
    """Return a custom reward function, ``module:function`` or ``module.function``.

    The module may be in the current folder.

    Raises:
        UsageError: there is no such function.
    """
    module, attribute = _split(name)
    try:
        reward: Reward = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"--reward {name}: write MODULE:FUNCTION ({error})") from error
    except Exception as error:  # the module may raise anything
        reason = f"{type(error).__name__}: {first_line(error)}"
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
    """Return the hash of a custom reward's file, None if there is none.

    The module is not imported, and the modules that it imports are not covered.
    """
    try:
        spec = importlib.util.find_spec(_split(name)[0])
    except (ImportError, ValueError):
        return None
    path = Path(spec.origin) if spec and spec.origin else None
    return file_hash(path) if path and path.is_file() else None


def reward_of(settings: Settings) -> Reward:
    """Return the reward of a run: the custom one, else accuracy and format.

    Raises:
        UsageError: there is no such function, or the format's pattern is not a regular expression.
    """
    if settings.reward:
        return load_reward(settings.reward)
    return AccuracyAndFormat(settings.accuracy_weight, settings.format_pattern)
