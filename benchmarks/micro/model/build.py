"""Trains the embedded base model from scratch: ``python -m benchmarks.micro.model.build``.

``build.json`` next to the checkpoint records how it was made.  The same command gives the same
bytes on the same CPU with the same packages, in about twenty minutes on one core.
``--shortened`` repeats a build of ten steps in seconds, compares its weights with the record (exit
code 0 if equal, else 1), and writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.micro.model import lessons
from benchmarks.micro.model.lessons import Lesson, Maker

if TYPE_CHECKING:
    import torch
    from transformers import Qwen3VLForConditionalGeneration, Qwen3VLProcessor

WEIGHTS = Path(__file__).with_name("weights")
RECORD = "build.json"

Mix = tuple[tuple[Maker, float], ...]

# First the letters of options, in text alone; then seeing, with answers in a word or two; then all
# that the benchmarks ask.  All at once, or without captions, a model this small stays at chance for
# long.
LETTERS: Mix = ((lessons.options, 1.0),)
SEEING: Mix = (
    (lessons.options, 1.0),
    (lessons.caption, 4.0),
    (lessons.marks, 0.5),
    (lessons.key, 0.5),
    (lessons.looked_up, 5.0),
)
MIX: Mix = (
    (lessons.options, 0.5),
    (lessons.caption, 1.5),
    (lessons.marks, 0.4),
    (lessons.key, 0.4),
    (lessons.opened, 1.5),
    (lessons.opened_several, 2.5),
    (lessons.verified, 1.5),
    (lessons.chosen, 2.5),
    (lessons.chosen_several, 2.0),
    (lessons.counted, 0.8),
    (lessons.measured, 2.0),
    (lessons.computed, 0.5),
    (lessons.signed, 0.8),
    (lessons.read, 0.8),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train; the learning rate rises, stays and falls to a twentieth.

    ``letters`` and ``seeing`` are the steps before which the first and the second mix end.
    """

    steps: int = 3000
    letters: int = 200
    seeing: int = 800
    batch: int = 48
    rate: float = 2e-3
    warm_up: int = 100
    hold: float = 0.5
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rising = min(1.0, (step + 1) / self.warm_up)
        start = self.hold * self.steps
        falling = max(0.05, 1 - max(0.0, step - start) / (self.steps - start))
        return self.rate * rising * falling

    def mix_at(self, step: int) -> Mix:
        """Return what is taught at a step."""
        if step < self.letters:
            return LETTERS
        return SEEING if step < self.seeing else MIX


SHORT = Plan(steps=10, letters=2, seeing=5, batch=16)
"""A shortened build, which takes seconds and has a part of each mix."""


def train(
    plan: Plan, until: int | None = None
) -> tuple[Qwen3VLForConditionalGeneration, Qwen3VLProcessor]:
    """Return the trained model and its processor.

    In one thread, all numbers drawn from the seed: the same plan gives the same weights.  ``until``
    stops after so many steps of the plan.
    """
    import torch

    from benchmarks.micro.model.base import untrained

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model, processor = untrained(plan.seed)
        _train(model, processor.tokenizer, plan, plan.steps if until is None else until)
    finally:
        torch.set_num_threads(threads)
    return model.eval(), processor


