"""Storage that fails, is torn or came from elsewhere: full disks, power cuts, links, names."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.files import atomic
from harness.files.atomic import storage_failure
from harness.files.hashing import file_hash
from harness.files.jsonl import Appender, read_lines, whole_size
from harness.files.locking import alone, is_held
from harness.files.names import file_name
from harness.files.typed_json import is_cut, parse
from harness.runs import run as runs
from harness.runs.plan import RunPlan
from harness.runs.store import (
    RunStore,
    SecondaryScore,
    encode,
    is_torn,
    read_json,
    read_manifest,
    read_samples,
    read_secondary,
)
from harness.runs.summary import is_intact
from reports.read.runs import answers
from tests.examples import examples
from tests.harness.runs.test_run import Adder, fill, planned
from tests.harness.runs.test_run import planned as planned_of
from tests.harness.runs.test_store import changed, sample
from tests.sums import Sums

json_objects = st.dictionaries(
    st.text(),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
)
ROOT = Path(__file__).parents[3]
LINES = ("1", '"a"', '{"b": [1, 2]}')

# What a kill or a power cut leaves after whole lines, by its kind.
TAILS = {
    "none": b"",
    "half a line": b'{"id": "x"',
    "NULs": b"\0" * 40,
    "NULs and a newline": b"\0" * 40 + b"\n",
    "half a line, then NULs": b'{"id": "x\0\0\0\n',
    "lines of NULs": b"\0\0\n\0\0\n\0",
    "NULs, then half a line": b'\0\0\n{"id": "x"',
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_torn_tail_is_neither_read_nor_counted_and_is_overwritten(
    tmp_path: Path, number: int, tail: bytes
) -> None:
    path, whole = tmp_path / "a.jsonl", "".join(f"{line}\n" for line in LINES[:number]).encode()
    path.write_bytes(whole + tail)
    assert whole_size(path) == len(whole)
    assert [line.text.strip() for line in read_lines(path)] == list(LINES[:number])
    appender = Appender(path)
    appender.append("2\n")
    appender.close()
    assert path.read_bytes() == whole + b"2\n"


def test_responses_lost_in_a_power_cut_are_asked_again(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    fill(plan)
    path = plan.path / "samples" / "sums.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-1000] + b"\0" * 1000)  # the same size
    assert runs.finished(planned(tmp_path)) is None
    model = Adder()
    assert fill(planned(tmp_path), model)[0].n == 20
    assert 0 < len(model.asked) < 20


@pytest.mark.parametrize("images", ["", "white"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\0" * 500,
        b'{"schema": 1, "b\0\0\0',
        b'{"schema": 1, "base": "a',
        b'{"schema": -',
        b"{",
    ],
)
def test_a_torn_manifest_is_written_again_and_keeps_the_responses(
    tmp_path: Path, content: bytes, images: str
) -> None:
    def planned(folder: Path, **settings: object) -> RunPlan:
        return planned_of(folder, Sums(image_conversion=images), **settings)

    plan = planned(tmp_path, limit=12)
    fill(plan)
    manifest = plan.path / "manifest.json"
    manifest.write_bytes(content)
    with pytest.raises(UsageError, match="empty or torn: run the same"):
        read_manifest(plan.path)
    model = Adder()
    plan = planned(tmp_path)
    assert runs.finished(plan) is None
    assert fill(plan, model)[0].strict == 1.0
    assert len(model.asked) == 20 - 12
    # What gave the kept responses was in the lost manifest, and is not what runs now.
    assert read_manifest(plan.path)["sources"][0] is None
    assert runs.finished(planned(tmp_path)) is not None


@given(json_objects, st.data())
@examples(200)
def test_a_json_document_cut_anywhere_is_known_as_cut(document: Any, data: st.DataObject) -> None:
    text = json.dumps(document, ensure_ascii=False).encode()
    assert not is_cut(text)
    assert not is_cut(text + b" x")
    assert is_cut(text[: data.draw(st.integers(0, len(text) - 1))])


def test_a_corrupt_document_is_not_called_torn() -> None:
    for text in (b'{"a" 1}', b"1 2", b"hello", b'{"a": 01}', b"\xff", b"[" * 5000):
        assert not is_cut(text)


def test_a_file_that_cannot_be_read_is_not_called_corrupt() -> None:
    """Linux gives EIO for the first byte of a process's memory, which is a regular file."""
    for read in (lambda path: read_json(path), lambda path: is_torn(path)):
        with pytest.raises(OSError, match="Input/output error") as caught:
            read(Path("/proc/self/mem"))
        reason = storage_failure(caught.value)
        assert reason is not None
        assert reason.startswith("cannot read or write")


