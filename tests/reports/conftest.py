"""A study with planted effects on disk, and its page, written once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import output as reports
from tests.conftest import Once
from tests.reports import viewed as viewed_runs
from tests.reports.studies import EFFECTS, SELECTION, Planted, write


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study of seven arms and twelve benchmarks, with needles and training."""
    folder = tmp_path_factory.mktemp("studies") / "planted"
    planted = Planted({**EFFECTS, "contextrl": 0.08}, items=90, selection=SELECTION, needles=True)
    return write(folder, planted)


@pytest.fixture(scope="session")
def page(study: Path) -> Path:
    """Return the study's page."""
    made, home = reports.page_of([study], None)
    reports.html(made, home / "report.html")
    return home / "report.html"


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the runs of a baseline and of a candidate that loses 20 points on two benchmarks."""
    benchmarks = {"vstar": 0.6, "mmstar": 0.8}
    planted = Planted({"grpo": 0.0, "contextrl": -0.2}, 1, 200, benchmarks, training=False)
    folder = write(tmp_path_factory.mktemp("gated") / "study", planted)
    baseline, candidate = (
        next(folder.glob(f"runs/{arm}-seed-0/*")) for arm in ("grpo", "contextrl")
    )
    return baseline, candidate


@pytest.fixture(scope="session")
def viewed(once: Once) -> Path:
    """Return a folder with a table of questions and two runs on it."""
    return once("viewed", viewed_runs.write)
