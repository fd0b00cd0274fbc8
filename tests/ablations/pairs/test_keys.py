"""Letters of written prompts that can be told without reading the contexts."""

from __future__ import annotations

import random

import pytest
from scipy.stats import binom

from ablations.pairs.soundness.keys import keys
from ablations.pairs.soundness.shortcuts import FAMILY_ALPHA

N = 120


def alarms(letters: list[str], questions: list[str], domains: list[str] | None = None) -> list[str]:
    found = keys(letters, questions, domains or ["image"] * len(letters))
    return [test.test for test in found if test.alarm]


def asked(rng: random.Random) -> list[str]:
    return [f"{rng.choice(['What', 'Which thing'])} is at {rng.randint(1, 60)}?" for n in range(N)]


def test_random_letters_raise_no_alarm() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        letters = [rng.choice("AB") for _ in range(N)]
        assert not alarms(letters, asked(rng), [rng.choice("xyz") for _ in range(N)])


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("all A", "key balance"), ("mostly B", "key balance"), ("in turns", "key by place"),
        ("first half A", "key by place"), ("by domain", "key by place"),
        ("by a word", "key by question"),
    ],
)  # fmt: skip
def test_a_planted_key_is_an_alarm(name: str, test: str) -> None:
    rng = random.Random(name)
    questions, domains = asked(rng), [rng.choice("xy") for _ in range(N)]
    letters = {
        "all A": ["A"] * N,
        "mostly B": ["B" if n % 4 else "A" for n in rng.sample(range(N), N)],
        "in turns": ["AB"[n % 2] for n in range(N)],
        "first half A": ["AB"[n >= N // 2] for n in range(N)],
        "by domain": ["A" if domain == "x" else "B" for domain in domains],
        "by a word": ["AB"["thing" in question] for question in questions],
    }[name]
    assert test in alarms(letters, questions, domains)


def test_the_interval_of_the_balance_is_exact() -> None:
    """Clopper and Pearson: at the lower bound 75 of 100 or more have probability alpha / 2."""
    balance = keys(["A"] * 75 + ["B"] * 25, [""] * 100, [""] * 100)[0]
    assert balance.low is not None
    assert binom.sf(74, 100, balance.low) == pytest.approx(FAMILY_ALPHA / 3 / 2, rel=1e-6)
