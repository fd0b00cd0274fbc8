"""The import hook acts where torchvision's library does not load, and nowhere else."""

from __future__ import annotations

import _ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.install.setup_environment import HOOK, install_hook

pytestmark = pytest.mark.slow  # children that load torch
REPOSITORY = Path(__file__).parents[3]
LOOK = """
import importlib.util, sys
from harness.install import torchvision_hook
torchvision_hook.install()
assert importlib.util.find_spec("torchvision").origin.startswith({folder!r})
assert "torch" not in sys.modules, "looking for the package must not load torch"
import torchvision
assert torchvision.HERE
import torch
print([n for n in ("nms", "qnms", "roi_align") if hasattr(torch.ops.torchvision, n)])
"""


def run(code: str, *path: Path) -> str:
    """Run ``code`` in a child that sees this environment's packages but none of its ``.pth``."""
    entries = [str(p) for p in (*path, REPOSITORY)] + [p for p in sys.path if "site-packages" in p]
    child = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {entries!r}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


@pytest.mark.parametrize(
    ("library", "declared"),
    [
        ("loads", "[]"),
        ("broken", "['nms', 'qnms', 'roi_align']"),
        ("absent", "['nms', 'qnms', 'roi_align']"),
    ],
)
def test_hook_declares_operators_only_where_the_library_does_not_load(
    tmp_path: Path, library: str, declared: str
) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("HERE = True\n")
    if library == "loads":
        # Any real shared library stands for one that fits the installed torch.
        shutil.copy(_ctypes.__file__, package / "_C.so")
    if library == "broken":
        (package / "_C.so").write_bytes(b"no shared library")
    assert run(LOOK.format(folder=str(tmp_path)), tmp_path) == declared


def test_hook_module_loads_nothing_heavy(tmp_path: Path) -> None:
    install_hook(tmp_path)
    added = run(
        f"import sys; before = set(sys.modules)\nimport {HOOK}; {HOOK}.install()\n"
        "print(*sorted(set(sys.modules) - before))",
        tmp_path,
    )
    assert {name.partition(".")[0] for name in added.split()} <= {HOOK, "importlib", "warnings"}


def test_installing_twice_changes_nothing(tmp_path: Path) -> None:
    assert install_hook(tmp_path)
    assert not install_hook(tmp_path)


def test_torchvision_loads_in_this_environment() -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import torchvision; print(torchvision.__version__)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
