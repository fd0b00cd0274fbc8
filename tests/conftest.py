"""What every test may ask for: the tiny model, and the folder of shared real data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Before torch or transformers are imported anywhere: few threads, and never a hub.
os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A tiny model needs little; vLLM takes whole GiB.
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

# Tests interrupt processes; shells make what they start in the background, us, ignore that.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data beside the repository; skip where it is absent."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder of shared real data beside the repository")
    return folder


@pytest.fixture(scope="session")
def micro_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the tiny Qwen3-VL with random weights, built once a session."""
    folder = tmp_path_factory.mktemp("micro_model") / "micro"
    # In a child, so that tests which only need the folder do not load torch.
    build = (
        "import sys; from benchmarks.micro.model.qwen3vl import build; from pathlib import Path; "
    )
    subprocess.run(
        [sys.executable, "-c", build + "build(Path(sys.argv[1]))", str(folder)], check=True
    )
    return folder


@pytest.fixture(scope="session")
def micro_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root with the embedded data sets of the twelve, written once a session."""
    from benchmarks.micro.data.datasets import write

    folder = tmp_path_factory.mktemp("micro_data")
    write(folder)
    return folder
