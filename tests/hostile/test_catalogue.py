"""Every hostile file, as every type of input, through the real commands.

Each is refused in one line with exit code 2, or contained; nothing outside is read or written.
"""

from __future__ import annotations

import ast
import json
import os
import re
import resource
import shutil
import signal
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import harness as harness_package
from harness.backends.spec import BackendSpec
from harness.backends.vllm import start
from harness.errors import UsageError
from harness.files.text import visible
from tests.commands import harness
from tests.conftest import Once
from tests.examples import FULL
from tests.hostile.catalogue import DONE, ELSEWHERE, INPUTS, READERS, Input, build, reads
from tests.hostile.kinds import FILES, SECRET, VALUES, changed, fields

MEMORY = 4 << 30  # of address space, for all commands of a test
SECONDS = 120  # of one command on one hostile file: usually below 10
IDS = [f"{each.type}: {Path(each.file).name}" for each in INPUTS]


class _TooLongError(BaseException):
    """Not an `Exception`, which a command would report in one line and exit code 2."""


def _late(signum: int, frame: FrameType | None) -> None:
    raise _TooLongError(f"more than {SECONDS} s")


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
    assert done.returncode in (2, *DONE.get(command[0], (0,))), shown
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


@pytest.mark.slow
@pytest.mark.parametrize("each", INPUTS, ids=IDS)
def test_the_good_input_passes(each: Input, world: Path) -> None:
    for command in each.commands:
        code = check(world, words(world, command))
        # `data verify` counts rows, and `source.json` is of no file.
        assert code != 2 or command[:2] == ("data", "verify"), command


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


def tried(each: Input, world: Path, command: Sequence[str], what: str) -> list[str]:
    """Run a command on a damaged input; return what is wrong with it, if anything."""
    try:
        check(world, words(world, command))
    except (AssertionError, Exception, _TooLongError) as error:
        return [f"{command[0]}: {what}: {type(error).__name__}: {str(error)[:300]}"]
    finally:
        signal.alarm(0)
    return []


def with_value(
    each: Input, world: Path, at: tuple[Any, ...], name: str, commands: Sequence[Sequence[str]]
) -> list[str]:
    """Give a field a hostile value, run commands, and put the good file back."""
    path = world / "world" / each.file
    good, what = path.read_bytes(), f"{'/'.join(map(str, at))} = {name}"
    text, wrong = damaged(each, world, VALUES[name], at), []
    for command in commands:
        path.write_text(text)
        wrong += tried(each, world, command, what)
    path.write_bytes(good)
    return wrong


def with_file(each: Input, world: Path, name: str, commands: Sequence[Sequence[str]]) -> list[str]:
    """Put a hostile file in the place of the good one, run commands, and put that back."""
    path = world / "world" / each.file
    good, wrong = path.read_bytes(), []
    for command in commands:
        FILES[name](path, world / "outside")
        wrong += tried(each, world, command, name)
        _remove(path)
        path.write_bytes(good)
    return wrong


ROWS = [each for each in INPUTS if each.form in ("json", "jsonl")]
ROW_IDS = [f"{each.type}: {Path(each.file).name}" for each in ROWS]


