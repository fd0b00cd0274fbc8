"""Progress without a terminal: one line now and then, with the rate of what this call answered."""

from __future__ import annotations

import re
import time

import pytest

from harness.cli.progress import PlainProgress
from harness.records import Score


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_single_answer_has_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress()
    progress.start("vstar", 500, 499)
    progress.advance("vstar", Score(1.0, "scored"))
    assert lines_of(capsys) == ["500/500 responses"]


def test_the_rate_is_of_the_answers_of_this_call(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress(every=0.0)
    progress.start("vstar", 1000, 0)
    progress.start("blink", 1000, 900)
    for benchmark in ("vstar", "blink", "vstar"):
        progress.advance(benchmark, Score(None, "error"))
    first, second, third = lines_of(capsys)
    assert first == "901/2000 responses, 1 error"
    assert re.fullmatch(r"902/2000 responses, [\d.]+/s, \d+ s left, 2 errors", second)
    rate, left = re.search(r"([\d.]+)/s, (\d+) s left", third).groups()  # type: ignore[union-attr]
    assert float(left) == pytest.approx((2000 - 903) / float(rate), abs=1)


def test_a_batch_that_ends_at_once_is_as_slow_as_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = PlainProgress()
    progress.start("niah", 8, 4)
    time.sleep(0.25)
    for _ in range(4):
        progress.advance("niah", Score(1.0, "scored"))
    (line,) = lines_of(capsys)
    rate = float(line.split(", ")[1].removesuffix("/s"))
    assert 0 < rate <= 4 / 0.25
