"""The child process in which lmms-eval's own ``process_results`` scores stored answers.

`native.py` starts it and sends requests, one JSON line each; lines of values go back.  The process
imports lmms-eval once and forks for every request: the fork, limited in memory and time, runs the
scorers (some of which evaluate text that a model wrote), so an answer that hangs or kills it costs
one fork and that answer's value, not the import.  Forks answer in JSON: what they send is not to
be trusted, so it is never unpickled.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import reprlib
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from benchmarks.vqa.base.native import Request
from harness.backends.lifeline import PR_SET_PDEATHSIG, process_control
from harness.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.vqa.base.benchmark import LmmsBenchmark
    from benchmarks.vqa.base.prepared import Row

_SETUP_SECONDS = 600.0  # to open a large data set for the first time
_PREPARE_SECONDS = 86400.0  # to read all of its images, maybe over a network
_MEMORY = 2 << 30  # bytes of address space on top of what the imports took
_FILE_BYTES = 1 << 26
_FORKS_WITH_JUDGE = 8  # judged scoring mostly waits for the judge
_JUDGE_FAILURES = 5  # in a row, after which a fork gives up on the judge
_WHY = 1000  # characters of lmms-eval's findings that are kept of an answer


class _NoJudge(BaseException):
    """A scorer asked for a judge and there is none.

    Not an ``Exception``: the scorers catch those and count the answer as wrong.
    """


def main() -> None:
    """Import lmms-eval, say so, and serve requests until standard input ends."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # end at once, without cleaning up
    # Whatever the scorers print goes to the log, then nowhere; the protocol has its own stream.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _import_libraries()
    _reply(replies, {"ready": True})
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    for line in sys.stdin:
        with suppress(BrokenPipeError):
            _serve(Request(**json.loads(line)), replies)


def _import_libraries() -> None:
    """Import what every fork needs; task modules are left to the forks (they read judges' keys)."""
    from benchmarks.vqa.base.tasks import task_config

    for library in ("latex2sympy2", "openai", "pandas"):
        import_module(library)
    import_module("tqdm").tqdm.monitor_interval = 0  # no thread beside ours when we fork
    task_config("mmstar")  # a task that asks no judge: imports what all tasks have in common


