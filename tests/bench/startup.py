"""CPU seconds (user and system, children included) of commands, and ratios to a bare interpreter.

The data sets are those of the micro world with 500 items each; every command runs once before it
is timed, so that hashes and prepared items are there.  `docs/performance.md` keeps the figures.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path

REPEATS = 5
ITEMS = 500
ANSWERS = ("A", "The answer is B.", "<think>\ngreen C\n</think>\n\nC", "\\boxed{2}", "no idea")
HARNESS = (sys.executable, "-m", "harness")
ROOT = Path(__file__).parents[2]
STORED = ROOT / "tests" / "golden" / "stored"
WEIGHTS = ROOT / "benchmarks" / "micro" / "model" / "weights"


class Server(ThreadingHTTPServer):
    """A chat server that answers "A", and notes the CPU seconds of ``watched`` when first asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.watched = 0
        self.first: float | None = None
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    def do_POST(self) -> None:
        if self.server.first is None and self.server.watched:
            self.server.first = _used(self.server.watched)
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "A"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._send({"id": "x", "object": "chat.completion", "choices": [choice]})

    def _send(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _used(pid: int) -> float:
    """Return the CPU seconds of a living process so far, and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def seconds(command: list[object], server: Server | None = None) -> float:
    """Return the CPU seconds of a command; with a server, until it is asked for the first time."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output)
        if server is not None:
            server.first, server.watched = None, process.pid
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode and "doctor" not in command:  # which may find something missing
            output.seek(0)
            raise SystemExit(f"{command}: {output.read().decode()}")
    if server is None:
        return usage.ru_utime + usage.ru_stime
    assert server.first is not None, "the model was not asked"
    return server.first


def prepare(folder: Path) -> Path:
    """Write the data sets, and a file of responses to MMMU and MathVista; return the data root."""
    from benchmarks import suites
    from benchmarks.micro.data.datasets import write

    data = folder / "data"
    write(data, n=ITEMS)
    for name in ("mmmu", "mathvista"):
        ids = suites.benchmark(name, data, images=False).ids()[:ITEMS]
        rows = [{"id": i, "response": text} for i, text in zip(ids, cycle(ANSWERS), strict=False)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return data


def commands(folder: Path, data: Path) -> dict[str, Callable[[], float]]:
    """Return what is measured, by name."""
    run = next((STORED / "runs").iterdir())
    item = json.loads(next((run / "samples").glob("*.jsonl")).open(encoding="utf-8").readline())
    where = ("--data-root", data, "--out")
    plain: dict[str, tuple[object, ...]] = {
        "list": ("list",),
        "show": ("show", run, f"{next((run / 'samples').glob('*.jsonl')).stem}/{item['id']}"),
        "run --dry-run": (
            "run",
            "--model",
            WEIGHTS,
            "--suite",
            "vqa12",
            "--backend",
            "transformers",
            *where,
            folder / "dry",
            "--dry-run",
        ),
        "doctor --suite vqa12": ("doctor", "--suite", "vqa12", "--data-root", data),
        "report of a study": ("report", STORED / "studies" / "trained", *where, folder / "x.html"),
    }
    measured: dict[str, Callable[[], float]] = {
        name: lambda words=words: seconds([*HARNESS, *words])  # type: ignore[misc]
        for name, words in plain.items()
    }
    for name, more in (("mmmu", ("--no-native",)), ("mathvista", ()), ("mmmu", ())):
        title = " ".join((f"score of {ITEMS}", name, *more))
        measured[title] = lambda name=name, more=more: _score(folder, data, name, more)  # type: ignore[misc]
    server = Server()
    for suite in ("mathvista", "vqa12"):
        measured[f"first request, resumed {suite}"] = lambda suite=suite: _resumed(  # type: ignore[misc]
            server, suite, folder / suite, data
        )
    return measured


def _score(folder: Path, data: Path, name: str, more: tuple[str, ...]) -> float:
    with tempfile.TemporaryDirectory() as out:
        answers = folder / f"{name}.jsonl"
        return seconds([*HARNESS, "score", name, answers, "--data-root", data, "--out", out, *more])


def _resumed(server: Server, suite: str, out: Path, data: Path) -> float:
    """Return the CPU seconds before the first request of a run that lacks one answer."""
    command: list[object] = [
        *HARNESS,
        "run",
        "--model",
        "scripted",
        "--suite",
        suite,
        "--limit",
        2,
        "--endpoint",
        f"http://127.0.0.1:{server.server_port}",
        "--max-tokens",
        16,
        "--data-root",
        data,
        "--out",
        out,
    ]
    if not out.exists():
        seconds(command)
    (samples,) = out.glob("*/samples/mathvista.jsonl")
    lines = samples.read_text(encoding="utf-8").splitlines(keepends=True)
    samples.write_text("".join(lines[:-1]), encoding="utf-8")
    return seconds(command, server)


def main() -> None:
    """Print the median of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = prepare(folder)
        bare = statistics.median(seconds([sys.executable, "-c", "pass"]) for _ in range(REPEATS))
        print(f"{'python -c pass':<32} {bare:6.3f} CPU s")
        for title, measure in commands(folder, data).items():
            measure()
            took = statistics.median(measure() for _ in range(REPEATS))
            print(f"{title:<32} {took:6.3f} CPU s  {took / bare:6.1f} x", flush=True)
