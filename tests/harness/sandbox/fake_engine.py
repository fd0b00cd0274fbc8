#!/usr/bin/env python3
"""A small stand-in for docker's command: records how it is called and runs the command, unboxed.

No container is made: what a real engine enforces (memory, processes, files, network) this does
not.  Its state lies beside this file: ``calls`` (one JSON list a line), one file a container.  A
command whose words contain OUT-OF-MEMORY ends as one that a real engine kills for its memory.
While there is a file ``hangs`` beside it, nothing is answered.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
IMAGE = "sha256:0123"


def run(words: list[str]) -> int:
    options = [word for word in words[: words.index(IMAGE)] if word.startswith("--")]
    command = words[words.index(IMAGE) + 1 :]
    given = [option.partition("=")[::2] for option in options]
    name = next(value for key, value in given if key == "--name")
    workdir = next(value for key, value in given if key == "--workdir")
    environment = dict(value.split("=", 1) for key, value in given if key == "--env")
    if not Path(workdir).is_dir():
        print("docker: no such folder in the container", file=sys.stderr)
        return 125
    child = subprocess.Popen(command, cwd=workdir, env=environment, start_new_session=True)
    (HERE / name).write_text(str(child.pid))
    if any("OUT-OF-MEMORY" in word for word in command):
        (HERE / f"{name}.oom").touch()
        os.kill(child.pid, signal.SIGKILL)
    code = child.wait()
    return code if code >= 0 else 128 - code


def remove(words: list[str]) -> int:
    container = HERE / words[-1]
    if not container.exists():
        return 1
    with contextlib.suppress(ProcessLookupError):
        os.killpg(int(container.read_text()), signal.SIGKILL)
    container.unlink()
    return 0


def main(words: list[str]) -> int:
    with (HERE / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    while (HERE / "hangs").exists():
        time.sleep(0.1)
    if words[0] == "version":
        print("27.0-fake")
    elif words[:2] == ["image", "inspect"]:
        if words[-1] != "known:image":
            return 1
        print(IMAGE)
    elif words[0] == "inspect":
        print(str((HERE / f"{words[-1]}.oom").exists()).lower())
    elif words[0] == "run":
        return run(words[1:])
    elif words[0] == "rm":
        return remove(words[1:])
    return 0


sys.exit(main(sys.argv[1:]))
