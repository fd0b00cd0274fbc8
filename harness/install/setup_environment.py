"""Repairs ``import torchvision`` and ``import transformers`` on CPU machines.

``make install`` runs ``python -m harness.install.setup_environment``, which prints one line per
repair, or "nothing to repair".
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from harness.errors import UsageError
from harness.files.text import last_line

HOOK = "_harness_torchvision_hook"
UNNEEDED = ("torchaudio", "torchcodec")


def import_error(module: str) -> str:
    """Import ``module`` in a new process; return the last line of its error, or "" if it loads."""
    child = subprocess.run(
        [sys.executable, "-c", f"import {module}"], capture_output=True, text=True, check=False
    )
    if child.returncode == 0:
        return ""
    return last_line(child.stderr) or f"exit code {child.returncode}"


def uninstall(package: str) -> None:
    """Remove ``package`` with pip or else uv; raises `UsageError` if neither can."""
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", "uninstall", "--yes", package]
    elif (uv := shutil.which("uv")) is not None:
        command = [uv, "pip", "uninstall", "--python", sys.executable, package]
    else:
        raise UsageError(
            f"{package} does not load and neither pip nor uv is there to remove it; "
            "remove it by hand."
        )
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise UsageError(
            f"{package} does not load and could not be removed ({last_line(child.stderr)}); "
            "remove it by hand."
        )


def repair_companions() -> list[str]:
    """Remove those of `UNNEEDED` that are installed but cannot load; return one line for each."""
    done = []
    for package in filter(importlib.util.find_spec, UNNEEDED):
        if error := import_error(package):
            uninstall(package)
            done.append(f"removed {package}, which is not needed and did not load: {error}")
    return done


def install_hook(packages: Path) -> bool:
    """Put the import hook and its ``.pth`` into ``packages``; return whether anything changed."""
    source = Path(__file__).with_name("torchvision_hook.py").read_text(encoding="utf-8")
    start = f"import {HOOK}; {HOOK}.install()\n"
    changed = False
    for path, text in ((packages / f"{HOOK}.py", source), (packages / f"{HOOK}.pth", start)):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed = True
    return changed


def repair_torchvision(packages: Path) -> list[str]:
    """Make ``import torchvision`` work; return one line if something was done.

    Raises `UsageError` if torchvision does not load even with the hook.
    """
    installed = (packages / f"{HOOK}.pth").exists()
    renewed = installed and install_hook(packages)
    done = ["renewed the import hook for torchvision"] if renewed else []
    error = import_error("torchvision")
    if error and not installed:
        install_hook(packages)
        done = [f"installed an import hook for torchvision, which did not load: {error}"]
        error = import_error("torchvision")
    if error:
        raise UsageError(
            f"torchvision does not load ({error}); install the torchvision build that belongs to "
            "the installed torch."
        )
    return done


def main() -> int:
    """Repair what needs repair, print one line for each, and return the exit code."""
    packages = Path(sysconfig.get_paths()["purelib"])
    try:
        done = repair_companions() + repair_torchvision(packages)
    except PermissionError as error:
        print(f"Cannot write to {error.filename}; use a virtual environment.", file=sys.stderr)
        return 2
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(done) or "nothing to repair")
    return 0


if __name__ == "__main__":
    sys.exit(main())
