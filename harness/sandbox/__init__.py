"""Runs code that a model wrote: no network, limits on everything, nothing left behind.

Call `choose` for a `Sandbox`, give it a `Command`, get a `Result`.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import lru_cache
from subprocess import TimeoutExpired
from tempfile import TemporaryFile

from harness.errors import UsageError
from harness.files.text import last_line
from harness.sandbox.bubblewrap import Bubblewrap, kill, remedy
from harness.sandbox.container import Container
from harness.sandbox.engine import find_engine
from harness.sandbox.protocol import MIB, Command, Limits, Result, Sandbox, Status, run_sync
from harness.sandbox.unsafe import Unsafe

__all__ = [
    "MIB",
    "Command",
    "Limits",
    "Result",
    "Sandbox",
    "Status",
    "choose",
    "find_engine",
    "native_state",
    "run_sync",
]

_TRIAL = Command((sys.executable, "-c", "print('it works')"))


def choose(
    *, image: str | None = None, unsafe: bool = False, limits: Limits | None = None
) -> tuple[Sandbox, str]:
    """Return the best sandbox that works here, and why it was chosen.

    A container if ``image`` is given and an engine answers, else bubblewrap if a trial run works;
    with ``unsafe``, none at all.  Not to be called in an event loop.  Raises `UsageError` if
    nothing works, with what to install.
    """
    if unsafe:
        return Unsafe(limits), "as asked: NO sandbox, programs run with your rights"
    if image and (engine := find_engine()):
        why = f"the {engine.name} engine {engine.version} answers"
        return Container(engine, image, limits), why
    why = "no docker or podman engine answers" if image else "no container image was given"
    try:
        sandbox = Bubblewrap(limits)
        trial = run_sync(sandbox, _TRIAL)
    except UsageError as error:
        failed = str(error)
    else:
        if trial.status == "ok" and trial.stdout == b"it works\n":
            return sandbox, f"{why}, and bubblewrap {sandbox.version} works"
        failed = trial.reason or trial.stderr.decode(errors="replace").strip() or trial.status
    raise UsageError(
        f"no sandbox for model-generated code works here ({why}; bubblewrap: {failed}): "
        f"{remedy()}, or start a docker or podman engine and give --sandbox-image; "
        "--unsafe runs the code with your privileges"
    )


@lru_cache(maxsize=1)
def native_state() -> tuple[bool, str]:
    """Return whether native scoring is sandboxed here, and why it is or is not.

    Only bubblewrap serves: the scorer needs this machine's packages and data.
    """
    try:
        sandbox = Bubblewrap()
        with TemporaryFile() as errors:
            with sandbox.popen(_TRIAL, errors) as process, ExitStack() as stack:
                stack.callback(kill, process)
                output, _ = process.communicate(timeout=sandbox.limits.seconds)
            errors.seek(0)
            reason = last_line(errors.read().decode(errors="replace"))
    except (UsageError, OSError, TimeoutExpired) as error:
        return False, str(error)
    if output == b"it works\n":
        return True, f"bubblewrap {sandbox.version} works"
    return False, f"bubblewrap: {reason or 'it said nothing'}; {remedy()}"
