"""mini-swe-agent: imported without side effects, and the configuration that is our protocol.

Version, prompts and their hash are read from the package's file without importing it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.install.extras import install
from harness.records import Message, TextPart

# The text form of its SWE-bench configuration: commands stand in the text, so that every backend
# can play, with or without a parser of tool calls.
CONFIG = "swebench_backticks.yaml"
# minisweagent/models/litellm_textbased_model.py, whose import loads litellm.
FENCE = "```mswea_bash_command"
ACTION = FENCE + r"\s*\n(.*?)\n```"

_lock = threading.Lock()


class Unused:
    """The parts of mini-swe-agent's ``Model`` and ``Environment`` protocols without use here."""

    def get_template_vars(self, **_: Any) -> dict[str, Any]:
        """Return nothing: the prompts name only the task."""
        return {}

    def serialize(self) -> dict[str, Any]:
        """Return nothing: the run's manifest describes model and environment."""
        return {}


@contextmanager
def quiet_import() -> Iterator[None]:
    """Keep mini-swe-agent and swebench from printing, making folders and reading ``.env`` files."""
    with _lock, tempfile.TemporaryDirectory() as folder:
        ours = {
            "MSWEA_SILENT_STARTUP": "1",
            "MSWEA_GLOBAL_CONFIG_DIR": folder,
            "PYTHON_DOTENV_DISABLED": "1",
        }
        before = {name: os.environ[name] for name in ours if name in os.environ}
        os.environ.update(ours)
        try:
            yield
        finally:
            for name in ours:
                del os.environ[name]
            os.environ.update(before)


@lru_cache(maxsize=1)
def load() -> None:
    """Import mini-swe-agent's parts that are used here; later imports of them are plain."""
    with quiet_import():
        import minisweagent.agents.default
        import minisweagent.environments.docker
        import minisweagent.environments.singularity  # noqa: F401
    # It writes what it does to standard output, where our results go.
    logging.getLogger("minisweagent").handlers.clear()


def _config_text() -> str:
    spec = find_spec("minisweagent")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"mini-swe-agent is not installed: {install('agents')}")
    folder = Path(next(iter(spec.submodule_search_locations)))
    return (folder / "config" / "benchmarks" / CONFIG).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def config() -> Mapping[str, Any]:
    """Return the configuration: ``agent``, ``environment`` and ``model``, as mappings."""
    import yaml

    read: Mapping[str, Any] = yaml.safe_load(_config_text())
    return read


@lru_cache(maxsize=1)
def describe() -> dict[str, str]:
    """Return name and version of the scaffold, and its configuration with its hash."""
    return {
        "scaffold": f"mini-swe-agent {version('mini-swe-agent')}",
        "config": CONFIG,
        "config_sha256": hashlib.sha256(_config_text().encode()).hexdigest(),
    }


def prompt(task: str) -> tuple[Message, Message]:
    """Return the first two messages of an episode as the scaffold renders them."""
    from jinja2 import StrictUndefined, Template

    def rendered(name: str) -> tuple[TextPart]:
        template = Template(config()["agent"][name], undefined=StrictUndefined)
        return (TextPart(template.render(task=task)),)

    return (
        Message("system", rendered("system_template")),
        Message("user", rendered("instance_template")),
    )
