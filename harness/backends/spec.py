"""Which model is to answer, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.backends.models.adapter import Adapter
from harness.backends.models.settings import UNSET, ModelSettings


@dataclass(frozen=True, slots=True)
class Setup:
    """How a model is asked: its settings, and the adapter on its checkpoint, if any."""

    settings: ModelSettings = UNSET
    adapter: Adapter | None = None


AS_IT_IS = Setup()
Kind = str
"""The name of a backend, or a Python file that has one."""


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """Which model is to answer, and how it is to be run.

    ``checkpoint`` is a local folder, ``endpoint`` the URL of a server; ``model`` is the served
    name.  ``dtype`` is "auto", "float32", "bfloat16" or "float16".  ``tensor_parallel`` GPUs hold
    one copy of the model, ``replicas`` copies answer side by side.  ``max_model_len`` limits prompt
    and answer together, in tokens; ``batch_size`` is the most prompts that transformers takes at
    once.  ``log_path`` is the file that vLLM's output goes to.  ``tokenizer`` is a folder or hub id
    with the tokenizer of an endpoint's model, for a server that does not offer it; ``api_key_env``
    is the environment variable that holds the endpoint's key, which ``key_over_http`` allows to
    cross a private network unencrypted.  ``reasoning_parser`` names vLLM's
    parser of the model's reasoning.  ``setup`` says how it is asked.
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