def _reply(replies: TextIO, message: Mapping[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


# --- in the process that forks --------------------------------------------------------------


class _Fork:
    """A forked scorer of some items: it is replaced, less one item, whenever it dies."""

    def __init__(self, request: Request, ids: Sequence[str], replies: TextIO) -> None:
        self.failure: str | None = None
        self._request = request
        self._replies = replies
        self._start(ids)

    def _start(self, ids: Sequence[str]) -> None:
        self._order: deque[str] | None = None
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe(duplex=False)
        self._process: BaseProcess = context.Process(
            target=_work, args=(other, self._request, frozenset(ids), self._replies), daemon=True
        )
        self._process.start()
        other.close()
        # All items of a large data set may take longer than its opening does.
        limit = _PREPARE_SECONDS if self._request.prepare else _SETUP_SECONDS
        self.deadline = time.monotonic() + limit

    def read(self) -> bool:
        """Take one message; return whether there is more to come."""
        try:
            message = json.loads(self.pipe.recv_bytes())
        except EOFError:
            return self.lose()
        if "failed" in message:
            self.failure = message["failed"]
            self.pipe.close()
            return False
        if "folder" in message:
            _reply(self._replies, message)
        elif "order" in message:
            self._order = deque(message["order"])
        elif self._order:
            _reply(self._replies, {"id": self._order.popleft(), **message})
        self.deadline = time.monotonic() + self._request.item_seconds
        return True

    def lose(self) -> bool:
        """Account for the fork's end or kill it; return whether another goes on in its place."""
        self._process.kill()
        self._process.join()
        self.pipe.close()
        if self._order is None:
            self.failure = f"the native scorer of {self._request.benchmark} died while it started"
            return False
        rest = self._order
        if rest:
            why = "the native scorer crashed on this answer or ran out of time"
            _reply(self._replies, {"id": rest.popleft(), "value": None, "why": why})
        if rest:
            self._start(rest)
        return bool(rest)


def _serve(request: Request, replies: TextIO) -> None:
    """Score one request's answers in one fork, or in several where a judge is waited for."""
    ids = list(request.answers)
    number = max(1, min(len(ids), _FORKS_WITH_JUDGE if request.environment else 1))
    forks = [_Fork(request, ids[start::number], replies) for start in range(number)]
    failure = None
    while forks:
        patience = min(fork.deadline for fork in forks) - time.monotonic()
        ready = wait([sys.stdin.fileno(), *(fork.pipe for fork in forks)], max(0.0, patience))
        if sys.stdin.fileno() in ready:  # nobody waits for this request any more
            os._exit(0)
        for fork in list(forks):
            if fork.pipe in ready:
                going = fork.read()
            else:
                going = time.monotonic() < fork.deadline or fork.lose()
            if not going:
                failure = failure or fork.failure
                forks.remove(fork)
    _reply(replies, {"failed": failure} if failure else {"done": True})


# --- in a fork ------------------------------------------------------------------------------


def _work(pipe: Connection, request: Request, ids: frozenset[str], replies: TextIO) -> None:
    """Score items in the data's order; an exception of a scorer ends the process."""
    process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
    replies.close()  # ours alone: what a scorer runs cannot speak for us
    os.environ.update(request.environment)
    judge = _JudgeWatch(given=bool(request.environment))
    try:
        benchmark = _benchmark(request)
        if request.prepare:
            _send(pipe, folder=_prepare(benchmark))
        known = [benchmark.places[item_id] for item_id in ids if item_id in benchmark.places]
    except UsageError as error:
        _send(pipe, failed=str(error))
        return
    if request.benchmark == "phyx" and request.environment:
        _redirect_phyx()
    _confine()
    rows = sorted(known, key=lambda row: (row.form, row.row))
    _send(pipe, order=[row.id for row in rows])
    form, failures = -1, 0
    for row in rows:
        if row.form != form:
            _seed()
            form = row.form
        value, why = None, "the judge failed several times in a row: not asked any more"
        if failures < _JUDGE_FAILURES:
            _allow_seconds(request.item_seconds)
            value, why = _verdict(benchmark, row, request.answers[row.id], judge)
            failures = failures + 1 if judge.failed else 0
        _send(pipe, value=value, why=why)


def _send(pipe: Connection, **message: Any) -> None:
    pipe.send_bytes(json.dumps(message).encode())


def _prepare(benchmark: LmmsBenchmark) -> str:
    """Make the benchmark's prepared items and return their folder.

    Raises:
        UsageError: of whatever went wrong: the log of a fork is not kept.
    """
    try:
        return str(benchmark.make(Path.cwd()))
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{benchmark.id}: {type(error).__name__}: {error}") from error


def _benchmark(request: Request) -> LmmsBenchmark:
    from benchmarks import suites

    root = Path(request.data_root)
    built = suites.benchmark(
        request.benchmark, root, images=request.images, options=request.options
    )
    return cast("LmmsBenchmark", built)


def _verdict(
    benchmark: LmmsBenchmark, row: Row, answer: str, judge: _JudgeWatch
) -> tuple[float | None, str]:
    """Return lmms-eval's value of one answer, None where its judge was missing or failed, and why.

    Where there is a value, its findings (what ``process_results`` returned) say why.
    """
    task = benchmark.tables[row.form].task
    judge.failed = False
    try:
        metrics = _metrics(task, row.row, answer)
    except _NoJudge:
        return None, "these rules ask a judge, and none was given"
    if judge.failed:
        return None, "the judge did not answer"
    return float(benchmark.native_value(metrics)), _findings(metrics)


def _findings(metrics: Mapping[str, Any]) -> str:
    """Return what lmms-eval found, long texts shortened."""
    short = reprlib.Repr()
    short.maxstring, short.maxdict, short.maxother = 80, 20, 80
    try:
        return short.repr(dict(metrics))[:_WHY]
    except ValueError:  # an integer of more digits than Python prints
        return "lmms-eval's findings are too long to show"


def _metrics(task: Any, row: int, answer: str) -> Mapping[str, Any]:
    """Run the task's filters and ``process_results`` on one answer as ``evaluate`` does.

    Less the decorator that runs a scorer that raised five times, two seconds apart.
    Source: ``lmms_eval.evaluator._process_document_results``.
    """
    from lmms_eval.api.instance import Instance

    about = {"task": task.config.task, "doc_id": row, "repeats": 1}
    instance = Instance("generate_until", (), 0, metadata=about, resps=[answer])
    for ensemble in task._filters:
        ensemble.apply([instance], None)
    filtered = list(instance.filtered_resps.values())[:1]
    process = type(task).process_results.__wrapped__
    return cast("Mapping[str, Any]", process(task, task.eval_docs_no_media[row], filtered))


def _seed() -> None:
    """Seed as ``simple_evaluate`` does at its start: MMMU draws letters for unreadable answers."""
    import numpy as np

    random.seed(0)
    np.random.seed(1234)


class _JudgeWatch:
    """Sees every judge call of every scorer: all of them go through the OpenAI client.

    The scorers take a judge that fails for a wrong answer (or guess); only here can it be told.
    ``failed`` is whether the last call failed.
    """

    def __init__(self, *, given: bool) -> None:
        from openai.resources.chat.completions import Completions

        self.failed = False
        ask = Completions.create

        def create(completions: Completions, **request: Any) -> Any:
            if not given:
                raise _NoJudge
            self.failed = True
            reply = ask(completions, **request)
            self.failed = not (reply.choices and reply.choices[0].message.content)
            return reply

        Completions.create = create  # type: ignore[method-assign, assignment]


def _redirect_phyx() -> None:
    """Point PhyX's judge, whose host and model are constants, where the other judges' are."""
    from lmms_eval.tasks.phyx.utils import phyx_evaluator
    from openai import OpenAI

    phyx_evaluator.client = OpenAI(
        api_key=os.environ["OPENAI_API_KEY"], base_url=os.environ["OPENAI_API_URL"]
    )
    phyx_evaluator.juder_model = os.environ["MODEL_VERSION"]


def _confine() -> None:
    """Limit this process's memory and files; no core dumps."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        room = pages * resource.getpagesize() + _MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _allow_seconds(seconds: float) -> None:
    """Limit processor time to ``seconds`` from now; beyond it the kernel ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main()
