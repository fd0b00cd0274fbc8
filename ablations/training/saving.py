"""Write trained weights as a complete checkpoint, and count how many changed.

Importing this module imports torch.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from harness.backends.checkpoint import (
    GENERATION,
    load_model,
    load_processor,
    stored_dtypes,
    weight_files,
)
from harness.files.atomic import folder as new_folder

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def write_checkpoint(
    model: Any, state: Mapping[str, Any], processor: Any, start: Path, target: Path
) -> None:
    """Write weights, configuration and processor; the configuration states the weights' dtype.

    ``state`` has the weights in the saved dtype; tied weights are written once.
    ``generation_config.json`` is copied from ``start`` byte for byte.
    """
    tied = getattr(model, "all_tied_weights_keys", {})
    state = dict(state) | {name: state[of] for name, of in tied.items() if of in state}
    with new_folder(target) as beside:
        model.save_pretrained(beside, state_dict=state)
        # `save_pretrained` states the training dtype instead.
        _state_dtype(model.config, next(v.dtype for v in state.values() if v.is_floating_point()))
        model.config.save_pretrained(beside)
        processor.save_pretrained(beside)
        (beside / GENERATION).unlink(missing_ok=True)
        if (start / GENERATION).exists():
            shutil.copyfile(start / GENERATION, beside / GENERATION)


def _state_dtype(config: Any, dtype: torch.dtype) -> None:
    config.dtype = dtype
    for name in config.sub_configs:
        part = getattr(config, name, None)
        if part is not None:
            _state_dtype(part, dtype)


def cast(state: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """Return a state with all floating-point tensors cast to one dtype."""
    return {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def copy_checkpoint(start: Path, dtype: str, target: Path) -> None:
    """Copy a checkpoint with its weights in a dtype; a plain copy if they have it already."""
    if stored_dtypes(start) == {dtype}:
        with new_folder(target) as beside:
            shutil.copytree(start, beside, dirs_exist_ok=True)
        return
    model = load_model(start, dtype=getattr(torch, dtype))
    write_checkpoint(model, model.state_dict(), load_processor(start), start, target)


def changed_share(start: Path, checkpoint: Path) -> float:
    """Return the fraction of a checkpoint's weights whose bits differ from the start's.

    The start's weights are cast to the checkpoint's dtype first. One tensor of each is in memory at
    a time, unless the start uses other tensor names: then it is loaded and saved first.
    """
    total = changed = 0
    with _tensors(weight_files(checkpoint)) as after, _named_alike(start, set(after)) as before:
        for name, file in after.items():
            new = file.get_tensor(name)
            old = before[name].get_tensor(name) if name in before else new.new_empty(0)
            total += new.numel()
            if old.shape != new.shape:
                changed += new.numel()
            else:
                bits = _BITS[new.element_size()]
                changed += int((old.to(new.dtype).view(bits) != new.view(bits)).sum())
    return changed / total if total else 0.0


@contextmanager
def _named_alike(start: Path, names: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the tensors of a start under the names used when saving."""
    with _tensors(weight_files(start)) as tensors:
        if names <= set(tensors):
            yield tensors
            return
    with tempfile.TemporaryDirectory() as saved:
        load_model(start, dtype="auto").save_pretrained(saved)
        with _tensors(weight_files(Path(saved))) as tensors:
            yield tensors


@contextmanager
def _tensors(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        opened = [stack.enter_context(safe_open(file, framework="pt")) for file in files]
        yield {name: file for file in opened for name in file.keys()}  # noqa: SIM118
