"""The benchmarks by id and the suites; a benchmark's class is imported on request.

Besides ours there are those that installed packages bring (entry points of `GROUP`), tasks of
lmms-eval (``lmms:TASK``), and what `add` was given of the user's own.

The catalog of data sets is below the benchmarks and looks up their classes here, and
``harness list`` prints these tables, so this module imports no benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from harness.errors import UsageError, unknown
from harness.own_code import installed

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
    "vqa12": tuple(
        "mathvista mathverse mathvision mmmu_pro mmmu vstar mmstar blink scienceqa phyx "
        "olympiadbench_physics mme_realworld_lite".split()
    ),
    "longhorizon5": tuple(
        "swebench_verified swebench_lite livecodebench_v6 longbench_v2 niah".split()
    ),
}


GROUP = "contextrl_harness.benchmarks"
LMMS = "lmms:"
_OWN: dict[str, type[Any]] = {}


def add(benchmark_id: str, kind: type[Any]) -> None:
    """Add a benchmark of the user's own to this process; UsageError if one of ours has that id."""
    if benchmark_id in CLASSES or benchmark_id in SUITES or benchmark_id.startswith(LMMS):
        raise UsageError(f"{benchmark_id!r} is a name of ours: give your benchmark another one")
    _OWN[benchmark_id] = kind


def own_sources() -> tuple[Path, ...]:
    """Return the files and packages of the user's code that were added."""
    sources = (getattr(kind, "own_source", None) for kind in _OWN.values())
    return tuple(dict.fromkeys(path for path in sources if path is not None))


def names() -> tuple[str, ...]:
    """Return the ids of all benchmarks: ours in the order of the suites, then others."""
    others = (*installed(GROUP), *_OWN)
    return (*CLASSES, *(name for name in dict.fromkeys(others) if name not in CLASSES))


def is_known(benchmark_id: str) -> bool:
    """Whether there may be a benchmark of that id; of lmms-eval's tasks any."""
    return benchmark_id.startswith(LMMS) or benchmark_id in names()


def kind(benchmark_id: str) -> type[Any]:
    """Return a benchmark's class; UsageError if there is none of that name."""
    if benchmark_id in CLASSES:
        module, name = CLASSES[benchmark_id]
        return cast("type[Any]", getattr(import_module(module), name))
    if benchmark_id not in _OWN:
        _OWN[benchmark_id] = _made(benchmark_id)
    return _OWN[benchmark_id]


def _made(benchmark_id: str) -> Any:
    """Return the class of a task of lmms-eval or of an installed package."""
    if benchmark_id.startswith(LMMS):
        return import_module("benchmarks.own.lmms_task").task_benchmark(benchmark_id)
    if benchmark_id in installed(GROUP):
        point = installed(GROUP)[benchmark_id]
        return import_module("benchmarks.user_code").from_entry_point(point)
    raise unknown("benchmark", benchmark_id, names())
