"""The benchmarks by id: where the class of each is, imported when it is asked for.

The catalog of data sets is below the benchmarks and looks up their classes here, so this module
imports none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from harness.errors import unknown

CLASSES: Mapping[str, tuple[str, str]] = {
    "mathvista": ("benchmarks.vqa.mathvista", "MathVista"),
    "mathverse": ("benchmarks.vqa.mathverse", "MathVerse"),
    "mathvision": ("benchmarks.vqa.mathvision", "MathVision"),
    "mmmu_pro": ("benchmarks.vqa.mmmu_pro", "MmmuPro"),
    "mmmu": ("benchmarks.vqa.mmmu", "Mmmu"),
    "vstar": ("benchmarks.vqa.vstar", "VStar"),
    "mmstar": ("benchmarks.vqa.mmstar", "MmStar"),
    "blink": ("benchmarks.vqa.blink", "Blink"),
    "scienceqa": ("benchmarks.vqa.scienceqa", "ScienceQa"),
    "phyx": ("benchmarks.vqa.phyx", "PhyX"),
    "olympiadbench_physics": ("benchmarks.vqa.olympiadbench_physics", "OlympiadBenchPhysics"),
    "mme_realworld_lite": ("benchmarks.vqa.mme_realworld_lite", "MmeRealWorldLite"),
    "swebench_verified": ("benchmarks.longhorizon.swebench.benchmark", "SweBenchVerified"),
    "swebench_lite": ("benchmarks.longhorizon.swebench.benchmark", "SweBenchLite"),
    "livecodebench_v6": ("benchmarks.longhorizon.livecodebench.benchmark", "LiveCodeBenchV6"),
    "longbench_v2": ("benchmarks.longhorizon.longbench_v2", "LongBenchV2"),
    "niah": ("benchmarks.longhorizon.niah.benchmark", "Niah"),
    "probe": ("benchmarks.probe", "Probe"),
}


def names() -> tuple[str, ...]:
    """Return the ids of all benchmarks, in the order of the suites."""
    return tuple(CLASSES)


def kind(benchmark_id: str) -> type[Any]:
    """Return a benchmark's class.

    Raises:
        UsageError: there is no benchmark of that name; names the nearest.
    """
    if benchmark_id not in CLASSES:
        raise unknown("benchmark", benchmark_id, names())
    module, name = CLASSES[benchmark_id]
    return cast("type[Any]", getattr(import_module(module), name))
