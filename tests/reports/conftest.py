"""A study with planted effects on disk, and its page, written once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import write as reports
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
