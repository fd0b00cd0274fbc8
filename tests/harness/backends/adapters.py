"""A LoRA adapter with random weights, large enough to change answers."""

from __future__ import annotations

from pathlib import Path


def random_adapter(checkpoint: Path, folder: Path, rank: int = 4, *, vision: bool = True) -> None:
    """Write an adapter on the linear layers of a checkpoint, those of vision included or not."""
    import torch
    from peft import LoraConfig, get_peft_model

    from harness.backends.checkpoint import load_model

    torch.manual_seed(0)
    targets = "all-linear" if vision else r".*language_model.*\.(q_proj|v_proj|down_proj)"
    config = LoraConfig(
        r=rank, lora_alpha=8 * rank, target_modules=targets, init_lora_weights=False
    )
    get_peft_model(load_model(checkpoint), config).save_pretrained(folder)
