"""What the machine is: packages, driver, GPUs, memory; and what ``harness doctor`` finds."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from typing import Any

from ablations.study.children import begin
from harness.errors import UsageError
from harness.files.text import last_line
from harness.install.extras import package_versions
from harness.runs.manifest import PACKAGES

# In a child: nothing here keeps memory of a GPU.
_TORCH = """
import json, torch
gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
print(json.dumps({
    "cuda": torch.version.cuda or torch.version.hip,
    "nccl": ".".join(map(str, torch.cuda.nccl.version())) if gpus else None,
    "bf16": torch.cuda.is_bf16_supported() if gpus else None,
    "gpus": [{"name": g.name, "memory_gb": round(g.total_memory / 1e9, 1),
              "capability": f"{g.major}.{g.minor}"} for g in gpus],
}))
"""


def describe() -> dict[str, Any]:
    """Return the machine as JSON; ``gpus`` are those that torch sees."""
    more = ("trl", "accelerate", "peft", "ray", "deepspeed")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "packages": package_versions((*PACKAGES, *more)),
        "driver": _driver(),
        **_torch(),
    }


def _torch() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", _TORCH], capture_output=True, text=True)
    if done.returncode:
        return {"gpus": [], "torch": last_line(done.stderr)}
    return dict(json.loads(last_line(done.stdout)))


def _driver() -> str | None:
    """Return the version of NVIDIA's driver, None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True)
    return last_line(done.stdout) or None


def doctor() -> list[dict[str, str]]:
    """Return what ``harness doctor`` finds (name, status, text); `UsageError` if it fails."""
    command = begin(("doctor", "--json"), subprocess.PIPE, subprocess.PIPE)
    out, errors = command.communicate()
    if not out:
        raise UsageError(f"harness doctor fails: {last_line(errors)}")
    return list(json.loads(out)["checks"])
