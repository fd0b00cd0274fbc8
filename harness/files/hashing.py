"""Content hashes of files, data folders, checkpoints and protocols.

A path never enters a hash, only relative names and contents. File hashes are cached by inode, size
and times, so a large checkpoint is hashed once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import plain
from harness.files.atomic import write_text
from harness.files.typed_json import parse, record

# Files that affect a checkpoint's answers; trainers write many others next to them.
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model*.bin", "consolidated*.pth")
_MODEL_FILES = (
    *_WEIGHTS, "*.index.json", "config.json", "generation_config.json", "adapter_config.json",
    "tokenizer*", "*.tiktoken", "*.model", "vocab.*", "merges.txt", "added_tokens.json",
    "special_tokens_map.json", "*processor_config.json", "chat_template*", "*.jinja", "*.py",
    # vLLM's: Mistral's tokenizer and configuration, and quantization settings.
    "tekken.json", "params.json", "quant*_config.json", "hf_quant_config.json",
)  # fmt: skip
# "*.bin" files that vLLM does not load in the absence of safetensors.
_OF_TRAINING = ("training_args.bin", "optimizer.bin")


def cache_dir() -> Path:
    """Return the folder for caches: ``$XDG_CACHE_HOME/harness`` or ``~/.cache/harness``."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "harness"


# Size, mtime, ctime, inode and device. Programs can set a file's mtime, not its ctime.
_State = tuple[int, int, int, int, int]
_UNSEEN: _State = (-1, -1, -1, -1, -1)


@cache
def _remembered(path: Path) -> dict[str, tuple[_State, str]]:
    """Return the cached state and sha256 of files by absolute path; losing it costs only time."""
    try:
        return record(dict[str, tuple[_State, str]], parse(path.read_bytes()))
    except (OSError, ValueError):
        return {}


def file_hash(path: Path) -> str:
    """Return the sha256 of one file's content (hex)."""
    return file_hashes([path])[0]


def file_hashes(paths: Iterable[Path]) -> list[str]:
    """Return the sha256 of each file's content (hex), in their order."""
    store = cache_dir() / "file-hashes.json"
    known, digests, changed = _remembered(store), [], False
    for path in paths:
        name, state = str(path.resolve()), _state(path)
        before, digest = known.get(name, (_UNSEEN, ""))
        if before != state:
            with plain.open_given(path) as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            known[name] = (state, digest)
            changed = True
        digests.append(digest)
    if changed:
        with suppress(OSError):  # a read-only home: hash again next time
            write_text(store, json.dumps(known))
    return digests


def _state(path: Path) -> _State:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev


def tree_hash(root: Path, files: Iterable[Path]) -> str:
    """Return the sha256 over relative names (to ``root``) and contents of ``files`` (hex)."""
    paths = list(files)
    names = (path.relative_to(root).as_posix() for path in paths)
    return json_hash(sorted(zip(names, file_hashes(paths), strict=True)))


def content_hash(path: Path) -> str:
    """Return the sha256 of a file's or a folder's content, wherever it lies (hex).

    For the folder of a model, an adapter or a tokenizer only the files that affect answers count;
    for any other folder, all files.
    """
    if not path.is_dir():
        return file_hash(path)
    loaded = {file for form in _MODEL_FILES for file in path.glob(form)}
    return tree_hash(path, [file for file in loaded or path.rglob("*") if file.is_file()])


def source_hash(*sources: Path) -> str:
    """Return a short sha256 over source files: the version of what they do.

    A folder stands for every ``*.py`` in and below it, in the order of their paths.
    """
    digest = hashlib.sha256()
    for source in sources:
        for path in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def json_hash(value: Any) -> str:
    """Return the sha256 of a JSON value in canonical form (hex)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def model_fingerprint(checkpoint: Path) -> str:
    """Return the content hash of a checkpoint folder: configuration, tokenizer and weights.

    Raises `UsageError` if the folder or its ``config.json`` or weights are missing, or it would
    load files that the hash does not cover.
    """
    if not checkpoint.is_dir():
        raise UsageError(f"no checkpoint folder at {checkpoint}: give a folder or a hub id")
    if not (checkpoint / "config.json").is_file():
        raise UsageError(
            f"{checkpoint} holds no config.json: give the folder that save_pretrained wrote"
        )
    files = {path for form in _MODEL_FILES for path in checkpoint.glob(form) if not path.is_dir()}
    if other := sorted(path for path in files if not path.is_file()):
        raise UsageError(f"{other[0]} is not a regular file: whoever loads it might never end")
    if not any(path.match(form) for path in files for form in _WEIGHTS):
        raise UsageError(f"{checkpoint} holds no weights (*.safetensors or pytorch_model*.bin)")
    if not any(path.suffix == ".safetensors" for path in files):
        files |= {p for p in checkpoint.glob("*.bin") if not p.name.endswith(_OF_TRAINING)}
    _check_named(checkpoint, {path.name for path in files})
    return tree_hash(checkpoint, files)


def _check_named(checkpoint: Path, hashed: Collection[str]) -> None:
    """Raise `UsageError` if a checkpoint names files to load that are not hashed.

    These are a weight index's, and transformers' ``transformers_weights`` (weights) and
    ``configuration_files`` (a configuration for some versions of it).
    """
    for path in (checkpoint / "config.json", *checkpoint.glob("*.index.json")):
        with suppress(ValueError, AttributeError, TypeError):  # the loader will report it
            stated = parse(path.read_bytes())
            named = [stated.get("transformers_weights"), *stated.get("configuration_files", ())]
            named += stated.get("weight_map", {}).values()
            for name in sorted(set(filter(None, named))):
                if name not in hashed:
                    raise UsageError(
                        f"{path} has {name!r} loaded, which is not among the files by which a "
                        "checkpoint is known: save the model again with save_pretrained"
                    )
