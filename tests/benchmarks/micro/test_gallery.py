"""The pictures of docs/micro_world.md are those that the world draws today."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.micro.content.scenes import CELL
from tests.benchmarks.micro.gallery import MARKED

TOP = Path(__file__).parents[3]
DOCS = TOP / "docs"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.micro.gallery", str(folder)], check=True
    )
    return folder


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_pages_pictures_are_drawn_again(drawn: Path) -> None:
    """All but the letters, which other versions of Pillow and FreeType draw otherwise."""
    names = {path.name for path in drawn.iterdir()}
    assert names == {path.name for path in DOCS.glob("micro_*.png")}
    assert len(names) == 3
    for name in names:
        again, shown = _pixels(drawn / name), _pixels(DOCS / name)
        assert again.shape == shown.shape, name
        if name == "micro_trajectory_pair.png":
            marks = [(pixels == MARKED).all(axis=2) for pixels in (again, shown)]
            for axis in (0, 1):
                assert marks[1].any(axis=axis).any()
                assert np.array_equal(*(mark.any(axis=axis) for mark in marks))
        else:  # below lie the captions
            assert np.array_equal(again[: -3 * CELL], shown[: -3 * CELL]), name


def test_with_the_pinned_pillow_the_letters_are_the_same_too(drawn: Path) -> None:
    pinned = re.search(r"^pillow==(\S+)$", (TOP / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    if version("pillow") != pinned[1]:
        pytest.skip(f"Pillow is not {pinned[1]}")
    for path in drawn.iterdir():
        assert np.array_equal(_pixels(path), _pixels(DOCS / path.name)), path.name
