"""No process of ours imports from the present folder, which may be data that others made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT

# What the command does, and then children of the two kinds that Python imports a folder for.
PROGRAM = """
import subprocess, sys
from harness.cli.main import main
try:
    main()
except SystemExit:
    pass
for words in (["-c", "import json, signal; from harness import errors"], ["-m", "json.tool", "-h"]):
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
"""


@pytest.mark.parametrize(
    ("words", "names"),
    [
        # As the installed command starts, and with children.
        (["-P", "-c", PROGRAM], ("json", "signal", "harness")),
        # Finds the package elsewhere; then the folder has no say any more.
        (["-m", "harness"], ("click", "yaml", "json", "msgspec")),
    ],
)
def test_nothing_is_imported_from_the_present_folder(
    words: list[str], names: tuple[str, ...], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')")
    done = subprocess.run(
        [sys.executable, *words, "list", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "imported").exists()
