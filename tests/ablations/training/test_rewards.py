"""Rewards: the strict scorer's verdict and the format term, by hand; a user's own function."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ablations.training.rewards import (
    AccuracyAndFormat,
    CustomReward,
    load_reward,
)
from benchmarks.scoring import Target
from harness.errors import UsageError
from harness.files.hashing import file_hash
from harness.own_code import NamedCode
from harness.records import Item

WORD = Item("w", (), Target("text", "red"), "w")
LETTER = Item("l", (), Target("choice", "A", choices=("", "")), "l")


@pytest.mark.parametrize(
    ("text", "task", "selection", "reward"),
    [
        ("red", WORD, False, 1.0),
        ("blue", WORD, False, 0.1),
        ("", WORD, False, 0.0),
        ("A", LETTER, True, 1.0),
        ("B", LETTER, True, 0.0),
        ("A", LETTER, False, 1.0),
        ("B", LETTER, False, 0.1),
    ],
)
def test_accuracy_is_nine_tenths_and_format_one(
    text: str, task: Item, selection: bool, reward: float
) -> None:
    completion = [{"role": "assistant", "content": text}]
    assert AccuracyAndFormat()([completion], [task], [selection]) == [pytest.approx(reward)]


def test_a_pattern_is_of_the_whole_completion() -> None:
    """EasyR1's form: thinking in tags, then the answer."""
    reward = AccuracyAndFormat(0.9, r"<think>.*</think>.*")
    told: dict[str, float] = {}
    texts = ["<think>hm</think>red", "red", "<think>hm</think>blue", "<think>hm red"]
    found = reward(
        [[{"content": text}] for text in texts],
        [WORD] * 4,
        [False] * 4,
        log_metric=lambda name, value: told.update({name: value}),
    )
    assert found == pytest.approx([1.0, 0.9, 0.1, 0.0])
    assert told == {
        "reward/accuracy": 0.5,
        "reward/format": 0.5,
        "reward/format_timeout": 0.0,
    }
    with pytest.raises(UsageError, match="not a regular expression"):
        AccuracyAndFormat(0.9, "(")


def test_a_match_that_takes_too_long_is_none_and_counted() -> None:
    reward = AccuracyAndFormat(0.9, r"(?:x+x+)+y")
    assert reward.pattern is not None
    reward.pattern.seconds = 0.05
    told: dict[str, float] = {}
    texts = ["x" * 5000, "xxy", "red"]
    values = reward(
        [[{"content": text}] for text in texts],
        [WORD] * 3,
        [False] * 3,
        log_metric=lambda name, value: told.update({name: value}),
    )
    assert values == pytest.approx([0.0, 0.1, 0.9])
    assert told["reward/format_timeout"] == pytest.approx(1 / 3)


def test_a_users_function_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards.py").write_text("def length(completions, **_):\n    return [1.0]\n")
    monkeypatch.chdir(tmp_path)
    for name in ("my_rewards:length", "my_rewards.length"):
        assert load_reward(name)(completions=[]) == [1.0]
    (tmp_path / "broken_rewards.py").write_text("def length(completions, **_)\n    return [1.0]\n")
    (tmp_path / "raising_rewards.py").write_text("1 / 0\n")
    for name in ("broken_rewards:length", "raising_rewards.length"):
        with pytest.raises(UsageError, match="cannot be imported") as caught:
            load_reward(name)
        assert "\n" not in str(caught.value)
    for name in ("my_rewards:none", "no_such_module:f", "json:__name__", "json.none", "nothing"):
        with pytest.raises(UsageError, match="--reward"):
            load_reward(name)


