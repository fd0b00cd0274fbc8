"""What a tree of processes uses is read whatever the processes call themselves."""

from __future__ import annotations

import subprocess

from harness.sandbox import watch


def test_a_name_that_is_no_text_hides_nothing() -> None:
    script = r"printf '\377)\376' > /proc/self/comm; echo; read line"
    with subprocess.Popen(
        ["bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert watch.usage(process.pid, 1 << 40).memory > 0
