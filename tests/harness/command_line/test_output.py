"""With --json, standard output holds one document and nothing else, whatever prints beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.commands import ROOT

NOISY = """
import subprocess, sys
from harness.cli import output
with output.results_only():
    print("a library's print")
    sys.__stdout__.write("by the stream that it kept\\n"); sys.__stdout__.flush()
    subprocess.run([sys.executable, "-c", "print('a child')"])
    output.print_result('{"half": "\\ud800"}')
    print("later")
print("after it")
"""


def test_only_results_reach_standard_output() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOISY], cwd=ROOT, env=os.environ, capture_output=True, check=True
    )
    document, _, after = done.stdout.decode().partition("\n")
    assert json.loads(document) == {"half": "\ud800"}
    assert after == "after it\n"
    noise = done.stderr.decode().split("\n")
    assert noise == ["a library's print", "by the stream that it kept", "a child", "later", ""]
