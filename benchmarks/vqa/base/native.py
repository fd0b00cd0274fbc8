"""Scoring by lmms-eval's own rules, apart in a sandboxed and limited child process.

A value is None where that scoring gave none: it crashed or ran out of time on the answer, or it
asked for a judge that was not given or did not answer.
"""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks import data, registry
from benchmarks.vqa.base import native_child
from benchmarks.vqa.base.native_child import Shown
from harness.errors import UnfinishedError, UsageError
from harness.files.scratch import Scratch
from harness.files.text import last_line
from harness.files.typed_json import fits
from harness.protocols import Judge
from harness.records import Score, Status, Value
from harness.sandbox import native_state, watch
from harness.sandbox.bubblewrap import kill

_ASKED_AT_ONCE = 8  # as many as the worker has forks with a judge
_TRIES = 2  # starts of the child without a single value before the rest has none


@dataclass(frozen=True)
class Request:
    """Answers (item id -> text) to one benchmark's items.

    ``options`` are the benchmark's, as words (`benchmarks.options`).  ``item_seconds`` is the
    wall-clock limit for one item, its judge calls included, ``cpu_seconds`` that of its processor
    time.  ``seconds`` is the time for all of them, without that of the judge, whose name is
    ``judge``, None where none was given.  ``prepare`` asks for the prepared items, not for scores.
    ``own_sources`` are the user's files of code that benchmarks are in.
    """

    benchmark: str
    data_root: str
    images: bool
    options: Mapping[str, str]
    item_seconds: float
    cpu_seconds: float
    seconds: float
    answers: Mapping[str, str] = field(default_factory=dict)
    judge: str | None = None
    prepare: bool = False
    own_sources: Sequence[str] = ()


class _ChildDiedError(Exception):
    """The child ended before it had answered a request."""


