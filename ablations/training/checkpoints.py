"""A checkpoint to train: weights, processor, adapters; saved in a form that runs at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ablations.settings import Settings
from harness.errors import UsageError, first_line
from harness.records import Pair

if TYPE_CHECKING:
    from ablations.training.prompting import Prompter

ARCHITECTURES = ("qwen3", "qwen2_5_vl", "qwen3_vl")
"""Model types whose training is tested; others are refused."""


def prompter(folder: Path, settings: Settings) -> Prompter:
    """Return what renders prompts for a checkpoint.

    Raises:
        UsageError: its processor cannot be loaded, or has no chat template.
    """
    import transformers

    from ablations.training.prompting import Prompter

    reader = (
        transformers.AutoProcessor
        if model_type(folder).endswith("_vl")
        else transformers.AutoTokenizer
    )
    try:
        # Rollouts are padded on the left.
        processor = reader.from_pretrained(folder, padding_side="left")
    except (OSError, ValueError, LookupError) as error:
        reason = first_line(error)
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

    maker = (
        transformers.AutoModelForImageTextToText
        if model_type(folder).endswith("_vl")
        else transformers.AutoModelForCausalLM
    )
    try:
        model, info = maker.from_pretrained(folder, dtype=settings.dtype, output_loading_info=True)
    except (OSError, ValueError, LookupError, RuntimeError, SafetensorError) as error:
        reason = first_line(error)
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

    from ablations.training.distributed import first_process

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


def check_letters(pair: Pair, folder: Path, settings: Settings) -> None:
    """See that the option letters of a pair's selection prompt are single tokens of a checkpoint.

    Raises:
        UsageError: one is not.
    """
    from benchmarks.pairs.selection import selection

    prompter(folder, settings).letters(selection(pair, "A").messages)


def checkpoint_folder(model: str) -> Path:
    """Return the folder of a checkpoint or of a hub id.

    Raises:
        UsageError: there is none.
    """
    from harness.runs.identity import identify

    if not model:
        raise UsageError("give --model, the checkpoint to start from")
    folder = identify(model, None, None).checkpoint
    assert folder is not None
    return folder


def model_type(folder: Path) -> str:
    """Return a checkpoint's architecture.

    Raises:
        UsageError: it is none that is trained here, or there is no configuration.
    """
    try:
        found = orjson.loads((folder / "config.json").read_bytes())["model_type"]
    except (OSError, orjson.JSONDecodeError, LookupError, TypeError) as error:
        raise UsageError(f"{folder} has no readable config.json: {error}") from error
    if found not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UsageError(f"{folder} is a checkpoint of {found!r}; trained here are {known}")
    return str(found)
