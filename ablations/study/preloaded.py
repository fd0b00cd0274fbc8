"""Run our own commands as forks of one process that has already loaded the libraries.

For small models on a CPU, where loading torch, transformers and trl takes longer than the work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from subprocess import TimeoutExpired
from typing import IO

from harness.files import plain


class Fork:
    """One running command, with the members of `subprocess.Popen` in use."""

    def __init__(self, args: tuple[str, ...], stdout: str, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["ablations.study.preload_imports"])
        reader, writer = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_command, args=(args, stdout, writer, dict(environment))
        )
        resource_tracker.ensure_running()  # starting it later would unblock what is blocked below
        # A terminal's interrupt goes to the server too, and would end it while it loads.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        writer.close()
        self.stderr: IO[str] = os.fdopen(os.dup(reader.fileno()), errors="replace")
        reader.close()

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; `TimeoutExpired` if it still runs after ``timeout`` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired("harness", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal if it still runs."""
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, number)


def _die_with_parent() -> None:
    """End this process at once when the study's process is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _command(
    args: tuple[str, ...], stdout: str, stderr: Connection, environment: dict[str, str]
) -> None:
    os.setsid()
    os.environ.update(environment)
    if "OMP_NUM_THREADS" in environment:
        import torch  # loaded by the server, which read its own environment

        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with open(stdout, "wb", opener=plain.opener) as out, open(os.devnull, "rb") as nothing:  # noqa: PTH123
        for descriptor, other in enumerate((nothing.fileno(), out.fileno(), stderr.fileno())):
            os.dup2(other, descriptor)
    stderr.close()
    # New streams: the server's keep their own positions.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["harness", *args]
    from harness.cli.main import main

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked in the server
        main()
    except KeyboardInterrupt:  # before main handles it
        sys.exit(130)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
