"""The pictures of docs/micro_world.md are those that the world draws today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

DOCS = Path(__file__).parents[3] / "docs"


def test_the_pages_pictures_are_drawn_again_alike(tmp_path: Path) -> None:
    words = ("-m", "benchmarks.micro.gallery", str(tmp_path))
    subprocess.run([sys.executable, *words], check=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in DOCS.glob("micro_*.png")}
    assert len(names) == 3
    for name in names:
        with Image.open(tmp_path / name) as drawn, Image.open(DOCS / name) as shown:
            assert np.array_equal(np.asarray(drawn), np.asarray(shown)), name
