"""Rewards: the strict scorer's verdict and the format term, by hand; a user's own function."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.training.rewards import AccuracyAndFormat, load_reward
from benchmarks.scoring import Target
from harness.errors import UsageError
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
    assert told == {"reward/accuracy": 0.5, "reward/format": 0.5}
    with pytest.raises(UsageError, match="not a regular expression"):
        AccuracyAndFormat(0.9, "(")


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
    monkeypatch.chdir(Path(__file__).parents[2] / "examples")
    reward = load_reward("reward:concise")
    long = "red. " + "x" * 495
    texts, tasks = ["red", "blue", long, "A", "B"], [WORD, WORD, WORD, LETTER, LETTER]
    completions = [[{"role": "assistant", "content": text}] for text in texts]
    rewards = reward(completions=completions, task=tasks, selection=[False] * 3 + [True] * 2)
    accuracy = AccuracyAndFormat(1.0).value(long, WORD.target, selection=False)
    assert rewards == pytest.approx([1.0, 0.0, accuracy - 0.3, 1.0, 0.0])