@pytest.mark.parametrize("each", ROWS, ids=ROW_IDS)
def test_a_hostile_value_is_one_line_or_contained(each: Input, world: Path) -> None:
    """Every value once, in fields from all of the file; the commands take turns.

    A third of them in `make test`, another third of each file's.
    """
    names, places = list(VALUES), paths(each, world)
    places = places[:: max(1, len(places) // len(names))]
    turns = zip(cycle(places), cycle(names), cycle(each.commands), strict=True)
    first, step = (0, 1) if FULL else (ROWS.index(each) % 3, 3)
    wrong = [
        line
        for at, name, command in islice(turns, first, max(len(places), len(names)), step)
        for line in with_value(each, world, at, name, [command])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("each", INPUTS, ids=IDS)
def test_a_hostile_file_is_one_line_or_contained(each: Input, world: Path) -> None:
    turns = zip(FILES, cycle(each.commands))
    wrong = [line for name, command in turns for line in with_file(each, world, name, [command])]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("each", INPUTS, ids=IDS)
def test_hostile_values_in_every_field_and_files_for_every_command(
    each: Input, world: Path
) -> None:
    places = paths(each, world) if each in ROWS else []
    turns = zip(cycle(places), cycle(VALUES), cycle(each.commands), strict=True)
    wrong = [
        line
        for at, name, command in islice(turns, 2 * len(places))
        for line in with_value(each, world, at, name, [command])
    ]
    wrong += [line for name in FILES for line in with_file(each, world, name, each.commands)]
    assert not wrong, "\n".join(wrong)


def test_every_module_that_reads_files_has_joined() -> None:
    """A new reader of files is named in `READERS`, with the type of input that it reads."""
    source = Path(harness_package.__file__).parents[1]
    packages = ("harness", "benchmarks", "ablations", "reports")
    modules = [path for name in packages for path in sorted((source / name).rglob("*.py"))]
    reading = {m.relative_to(source).as_posix() for m in modules if reads(m.read_text())}
    assert reading == set(READERS), reading ^ set(READERS)


# Modules that open files for writing otherwise than by `plain.opener`, and why they may.
_MADE = "in a folder that it has just made, under a name that nobody knows"
_OPEN = "what is open already, or the null device"
_KERNEL = "files of the kernel"
_MICRO = "the micro world, in a folder that it made or marked"
_WRITERS = {
    "ablations/export/skyrl.py": _MADE,
    "ablations/selftest/train.py": _MADE,
    "ablations/selftest/trials.py": _MADE,
    "ablations/study/preloaded.py": _OPEN,
    "benchmarks/imports/folders.py": _MADE,
    "benchmarks/longhorizon/livecodebench/driver.py": _OPEN,
    "benchmarks/longhorizon/swebench/container.py": _OPEN,
    "benchmarks/micro/data/longbench.py": _MICRO,
    "benchmarks/micro/data/programs.py": _MICRO,
    "benchmarks/micro/data/repositories.py": _MICRO,
    "benchmarks/micro/model/build.py": _MICRO,
    "benchmarks/micro/prepare.py": _MICRO,
    "benchmarks/vqa/base/native_child.py": _MADE,
    "benchmarks/vqa/base/native_worker.py": _OPEN,
    "harness/cli/output.py": _OPEN,
    "harness/files/atomic.py": "a new file, which then takes the other's place",
    "harness/files/plain.py": "`opener` itself",
    "harness/install/setup_environment.py": "the environment's own packages",
    "harness/sandbox/bubblewrap.py": _OPEN,
    "harness/sandbox/cgroup.py": _KERNEL,
    "harness/sandbox/supervise.py": _KERNEL,
}
_READING = {"O_RDONLY", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"}


def writes(call: ast.Call) -> bool:
    """Whether a call writes a file, or may, and not through `plain.opener`.

    A mode or flags that are not written out may be any.
    """
    function = ast.unparse(call.func)
    name = function.rpartition(".")[2]
    if name in ("write_text", "write_bytes"):
        return isinstance(call.func, ast.Attribute) and not function.startswith("atomic.")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in ("to_csv", "to_parquet", "write_table", "ParquetWriter"):
        return bool(call.args) and function != "tables.to_csv"  # ours, which returns a text
    if name not in ("open", "fdopen") or (
        "opener" in given and ast.unparse(given["opener"]) == "plain.opener"
    ):
        return False
    if function == "os.open":
        flags = [n.attr for n in ast.walk(call.args[1]) if isinstance(n, ast.Attribute)]
        named = any(isinstance(n, ast.Name) and n.id != "os" for n in ast.walk(call.args[1]))
        return named or not _READING.issuperset(flags)
    # `Path.open` has its mode first; of the others it comes after what they open.
    modes = [given["mode"]] if "mode" in given else call.args[:2]
    texts = [mode.value for mode in modes if isinstance(mode, ast.Constant)]
    said = [text for text in texts if isinstance(text, str) and re.fullmatch("[rwaxbt+]+", text)]
    second = "mode" in given or (len(call.args) > 1 and function in ("open", "io.open"))
    return any(set(text) & set("wax+") for text in said) or (second and not said)


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("open(p, 'w')", True),
        ("open(p, mode='w')", True),
        ("open(p, 'wt')", True),
        ("p.open('r+b')", True),
        ("p.open(mode='ab')", True),
        ("gzip.open(p, 'xb')", True),
        ("open(p, mode)", True),
        ("open(p, 'w', opener=other)", True),
        ("os.open(p, os.O_WRONLY | os.O_CREAT)", True),
        ("os.open(p, flags)", True),
        ("os.fdopen(n, 'w')", True),
        ("p.write_text('x')", True),
        ("(a / b).write_bytes(x)", True),
        ("frame.to_csv(p, index=False)", True),
        ("frame.to_parquet(index=False)", False),
        ("open(p, 'a', opener=plain.opener)", False),
        ("write_text(p, 'x')", False),
        ("open(p)", False),
        ("open(p, 'rb')", False),
        ("p.open('rt')", False),
        ("os.open(p, os.O_RDONLY | os.O_DIRECTORY)", False),
    ],
)
def test_what_writes_is_seen(code: str, wrong: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert writes(call) is wrong


def test_no_file_of_others_is_written_through_a_link() -> None:
    """What is opened for writing where others may have put a link is opened by `plain.opener`."""
    source, found = Path(harness_package.__file__).parents[1], set()
    for name in ("harness", "benchmarks", "ablations", "reports"):
        for path in sorted((source / name).rglob("*.py")):
            nodes = ast.walk(ast.parse(path.read_text()))
            if any(isinstance(node, ast.Call) and writes(node) for node in nodes):
                found.add(path.relative_to(source).as_posix())
    assert found == set(_WRITERS), found ^ set(_WRITERS)


def test_the_log_of_a_server_is_not_a_link_in_a_run_of_others(tmp_path: Path) -> None:
    outside, log = tmp_path / "outside", tmp_path / "vllm.log"
    outside.write_text("mine")
    log.symlink_to(outside)
    spec = BackendSpec(checkpoint=tmp_path, log_path=log)
    with pytest.raises(UsageError, match=r"vllm\.log is a link"), start(spec, cpu=True):
        pass
    assert outside.read_text() == "mine"


def test_every_type_of_input_is_tried() -> None:
    tried = {each.type for each in INPUTS} | ELSEWHERE.keys()
    assert set(READERS.values()) <= tried
    root = Path(__file__).parents[2]
    assert [file for file in ELSEWHERE.values() if not (root / file).exists()] == []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