def test_a_file_system_without_fsync_is_no_failure() -> None:
    """As CIFS and some FUSE ones: Linux's own proc answers EINVAL for folders and files."""
    with pytest.raises(OSError, match="Invalid argument"):
        os.fsync(os.open("/proc/sys/kernel/pty", os.O_RDONLY))
    atomic.sync_tree(Path("/proc/sys/kernel/pty"))


@pytest.mark.parametrize("value", ["7", "-3", "1e308", "NaN", "Infinity", "1" + "0" * 400, "1.01"])
def test_a_score_outside_0_to_1_is_one_line_that_names_its_line(tmp_path: Path, value: str) -> None:
    path = tmp_path / "samples" / "b.jsonl"
    path.parent.mkdir()
    path.write_text(
        encode(sample("one"))
        + changed(score="?").replace('"?"', f'{{"value": {value}, "status": "scored"}}')
        + "\n"
    )
    for read in (read_samples, answers):
        with pytest.raises(UsageError, match=r"b\.jsonl is corrupt at line 2 ") as caught:
            read(tmp_path, "b")
        assert "\n" not in str(caught.value)
    row = SecondaryScore("one", 0, "hash", None, "rules", 0.5)
    with RunStore.open(tmp_path) as store:
        store.append_scores("native", "b", [row])
    derived = tmp_path / "native" / "b.jsonl"
    derived.write_text(derived.read_text() + derived.read_text().replace("0.5", value))
    with pytest.raises(UsageError, match=r"b\.jsonl is corrupt at line 2 "):
        read_secondary(tmp_path, "native", "b", None)


@given(st.text(), st.text())
@examples(300)
def test_every_name_makes_a_file_name_of_its_own(name: str, other: str) -> None:
    made = file_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_.%-]+", made)
    assert made not in (".", "..")
    assert (made == file_name(other)) == (name == other)
    assert len(made) <= 200
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", name) and name not in (".", ".."):
        assert made == name


@pytest.mark.parametrize("name", ["../../other/samples/x", "/etc/x", "..", "a\0b", "x" * 300, ""])
def test_a_name_in_a_manifest_stays_inside_the_run(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run" / "deep"
    with RunStore.open(run) as store:
        store.append(name, sample("one"))
    assert [path.parent for path in tmp_path.rglob("*.jsonl")] == [run / "samples"]
    assert set(read_samples(run, name)) == {("one", 0)}


def test_links_pipes_and_folders_are_not_written_or_read(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.jsonl"
    theirs.write_text("mine\nnot ended")
    folder = tmp_path / "run" / "native"
    folder.mkdir(parents=True)
    path = folder / "b.jsonl"

    def refused() -> None:
        for use in (lambda: Appender(path), lambda: list(read_lines(path))):
            with pytest.raises(UsageError, match="link or not a regular file"):
                use()

    path.symlink_to(theirs)
    refused()
    path.unlink()
    os.mkfifo(path)
    refused()
    path.unlink()
    path.mkdir()
    refused()
    path.rmdir()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError):
        Appender(path)
    (folder / ".lock").symlink_to(tmp_path / "lock")
    with pytest.raises(UsageError, match="link"), alone(folder):
        pass
    assert not (tmp_path / "lock").exists()
    assert not (tmp_path / "nowhere").exists()
    assert theirs.read_text() == "mine\nnot ended"
    # Atomic writes replace a link by a file.
    atomic.write_text(path, "new")
    assert not path.is_symlink()


def test_a_linked_folder_of_a_run_is_refused(tmp_path: Path) -> None:
    theirs, run = tmp_path / "theirs", tmp_path / "run"
    theirs.mkdir()
    run.mkdir()
    (run / "samples").symlink_to(theirs)
    with pytest.raises(UsageError, match="samples is a link"), RunStore.open(run) as store:
        store.append("b", sample("one"))
    assert list(theirs.iterdir()) == []
    # The run's own folder may be one: the user chose it.
    (run / "samples").unlink()
    (tmp_path / "linked").symlink_to(run)
    with RunStore.open(tmp_path / "linked") as store:
        store.append("b", sample("one"))
    assert set(read_samples(run, "b")) == {("one", 0)}


def test_a_link_that_takes_a_folders_place_meanwhile_is_not_followed(tmp_path: Path) -> None:
    """Somebody exchanges `samples` for a link again and again, while lines are appended."""
    theirs, folder, aside = tmp_path / "theirs", tmp_path / "samples", tmp_path / "aside"
    for path in (theirs, folder):
        path.mkdir()
    (theirs / "b.jsonl").write_text("mine\nnot ended")
    swap = (
        "import os, sys\nfolder, aside, link = sys.argv[1:]\nwhile True:\n"
        " os.rename(folder, aside); os.rename(link, folder)\n"
        " os.rename(folder, link); os.rename(aside, folder)\n"
    )
    (tmp_path / "link").symlink_to(theirs)
    words = [sys.executable, "-c", swap, folder, aside, tmp_path / "link"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as swapper:
        for _ in range(500):
            with suppress(OSError, UsageError):
                appender = Appender(folder / "b.jsonl")
                appender.append("ours\n")
                appender.close()
        swapper.kill()
    assert (theirs / "b.jsonl").read_text() == "mine\nnot ended"


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027])
def test_files_and_folders_follow_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        atomic.write_text(tmp_path / "text", "x")
        with atomic.folder(tmp_path / "folder"):
            pass
        Appender(tmp_path / "lines").close()
        with alone(tmp_path):
            pass
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes.pop("folder") == 0o777 & ~mask
    assert set(modes.values()) == {0o666 & ~mask}
    assert set(modes) == {"text", "lines", ".lock"}