def _train(model: Qwen3VLForConditionalGeneration, tokenizer: Any, plan: Plan, steps: int) -> None:
    import torch

    optimizer = torch.optim.AdamW(
        model.parameters(), lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    rng = random.Random(f"lessons/{plan.seed}")
    progress = _Progress(steps)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate_at(step)
        batch = [lessons.make(rng, plan.mix_at(step)) for _ in range(plan.batch)]
        optimizer.zero_grad()
        losses = _backward(model, tokenizer, batch)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        progress.add(batch, losses)


def _backward(model: Any, tokenizer: Any, batch: list[Lesson]) -> list[float]:
    """Add the gradient of a batch's mean loss, in halves by length; return the losses."""
    from benchmarks.micro.model.batches import collate

    batch.sort(key=lambda lesson: (len(lesson.pictures), len(lesson.text.split())))
    all_losses: list[float] = []
    for part in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
        losses = lesson_losses(model, *collate(part, tokenizer))
        (losses.sum() / len(batch)).backward()
        all_losses += losses.tolist()
    return all_losses


def lesson_losses(
    model: Qwen3VLForConditionalGeneration, arguments: dict[str, Any], labels: torch.Tensor
) -> torch.Tensor:
    """Return each lesson's mean cross-entropy per token of its answer, shape (lessons,)."""
    from torch.nn.functional import cross_entropy

    from benchmarks.micro.model.batches import IGNORED

    logits = model(**arguments).logits
    targets = labels[:, 1 - logits.shape[1] :]
    losses = cross_entropy(
        logits[:, :-1].transpose(1, 2), targets, reduction="none", ignore_index=IGNORED
    )
    means: torch.Tensor = losses.sum(1) / (targets != IGNORED).sum(1)
    return means


class _Progress:
    """Prints the mean loss of each kind of lesson to standard error, every hundred steps."""

    def __init__(self, steps: int) -> None:
        self._steps, self._step, self._start = steps, 0, time.monotonic()
        self._losses: dict[str, list[float]] = defaultdict(list)

    def add(self, batch: list[Lesson], losses: list[float]) -> None:
        self._step += 1
        for lesson, loss in zip(batch, losses, strict=True):
            self._losses[lesson.kind].append(loss)
        if self._step % 100 == 0:
            means = (f"{kind} {fmean(of):.2f}" for kind, of in sorted(self._losses.items()))
            seconds = time.monotonic() - self._start
            line = f"{self._step}/{self._steps}, {seconds:.0f} s: {', '.join(means)}"
            print(line, file=sys.stderr)
            self._losses.clear()


def save(
    model: Qwen3VLForConditionalGeneration, processor: Qwen3VLProcessor, folder: Path, plan: Plan
) -> None:
    """Write the checkpoint and its record, with what `shortened` returns, into a folder."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    record: dict[str, Any] = {
        "command": f"python -m {__spec__.name} --steps {plan.steps} --seed {plan.seed}",
        "sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "seed": plan.seed,
        "steps": plan.steps,
        **environment(),
    }
    record["shortened"] = shortened()
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n")


def environment() -> dict[str, str]:
    """Return what decides, beside the command, whether the same bytes come out."""
    import torch

    return {
        "torch": version("torch"),
        "transformers": version("transformers"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
    }


def cpu() -> str:
    """Return what the kernel says of the CPU: one capability has several ways to round."""
    told = Path("/proc/cpuinfo")
    fields = ("vendor_id", "cpu family", "model", "model name", "stepping", "cache size")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    values = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    return ", ".join(values.get(name, "unknown") for name in fields)


def shortened() -> dict[str, Any]:
    """Return the sha256 of the weights of the build `SHORT` (as safetensors), a loss and the CPU.

    The loss (nats per token) is the mean over 48 lessons of the last mix; on other machines it
    differs only by rounding.
    """
    import torch
    from safetensors.torch import save as serialised

    from benchmarks.micro.model.batches import collate

    model, processor = train(SHORT)
    rng = random.Random("shortened")
    asked = [lessons.make(rng, MIX) for _ in range(48)]
    with torch.no_grad():
        losses = lesson_losses(model, *collate(asked, processor.tokenizer))
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    digest = hashlib.sha256(serialised(weights)).hexdigest()
    loss = round(float(losses.mean()), 6)
    return {"steps": SHORT.steps, "sha256": digest, "loss": loss, "cpu": cpu()}


def compare_shortened(recorded: dict[str, Any]) -> bool:
    """Make the build `SHORT` and print whether its weights are those of a record."""
    made = shortened()
    same: bool = made["sha256"] == recorded["sha256"]
    ours, kept = (f"sha256 {of['sha256']}, loss {of['loss']}" for of in (made, recorded))
    print("same weights as the record" if same else f"other weights: {ours} (record: {kept})")
    return same


def main() -> int:
    """Build and save, or compare; return the exit code."""
    usual = Plan()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder (default: the shipped)")
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument(
        "--shortened",
        action="store_true",
        help="make ten steps, compare them with the record in the folder, write nothing",
    )
    given = parser.parse_args()
    if given.shortened:
        record = given.out / RECORD
        if not record.is_file():
            parser.error(f"no record at {record}")
        return 0 if compare_shortened(json.loads(record.read_text())["shortened"]) else 1
    plan = replace(usual, steps=given.steps, seed=given.seed)
    save(*train(plan), given.out, plan)
    return 0


if __name__ == "__main__":
    sys.exit(main())
