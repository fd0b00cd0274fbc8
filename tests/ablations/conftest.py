"""What tests of studies and trainings share, made once a session: planted runs, tiny worlds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from ablations.statistics.contrasts import BASELINE, DATA_CONTROLS, METHOD, PLACEBOS
from tests.ablations import tiny
from tests.conftest import Once
from tests.planted import BENCHMARKS, write_runs

LOW, HIGH, HIGHER = 50, 58, 66
SEEDS = 3
TRAINED = (BASELINE, *DATA_CONTROLS, METHOD, *PLACEBOS)
Levels = Mapping[str, int]
NONE: Levels = dict.fromkeys(TRAINED, LOW)
OBJECTIVE: Levels = {**NONE, METHOD: HIGH}
FROM_DATA: Levels = {**dict.fromkeys(TRAINED, HIGH), BASELINE: LOW}
BOTH: Levels = {**FROM_DATA, METHOD: HIGHER}
PLANNED = {"none": NONE, "objective": OBJECTIVE, "data": FROM_DATA, "both": BOTH}


def names_of(arm: str, level: int) -> list[str]:
    """Return the served names of an arm's models, a seed each."""
    return [f"{level}-{arm}-{seed}" for seed in range(SEEDS)]


@pytest.fixture(scope="session")
def text_world(once: Once) -> Path:
    """Return a folder with a tiny text model, and pairs and RL items for it."""

    def build(folder: Path) -> None:
        tiny.build("qwen3", folder / "model")
        tiny.write(folder / "data", images=False)

    return once("text_world", build)


@pytest.fixture(scope="session")
def image_world(once: Once) -> Path:
    """Return a folder with a tiny vision-language model, and pairs and RL items for it."""

    def build(folder: Path) -> None:
        tiny.build("qwen3_vl", folder / "model")
        tiny.write(folder / "data", images=True)

    return once("image_world", build)


@pytest.fixture(scope="session")
def planted_runs(once: Once) -> dict[str, Path]:
    """Return the run of every model that the planted studies need: most are shared by them."""
    levels = {(arm, level) for arms in PLANNED.values() for arm, level in arms.items()}
    names = sorted(name for arm, level in levels for name in names_of(arm, level))

    runs = once("planted", lambda root: write_runs(root, names)) / "runs"
    return {name: next(runs.glob(f"{name}-vqa12-*")) for name in names}


def study_words(folder: Path, runs: Mapping[str, Path], arms: Levels) -> list[object]:
    """Return the command of a study of planted runs, in the folder's ``objective-vs-data``."""
    words: list[object] = ["ablate", "objective-vs-data", "--suite", "vqa12", "--studies", folder]
    words += ["--benchmarks", ",".join(BENCHMARKS), "--planned", 8, "--margin", 4]
    for arm, level in arms.items():
        brought = ",".join(str(runs[name]) for name in names_of(arm, level))
        words += ["--runs", f"{arm}={brought}"]
    return words
