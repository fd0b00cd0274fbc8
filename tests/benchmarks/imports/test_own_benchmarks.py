"""A log that inspect 0.3.285 wrote of a benchmark that we have: V* of the micro world, with images.

`tests/foreign/ours.py` says how; inspect numbered the samples itself, from 1.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.imports import formats
from benchmarks.micro.data import datasets
from tests.benchmarks.imports.reading import LOGS, lines, manifest
from tests.foreign import ours

LOG = LOGS / "inspect-vstar"


@pytest.mark.slow
def test_items_are_found_by_question_and_image_and_gain_as_ours(tmp_path: Path) -> None:
    datasets.write(tmp_path / "data", n=ours.ITEMS)
    assert list(ours.check(LOG, ("vstar",), tmp_path / "data", tmp_path)) == []
    targets = {
        sample.id: sample.target
        for log in formats.get("inspect").read([LOG])
        for sample in log.tasks[0].samples()
    }
    for run in (tmp_path / "runs").iterdir():
        stored = lines(run, "vstar")
        assert len(stored) == ours.ITEMS
        # The data's rows are in inspect's order, which counts from 1.
        for item, line in stored.items():
            assert line["target"]["answer"] == targets[str(int(item) + 1)]
        entry = manifest(run)["benchmarks"]["vstar"]
        assert "library" in entry["protocol"]  # the prompts are ours, word for word