@lru_cache(maxsize=1)
def shared_scorer() -> NativeScorer:
    """Return the scorer of this process, which ends with it."""
    scorer = NativeScorer()
    atexit.register(scorer.close)
    return scorer


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds that native scoring may take.

    ``item`` is the processor time of one answer, and its wall-clock time where no judge is asked;
    ``judged_item`` is the latter with a judge.  ``benchmark`` and ``total`` are budgets, without
    the judge's time: of one benchmark, and of all that a scorer scores.
    """

    item: float = 20.0
    judged_item: float = 300.0
    benchmark: float = 600.0
    total: float = 1800.0


class NativeScorer(AbstractContextManager["NativeScorer"]):
    """A child process that scores; it starts when it is first needed and ends with ``with``."""

    def __init__(self, *, limits: TimeLimits = TimeLimits()) -> None:
        self._limits = limits
        self._spent = Counter[str]()
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._closing = False
        self._process: subprocess.Popen[bytes] | None = None
        self._shown = Shown()
        self._scratch: Scratch | None = None

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the child that scores, None while there is none."""
        if self._process is None:
            return None
        # Two processes of bubblewrap are above it.
        return watch.tree(self._process.pid)[2 if native_state()[0] else 0]

    def start(self, data_root: Path | None = None) -> None:
        """Let the child load lmms-eval in the background; `score` and `prepare` wait for it."""
        root = data.data_root(data_root).resolve()
        threading.Thread(target=self._load, args=(root,), daemon=True).start()

    def _load(self, data_root: Path) -> None:
        # What goes wrong here is said by the call that needs the child; RuntimeError: we end.
        with self._lock, suppress(UsageError, OSError, ValueError, RuntimeError):
            if self._process is None:
                self._start(native_child.shown_data(data_root))

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
        """Return the scores of those answers (item id -> text) that the child came to.

        A score is a value in [0, 1] or None, and what lmms-eval found.  A child that is killed is
        started again, and goes on with the answers that have none.

        Raises:
            UnfinishedError: the time budget is spent; holds the scores until then.
            UsageError: the data is missing, or lmms-eval does not start.
        """
        left, values = dict(answers), dict[str, Score]()
        given = {"images": images, "options": dict(options), "answers": left}
        request = self._request(benchmark, data_root, **given)
        if judge is not None:
            request = replace(request, judge=judge.model, item_seconds=self._limits.judged_item)
        tries = 0
        with self._lock:
            while left and tries < _TRIES and (seconds := self._left(benchmark)):
                before = len(left)
                try:
                    for message in self._replies(replace(request, seconds=seconds), judge):
                        values[message["id"]] = _score(message)
                        del left[message["id"]]
                    break
                except _ChildDiedError:
                    tries = tries + 1 if len(left) == before else 0
            if left and not self._left(benchmark):
                limits = self._limits
                whole = self._spent[benchmark] < limits.benchmark
                most = (
                    f"{limits.total:g} s for all benchmarks" if whole else f"{limits.benchmark:g} s"
                )
                raise UnfinishedError(f"native scoring used up its time ({most})", values)
        return values

    def _request(self, benchmark: str, data_root: Path, **more: Any) -> Request:
        return Request(
            benchmark,
            str(data_root.resolve()),
            own_sources=[str(path) for path in registry.own_sources()],
            item_seconds=self._limits.item,
            cpu_seconds=self._limits.item,
            seconds=self._left(benchmark),
            **more,
        )

    def _left(self, benchmark: str) -> float:
        """Return the seconds that are left for a benchmark."""
        limits = self._limits
        total = limits.total - self._spent.total()
        return max(0.0, min(limits.benchmark - self._spent[benchmark], total))

    def prepare(
        self,
        benchmark: str,
        data_root: Path,
        *,
        images: bool = True,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """Make a benchmark's prepared items and return them as JSON; UsageError if that fails."""
        given = {"images": images, "options": dict(options), "prepare": True}
        request = self._request(benchmark, data_root, **given)
        with self._lock:
            for _ in range(_TRIES):
                with suppress(_ChildDiedError):
                    return "".join(message["rows"] for message in self._replies(request)).encode()
        raise UsageError(f"the child that prepares the items of {benchmark} died: run again")

    def close(self) -> None:
        """End the child, and with it what waits for it; the next call starts another."""
        self._closing = True
        if (process := self._process) is not None:
            kill(process)
        with self._lock:
            self._stop()
            self._closing = False

    def _replies(self, request: Request, judge: Judge | None = None) -> Iterator[dict[str, Any]]:
        """Send a request and yield what comes back; the judge is asked meanwhile.

        Raises `UsageError` if the child says that it failed, was interrupted or does not start,
        `_ChildDiedError` if it ended before it was done.
        """
        shown = native_child.shown_data(Path(request.data_root))
        process = self._process
        if process is None or process.poll() is not None or not self._shown.covers(shown):
            self._stop()
            process = self._start(self._shown | shown)
        assert process.stdout is not None
        self._write(process, asdict(request))
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as asking:
            for line in process.stdout:
                message: dict[str, Any] = json.loads(line)
                self._spent[request.benchmark] += message.pop("seconds", 0)
                if "failed" in message:
                    raise UsageError(message["failed"])
                if "done" in message:  # or its time was up
                    return
                if "ask" in message and judge is not None:
                    asking.submit(self._ask, process, message, judge)
                else:
                    yield message
        _raise_if_interrupted(process)
        self._stop()
        raise _ChildDiedError

    def _ask(
        self, process: subprocess.Popen[bytes], message: Mapping[str, Any], judge: Judge
    ) -> None:
        """Put a scorer's question to the judge, and hand the reply to the child."""
        from benchmarks.vqa.base import native_judge

        reply = native_judge.ask(judge, message["body"])
        self._write(process, {"reply": message["ask"], **reply})

    def _write(self, process: subprocess.Popen[bytes], message: Mapping[str, Any]) -> None:
        """Send a message; that the child is gone is seen where its replies are read."""
        assert process.stdin is not None
        with self._writing, suppress(BrokenPipeError, ValueError):
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()

    def _start(self, shown: Shown) -> subprocess.Popen[bytes]:
        """Start the child and wait until it has imported lmms-eval, or tell its last words."""
        if self._closing:
            raise UsageError("native scoring was stopped")
        self._scratch, self._shown = Scratch("native"), shown
        folder = self._scratch.path
        process = self._process = native_child.start(folder, shown)
        if self._closing:
            kill(process)
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
            kill(process)
            with suppress(BrokenPipeError), process:
                pass  # waits for it and closes its pipes
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.close()


def _score(message: Mapping[str, Any]) -> Score:
    """Return the score in a reply; a fork that ran code of an answer may say anything."""
    value, why = message["value"], str(message["why"])
    if not fits(value, Value | None):
        value, why = None, "the native scorer gave a value outside of [0, 1]"
    status: Status = "unscored" if value is None else "scored"
    return Score(value, status, None, why)


def _raise_if_interrupted(process: subprocess.Popen[bytes]) -> None:
    """Raise if the child ended by the interrupt that the terminal sends to all of us."""
    if process.wait() in (-signal.SIGINT, 128 + signal.SIGINT):  # as bubblewrap tells it
        raise UsageError("native scoring was interrupted: run the command again to go on")
