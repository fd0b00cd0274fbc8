"""Loads a checkpoint folder: as an image-text model where transformers knows it as one, else text.

The transformers backend and the trainers both load through here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import UsageError, first_line


def reads_images(folder: Path) -> bool:
    """Whether a checkpoint's architecture is one of image-text-to-text models.

    Raises:
        UsageError: its configuration is missing or names no architecture that transformers has.
    """
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, LookupError, TypeError, ImportError, AttributeError) as error:
        raise UsageError(f"{folder} cannot be loaded: {first_line(error)}") from error
    return type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING


def load_processor(folder: Path, **options: Any) -> Any:
    """Return the processor of an image-text model, the tokenizer of a text model.

    Raises:
        UsageError: it cannot be loaded, or has no chat template.
    """
    import transformers

    reader = transformers.AutoProcessor if reads_images(folder) else transformers.AutoTokenizer
    try:
        processor = reader.from_pretrained(folder, **options)
    except (OSError, ValueError, LookupError, RuntimeError, ImportError) as error:
        raise UsageError(
            f"{folder}: its processor cannot be loaded: {first_line(error)}"
        ) from error
    if processor.chat_template is None:
        raise UsageError(f"{folder} has no chat template: add its chat_template.jinja")
    return processor


def load_model(folder: Path, **options: Any) -> Any:
    """Return a checkpoint's model; ``options`` as of ``from_pretrained``.

    Raises:
        UsageError: it cannot be loaded, or lacks weights.
    """
    import transformers
    from safetensors import SafetensorError

    maker = (
        transformers.AutoModelForImageTextToText
        if reads_images(folder)
        else transformers.AutoModelForCausalLM
    )
    try:
        model, info = maker.from_pretrained(folder, output_loading_info=True, **options)
    except (OSError, ValueError, LookupError, RuntimeError, ImportError, SafetensorError) as error:
        raise UsageError(f"{folder} cannot be loaded: {first_line(error)}") from error
    if info["missing_keys"]:
        # transformers would fill them with random numbers and go on.
        raise UsageError(
            f"{folder} lacks {len(info['missing_keys'])} of the model's weights "
            f"({min(info['missing_keys'])}, ...): use a complete checkpoint"
        )
    return model
