"""LoRA adapters, and the trained weights saved as a checkpoint that runs at once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from ablations.settings import Settings
from harness.files.atomic import folder as new_folder


def first_process() -> bool:
    """Whether this process writes and prints, by the variables of torchrun and accelerate."""
    return int(os.environ.get("RANK", "0")) == 0


def adapters(settings: Settings) -> Any:
    """Return the configuration of LoRA on all linear layers, None if all weights are trained."""
    if settings.lora_rank == 0:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha or 2 * settings.lora_rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def save(trainer: Any, processor: Any, start: Path, target: Path) -> None:
    """Write the trained weights as a complete checkpoint, adapters merged.

    The weights have the dtype of the checkpoint that training started from.
    """
    import transformers

    trainer.accelerator.wait_for_everyone()
    model = trainer.accelerator.unwrap_model(trainer.model)
    state = None
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    else:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    dtype = transformers.AutoConfig.from_pretrained(start).dtype
    if first_process():
        if state is not None and dtype is not None:
            state = {name: tensor.to(dtype) for name, tensor in state.items()}
        elif dtype is not None:
            model = model.to(dtype)
        model.config.dtype = dtype
        with new_folder(target) as beside:
            model.save_pretrained(beside, state_dict=state)
            processor.save_pretrained(beside)
            if (start / "generation_config.json").exists():
                shutil.copy(start / "generation_config.json", beside)
    trainer.accelerator.wait_for_everyone()
