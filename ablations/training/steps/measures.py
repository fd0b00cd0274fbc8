"""Per-step log values: sums over micro-steps and processes, and gradient norms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.utils import DistributedType

from ablations.training.steps.objective import SelectionLoss

# Per step, over micro-steps and processes: means over its selection prompts, and counts.
_MEANS = ("loss", "ca/loss", "ca/accuracy", "ca/margin", "ca/clipped_wrong")
_COUNTS = (
    "count/exposures",
    "count/train_tokens",
    "count/generated_tokens",
    "count/grpo_forwards",
    "count/selection_forwards",
)
OWN = "pair_loss"
"""The name in the log of a loss of the user's own."""
_SUMS = (*_MEANS, *_COUNTS, "prompts", "grpo/loss", "micro_steps")


class Tally:
    """Sums over a step's micro-steps and processes, by the names in `_SUMS`."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(_SUMS, 0.0)

    def add(self, values: Mapping[str, float]) -> None:
        """Add values to the sums."""
        for name, value in values.items():
            self._sums[name] += value

    def take(self, accelerator: Any, trained: str) -> dict[str, float]:
        """Return the log of the step over all processes, and reset the sums.

        ``ca/*`` are means over the step's selection prompts, of L_CA over the two letters whatever
        the training loss is; that one is named ``trained``. (A custom loss asks for no letters and
        has no ``ca/*``.) ``grpo/loss`` is the mean over the micro-steps; ``count/*`` are sums.
        """
        total = torch.tensor([self._sums[name] for name in _SUMS], dtype=torch.float64)
        self._sums = dict.fromkeys(_SUMS, 0.0)
        if accelerator.num_processes > 1:
            # Devices may lack float64; float32 is exact, as every count of a step is below 2^24.
            total = accelerator.reduce(total.float().to(accelerator.device), "sum").double().cpu()
        sums = dict(zip(_SUMS, total.tolist(), strict=True))
        log = {}
        if sums["prompts"]:
            names = _MEANS[:1] if trained == OWN else _MEANS
            log = {name: sums[name] / sums["prompts"] for name in names}
            log[f"{trained}/loss"] = log.pop("loss")
        if sums["micro_steps"]:
            log["grpo/loss"] = sums["grpo/loss"] / sums["micro_steps"]
        return log | {name: sums[name] for name in _COUNTS}


@dataclass
class TermNorms:
    """The gradient norm of each loss term, measured every ``every`` steps (0: never).

    A measured step runs a second backward per term and keeps a copy of its gradient; only if every
    process holds all weights (one device, DDP).
    """

    every: int
    _sums: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def measures(self, step: int, accelerator: Any) -> bool:
        """Whether a step is measured."""
        whole = (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)
        return self.every > 0 and step % self.every == 0 and accelerator.distributed_type in whole

    def add(self, parameters: Iterable[torch.Tensor], **losses: torch.Tensor) -> None:
        """Add the gradients of a micro-step's terms, each scaled as it enters the step's loss."""
        weights = [weight for weight in parameters if weight.requires_grad]
        for name, loss in losses.items():
            grads = torch.autograd.grad(
                loss, weights, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            if name in self._sums:
                torch._foreach_add_(self._sums[name], grads)
            else:
                self._sums[name] = [grad.clone() for grad in grads]

    def take(self, accelerator: Any) -> dict[str, float]:
        """Return the norms over all processes, and reset the sums."""
        norms = {}
        for name, grads in sorted(self._sums.items()):
            if accelerator.num_processes > 1:
                grads = [accelerator.reduce(grad, "mean") for grad in grads]
            norms[f"grad_norm/{name}"] = float(torch.nn.utils.get_total_norm(grads))
        self._sums.clear()
        return norms


def sums_of(losses: torch.Tensor, contrast: SelectionLoss) -> dict[str, float]:
    """Return what a batch of prompts adds to a `Tally`."""
    sums = {
        "loss": losses.detach(),
        "ca/loss": contrast.losses.detach(),
        "ca/accuracy": contrast.correct,
        "ca/margin": contrast.margins,
        "ca/clipped_wrong": contrast.clipped_wrong,
    }
    totals = {name: values.sum().item() for name, values in sums.items()}
    return {**totals, "prompts": len(losses)}
