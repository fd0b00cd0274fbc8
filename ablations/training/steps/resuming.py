"""Resumes a stage from its checkpoint: what does not fit is refused in one line, not used in part.

Importing this module imports torch and transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerState
from transformers.trainer import OPTIMIZER_NAME, SCALER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME

from harness.errors import UsageError, first_line

# What training adds to, in a checkpoint's trainer_state.json.
_STATE: dict[str, Any] = {
    "global_step": int,
    "total_flos": int | float,
    "num_input_tokens_seen": int,
    "log_history": list,
}


@contextmanager
def loading(checkpoint: str) -> Iterator[None]:
    """Raise `UsageError` where a checkpoint cannot be loaded, whatever its files hold.

    A lack of memory is none of its faults.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise UsageError(
            f"{checkpoint} cannot be resumed from ({type(error).__name__}: {first_line(error)}): "
            "remove it; the same command then resumes from the one before, or begins again"
        ) from error


class Resuming:
    """Precedes a trainer among the bases: transformers only warns of a part that is not there."""

    model: Any
    optimizer: Any
    lr_scheduler: Any
    is_deepspeed_enabled: bool
    is_fsdp_enabled: bool

    def _load_from_checkpoint(self, checkpoint: str, *model: Any) -> None:
        with loading(checkpoint):
            _check_state(Path(checkpoint))
            super()._load_from_checkpoint(checkpoint, *model)  # type: ignore[misc]

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Refuse weights of another model; tied ones are in the file under one name."""
        absent = {*getattr(self.model, "all_tied_weights_keys", ())}
        absent |= {*(getattr(self.model, "_keys_to_ignore_on_save", None) or ())}
        others = {*load_result.missing_keys} - absent | {*load_result.unexpected_keys}
        if others:
            raise ValueError(f"its weights are of another model, as {min(others)} shows")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        with loading(checkpoint):
            one_file = not (self.is_deepspeed_enabled or self.is_fsdp_enabled)
            if one_file:
                self._check_scheduler(Path(checkpoint))
            super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
            if one_file:
                self._check_optimizer()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        with loading(checkpoint):
            if not any(Path(checkpoint).glob("rng_state*.pth")):
                raise FileNotFoundError("rng_state.pth is not there")
            super()._load_rng_state(checkpoint)  # type: ignore[misc]

    def _load_scaler(self, checkpoint: str | None) -> None:
        if checkpoint is not None and (Path(checkpoint) / SCALER_NAME).is_file():
            with loading(checkpoint):
                raise ValueError(f"{SCALER_NAME} is of a training in fp16, which this one is not")

    def _check_scheduler(self, checkpoint: Path) -> None:
        """Refuse a missing file, and a schedule of other values: loading it would take any."""
        if not (checkpoint / OPTIMIZER_NAME).is_file():
            raise FileNotFoundError(f"{OPTIMIZER_NAME} is not there")
        stored = torch.load(checkpoint / SCHEDULER_NAME, weights_only=True)
        kinds = [
            {name: type(value) for name, value in each.items()}
            for each in (stored, self.lr_scheduler.state_dict())
        ]
        if kinds[0] != kinds[1]:
            raise ValueError(f"{SCHEDULER_NAME} is of another schedule")

    def _check_optimizer(self) -> None:
        """Refuse moments of other weights: an optimizer takes any until its next step."""
        for weight, moments in self.optimizer.state.items():
            sizes = {value.shape for value in moments.values() if torch.is_tensor(value)}
            if not sizes <= {torch.Size(), weight.shape} or weight.shape not in sizes:
                raise ValueError(f"{OPTIMIZER_NAME} is of another model")
        if not self.optimizer.state:
            raise ValueError(f"{OPTIMIZER_NAME} holds no state")


def _check_state(checkpoint: Path) -> None:
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    wrong = [name for name, kind in _STATE.items() if not isinstance(getattr(state, name), kind)]
    if wrong or f"checkpoint-{state.global_step}" != checkpoint.name:
        raise ValueError(f"{TRAINER_STATE_NAME} is of another training ({wrong or 'its step'})")
