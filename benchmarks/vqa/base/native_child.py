"""Starts the native scorer's child process: in a sandbox where bubblewrap works.

Inside there is no network, nothing of the user's home, and the data, the caches and the installed
packages are read-only.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue

from benchmarks.registry import names, own_sources
from harness.errors import UsageError
from harness.files.hashing import cache_dir
from harness.files.trees import homes
from harness.sandbox import MIB, Command, Limits, native_state
from harness.sandbox.bubblewrap import Bubblewrap

# What of our environment the child gets; everything else, keys and tokens above all, stays here.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
_ARGUMENTS = (sys.executable, "-P", "-m", "benchmarks.vqa.base.native_worker")
_PACKAGES = ("harness", "benchmarks", "lmms_eval")
# Files of tables; images in data are never followed out of their folder.
_TABLES = frozenset({".parquet", ".arrow", ".json", ".jsonl"})
# The worker limits each fork by itself; these hold for all of it.
_LIMITS = Limits(cpu_seconds=10**8, memory=64 << 30, processes=256, files=4096, disk=256 * MIB)


@dataclass(frozen=True)
class Shown:
    """What a child sees of data: folders and files by their real paths, and links to them."""

    paths: frozenset[Path] = frozenset()
    links: frozenset[tuple[Path, Path]] = frozenset()

    def covers(self, other: Shown) -> bool:
        """Whether all of ``other`` is seen."""
        return other.paths <= self.paths and other.links <= self.links

    def __or__(self, other: Shown) -> Shown:
        """Return both, less what is gone from the disk."""
        paths = frozenset(path for path in self.paths | other.paths if path.exists())
        links = dict(self.links) | dict(other.links)
        return Shown(paths, frozenset(pair for pair in links.items() if pair[1] in paths))


def shown_data(data_root: Path) -> Shown:
    """Return what the child must see of a data root.

    These are the folders of the benchmarks, the hub's cache if one is in it, the tables that
    links in them lead to, and the user's own code.
    """
    folders = [data_root / name for name in names() if (data_root / name).is_dir()]
    own = frozenset(own_sources())
    paths = frozenset(path for folder in folders for path in (*homes(folder), *_linked(folder)))
    links = frozenset((path, path.resolve()) for path in folders if path.is_symlink())
    return Shown(paths | own, links)


def _linked(folder: Path) -> Iterator[Path]:
    for parent, _, files in os.walk(folder):
        for path in (Path(parent, name) for name in files):
            if path.suffix in _TABLES and path.is_symlink() and path.exists():
                yield path.resolve()


def start(folder: Path, shown: Shown) -> subprocess.Popen[bytes]:
    """Start the child with ``folder`` as its home; what it prints goes to a log there.

    That is the only folder that it may write to.  Raises `UsageError` if a folder of the data
    cannot be shown to it.
    """
    sandbox = Bubblewrap(_LIMITS) if native_state()[0] else None
    with (folder / "log").open("wb") as log:
        if sandbox is None:
            pipe = subprocess.PIPE
            return subprocess.Popen(
                _ARGUMENTS,
                cwd=folder,
                env=_environment(folder),
                stdin=pipe,
                stdout=pipe,
                stderr=log,
            )
        _refuse_unreadable(shown)
        # Tables that were converted before are there.
        caches = [folder for folder in (cache_dir().resolve(),) if folder.is_dir()]
        command = Command(
            _ARGUMENTS,
            writable=(folder,),
            readable=(*_packages(), *caches, *shown.paths),
            environment=_environment(folder),
        )
        return _outliving(lambda: sandbox.popen(command, log, dict(shown.links)))


def _outliving(popen: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a process in a thread that lives as long as it: its end would be the process's."""
    started: SimpleQueue[subprocess.Popen[bytes] | Exception] = SimpleQueue()

    def run() -> None:
        try:
            process = popen()
        except Exception as error:
            started.put(error)
        else:
            started.put(process)
            process.wait()

    threading.Thread(target=run, daemon=True).start()
    outcome = started.get()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _refuse_unreadable(shown: Shown) -> None:
    """Raise where we are root and the child, another user then, could not read the data."""
    root = os.geteuid() == 0
    closed = [path for path in shown.paths if root and not path.stat().st_mode & stat.S_IROTH]
    if closed:
        raise UsageError(
            f"{closed[0]} is readable by root alone, and the sandbox is not root: "
            f"chmod -R o+rX {closed[0]}"
        )


def _packages() -> list[Path]:
    specs = [spec for name in _PACKAGES if (spec := find_spec(name)) is not None]
    return [Path(where) for spec in specs for where in spec.submodule_search_locations or ()]


def _environment(folder: Path) -> dict[str, str]:
    """Return the child's environment: a private home, no hub, nothing secret."""
    import benchmarks

    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **passed,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "HF_HOME": str(folder / "hf"),
        "XDG_CACHE_HOME": str(cache_dir().parent.resolve()),  # for tables converted before
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",
        "PYTHONPATH": str(Path(benchmarks.__file__).resolve().parents[1]),
    }
