"""A LoRA adapter folder written by PEFT's ``save_pretrained``, and the facts others need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.errors import UsageError, first_line
from harness.files import plain
from harness.files.hashing import file_hash, json_hash
from harness.files.typed_json import parse

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Where the base model is, which does not matter: its content has its own fingerprint.
_PLACES = ("base_model_name_or_path", "revision", "inference_mode", "peft_version")


class _Config(msgspec.Struct):
    peft_type: str
    r: int
    base_model_name_or_path: str | None = None
    rank_pattern: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter.

    ``base`` is the folder or Hub id of its base model, if its files name one; ``rank`` the largest
    of its matrices; ``sees``: it changes the vision encoder.
    """

    folder: Path
    base: str | None
    rank: int
    sees: bool
    fingerprint: str


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def read_adapter(folder: Path) -> Adapter:
    """Return the adapter in a folder, reading only the header of its weights.

    Raises `UsageError` if there is none, it is not LoRA, or its weights are not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder} is not an adapter: it has no {CONFIG}")
    try:
        document = parse(plain.read_given(folder / CONFIG))
        config = msgspec.convert(document, _Config)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder / CONFIG} cannot be read: {first_line(error)}") from error
    if config.peft_type != "LORA":
        raise UsageError(f"{folder}: an adapter of type {config.peft_type}; only LORA can be run")
    if not (folder / WEIGHTS).is_file():
        raise UsageError(f"{folder} holds no {WEIGHTS}: save the adapter as safetensors")
    try:
        with safe_open(folder / WEIGHTS, framework="np") as tensors:
            names = tuple(tensors.keys())
            sizes = {name: tensors.get_slice(name).get_shape() for name in names}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{folder / WEIGHTS} cannot be read: {first_line(error)}") from error
    _check_ranks(folder, config, sizes)
    decisive = {name: value for name, value in document.items() if name not in _PLACES}
    return Adapter(
        folder,
        config.base_model_name_or_path,
        max(config.r, *config.rank_pattern.values(), 1),
        any(".visual." in name or ".vision_" in name for name in names),
        json_hash([decisive, file_hash(folder / WEIGHTS)]),
    )


def _check_ranks(folder: Path, config: _Config, sizes: Mapping[str, Sequence[int]]) -> None:
    """Raise `UsageError` if weights are of other ranks than stated: who loads them makes room."""
    stated = {config.r, *config.rank_pattern.values()}
    held = {size[0] for name, size in sizes.items() if "lora_A" in name or "embedding_A" in name}
    # Of experts in one matrix the rank is there for each.
    if any(all(rank < 1 or size % rank for rank in stated) for size in held):
        raise UsageError(
            f"{folder / CONFIG} states the ranks {sorted(stated)}, and {WEIGHTS} holds "
            f"{sorted(held)}: save the adapter again with save_pretrained"
        )