def test_a_changed_file_of_the_same_size_and_mtime_is_hashed_again(tmp_path: Path) -> None:
    path, other = tmp_path / "model.safetensors", tmp_path / "other"
    path.write_bytes(b"one")
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    first = file_hash(path)
    path.write_bytes(b"two")  # in place: the ctime differs
    os.utime(path, ns=times)
    second = file_hash(path)
    other.write_bytes(b"six")  # moved over it: the inode differs
    os.utime(other, ns=times)
    other.replace(path)
    assert len({first, second, file_hash(path)}) == 3


@pytest.mark.parametrize("number", [400, 5000, 200_000])
def test_json_nested_deeper_than_readers_recurse_is_a_value_error(number: int) -> None:
    for text in ("[" * number + "]" * number, '{"a":' * number + "1" + "}" * number):
        with pytest.raises(ValueError, match="nested"):
            parse(text)
    flat = json.dumps([[]] * number)
    assert parse(flat) == [[]] * number
    assert parse(json.dumps("[" * number)) == "[" * number


FULL = OSError(errno.ENOSPC, "No space left on device", "/x/y")


def _raised(error: BaseException, cleaning: BaseException) -> BaseException:
    try:
        try:
            raise error
        finally:
            raise cleaning
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (FULL, True),
        (OSError(errno.EDQUOT, "quota"), True),
        (ExceptionGroup("tasks", [ValueError(), ExceptionGroup("more", [FULL])]), True),
        (_raised(FULL, RuntimeError("while cleaning up")), True),
        # safetensors 0.5, torch 2.x on a full tmpfs.
        (RuntimeError("Error while serializing: I/O error: No space (os error 28)"), True),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), True),
        (RuntimeError("I/O error: No such file or directory (os error 2)"), False),
        (FileNotFoundError(errno.ENOENT, "missing", "/x"), False),
        (ValueError("a bug"), False),
    ],
)
def test_what_a_storage_failure_is(error: BaseException, known: bool) -> None:
    assert (storage_failure(error) is not None) == known


_SMALL_DISK = """
set -e
mount -t tmpfs -o size={size},nr_inodes={inodes} none {disk}
cp -r {start}/. {disk} 2>/dev/null || true
cd {root}
set +e
{command}
code=$?
cp -r {disk}/. {kept}
exit $code
"""