def test_the_example_is_a_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong answer is worth nothing, and 300 characters too many cost 0.3; a letter is 0 or 1."""
    monkeypatch.chdir(Path(__file__).parents[3] / "examples")
    reward = load_reward("reward:concise")
    long = "red. " + "x" * 495
    texts, tasks = ["red", "blue", long, "A", "B"], [WORD, WORD, WORD, LETTER, LETTER]
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    rewards = reward(completions=completions, task=tasks, selection=[False] * 3 + [True] * 2)
    accuracy = AccuracyAndFormat(1.0).value(long, WORD.target, selection=False)
    assert rewards == pytest.approx([1.0, 0.0, accuracy - 0.3, 1.0, 0.0])


def values(function: Callable[..., Any], number: int = 2) -> list[float | None]:
    """Return the checked rewards of as many completions, called as TRL calls a reward."""
    columns = {"completions": [[{"content": "x"}]] * number, "completion_ids": [[1]] * number}
    given = {"task": [WORD] * number, "selection": [False] * number, "prompts": ["p"] * number}
    return CustomReward("mine:reward", function)(
        **columns, **given, trainer_state=None, log_extra=print, log_metric=print
    )


async def _later(completions: Any, **_: Any) -> list[float]:
    return [1.0] * len(completions)


@pytest.mark.parametrize(
    "function",
    [
        lambda completions, task, selection: [float(task[0] == task[1])] * 2,
        lambda completions: [1.0] * len(completions),
        lambda prompts, completions, **_: [1.0] * len(completions),
        lambda completions, weight=1.0: [weight] * len(completions),
        lambda *, completions, log_metric: [1.0] * len(completions),
        lambda completions, *rest: [1.0] * len(completions),
        _later,
        lambda completions: (True for _ in completions),
        lambda completions: torch.ones(len(completions)),
    ],
)
def test_a_reward_is_called_with_the_arguments_that_it_takes(function: Callable[..., Any]) -> None:
    assert values(function) == [1.0, 1.0]


@pytest.mark.parametrize(
    "value",
    [None, math.nan, math.inf, -math.inf, 1e39, -(10**400), torch.tensor(math.nan), float("nan")],
)
def test_what_is_not_a_finite_number_is_no_reward(value: Any) -> None:
    """float32, in which rewards are kept, ends at 3.4e38."""
    assert values(lambda completions: [value, 0.5]) == [None, 0.5]


def _raises(error: BaseException) -> Callable[..., Any]:
    def reward(**_: Any) -> Any:
        raise error

    return reward


def _broken(**_: Any) -> Any:
    yield 1.0
    raise OSError("gone")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (_raises(ValueError("bad\nluck")), r"failed: ValueError: bad \(test_rewards.py, line \d+"),
        (_raises(KeyError("x")), "failed: KeyError"),
        (_raises(SystemExit(0)), "failed: SystemExit"),
        (_broken, "failed: OSError: gone"),
        (lambda **_: [1.0], "returned 1 value for 2 completions"),
        (lambda **_: [], "returned 0 values for 2 completions"),
        (lambda **_: [1.0] * 3, "returned 3 values"),
        (lambda **_: 1.0, "returned no list for 2 completions"),
        (lambda **_: None, "returned no list"),
        (lambda **_: "ab", "returned no list"),
        (lambda **_: {0: 1.0, 1: 2.0}, "returned no list"),
        (lambda **_: {1.0, 2.0}, "returned no list"),
        (lambda **_: ["a", 1.0], "returned 'a', not a number or None"),
        (lambda **_: ["0.5", 1.0], "returned '0.5', not a number"),
        (lambda **_: [[1.0], [2.0]], r"returned \[1.0\], not a number"),
        (lambda **_: torch.ones(2, 2), "not a number"),
        (lambda **_: [1j, 1.0], "returned 1j, not a number"),
        (lambda answer, **_: [1.0], "needs answer: a reward is called with completions"),
        (lambda completions, a, b: [1.0], "needs a, b: a reward"),
    ],
)
def test_a_reward_that_cannot_be_used_is_one_line(function: Callable[..., Any], says: str) -> None:
    with pytest.raises(UsageError, match=f"--reward mine:reward .*{says}") as caught:
        values(function)
    assert "\n" not in str(caught.value)


def named(name: str) -> NamedCode:
    return NamedCode("--reward", name, "contextrl_harness.rewards")


def test_a_reward_may_be_named_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def reward(completions):\n    return [0.5] * len(completions)\n")
    name = f"{file}:reward"
    named(name).check()
    assert load_reward(name)(completions=["a", "b"]) == [0.5, 0.5]
    assert named(name).source() == file_hash(file)
    for wrong, says in ((f"{file}:other", "other"), (f"{tmp_path}/no.py:reward", "no.py")):
        with pytest.raises(UsageError, match=says):
            named(wrong).check()
        with pytest.raises(UsageError, match=says):
            load_reward(wrong)


def test_looking_at_a_reward_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its module nor the packages above it, and no file of the folder is imported later."""
    monkeypatch.chdir(tmp_path)
    code = "open('ran', 'w')\ndef reward(completions):\n    return [1.0]\n"
    (tmp_path / "pack/inner").mkdir(parents=True)
    for name in ("seen_rewards.py", "pack/__init__.py", "pack/inner/__init__.py", "pack/deep.py"):
        (tmp_path / name).write_text(code)
    path = list(sys.path)
    for name in ("seen_rewards:reward", "pack:reward", "pack.deep.reward", "pack.inner:reward"):
        named(name).check()
        assert named(name).source() is not None
    for name in ("seen_rewards:other", "pack.none:reward", "pack..deep:reward", ":x", "seen:"):
        with pytest.raises(UsageError, match=r"write FILE\.py:NAME or MODULE:NAME"):
            named(name).check()
    assert named("pack.none:reward").source() is None
    assert not (tmp_path / "ran").exists()
    assert sys.path == path
    assert load_reward("pack.deep:reward")(completions=[0]) == [1.0]
    assert (tmp_path / "ran").exists()
    assert sys.path == [*path, str(tmp_path)]
