"""Ends a training between two optimizer steps, with a checkpoint, after a signal.

Importing this module imports torch and transformers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ablations.interrupts import requested
from harness.files.atomic import sync_tree


class StopBetweenSteps(TrainerCallback):  # type: ignore[misc]
    """Saves and stops when a step is whole; a generation window is one optimizer step.

    All processes stop at the same step, whichever of them received the signal.
    """

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint and the end where a signal has come."""
        stop = requested()
        if args.world_size > 1:
            stop = any(gather_object([stop]))
        if stop:
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Have the disk keep the checkpoint before older ones are no longer needed."""
        if state.is_world_process_zero:
            sync_tree(Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
