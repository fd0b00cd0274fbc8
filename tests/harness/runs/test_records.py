"""Thinking is kept in the record and taken out before scoring; what stored lines may hold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.files.typed_json import record
from harness.records import Response, Sample
from harness.runs.sources import period


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", "B"),
        ("<think>A? no</think>B", "B"),
        ("<think>A</think>\n\nThe answer is B.", "The answer is B."),
        ("the template opened it: A</think>B", "B"),
        ("<think>first</think>A<think>again</think>B", "AB"),
        ("<think>never closed: the answer is A", ""),
        ("B <think>and then cut", "B"),
        ("<think></think>", ""),
        ("", ""),
    ],
)
def test_answer_is_the_text_without_thinking(text: str, answer: str) -> None:
    response = Response(text)
    assert response.answer == answer
    assert response.text == text


LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
STORED = {
    "id": "i", "repeat": 0, "cluster": "c", "parts": [], "prompt": [], "target": None,
    "response": None, "score": {"value": None, "status": "error"}, "scoring": "",
}  # fmt: skip


@given(st.integers(-10, LAST + 10) | st.integers(LAST - 1, LAST + 1) | st.just(10**400))
def test_a_stored_time_is_one_that_a_date_can_have(seconds: int) -> None:
    row = {**STORED, "source": 0, "time": seconds}
    if 0 <= seconds <= LAST:
        assert period(record(Sample, row).time, seconds).startswith("stored ")
    else:
        with pytest.raises(ValueError, match="time"):
            record(Sample, row)


@pytest.mark.parametrize("number", [-1, -(10**30)])
def test_a_stored_source_has_a_place_in_the_list(number: int) -> None:
    with pytest.raises(ValueError, match="source"):
        record(Sample, {**STORED, "source": number})
