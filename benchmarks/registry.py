"""The benchmarks by id and the suites; a benchmark's class is imported on request.

The catalog of data sets is below the benchmarks and looks up their classes here, and
``harness list`` prints these tables, so this module imports no benchmark.
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


# Items, title and metric, so that ``harness list`` imports no benchmark; a test compares them with
# the declarations.  One that is missing here is imported.
SUMMARIES: Mapping[str, tuple[int, str, str]] = {
    "mathvista": (1000, "MathVista", "accuracy"),
    "mathverse": (3940, "MathVerse", "accuracy"),
    "mathvision": (3040, "MathVision", "accuracy"),
    "mmmu_pro": (3460, "MMMU-Pro", "accuracy, mean of standard and vision"),
    "mmmu": (900, "MMMU", "accuracy"),
    "vstar": (191, "V*", "accuracy"),
    "mmstar": (1500, "MMStar", "accuracy"),
    "blink": (1901, "BLINK", "accuracy"),
    "scienceqa": (2017, "ScienceQA (image)", "accuracy"),
    "phyx": (1000, "PhyX (multiple choice)", "accuracy"),
    "olympiadbench_physics": (456, "OlympiadBench (physics, English, images)", "accuracy"),
    "mme_realworld_lite": (1919, "MME-RealWorld-Lite", "accuracy"),
    "swebench_verified": (500, "SWE-bench Verified", "resolve rate"),
    "swebench_lite": (300, "SWE-bench Lite", "resolve rate"),
    "livecodebench_v6": (175, "LiveCodeBench v6", "pass@1"),
    "longbench_v2": (503, "LongBench v2", "accuracy"),
    "niah": (600, "Needle in a haystack", "share of answers that hold the value"),
    "probe": (400, "Contrastive context probe", "share of right choices over both orders"),
}

SUITES: Mapping[str, tuple[str, ...]] = {
    "vqa12": (
        "mathvista",
        "mathverse",
        "mathvision",
        "mmmu_pro",
        "mmmu",
        "vstar",
        "mmstar",
        "blink",
        "scienceqa",
        "phyx",
        "olympiadbench_physics",
        "mme_realworld_lite",
    ),
    "longhorizon5": (
        "swebench_verified",
        "swebench_lite",
        "livecodebench_v6",
        "longbench_v2",
        "niah",
    ),
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
