"""Run a command that must not outlive us: ``python lifeline.py PARENT_PID SCRATCH COMMAND...``.

`harness/backends/vllm.py` starts this file, in a process group of its own, between itself and the
server. When the parent is gone, however it died, or sends SIGTERM, or when the command ends, every
process of the group ends: also grandchildren, which a signal to the command would miss. The folder
SCRATCH, which the command may write to, is removed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

PATIENCE = 10.0  # seconds between SIGTERM and SIGKILL
POLL = 0.25
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def process_control(option: int, value: int) -> None:
    """Call the kernel's ``prctl`` (Linux; no effect elsewhere)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def wait_for_all(seconds: float) -> None:
    """Return when no descendant is left, after ``seconds`` at the latest."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            time.sleep(0.05)


def end_group(scratch: str) -> None:
    """Terminate every process of this group, wait, then kill what is left."""
    os.killpg(0, signal.SIGTERM)
    # Some clean up after others (shared memory, semaphores), so give them time.
    wait_for_all(PATIENCE)
    shutil.rmtree(scratch, ignore_errors=True)
    # This process too: nothing of the group is left.
    os.killpg(0, signal.SIGKILL)


def main(parent: int, scratch: str, command: list[str]) -> None:
    """Run ``command`` while process ``parent`` is our parent."""
    if os.getpgrp() != os.getpid():
        os.setsid()  # never end a group that is not ours
    asked_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Adopt orphans, so that we can wait for them.
    process_control(PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        # One thread and few imports, so running code between fork and exec is safe here.
        preexec_fn=lambda: process_control(PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    while child.poll() is None and os.getppid() == parent and not asked_to_end.is_set():
        asked_to_end.wait(POLL)
    end_group(scratch)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
