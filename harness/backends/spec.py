"""Which model answers, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.backends.models.adapter import Adapter
from harness.backends.models.settings import UNSET, ModelSettings


@dataclass(frozen=True, slots=True)
class Setup:
    """How requests are made: the settings, and the adapter on the checkpoint, if any."""

    settings: ModelSettings = UNSET
    adapter: Adapter | None = None


AS_IT_IS = Setup()
Kind = str
"""The name of a backend, or a Python file that has one."""


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """Which model answers, and how it is run.

    ``checkpoint`` is a local folder, ``endpoint`` the URL of a server; ``model`` is the served
    name. ``dtype`` is "auto", "float32", "bfloat16" or "float16". ``tensor_parallel`` GPUs hold one
    copy of the model, ``replicas`` is the number of copies. ``max_model_len`` limits prompt plus
    answer, in tokens; ``batch_size`` is the maximum batch size of transformers. ``log_path`` is the
    file for vLLM's output. ``tokenizer`` is a folder or Hub id with the tokenizer of an endpoint's
    model, for a server without one; ``api_key_env`` is the environment variable with the endpoint's
    key, which ``key_over_http`` allows to cross a private network unencrypted. ``reasoning_parser``
    names vLLM's parser of the model's reasoning. ``setup``: see `Setup`.
    """

    kind: Kind = "auto"
    checkpoint: Path | None = None
    endpoint: str | None = None
    model: str | None = None
    dtype: str = "auto"
    tensor_parallel: int = 1
    replicas: int = 1
    max_model_len: int | None = None
    batch_size: int | None = None
    log_path: Path | None = None
    tokenizer: str | None = None
    api_key_env: str | None = None
    key_over_http: bool = False
    reasoning_parser: str | None = None
    setup: Setup = AS_IT_IS
