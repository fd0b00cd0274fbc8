"""Scoring by lmms-eval's own rules, apart in a limited child process.

The adapters come in with stored answers; lmms-eval's value of each leaves, or None where its
scoring gave none: it crashed or ran out of time on the answer, or it asked for a judge that was
not given or did not answer.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Self

from harness.backends.urls import base_url
from harness.errors import UsageError
from harness.files.hashing import cache_dir
from harness.files.scratch import Scratch
from harness.files.text import last_line
from harness.protocols import Judge
from harness.records import Score, Status

# What of our environment the child gets; everything else, keys and tokens above all, stays here.
_PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_TRIES = 2  # starts of the child without a single value before the rest has none


@lru_cache(maxsize=1)
def shared_scorer() -> NativeScorer:
    """Return the scorer of this process, which ends with it."""
    scorer = NativeScorer()
    atexit.register(scorer.close)
    return scorer


class NativeScorer:
    """A child process that scores; it starts when it is first needed and ends with ``with``.

    Args:
        item_seconds: wall-clock limit for one item.
        judged_item_seconds: the same where a judge is asked, its answers included.
    """

    def __init__(self, *, item_seconds: float = 20.0, judged_item_seconds: float = 300.0) -> None:
        self._item_seconds = item_seconds
        self._judged_item_seconds = judged_item_seconds
        self._lock = threading.Lock()
        self._closing = False
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: Scratch | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Let the child load lmms-eval in the background; `score` and `prepare` wait for it."""
        threading.Thread(target=self._load, daemon=True).start()

    def _load(self) -> None:
        # What goes wrong here is said by the call that needs the child.
        with self._lock, suppress(UsageError, OSError, ValueError):
            if self._process is None:
                self._start()

    def score(
        self,
        benchmark: str,
        data_root: Path,
        answers: Mapping[str, str],
        judge: Judge | None,
        *,
        images: bool = True,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Score]:
        """Score answers (item id -> text) to one benchmark's items; see `native_scores`.

        A child that is killed is started again, and goes on with the answers that have no value.
        """
        values: dict[str, Score] = {}
        left = dict(answers)
        seconds = self._judged_item_seconds if judge else self._item_seconds
        with self._lock:
            tries = 0
            while left and tries < _TRIES:
                before = len(left)
                request = Request(
                    benchmark,
                    str(data_root.resolve()),
                    images,
                    dict(options),
                    left,
                    _judge_environment(judge),
                    seconds,
                )
                if self._exchange(request, values, left):
                    break
                self._stop()
                tries = tries + 1 if len(left) == before else 0
        return values

    def prepare(
        self,
        benchmark: str,
        data_root: Path,
        *,
        images: bool = True,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> Path:
        """Make a benchmark's prepared items; return the folder that they are in.

        Raises:
            UsageError: the data is missing, or lmms-eval does not start.
        """
        request = Request(
            benchmark,
            str(data_root.resolve()),
            images,
            dict(options),
            {},
            {},
            self._item_seconds,
            True,
        )
        with self._lock:
            folders: list[str] = []
            for _ in range(_TRIES):
                if self._exchange(request, {}, {}, folders):
                    return Path(folders[0])
                self._stop()
        raise UsageError(f"the child that prepares the items of {benchmark} died: run again")

    def close(self) -> None:
        """End the child; the next call of `score` starts another.

        A thread that waits for the child to load sees it end, and lets go of its pipes first.
        """
        self._closing = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._stop()
            self._closing = False

    def _exchange(
        self,
        request: Request,
        values: dict[str, Score],
        left: dict[str, str],
        folders: list[str] | None = None,
    ) -> bool:
        """Send a request and take values until all are there; False if the child died before."""
        process = self._process
        if process is None or process.poll() is not None:
            self._stop()
            process = self._start()
        requests, replies = _pipes(process)
        try:
            requests.write(json.dumps(asdict(request)).encode() + b"\n")
            requests.flush()
        except BrokenPipeError:
            return False
        for line in replies:
            message: dict[str, Any] = json.loads(line)
            if "id" in message:
                value: float | None = message["value"]
                status: Status = "unscored" if value is None else "scored"
                values[message["id"]] = Score(value, status, None, message["why"])
                del left[message["id"]]
            elif "failed" in message:
                raise UsageError(message["failed"])
            elif "folder" in message and folders is not None:
                folders.append(message["folder"])
            else:
                return True
        _raise_if_interrupted(process)
        return False

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the child and wait until it has imported lmms-eval.

        Raises:
            UsageError: it does not start; tells its last words.
        """
        if self._closing:
            raise UsageError("native scoring was stopped")
        self._scratch = Scratch("native")
        folder, started = self._scratch.path, threading.Event()
        # The child is killed when the thread that started it ends: this one lives as long as it.
        threading.Thread(target=self._keep, args=(folder, started), daemon=True).start()
        started.wait()
        process = self._process
        if self._closing and process is not None:
            process.kill()
        if process is None or not _pipes(process)[1].readline():
            if process is not None:
                _raise_if_interrupted(process)
            log = (folder / "log").read_text(encoding="utf-8", errors="replace")
            last = last_line(log) or "it said nothing"
            self._stop()
            raise UsageError(f"lmms-eval's scorers do not start ({last}): run `make install`")
        return process

    def _keep(self, folder: Path, started: threading.Event) -> None:
        try:
            with (folder / "log").open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "benchmarks.vqa.base.native_worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=folder,
                    env=_environment(folder),
                )
        finally:
            started.set()
        self._process.wait()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in _pipes(process):
                stream.close()
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.close()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the child was started without pipes")
    return process.stdin, process.stdout


def _raise_if_interrupted(process: subprocess.Popen[bytes]) -> None:
    """Raise if the child ended by the interrupt that the terminal sends to all of us."""
    if process.wait() == -signal.SIGINT:
        raise UsageError("native scoring was interrupted: run the command again to go on")


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


def _judge_environment(judge: Judge | None) -> dict[str, str]:
    """Return the variables from which lmms-eval's scorers read their judge, and the way there.

    lmms-eval's client wants the address with ``/v1``; ours may be given without.
    """
    if judge is None:
        return {}
    proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    return {
        **proxies,
        "API_TYPE": "openai",
        "OPENAI_API_URL": base_url(judge.url),
        "OPENAI_API_KEY": judge.api_key,
        "MODEL_VERSION": judge.model,
        "Deepseek_API": judge.api_key,
    }


@dataclass(frozen=True)
class Request:
    """Answers (item id -> text) to one benchmark's items.

    ``options`` are the benchmark's, as words (`benchmarks.options`).  ``environment`` is what
    reaches the judge, empty where none was given; ``item_seconds`` is the wall-clock limit for one
    item, its judge calls included.  ``prepare`` asks for the prepared items, not for scores.
    """

    benchmark: str
    data_root: str
    images: bool
    options: Mapping[str, str]
    answers: Mapping[str, str]
    environment: Mapping[str, str]
    item_seconds: float
    prepare: bool = False
