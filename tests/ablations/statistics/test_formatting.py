"""Numbers as tables and sentences show them."""

import pytest

from ablations.statistics.text.formatting import points


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.018, "+1.8"), (-0.018, "-1.8"), (-1e-17, "+0.0"), (-0.0, "+0.0"), (-0.0004, "-0.0")],
)
def test_a_rounding_error_has_no_sign_and_a_small_difference_keeps_its_own(
    value: float, shown: str
) -> None:
    assert points(value) == shown
