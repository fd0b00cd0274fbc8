"""Chance in closed form."""

from __future__ import annotations

import pytest

from benchmarks.micro.data.chance import chance


def choice(options: int) -> dict[str, object]:
    return {"answer": "B", "choices": [str(place) for place in range(options)]}


def test_chance_is_one_of_the_options_or_the_commonest_gold() -> None:
    numbers = [{"answer": gold, "choices": []} for gold in ("2", "2", "3", "4")]
    assert chance([choice(4), choice(4)]) == 0.25
    assert chance([choice(2), choice(10)]) == pytest.approx((1 / 2 + 1 / 10) / 2)
    assert chance(numbers) == 0.5
    assert chance([*[choice(4)] * 4, *numbers]) == pytest.approx((0.25 + 0.5) / 2)
