"""The child process in which lmms-eval's own ``process_results`` scores stored answers.

`native.py` starts it and sends requests, one JSON line each; lines of values go back, and questions
to the judge, which has its reply asked by the parent.  The process imports lmms-eval once and
forks for every request: the fork, limited in memory and time, runs the scorers (some of which
evaluate text that a model wrote), so an answer that hangs or kills it costs one fork and that
answer's value, not the import.  Forks answer in JSON: what they send is not to be trusted, so it
is never unpickled.
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
from harness.errors import ItemError, UsageError

if TYPE_CHECKING:
    from benchmarks.vqa.base.benchmark import LmmsBenchmark
    from benchmarks.vqa.base.prepared import Row

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_SETUP_SECONDS = 600.0  # to open a large data set for the first time
_PREPARE_SECONDS = 86400.0  # to read all of its images, maybe over a network
_MEMORY = 2 << 30  # bytes of address space on top of what the imports took
_FILE_BYTES = 1 << 26
_FORKS_WITH_JUDGE = 8  # judged scoring mostly waits for the judge
_JUDGE_FAILURES = 5  # in a row, after which a fork gives up on the judge
_ADDRESS = "http://judge.invalid/v1"  # the clients want one and never use it
_OPENAI = "openai.resources.chat.completions"  # slow to import
_WHY = 1000  # characters of lmms-eval's findings that are kept of an answer


class _NoJudge(BaseException):
    """A scorer asked for a judge and there is none; scorers catch every ``Exception``."""


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
    # Forks, which run what a model wrote, can then not reach into this process or one another.
    process_control(_PR_SET_DUMPABLE, 0)
    parent = _Parent(replies)
    while True:
        for message in parent.read():
            if "benchmark" in message:  # the reply to a fork that is gone else
                with suppress(BrokenPipeError):
                    _serve(Request(**message), parent)


def _import_libraries() -> None:
    """Import what every fork needs; task modules are left to the forks (they read judges' keys)."""
    from benchmarks.vqa.base.tasks import task_config

    for module in ("latex2sympy2", _OPENAI, "pandas", "benchmarks.scoring"):
        import_module(module)
    import_module("tqdm").tqdm.monitor_interval = 0  # no thread beside ours when we fork
    task_config("mmstar")  # a task that asks no judge: imports what all tasks have in common


def _reply(replies: TextIO, message: Mapping[str, Any]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


# --- in the process that forks --------------------------------------------------------------


class _Parent:
    """Where requests come from and replies go to."""

    def __init__(self, replies: TextIO) -> None:
        self.replies = replies
        self.requests = sys.stdin.fileno()
        self._rest = b""

    def read(self) -> list[dict[str, Any]]:
        """Wait for messages and return them; at their end nobody needs us: the process ends."""
        chunk = os.read(self.requests, 1 << 20)
        if not chunk:
            os._exit(0)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [json.loads(line) for line in lines]


class _Fork:
    """A forked scorer of some items: it is replaced, less one item, whenever it dies.

    ``spent`` are its seconds, without those in which the judge is asked.
    """

    def __init__(self, request: Request, ids: Sequence[str], parent: _Parent) -> None:
        self.failure: str | None = None
        self.spent = 0.0
        self._request = request
        self._parent = parent
        self._draws: Any = None
        self._start(ids)

    def _start(self, ids: Sequence[str]) -> None:
        self._order: deque[str] | None = None
        self._since: float | None = None  # None while nothing that is counted goes on
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_work,
            args=(other, self._request, frozenset(ids), self._draws, self._parent.replies),
            daemon=True,
        )
        self._process.start()
        other.close()
        # All items of a large data set may take longer than its opening does.
        limit = _PREPARE_SECONDS if self._request.prepare else _SETUP_SECONDS
        self.deadline = time.monotonic() + limit

    def _took(self) -> float:
        """Return the seconds since the last message, and count them."""
        now = time.monotonic()
        seconds = 0.0 if self._since is None else now - self._since
        self._since = now
        self.spent += seconds
        return seconds

    def _say(self, message: Mapping[str, Any]) -> None:
        _reply(self._parent.replies, {**message, "seconds": self._took()})

    def read(self) -> bool:
        """Take one message; return whether there is more to come."""
        try:
            message = json.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            return self.lose()
        self._draws = message.pop("draws", self._draws)
        if self._order is None:  # no answer was looked at: what it says is its own
            return self._begun(message)
        if "body" in message:
            self._say({"ask": self.pipe.fileno(), "body": message["body"]})
            self._since = None
        elif self._order:
            value, why = message["value"], message["why"]
            self._say({"id": self._order.popleft(), "value": value, "why": why})
        self.deadline = time.monotonic() + self._request.item_seconds
        return True

    def _begun(self, message: Mapping[str, Any]) -> bool:
        """Take a message of before the first answer; return whether there is more to come."""
        if "failed" in message:
            self.failure = message["failed"]
            self.pipe.close()
            return False
        if "rows" in message:
            _reply(self._parent.replies, message)
        else:
            self._order, self._since = deque(message["order"]), time.monotonic()
            self.deadline = time.monotonic() + self._request.item_seconds
        return True

    def tell(self, reply: Mapping[str, Any]) -> None:
        """Hand the judge's reply to the scorer that waits for it."""
        self._since = time.monotonic()
        with suppress(OSError):  # it died meanwhile
            self.pipe.send_bytes(json.dumps(reply).encode())

    def lose(self) -> bool:
        """Account for the fork's end or kill it; return whether another goes on in its place."""
        self.end()
        if self._order is None:
            self.failure = f"the native scorer of {self._request.benchmark} died while it started"
            return False
        rest = self._order
        if rest:
            why = "the native scorer crashed on this answer or ran out of time"
            self._say({"id": rest.popleft(), "value": None, "why": why})
        if rest:
            self._start(rest)
        return bool(rest)

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(request: Request, parent: _Parent) -> None:
    """Score one request's answers in one fork, or in several where a judge is waited for."""
    ids = list(request.answers)
    number = max(1, min(len(ids), _FORKS_WITH_JUDGE if request.judge else 1))
    every = [_Fork(request, ids[start::number], parent) for start in range(number)]
    forks, failure, late = list(every), None, False
    while forks and not late:
        left = request.seconds - sum(fork.spent for fork in every)
        patience = min(fork.deadline for fork in forks) - time.monotonic()
        ready = wait([parent.requests, *(fork.pipe for fork in forks)], max(0.0, patience))
        if parent.requests in ready:
            waiting = {fork.pipe.fileno(): fork for fork in forks}
            for reply in parent.read():
                if asking := waiting.get(reply["reply"]):
                    asking.tell(reply)
        for fork in list(forks):
            if fork.pipe in ready:
                going = fork.read()
            else:
                going = time.monotonic() < fork.deadline or fork.lose()
            if not going:
                failure = failure or fork.failure
                forks.remove(fork)
        late = not request.prepare and bool(forks) and left <= 0
    for fork in forks:
        fork.end()
    _reply(parent.replies, {"failed": failure} if failure else {"done": True})


# --- in a fork ------------------------------------------------------------------------------


def _work(
    pipe: Connection, request: Request, ids: frozenset[str], draws: Any, replies: TextIO
) -> None:
    """Score items in the data's order; an exception of a scorer ends the process.

    ``draws`` is the state of the random numbers after the last answer of a fork that died.
    """
    process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
    replies.close()  # ours alone: what a scorer runs cannot speak for us
    os.environ.update(_judge_environment(request))
    judge = _JudgeWatch(pipe if request.judge else None)
    try:
        benchmark = _benchmark(request)
        if request.prepare:
            _send(pipe, rows=_prepare(benchmark))
        known = [benchmark.places[item_id] for item_id in ids if item_id in benchmark.places]
    except UsageError as error:
        _send(pipe, failed=str(error))
        return
    if request.benchmark == "phyx" and request.judge:
        _redirect_phyx()
    _confine()
    rows = sorted(known, key=lambda row: (row.form, row.row))
    _send(pipe, order=[row.id for row in rows])
    form, failures = -1, 0
    for row in rows:
        if row.form != form:
            _seed(draws if draws and draws[0] == row.form else None)
            form = row.form
            draws = [form, *_drawn()]
        value, why = None, "the judge failed several times in a row: not asked any more"
        if failures < _JUDGE_FAILURES:
            _allow_seconds(request.cpu_seconds)
            value, why = _verdict(benchmark, row, request.answers[row.id], judge)
            failures = failures + 1 if judge.failed else 0
        before, draws = draws, [form, *_drawn()]
        _send(pipe, value=value, why=why, **({} if draws == before else {"draws": draws}))


def _judge_environment(request: Request) -> dict[str, str]:
    """Return the variables from which lmms-eval's scorers read their judge."""
    if request.judge is None:
        return {}
    # The parent has the key.
    keys = dict.fromkeys(("OPENAI_API_KEY", "Deepseek_API"), "not here")
    return {
        "API_TYPE": "openai",
        "OPENAI_API_URL": _ADDRESS,
        "MODEL_VERSION": request.judge,
        **keys,
    }


def _send(pipe: Connection, **message: Any) -> None:
    pipe.send_bytes(json.dumps(message).encode())


def _prepare(benchmark: LmmsBenchmark) -> str:
    """Return the benchmark's prepared items as JSON; UsageError tells what went wrong."""
    from benchmarks.vqa.base import prepared

    try:
        return prepared.encoded(benchmark.rows()).decode()
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{benchmark.id}: {type(error).__name__}: {error}") from error


def _benchmark(request: Request) -> LmmsBenchmark:
    from benchmarks import registry, user_code
    from benchmarks.options import parsed

    for source in request.own_sources:
        user_code.add(Path(source))
    kind = registry.kind(request.benchmark)
    options = parsed(request.benchmark, kind, request.options)
    return cast("LmmsBenchmark", kind(Path(request.data_root), request.images, **options))


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
    try:
        return float(benchmark.native_value(metrics)), _findings(metrics)
    except ItemError as error:
        return None, str(error)


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
    doc = task.eval_docs_no_media[row]
    for ensemble in task._filters:
        ensemble.apply([instance], [doc])  # some read the options of the document
    filtered = list(instance.filtered_resps.values())[:1]
    process = type(task).process_results.__wrapped__
    return cast("Mapping[str, Any]", process(task, doc, filtered))


def _seed(draws: Any) -> None:
    """Seed as ``simple_evaluate`` does at its start: MMMU draws letters for unreadable answers.

    With ``draws``, go on from there: an answer that is lost takes no draw from the others.
    """
    import numpy as np

    random.seed(0)
    np.random.seed(1234)
    if draws is not None:
        _, (version, internal, gauss), state = draws
        random.setstate((version, tuple(internal), gauss))
        np.random.set_state(tuple(state))


def _drawn() -> list[Any]:
    """Return the state of the random numbers, as JSON has it."""
    import numpy as np

    version, internal, gauss = random.getstate()
    name, keys, *more = np.random.get_state()
    return [[version, list(internal), gauss], [name, list(map(int, keys)), *more]]


class _JudgeWatch:
    """Sees every judge call of every scorer: all of them go through the OpenAI client.

    The scorers take a judge that fails for a wrong answer (or guess); only here can it be told.
    ``failed`` is whether the last call failed.  The parent asks, at the other end of ``pipe``; it
    is None where there is no judge.
    """

    def __init__(self, pipe: Connection | None) -> None:
        from openai.resources.chat.completions import Completions

        self.failed = False

        def create(completions: Completions, **request: Any) -> Any:
            if pipe is None:
                raise _NoJudge
            self.failed = True
            reply = _asked(pipe, request)
            self.failed = not (reply.choices and reply.choices[0].message.content)
            return reply

        Completions.create = create  # type: ignore[method-assign, assignment]


def _asked(pipe: Connection, request: Mapping[str, Any]) -> Any:
    """Have the parent ask the judge; return the reply as OpenAI's client does, or raise as it."""
    from openai import OpenAIError
    from openai.types.chat import ChatCompletion

    _send(pipe, body={name: value for name, value in request.items() if name != "timeout"})
    reply = json.loads(pipe.recv_bytes())
    if "failed" in reply:
        raise OpenAIError(reply["failed"])
    return ChatCompletion.construct(**reply["document"])


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
