"""Every hostile file, as every type of input, through the real commands.

Each is refused in one line with exit code 2, or contained; nothing outside is read or written.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from harness.files.text import visible
from tests.commands import harness
from tests.conftest import Once
from tests.hostile.catalogue import INPUTS, Input, build
from tests.hostile.kinds import FILES, SECRET, VALUES, changed, fields

MEMORY = 4 << 30  # of address space, for all commands of a test
SECONDS = 30  # of one command on one hostile file
IDS = [f"{each.type}: {Path(each.file).name}" for each in INPUTS]


def _late(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """End a test whose command waits for a pipe, or reads a device without end."""
    before = signal.signal(signal.SIGALRM, _late)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (room, limits[1]))
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, limits)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def world(once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the catalogue's good inputs, which is the working folder."""
    folder = tmp_path / "copy"
    shutil.copytree(once("hostile_inputs", build), folder)
    monkeypatch.chdir(folder / "world")
    return folder


def words(world: Path, command: Sequence[str]) -> list[str]:
    """Return a command's words; {item} stands for an item of the run."""
    samples = world / "world" / "runs" / "other" / "samples" / "longbench_v2.jsonl"
    item = json.loads(samples.read_text().splitlines()[0])["id"]
    return [word.replace("{item}", item) for word in command]


def check(world: Path, command: Sequence[str]) -> int:
    """Run a command; hold it to the law, and return its exit code."""
    outside = world / "outside"
    before = {path: path.read_bytes() for path in outside.iterdir()}
    siblings = sorted(path.name for path in world.iterdir())
    signal.alarm(SECONDS)
    done = harness(*command)
    signal.alarm(0)
    shown = done.stdout + done.stderr
    assert done.returncode in (0, 2), shown
    assert "Traceback" not in shown
    if done.returncode == 2:
        last = done.stderr.splitlines()[-1] if done.stderr else ""
        assert last.startswith("harness: ") or done.stdout, shown
        assert len(last) < 2000
    assert visible(shown) == shown
    assert SECRET not in shown
    assert {path: path.read_bytes() for path in outside.iterdir()} == before
    assert sorted(path.name for path in world.iterdir()) == siblings
    return done.returncode


@pytest.mark.parametrize("each", INPUTS, ids=IDS)
def test_the_good_input_passes(each: Input, world: Path) -> None:
    for command in each.commands:
        code = check(world, words(world, command))
        # `data verify` counts rows, and `source.json` is of no file.
        assert code == 0 or command[:2] == ("data", "verify"), command


def damaged(each: Input, world: Path, value: Any, at: tuple[Any, ...]) -> str:
    """Return the text of an input's file with another value at a path."""
    text = (world / "world" / each.file).read_text()
    if each.form == "json":
        return json.dumps(changed(json.loads(text), at, value))
    first, *others = text.splitlines()
    return "\n".join([json.dumps(changed(json.loads(first), at, value)), *others]) + "\n"


def paths(each: Input, world: Path) -> list[tuple[Any, ...]]:
    """Return the fields of an input's file, those of its first row if it has rows."""
    text = (world / "world" / each.file).read_text()
    return list(fields(json.loads(text if each.form == "json" else text.splitlines()[0])))


def try_value(each: Input, world: Path, at: tuple[Any, ...], name: str, good: bytes) -> str | None:
    """Return what is wrong with the commands where a field has a hostile value."""
    path = world / "world" / each.file
    path.write_bytes(good)
    text = damaged(each, world, VALUES[name], at)
    for command in each.commands:
        path.write_text(text)
        try:
            check(world, words(world, command))
        except (AssertionError, Exception) as error:
            where = "/".join(map(str, at))
            return f"{command[0]}: {where} = {name}: {type(error).__name__}: {str(error)[:300]}"
        finally:
            signal.alarm(0)
    return None


ROWS = [each for each in INPUTS if each.form in ("json", "jsonl")]
ROW_IDS = [f"{each.type}: {Path(each.file).name}" for each in ROWS]


@pytest.mark.parametrize("each", ROWS, ids=ROW_IDS)
def test_a_hostile_value_is_one_line_or_contained(each: Input, world: Path) -> None:
    """Every field and every value once."""
    good = (world / "world" / each.file).read_bytes()
    places, names = paths(each, world), list(VALUES)
    pairs = islice(zip(cycle(places), cycle(names), strict=True), max(len(places), len(names)))
    wrong = [w for at, name in pairs if (w := try_value(each, world, at, name, good))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("each", ROWS, ids=ROW_IDS)
def test_every_hostile_value_in_every_field(each: Input, world: Path) -> None:
    good = (world / "world" / each.file).read_bytes()
    wrong = [
        w
        for at in paths(each, world)
        for name in VALUES
        if (w := try_value(each, world, at, name, good))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("each", INPUTS, ids=IDS)
def test_a_hostile_file_is_one_line_or_contained(each: Input, world: Path) -> None:
    path = world / "world" / each.file
    good = path.read_bytes()
    wrong = []
    for name, write in FILES.items():
        for command in each.commands:
            _remove(path)
            path.write_bytes(good)
            path.unlink()
            path.touch()
            write(path, world / "outside")
            try:
                check(world, words(world, command))
            except (AssertionError, Exception) as error:
                wrong.append(f"{command[0]}: {name}: {type(error).__name__}: {str(error)[:300]}")
            signal.alarm(0)
    assert not wrong, "\n".join(wrong)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
