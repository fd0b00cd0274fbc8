"""Other tools' names for our benchmarks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks import registry

# Task names of lmms-eval, data sets of VLMEvalKit, and names on the Hub, compared without case,
# hyphens and underscores. Subsets and translations of a benchmark do not count.
_NAMES: Mapping[str, str] = {
    "mathvista": "mathvista_testmini mathvista_testmini_cot mathvista_testmini_format "
    "mathvista_testmini_solution mathvista_mini",
    "mathverse": "mathverse_testmini mathverse_mini",
    "mathvision": "mathvision_test mathvision_testmini mathvision_mini mathvision_reason_test",
    "mmmu_pro": "mmmu_pro_standard mmmu_pro_vision mmmu_pro_10c mmmu_pro_v",
    "mmmu": "mmmu_val mmmu_val_reasoning mmmu_dev_val",
    "vstar": "vstar_bench vstarbench",
    "mmstar": "",
    "blink": "",
    "scienceqa": "scienceqa_img scienceqa_test",
    "phyx": "phyx_mini_mc",
    "olympiadbench_physics": "olympiadbench_OE_MM_physics_en_COMP",
    "mme_realworld_lite": "mmerealworld_lite mme-realworld-lite",
    "swebench_verified": "swe-bench_verified swe-bench-verified",
    "swebench_lite": "swe-bench_lite swe-bench-lite",
    "livecodebench_v6": "livecodebench_release_v6",
    "longbench_v2": "longbench-v2 longbench2",
}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_IDS = {
    _plain(name): benchmark
    for benchmark, names in _NAMES.items()
    for name in (benchmark, *names.split())
}


def ours(task: str) -> str | None:
    """Return the id of our benchmark for a log's task, None if we do not have it."""
    if task.lower().startswith("blink_"):  # one task per subtask, as in lmms-eval
        return "blink"
    return _IDS.get(_plain(task), task if task in registry.names() else None)
