"""A checkpoint to train: weights, processor, adapters; saved in a form that runs at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.settings import Settings
from harness.errors import UsageError

if TYPE_CHECKING:
    from ablations.prompting import Prompter


def prompter(folder: Path, settings: Settings) -> Prompter:
    """Return what renders prompts for a checkpoint.

    Raises:
        UsageError: its processor cannot be loaded, or has no chat template.
    """
    import transformers

    from ablations.prompting import Prompter
    from ablations.training import model_type

    reader = (
        transformers.AutoProcessor
        if model_type(folder).endswith("_vl")
        else transformers.AutoTokenizer
    )
    try:
        # Rollouts are padded on the left.
        processor = reader.from_pretrained(folder, padding_side="left")
    except (OSError, ValueError, LookupError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"{folder}: its processor cannot be loaded: {reason}") from error
    if processor.chat_template is None:
        raise UsageError(f"{folder} has no chat template: prompts cannot be written")
    return Prompter(processor, settings.template)


def load(folder: Path, settings: Settings) -> Any:
    """Return a checkpoint's model in the wanted number format.

    Raises:
        UsageError: it cannot be loaded, or lacks weights.
    """
    import transformers
    from safetensors import SafetensorError

    from ablations.training import model_type

    maker = (
        transformers.AutoModelForImageTextToText
        if model_type(folder).endswith("_vl")
        else transformers.AutoModelForCausalLM
    )
    try:
        model, info = maker.from_pretrained(folder, dtype=settings.dtype, output_loading_info=True)
    except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"{folder} cannot be loaded: {reason}") from error
    if info["missing_keys"]:
        first = min(info["missing_keys"])
        raise UsageError(
            f"{folder} lacks {len(info['missing_keys'])} of the model's weights ({first}, ...)"
        )
    return model


def adapters(settings: Settings) -> Any:
    """Return the configuration of LoRA on all linear layers, None where all weights are trained."""
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
    """Write the trained weights as a whole checkpoint, adapters merged, beside and then renamed.

    The weights are in the number format of the checkpoint that training began with.
    """
    import transformers

    from ablations.distributed import first_process

    beside = target.with_name(f".{target.name}")
    if first_process():
        shutil.rmtree(beside, ignore_errors=True)
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
        model.save_pretrained(beside, state_dict=state)
        processor.save_pretrained(beside)
        if (start / "generation_config.json").exists():
            shutil.copy(start / "generation_config.json", beside)
        shutil.rmtree(target, ignore_errors=True)
        beside.rename(target)
    trainer.accelerator.wait_for_everyone()
