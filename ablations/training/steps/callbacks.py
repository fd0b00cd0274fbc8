"""Between optimizer steps: log line, progress, and stopping after a signal.

Importing this module imports torch and transformers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from accelerate.utils import gather_object
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ablations.interrupts import requested
from harness.files import plain
from harness.files.atomic import sync_tree


class StopBetweenSteps(TrainerCallback):  # type: ignore[misc]
    """Save and stop once all ``window`` steps on one batch of rollouts are done.

    All processes stop at the same step, whichever of them received the signal.
    """

    def __init__(self, window: int = 1) -> None:
        self._window = window

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Request a checkpoint and the end if a signal has come."""
        stop = requested()
        if args.world_size > 1:
            stop = any(gather_object([stop]))
        if stop and state.global_step % self._window == 0:
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Sync the checkpoint to disk before older ones are deleted."""
        if state.is_world_process_zero:
            sync_tree(Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")


class StepLog(TrainerCallback):  # type: ignore[misc]
    """Append a line per step to training.jsonl and print the progress of a stage."""

    def __init__(self, stage: str, steps: int, log: Path, say: Callable[[str], None]) -> None:
        self._name, self._steps, self._log, self._say = stage, steps, log, say
        self._begun = self._printed = time.monotonic()
        self._first: int | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Record when the step began, before its rollouts."""
        self._begun = time.monotonic()
        if self._first is None:
            self._first, self._started = state.global_step, self._begun

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Write the step's line."""
        if not logs or "train_runtime" in logs:
            return
        step = {"stage": self._name, "step": state.global_step, **logs}
        with open(self._log, "ab", opener=plain.opener) as file:
            file.write(orjson.dumps({**step, "seconds": time.monotonic() - self._begun}) + b"\n")
        self._print(state.global_step, logs)

    def _print(self, step: int, logs: Mapping[str, Any]) -> None:
        now, steps = time.monotonic(), self._steps
        if step < steps and now - self._printed < (1 if sys.stderr.isatty() else 10):
            return
        self._printed = now
        each = (now - self._started) / max(step - (self._first or 0), 1)
        labels = {"reward": "reward", "ca/loss": "L_CA", "ca/accuracy": "selected"}
        labels["pair_loss/loss"] = "loss on pairs"
        seen = {name: logs[name] for name in labels if logs.get(name) is not None}
        figures = [f"{labels[name]} {value:.3f}" for name, value in seen.items()]
        left = f"{each * (steps - step):.0f} s left"
        self._say(", ".join([f"{self._name} {step}/{steps}", *figures, left]))