def on_small_disk(
    tmp_path: Path,
    command: str,
    *,
    size: str = "256k",
    inodes: int = 100,
    start: Path | None = None,
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run a shell command with a real small file system at {disk}; return it and its files."""
    disk, kept, empty = (tmp_path / name for name in ("disk", "kept", "empty"))
    for folder in (disk, kept, empty):
        folder.mkdir(exist_ok=True)
    script = _SMALL_DISK.format(
        size=size,
        inodes=inodes,
        disk=disk,
        kept=kept,
        root=ROOT,
        start=start or empty,
        command=command.format(disk=disk, python=sys.executable),
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no user namespace to mount a small disk in")
    return done, kept


@pytest.mark.parametrize(("size", "inodes"), [("8k", 100), ("256k", 3)])
def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(
    tmp_path: Path, size: str, inodes: int
) -> None:
    program = (
        "import os, sys; from pathlib import Path; from harness.files import atomic\\n"
        "from harness.files.atomic import storage_failure\\n"
        "disk = Path(sys.argv[1]); atomic.write_text(disk / 'a', 'old')\\n"
        "(disk / 'filler').write_text('')\\n"
        "def fails(make):\\n"
        "    try: make()\\n"
        "    except OSError as error: print(storage_failure(error))\\n"
        "def folder():\\n"
        "    with atomic.folder(disk / 'f') as beside:\\n"
        "        (beside / 'x').write_bytes(b'x' * 9000)\\n"
        "fails(lambda: atomic.write_text(disk / 'a', 'y' * 9000)); fails(folder)\\n"
        "print((disk / 'a').read_text(), sorted(os.listdir(disk)))\\n"
    )
    command = f'printf "{program}" | {{python}} - {{disk}}'
    done, _ = on_small_disk(tmp_path, command, size=size, inodes=inodes)
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    assert all(line.startswith("cannot write") and "No space" in line for line in lines[:2])
    assert "/disk/a (" in lines[0]
    assert lines[2] == "old ['a', 'filler']"


def test_a_run_on_a_full_disk_is_one_line_and_continues_elsewhere(tmp_path: Path) -> None:
    command = "{python} -m tests.harness.files.full_disk {disk}"
    for size, inodes in (("24k", 100), ("256k", 2), ("256k", 4), ("256k", 6)):
        done, kept = on_small_disk(tmp_path, command, size=size, inodes=inodes)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("harness: cannot write"), line
    model = Adder()
    assert fill(planned(kept), model)[0].strict == 1.0
    assert runs.finished(planned(kept)) is not None


@pytest.mark.parametrize("name", ["manifest.json", "summary.json"])
def test_a_run_is_intact_if_nothing_of_it_is_torn(tmp_path: Path, name: str) -> None:
    plan = planned(tmp_path)
    fill(plan)
    assert is_intact(plan.path)
    samples = plan.path / "samples" / "sums.jsonl"
    content = samples.read_bytes()
    samples.write_bytes(content[:-10] + b"\0" * 10)
    assert not is_intact(plan.path)
    samples.write_bytes(content)
    assert is_intact(plan.path)
    (plan.path / name).write_bytes(b"")
    assert not is_intact(plan.path)


def test_a_refused_run_leaves_no_folder_and_takes_nothing_of_anybody_else(tmp_path: Path) -> None:
    def attempt(run: Path, file: str) -> None:
        with RunStore.open(run):
            (run / file).write_text("{}")
            raise UsageError("no item")

    def refused(run: Path, file: str = "manifest.json") -> None:
        with pytest.raises(UsageError, match="no item"):
            attempt(run, file)

    refused(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    empty, mine, logged = (tmp_path / name for name in ("empty", "mine", "logged"))
    empty.mkdir()
    mine.mkdir()
    (mine / "summary.json").write_text("of the user")
    for folder in (empty, mine):
        refused(folder)
    assert (mine / "summary.json").read_text() == "of the user"
    assert empty.is_dir()
    refused(logged, "vllm.log")
    assert (logged / "vllm.log").exists()


def test_who_waited_for_a_folder_that_is_gone_holds_the_new_one(tmp_path: Path) -> None:
    folder, begun = tmp_path / "run", threading.Event()

    def wait() -> bool:
        begun.set()
        with alone(folder):
            return is_held(folder)

    with ThreadPoolExecutor(1) as pool:
        for _ in range(20):
            begun.clear()
            with alone(folder):
                later = pool.submit(wait)
                begun.wait()
                time.sleep(0.01)
                shutil.rmtree(folder)
            assert later.result()


def _removed(path: Path) -> None:
    shutil.rmtree(path.parent)


def _moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def _exchanged_for_a_link(path: Path) -> None:
    """The folder of others that a link leads to now holds a file of this name."""
    others = path.parent.with_name("others")
    others.mkdir()
    (others / path.name).write_text("mine\n")
    _moved(path)
    path.parent.symlink_to(others)


@pytest.mark.parametrize("away", [Path.unlink, _removed, _moved, _exchanged_for_a_link])
def test_no_line_is_added_to_a_file_that_is_no_longer_in_its_place(
    tmp_path: Path, away: Callable[[Path], None]
) -> None:
    path = tmp_path / "run" / "lines.jsonl"
    path.parent.mkdir()
    appender = Appender(path)
    appender.append("first\n")
    away(path)
    with pytest.raises(UsageError, match=r"lines\.jsonl was moved or removed while"):
        appender.append("second\n")
    appender.close()
    kept = [each.read_text() for each in tmp_path.rglob("*.jsonl")]
    assert "second\n" not in "".join(kept)


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "present"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(UsageError, match=r"was moved or removed while page\.html"):
        atomic.write_text(Path("page.html"), "text")
