"""Run selection prompts within the policy's own forward call; pixel rows per prompt."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from trl.trainer.utils import FusedCausalLMOutput


@dataclass
class WithSelection(FusedCausalLMOutput):  # type: ignore[misc]
    """TRL's outputs plus our logits, so that DDP finds every parameter that was used."""

    selection_logits: torch.Tensor | None = None


class SelectionForwardHook:
    """Run the selection prompts inside the policy's own forward call.

    DDP looks for unused parameters in the outputs of the last forward: two calls, one with images
    and one without, end in "marked ready twice". One call for both is safe there, under FSDP (the
    weights are gathered once) and under DeepSpeed (one backward).

    Relies on TRL 1.16: ``compute_loss`` calls the model once, with ``fused_lm_head=True``, and
    reads ``log_probs`` and ``entropy`` of a `FusedCausalLMOutput`.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] | None = None
        self.kept = 1
        self.logits: torch.Tensor | None = None

    def attach(self, model: Any) -> None:
        """Hook a model (a PEFT model's base)."""
        forward = model.forward

        # On the class: `generate` checks its arguments against this signature.
        @functools.wraps(type(model).forward)
        def hooked(module: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = forward(*args, **without_empty_images(kwargs))
            if self.tensors is None or not kwargs.get("fused_lm_head"):
                return outputs
            tensors, self.tensors = self.tensors, None
            self.logits = forward(**tensors, logits_to_keep=self.kept, use_cache=False).logits
            return WithSelection(**outputs, selection_logits=self.logits)

        model.forward = types.MethodType(hooked, model)

    def taken(self) -> torch.Tensor:
        """Return the logits of the last call, shape (n, kept, vocabulary).

        Raises `RuntimeError` if no forward took the prompts, because TRL has changed.
        """
        logits, self.logits = self.logits, None
        if logits is None:
            raise RuntimeError("TRL's loss made no fused forward call: see SelectionForwardHook")
        return logits


def without_empty_images(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Drop empty pixels, which vision towers reject.

    TRL slices ``pixel_values`` by rows, so text prompts in a mixed batch have zero rows.
    """
    pixels = kwargs.get("pixel_values")
    if pixels is None or pixels.shape[0] > 0:
        return kwargs
    return {k: v for k, v in kwargs.items() if k not in ("pixel_values", "image_grid_thw")}


def pixel_rows(fields: Mapping[str, Any]) -> list[int] | None:
    """Return how many rows of ``pixel_values`` each prompt has, as TRL's ``num_images``.

    Idefics and SmolVLM pad pixels to a row per prompt, with a mask of as many rows. TRL 1.16
    distinguishes this from a row per image only by the number of rows; when the two coincide it
    trains prompts on the pixels of others.

    Args:
        fields: what TRL keeps or passes on of a batch.
    """
    images: list[int] | None = fields.get("num_images")
    padded = fields.get("pixel_attention_mask") is not None and fields.get("spatial_shapes") is None
    return [1] * len(images) if images is not None and padded else images
