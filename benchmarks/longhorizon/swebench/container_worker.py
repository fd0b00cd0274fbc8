"""Grades one patch in swebench's containers; runs as a child process in its own folder.

Reads a job from standard input; the last line of standard output is the answer as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container, ContainerCollection

from benchmarks.longhorizon.swebench.container import megabyte
from harness.backends.lifeline import PR_SET_PDEATHSIG, process_control
from harness.sandbox.engine import OWNER


class _Container(Container):  # type: ignore[misc]
    """A container whose commands run only where there is room on the engine's disk."""

    def exec_run(self, *words: Any, **options: Any) -> Any:
        self.put_archive("/", megabyte())
        return super().exec_run(*words, **options)


class _Containers(ContainerCollection):  # type: ignore[misc]
    """Containers with a label and limits, which swebench does not give them."""

    model = _Container

    def create(self, image: str, command: str, **options: Any) -> Any:
        # Browsers' own sandboxes need it, and with it a program could leave the container.
        options.pop("cap_add", None)
        return super().create(image, command, **options, **self.client.options)


class _Client(docker.DockerClient):  # type: ignore[misc]
    """An engine's client that makes such containers."""

    options: dict[str, Any]

    @property
    def containers(self) -> _Containers:
        return _Containers(client=self)

    def ran_out_of_memory(self, name: str, since: int) -> bool:
        """Return whether a container reached its limit since then (seconds of the epoch)."""
        seen = {"container": name, "event": "oom"}
        return any(True for _ in self.events(since=since, until=int(time.time()) + 1, filters=seen))


def _client(job: dict[str, Any]) -> _Client:
    from swebench.harness.run_evaluation import DOCKER_CLIENT_TIMEOUT

    client: _Client = _Client.from_env(timeout=DOCKER_CLIENT_TIMEOUT)
    client.ping()
    memory, processes = job["limits"]["memory"], job["limits"]["processes"]
    client.options = {
        "labels": {OWNER: job["owner"]},
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": processes,
        "stop_signal": "SIGKILL",  # its first process is deaf to others, for 15 s
    }
    return client


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Return swebench's report on the job's patch, why there is none, or what failed."""
    from swebench.harness.run_evaluation import run_instance
    from swebench.harness.utils import make_test_spec

    try:
        client = _client(job)
    except docker.errors.DockerException as error:
        return {"error": f"no docker engine answers ({error})"}
    spec = make_test_spec(job["row"])
    name, run, began = spec.instance_id, uuid.uuid4().hex, int(time.time())
    prediction = {"instance_id": name, "model_name_or_path": "patch", "model_patch": job["patch"]}
    done = run_instance(
        spec, prediction, client, run, timeout=job["seconds"], skip_patch=not job["patch"]
    )
    report = done[1][name] if done else None
    if report and report["resolved"]:
        return {"report": report}
    with contextlib.suppress(docker.errors.DockerException, OSError):  # then the log says it
        if client.ran_out_of_memory(f"sweb.eval.{name.lower()}.{run}", began):
            limit = job["limits"]["memory"]
            return {"unresolved": f"more than {limit} bytes of memory", "applied": True}
    return {"report": report} if report else failure(_log())


def _log() -> str:
    """Return what swebench wrote of the run, which it does not return."""
    return "\n".join(
        path.read_text(encoding="utf-8", errors="replace") for path in Path().rglob("*.log")
    )


def failure(log: str) -> dict[str, Any]:
    """Return what a run without a report came to: the patch's fault or the machinery's."""
    from swebench.harness.constants import APPLY_PATCH_FAIL

    if APPLY_PATCH_FAIL in log:
        return {"unresolved": "the patch does not apply", "applied": False}
    # swebench reads what the patch and its diff print as UTF-8, and counts these in no numerator.
    if "UnicodeDecodeError" in log or "UnicodeEncodeError" in log:
        return {"unresolved": "swebench cannot read the patch as UTF-8", "applied": False}
    if "Test timed out after" in log:
        return {"unresolved": "the tests did not end in time", "applied": True}
    lines = [line for line in log.strip().splitlines() if "Error" in line]
    return {"error": lines[-1] if lines else "swebench gave no report"}


def main() -> None:
    """Answer the job on standard input."""
    job = json.load(sys.stdin)
    process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != job["parent"]:
        return  # it ended before that
    with contextlib.redirect_stdout(sys.stderr):
        result = answer(job)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
