"""What every test may ask for: the tiny model, embedded data, and the folder of shared real data.

Tests may run in several worker processes (``make test``): a file's tests stay in one of them, and
what a session makes once is made by the first worker that asks for it.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch or transformers are imported anywhere: few threads, and never a hub.
os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A tiny model needs little; vLLM takes whole GiB.
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

# Tests write thousands of small files: in memory where there is room for them.
_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# Tests interrupt processes; shells make what they start in the background, us, ignore that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# `make test-slow` asks for the ci profile, which draws all examples; see tests/examples.py.
settings.register_profile("default", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

REPOSITORY = Path(__file__).parents[1]

# Files that take longest or wait most, begun first so that no worker is left with one at the end.
LONGEST = (
    "harness/test_acceptance.py",
    "ablations/training/test_training.py",
    "ablations/study/test_study.py",
    "hostile/test_catalogue.py",
    "harness/backends/test_vllm.py",
    "benchmarks/micro/test_build.py",
    "ablations/study/test_study_trains.py",
    "benchmarks/scoring/test_million.py",
    "ablations/study/test_study_files.py",
    "benchmarks/vqa/test_adapters.py",
    "benchmarks/vqa/test_native.py",
    "benchmarks/vqa/test_native_limits.py",
    "docs/test_own_benchmarks.py",
    "ablations/training/test_trainer.py",
    "harness/command_line/test_cli.py",
    "ablations/pairs/test_soundness.py",
    "benchmarks/longhorizon/test_swebench.py",
    "harness/backends/test_lifeline.py",
)

# What the tests of a file need, as markers: `pytest -m "not torch and not external"` is quick.
NEEDS = {
    "process": (
        "ablations/pairs/test_review.py",
        "ablations/study/test_study.py",
        "ablations/study/test_study_trains.py",
        "benchmarks/data/test_pull.py",
        "benchmarks/longhorizon/test_swebench_cli.py",
        "benchmarks/vqa/test_native_limits.py",
        "harness/backends/test_lifeline.py",
        "harness/command_line/test_cli.py",
        "harness/runs/test_kill.py",
        "harness/files/test_scratch.py",
    ),
    "torch": (
        "ablations/training/test_agentic.py",
        "ablations/training/test_objective.py",
        "ablations/test_skyrl.py",
        "ablations/study/test_study_trains.py",
        "ablations/training/test_trainer.py",
        "ablations/training/test_training.py",
        "benchmarks/micro/test_build.py",
        "benchmarks/micro/test_lessons.py",
        "benchmarks/test_probe.py",
        "harness/backends/test_micro_model.py",
        "harness/backends/test_transformers.py",
        "harness/test_acceptance.py",
    ),
    "sandbox": (
        "benchmarks/longhorizon/test_livecodebench_grading.py",
        "benchmarks/longhorizon/test_swebench.py",
        "benchmarks/longhorizon/test_swebench_cli.py",
        "benchmarks/longhorizon/test_swebench_images.py",
        "harness/sandbox/test_bubblewrap.py",
        "harness/sandbox/test_container.py",
    ),
    "docker": (
        "benchmarks/longhorizon/test_swebench_docker.py",
        "harness/sandbox/test_docker.py",
    ),
    "vllm": (
        "harness/backends/test_vllm.py",
        "harness/backends/test_vllm_settings.py",
        "harness/test_acceptance.py",
    ),
    "browser": ("reports/test_browser.py", "reports/test_view_browser.py"),
    "latex": ("reports/test_tables.py",),
}
# Large programs, which take every core while they start.
EXTERNAL = {*NEEDS["vllm"], *NEEDS["browser"], *NEEDS["latex"]}


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(REPOSITORY / "tests").as_posix()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what tests need, and begin with the longest files."""
    for item in items:
        file = _file(item)
        for marker, files in NEEDS.items():
            if file in files:
                item.add_marker(marker)
        if file in EXTERNAL:
            item.add_marker("external")
        if file in NEEDS["browser"]:  # starting it takes as long as some hundred other tests
            item.add_marker("slow")
    rank = {file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(_file(item), len(rank)))


@pytest.fixture(scope="module", autouse=True)
def own_benchmarks() -> Iterator[None]:
    """Forget the benchmarks that a file's tests brought: its commands ran in this process."""
    yield
    if "benchmarks.registry" in sys.modules:
        from benchmarks import registry

        registry._OWN.clear()


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> Iterator[None]:
    """Hide large libraries from the garbage collector: it takes half a second to go through TRL."""
    before = len(sys.modules)
    yield
    if len(sys.modules) > before + 500:
        gc.collect()
        gc.freeze()


def pytest_sessionfinish() -> None:
    """Let libraries end in order."""
    gc.unfreeze()


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Return a function that makes a named folder once a session, whichever worker asks first."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each worker has a folder of its own in the session's

    def make(name: str, build: Callable[[Path], object]) -> Path:
        folder, made = root / name, root / f"{name}.made"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a build that failed
                folder.mkdir()
                build(folder)
                made.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data beside the repository; skip where it is absent."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder of shared real data beside the repository")
    return folder


@pytest.fixture(scope="session")
def docker_image() -> str:
    """Return the small image of a real docker engine; skip where either is missing."""
    from harness.sandbox.engine import engine
    from harness.sandbox.programs import output

    docker, image = engine("docker"), "harness-test:local"  # also in longhorizon/images.py
    if docker is None:
        pytest.skip("no docker engine answers: `.ci/docker_engine start DIR` starts one")
    if not output([docker.program, "image", "inspect", image]):
        pytest.skip(f"the image {image} is missing: `.ci/docker_engine image` makes it")
    return image


@pytest.fixture(scope="session")
def micro_model(once: Once) -> Path:
    """Return the folder of the tiny Qwen3-VL with random weights."""
    # In a child, so that tests which only need the folder do not load torch.
    program = (
        "import sys; from pathlib import Path; from tests.random_model import build; "
        "build(Path(sys.argv[1]))"
    )

    def build(folder: Path) -> None:
        command = [sys.executable, "-c", program, str(folder / "micro")]
        subprocess.run(command, check=True, cwd=REPOSITORY)

    return once("micro_model", build) / "micro"


@pytest.fixture(scope="session")
def micro_data(once: Once) -> Path:
    """Return a data root with the embedded data sets of the twelve: read it, damage only copies."""
    from benchmarks.micro.data.datasets import write

    return once("micro_data", write)
