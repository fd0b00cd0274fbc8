"""Grades one patch in swebench's containers; runs as a child process in its own folder.

Reads a job from standard input; the last line of standard output is the answer as JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
import uuid
from pathlib import Path
from typing import Any


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Return swebench's report on the job's patch, why there is none, or what failed."""
    import docker
    from swebench.harness.run_evaluation import _docker_client, run_instance
    from swebench.harness.utils import make_test_spec

    try:
        client = _docker_client()
        client.ping()
    except docker.errors.DockerException as error:
        return {"error": f"no docker engine answers ({error})"}
    spec = make_test_spec(job["row"])
    name = spec.instance_id
    prediction = {"instance_id": name, "model_name_or_path": "patch", "model_patch": job["patch"]}
    done = run_instance(
        spec,
        prediction,
        client,
        uuid.uuid4().hex,
        timeout=job["seconds"],
        skip_patch=not job["patch"],
    )
    if done is not None:
        return {"report": done[1][name]}
    return failure(_log())


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
    with contextlib.redirect_stdout(sys.stderr):
        result = answer(json.load(sys.stdin))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
