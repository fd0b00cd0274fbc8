"""Sums for Harbor: an agent that asks one question, in folders that bubblewrap isolates."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from harbor.agents.base import BaseAgent
from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities

PAIRS = [(3, 4), (12, 9), (25, 17), (8, 8), (31, 14), (6, 27), (40, 2), (19, 23)]
TASK = """version = "1.0"
[verifier]
timeout_sec = 60.0
[agent]
timeout_sec = 60.0
[environment]
cpus = 1
memory_mb = 512
storage_mb = 512
"""
TEST = """#!/bin/bash
if grep -qw {answer} /app/answer.txt; then echo 1; else echo 0; fi > /logs/verifier/reward.txt
"""


class FolderEnvironment(BaseEnvironment):
    """A container's place taken by a folder."""

    @staticmethod
    def type() -> str:
        return "folder"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        return EnvironmentCapabilities()

    def _validate_definition(self) -> None:
        pass

    async def start(self, force_build: bool) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="harbor-sums-"))
        for name in ("app", "logs/agent", "logs/verifier", "logs/artifacts", "tests", "tmp"):
            (self.root / name).mkdir(parents=True)

    async def stop(self, delete: bool) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def _host(self, path: object) -> Path:
        return self.root / str(path).lstrip("/")

    async def upload_file(self, source_path: object, target_path: object) -> None:
        self._host(target_path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(source_path), self._host(target_path))

    async def upload_dir(self, source_dir: object, target_dir: object) -> None:
        shutil.copytree(str(source_dir), self._host(target_dir), dirs_exist_ok=True)

    async def download_file(self, source_path: object, target_path: object) -> None:
        shutil.copy(self._host(source_path), str(target_path))

    async def download_dir(self, source_dir: object, target_dir: object) -> None:
        shutil.copytree(self._host(source_dir), str(target_dir), dirs_exist_ok=True)

    async def exec(self, command, cwd=None, env=None, timeout_sec=None, user=None) -> ExecResult:
        words = ["bwrap", "--bind", str(self.root), "/"]
        for path in ("/usr", "/bin", "/lib", "/lib64", "/etc"):
            if Path(path).exists():
                words += ["--ro-bind", path, path]
        words += ["--dev", "/dev", "--proc", "/proc", "--chdir", cwd or "/app"]
        for name, value in (env or {}).items():
            words += ["--setenv", name, value]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *words, "bash", "-c", command, stdout=pipe, stderr=pipe
        )
        out, err = await process.communicate()
        return ExecResult(stdout=out.decode(), stderr=err.decode(), return_code=process.returncode)


class AskAgent(BaseAgent):
    """Asks the model once and writes the last number of its answer."""

    def __init__(self, *args, seed: int = 1, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._seed = seed

    @staticmethod
    def name() -> str:
        return "ask"

    def version(self) -> str:
        return "1.0"

    async def setup(self, environment: BaseEnvironment) -> None:
        pass

    async def run(self, instruction, environment, context) -> None:
        if "40 + 2" in instruction and self.model_name == "base":
            raise RuntimeError("the agent lost its connection")
        messages = [{"role": "user", "content": instruction}]
        body = {"model": self.model_name, "messages": messages, "seed": self._seed}
        request = urllib.request.Request(
            os.environ["LOCAL_BASE_URL"] + "/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        reply = await asyncio.to_thread(urllib.request.urlopen, request)
        text = json.load(reply)["choices"][0]["message"]["content"]
        await environment.exec(f"echo {re.findall(r'[0-9]+', text)[-1]} > /app/answer.txt")
        context.n_input_tokens, context.n_output_tokens = 20, 6
        agent = {"name": "ask", "version": "1.0", "model_name": self.model_name}
        steps = [
            {"step_id": 1, "source": "user", "message": instruction},
            {"step_id": 2, "source": "agent", "message": text},
        ]
        trajectory = {"schema_version": "ATIF-v1.6", "session_id": "s", "agent": agent}
        (self.logs_dir / "trajectory.json").write_text(json.dumps({**trajectory, "steps": steps}))


def write() -> None:
    for number, (a, b) in enumerate(PAIRS):
        folder = Path("tasks", f"sum-{number}")
        for name in ("environment", "tests"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        asked = f"What is {a} + {b}? Write the number to /app/answer.txt.\n"
        (folder / "instruction.md").write_text(asked)
        (folder / "task.toml").write_text(TASK)
        (folder / "environment" / "Dockerfile").write_text("FROM scratch\n")
        (folder / "tests" / "test.sh").write_text(TEST.format(answer=a + b))


def main() -> None:
    _, _, model, seed = sys.argv
    write()
    parts = Path(__file__).stem
    subprocess.run(
        ["harbor", "run", "-p", "tasks", "-a", f"{parts}:AskAgent", "-m", model,
         "--ak", f"seed={seed}",
         "--environment-import-path", f"{parts}:FolderEnvironment", "-o", "jobs",
         "--job-name", f"{model}-{seed}", "-k", "2", "-n", "2", "-y", "-q"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        check=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
