"""Scoring by lmms-eval's own rules, apart in a limited child process.

A value is None where that scoring gave none: it crashed or ran out of time on the answer, or it
asked for a judge that was not given or did not answer.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.backends.urls import base_url
from harness.errors import UsageError
from harness.files.hashing import cache_dir
from harness.files.scratch import Scratch
from harness.files.text import last_line
from harness.protocols import Judge
from harness.records import Score, Status

# What of our environment the child gets; everything else, keys and tokens above all, stays here.
_PASSED_ON = (
    "PATH LANG LC_ALL TZ LD_LIBRARY_PATH SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE"
).split()
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_TRIES = 2  # starts of the child without a single value before the rest has none


@dataclass(frozen=True)
class Request:
    """Answers (item id -> text) to one benchmark's items.

    ``options`` are the benchmark's, as words (`benchmarks.options`).  ``item_seconds`` is the
    wall-clock limit for one item, its judge calls included; ``environment`` is what reaches the
    judge, empty where none was given.  ``prepare`` asks for the prepared items, not for scores.
    """

    benchmark: str
    data_root: str
    images: bool
    options: Mapping[str, str]
    item_seconds: float
    answers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: bool = False


class _ChildDiedError(Exception):
    """The child ended before it had answered a request."""


@lru_cache(maxsize=1)
def shared_scorer() -> NativeScorer:
    """Return the scorer of this process, which ends with it."""
    scorer = NativeScorer()
    atexit.register(scorer.close)
    return scorer


class NativeScorer(AbstractContextManager["NativeScorer"]):
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
        """Score answers (item id -> text) to one benchmark's items.

        A child that is killed is started again, and goes on with the answers that have no value.

        Returns:
            For every id of ``answers`` that the child came to a score: a value in [0, 1] or None,
            and what lmms-eval found.

        Raises:
            UsageError: the data is missing, or lmms-eval does not start.
        """
        left, values = dict(answers), dict[str, Score]()
        request = Request(
            benchmark,
            str(data_root.resolve()),
            images,
            options=dict(options),
            item_seconds=self._judged_item_seconds if judge else self._item_seconds,
            answers=left,
            environment=_judge_environment(judge),
        )
        tries = 0
        with self._lock:
            while left and tries < _TRIES:
                before = len(left)
                try:
                    for message in self._replies(request):
                        value, why = message["value"], message["why"]
                        status: Status = "unscored" if value is None else "scored"
                        values[message["id"]] = Score(value, status, None, why)
                        del left[message["id"]]
                    break
                except _ChildDiedError:
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
        root = str(data_root.resolve())
        request = Request(benchmark, root, images, dict(options), self._item_seconds, prepare=True)
        with self._lock:
            for _ in range(_TRIES):
                with suppress(_ChildDiedError):
                    (message,) = self._replies(request)
                    return Path(message["folder"])
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

    def _replies(self, request: Request) -> Iterator[dict[str, Any]]:
        """Send a request and yield what comes back.

        Raises:
            UsageError: the child says that it failed, was interrupted or does not start.
            _ChildDiedError: it ended before it was done.
        """
        process = self._process
        if process is None or process.poll() is not None:
            self._stop()
            process = self._start()
        requests, replies = process.stdin, process.stdout
        assert requests is not None
        assert replies is not None
        with suppress(BrokenPipeError):
            requests.write(json.dumps(asdict(request)).encode() + b"\n")
            requests.flush()
        for line in replies:
            message: dict[str, Any] = json.loads(line)
            if "failed" in message:
                raise UsageError(message["failed"])
            if "done" in message:
                return
            yield message
        _raise_if_interrupted(process)
        self._stop()
        raise _ChildDiedError

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the child and wait until it has imported lmms-eval.

        Raises:
            UsageError: it does not start; tells its last words.
        """
        if self._closing:
            raise UsageError("native scoring was stopped")
        self._scratch = Scratch("native")
        folder = self._scratch.path
        with (folder / "log").open("wb") as log:
            process = self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "benchmarks.vqa.base.native_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=_environment(folder),
            )
        if self._closing:
            process.kill()
        assert process.stdout is not None
        if not process.stdout.readline():
            _raise_if_interrupted(process)
            log_text = (folder / "log").read_text(encoding="utf-8", errors="replace")
            reason = last_line(log_text) or "it said nothing"
            self._stop()
            raise UsageError(f"lmms-eval's scorers do not start ({reason}): run `make install`")
        return process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(BrokenPipeError), process:
                pass  # waits for it and closes its pipes
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.close()


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
    key = "EMPTY" if judge.api_key is None else judge.api_key  # its clients want one
    proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    return {
        **proxies,
        "API_TYPE": "openai",
        "OPENAI_API_URL": base_url(judge.url),
        "OPENAI_API_KEY": key,
        "MODEL_VERSION": judge.model,
        "Deepseek_API": key,
    }
