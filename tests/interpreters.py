"""Other Pythons that are installed here, for environments of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def interpreter(version: str) -> str | None:
    """Return an installed Python of a version ("3.12"), None where there is none.

    A name on the path may be pyenv's, which answers only where that version is chosen.
    """
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    paths = [sys.executable] if version == own else [shutil.which(f"python{version}"), *pyenv]
    for path in filter(None, paths):
        if not subprocess.run([path, "--version"], capture_output=True, check=False).returncode:
            return str(path)
    return None
