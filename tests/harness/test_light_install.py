"""The package without extras: built, installed into empty environments, and used there.

What it says of two stored runs is what the full installation says.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.commands import ROOT, harness
from tests.interpreters import interpreter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
RUNS = ROOT / "tests/golden/stored/studies/trained/runs"
A = RUNS / "grpo-seed-0/checkpoint-vqa12-102c17da"
B = RUNS / "contextrl-seed-0/checkpoint-vqa12-68356d1a"
LOGS = ROOT / "tests/benchmarks/imports/logs/evalscope"
MODEL = ROOT / "benchmarks/micro/model/weights"
LARGEST = 400  # MB, without the bytecode that Python writes when it imports
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def installed_python(version: str) -> str:
    """Return an installed Python of this version; the test is skipped where there is none."""
    if (path := interpreter(version)) is None:
        pytest.skip(f"Python {version} is not installed here")
    return path


def done(*words: object, **options: object) -> str:
    """Run a program that succeeds and return what it prints."""
    ended = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, check=False, **options
    )  # type: ignore[call-overload]
    assert ended.returncode == 0, ended.stderr
    return str(ended.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build folder would stay in the checkout."""
    if UV is None:
        pytest.skip("uv is not installed")
    folder = tmp_path_factory.mktemp("source")
    for name in ("harness", "benchmarks", "ablations", "reports"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    done(UV, "build", "--wheel", "--out-dir", folder / "dist", folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


def installed(wheel: Path, folder: Path, version: str, *more: str) -> Path:
    """Install the wheel into an empty environment and return its folder of programs."""
    done(UV, "venv", "--python", installed_python(version), folder)
    python = folder / "bin" / "python"
    done(UV, "pip", "install", "--no-compile-bytecode", "--python", python, wheel, *more)
    return folder / "bin"


def megabytes(folder: Path) -> float:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(path.stat().st_size for path in files) / 1e6


def numbers_agree(left: object, right: object) -> bool:
    """Whether two documents are the same, numbers to 1e-9: libraries are of other versions."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(numbers_agree(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(numbers_agree, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) <= 1e-9
    return left == right


def lowest(folder: Path, version: str) -> Path:
    """Return an environment with the oldest versions that pyproject.toml allows."""
    assert UV
    done(UV, "venv", "--python", installed_python(version), folder)
    extras = [word for name in ("inspect", "vlmevalkit", "parquet") for word in ("--extra", name)]
    oldest = ("--resolution", "lowest-direct", "--no-build", "-r", ROOT / "pyproject.toml")
    done(UV, "pip", "install", "--python", folder / "bin" / "python", *oldest, *extras)
    return folder


@pytest.mark.parametrize("version", ["3.11 lowest", "3.11", "3.12", "3.13"])
def test_a_light_install_says_what_the_full_one_says(
    version: str, wheel: Path, tmp_path: Path
) -> None:
    version, _, oldest = version.partition(" ")
    if oldest:
        python = lowest(tmp_path / "venv", version) / "bin" / "python"
        done(UV, "pip", "install", "--no-deps", "--python", python, wheel)
        programs = python.parent
    else:
        programs = installed(wheel, tmp_path / "venv", version)
    site = next((tmp_path / "venv/lib").glob("python*/site-packages"))
    size = megabytes(site)
    print(f"Python {version}: {size:.0f} MB")
    assert oldest or size < LARGEST  # the oldest come with the extras
    assert not {"torch", "transformers", "lmms_eval"} & {path.name for path in site.iterdir()}

    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    imported = json.loads(
        done(programs / "harness", "import", LOGS, "--json", cwd=tmp_path, env=environment)
    )["runs"]
    for pair in ((A, B), [tmp_path / run["run"] for run in imported]):
        command = (programs / "harness", "compare", *pair, "--json")
        light = json.loads(done(*command, cwd=tmp_path, env=environment))
        assert numbers_agree(light, json.loads(harness("compare", *pair, "--json").stdout))
    # Of a benchmark that we have the log's own verdicts are kept: its items are not at hand.
    kept = (programs / "harness", "import", LOGS.with_name("lmms-eval"), "--json")
    (rows, _) = [
        run["benchmarks"] for run in json.loads(done(*kept, cwd=tmp_path, env=environment))["runs"]
    ]
    assert {row["strict"] for row in rows} == {None}
    assert None not in {row["native"] for row in rows}
    page = tmp_path / "page.html"
    done(programs / "harness", "report", A, B, "--out", page, cwd=tmp_path, env=environment)
    assert "No difference between A" in page.read_text()

    viewed = tmp_path / "view.html"
    done(programs / "harness", "view", A, B, "--out", viewed, cwd=tmp_path, env=environment)
    assert "Items: " in viewed.read_text()

    asked = subprocess.run(
        [programs / "harness", "run", "--model", MODEL, "--suite", "vstar"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 2
    assert asked.stderr.splitlines()[-1].endswith(
        "is not installed: pip install 'contextrl-harness[run]'"
    )


def test_trackio_keeps_what_is_exported_to_it(wheel: Path, tmp_path: Path) -> None:
    programs = installed(wheel, tmp_path / "venv", "3.12", "trackio>=0.5")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    words = ("export", "trackio", A, "--rows", "2", "--out", tmp_path / "kept")
    done(programs / "harness", *words, cwd=tmp_path, env=environment)
    with closing(sqlite3.connect(tmp_path / "kept" / "contextrl.db")) as base:
        logged: dict[str, object] = {}
        for (line,) in base.execute("SELECT metrics FROM metrics"):
            logged |= json.loads(line)
        assert base.execute("SELECT type FROM artifacts").fetchall() == [("report",)]
    for row in json.loads((A / "summary.json").read_text())["benchmarks"]:
        assert logged[f"{row['benchmark']}/strict"] == row["strict"]
        assert len(logged[f"{row['benchmark']}/answers"]["_value"]) == 2  # type: ignore[index]
