"""What a page says of the items that were left out."""

from __future__ import annotations

from ablations.statistics.comparison.models import ModelsComparison
from reports.shared import left_out


def said(excluded: dict[str, int], names: dict[str, list[str]]) -> str:
    found = ModelsComparison(
        "checkpoints", "", "a", (), (), 0.01, 0.05, (), excluded=excluded, left_out=names
    )
    return " ".join(block for block in left_out(found) if isinstance(block, str))


def test_items_without_a_score_in_some_run_are_counted_apart_from_excluded_ones() -> None:
    assert said({}, {}).startswith("No item was left out. ")
    alone = said({}, {"vstar": ["1", "2"], "blink": ["7"]})
    assert "not every run has a score for them: vstar 2, blink 1. No other item was left" in alone
    both = said({"vstar": 2}, {"vstar": ["1", "2", "3"], "blink": ["7"]})
    assert "not every run has a score for them: vstar 1, blink 1. Left out, because the t" in both
    assert both.endswith("(--exclude): vstar 2.")
    assert said({"vstar": 2}, {"vstar": ["1", "2"]}) == said({"vstar": 2}, {})  # older documents
