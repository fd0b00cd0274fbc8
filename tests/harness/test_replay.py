"""Responses that exist already: which items they belong to, built one at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.protocols import build_items
from harness.runs.replay import Replay, read_responses
from tests.sums import Sums


def test_items_are_built_as_they_are_asked_for() -> None:
    sums = Sums(broken=frozenset({5}))
    replay = Replay(sums, {"s5": "40", "s3": "24"})
    assert replay.ids() == ["s3", "s5"]
    items = build_items(replay)
    assert sums.seen == []
    assert next(items).id == "s3"
    assert sums.seen == ["s3"]
    assert [item.id for item in items] == ["s5"]


def test_a_limit_looks_at_the_first_that_have_a_response() -> None:
    replay = Replay(Sums(), {"s3": "24", "s5": "40", "s9": "72"})
    assert [item.id for item in build_items(replay, 2)] == ["s3", "s5"]


def test_a_response_to_no_item_is_said_before_any_is_built() -> None:
    sums = Sums()
    with pytest.raises(UsageError, match=r"2 responses match no item of sums .*: nobody"):
        Replay(sums, {"s3": "24", "nobody": "1", "nothing": "2"}).ids()
    assert sums.seen == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"response": "1"}', "it has no 'id'$"),
        ("{", "not JSON"),
        ("[1]", "not an object$"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_a_wrong_line_is_said_in_words(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "responses.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(UsageError, match=says) as error:
        read_responses(path)
    assert "line 1 is not" in str(error.value)
    assert "\n" not in str(error.value)
