"""Which pairs are shown when: laws of the draws, of the placebo's labels and of strangers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.training.schedule import ArmView, Exposures
from benchmarks.micro.data.pairs import pairs
from benchmarks.pairs.selection import both_orders
from harness.errors import UsageError

drawn = st.builds(
    Exposures,
    pairs=st.integers(1, 30),
    total=st.integers(1, 90),
    steps=st.integers(1, 20),
    seed=st.integers(0, 3),
)


@given(drawn)
def test_all_steps_together_show_every_pair_equally_often(exposures: Exposures) -> None:
    shown = Counter(pair for step in range(exposures.steps) for pair in exposures.at(step))
    assert sum(shown.values()) == exposures.total
    counts = [shown[pair] for pair in range(exposures.pairs)]
    assert max(counts) - min(counts) <= 1
    per_step = [len(exposures.at(step)) for step in range(exposures.steps)]
    assert max(per_step) - min(per_step) <= 1


@given(drawn, st.integers(1, 5))
def test_however_many_share_a_step_they_show_the_same(exposures: Exposures, parts: int) -> None:
    for step in range(exposures.steps):
        shares = [exposures.share(step, part, parts) for part in range(parts)]
        assert sorted(pair for share in shares for pair in share) == sorted(exposures.at(step))


def test_the_seed_decides_the_order() -> None:
    orders = [Exposures(40, 40, 1, seed).at(0) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_a_shuffled_label_is_one_a_pair_and_tells_nothing() -> None:
    """The labels of 400 fair coins: between 160 and 240 with probability 0.9999."""
    real = pairs("pairs", 400)
    shown = ArmView(real, seed=0, shuffled=True)
    turned = [
        shown.pair(place).context_positive == pair.context_negative
        for place, pair in enumerate(real)
    ]
    assert 160 < sum(turned) < 240
    # Both orders, and any later epoch, follow the same label.
    for place in range(20):
        a, b = both_orders(shown.pair(place))
        assert a.messages[0].content[1] is b.messages[0].content[3]
        assert shown.pair(place) == shown.pair(place)
    again = ArmView(real, seed=1, shuffled=True)
    assert [
        again.pair(p).context_positive == r.context_negative for p, r in enumerate(real)
    ] != turned


def test_a_stranger_is_of_another_pair_of_the_domain() -> None:
    real = pairs("pairs", 30)
    shown = ArmView(real, seed=0, unrelated=True)
    for place, pair in enumerate(real):
        seen = shown.pair(place)
        assert seen.context_positive == pair.context_positive
        (owner,) = {one.id for one in real if one.context_negative is seen.context_negative}
        assert owner != pair.id
        assert next(one for one in real if one.id == owner).domain == pair.domain
    with pytest.raises(UsageError, match="no other pair"):
        ArmView(real[:1], seed=0, unrelated=True).pair(0)


def test_a_strangers_context_is_none_of_the_pairs_own() -> None:
    """Pairs of a retrieval share images: one's second context may be another's first."""
    one, two, three = pairs("pairs", 3, domains=("image",))
    shared = replace(two, context_negative=one.context_positive)
    for seed in range(8):
        seen = ArmView([one, shared, three], seed=seed, unrelated=True).pair(0)
        assert seen.context_negative == three.context_negative
    with pytest.raises(UsageError, match="no other pair"):
        ArmView([one, shared], seed=0, unrelated=True).pair(0)
