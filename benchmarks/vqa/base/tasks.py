"""lmms-eval's tasks, imported late and built on local data."""

from __future__ import annotations

import os
import re
import sys
import warnings
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.install.extras import install

if TYPE_CHECKING:
    from datasets import Dataset


# Task modules make judge clients when they are imported, and those refuse to be made without a
# key.  Nothing is asked of them here.
_IMPORT_ENVIRONMENT = {"OPENAI_API_KEY": "unset", "Deepseek_API": "unset"}


@contextmanager
def _importing() -> Iterator[None]:
    """Give task modules the keys they ask for at import, and take them back afterwards."""
    added = {name: value for name, value in _IMPORT_ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@lru_cache(maxsize=1)
def _task_class() -> type[Any]:
    """Import lmms-eval and return its chat task on a data set given as an object."""
    from datasets import DatasetDict
    from loguru import logger
    from PIL import ImageFile

    # lmms-eval tells of every step at DEBUG; loguru prints that unless told otherwise.
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    # Its import also silences every warning in the process.
    with _importing(), warnings.catch_warnings():
        import lmms_eval.api.metrics  # noqa: F401 - registers "exact_match" and others
        from lmms_eval.api.task import ConfigurableMessagesTask
    # Its import makes PIL fill truncated images with grey; to us they are failed items.
    ImageFile.LOAD_TRUNCATED_IMAGES = False

    class LocalTask(ConfigurableMessagesTask):  # type: ignore[misc]
        """lmms-eval's chat task, reading the data set that it is given."""

        def __init__(self, config: dict[str, Any], dataset: Any) -> None:
            self._given = dataset
            super().__init__(config=config)
            self.dataset = dataset
            self.task_docs = self.eval_docs
            self.features = list(self.task_docs.features)

        def download(self, dataset_kwargs: Any = None) -> None:
            # The constructor tries the first document, and its image may not decode.
            tables = {
                n: each.remove_columns(image_columns(each)) for n, each in self._given.items()
            }
            self.dataset = self.dataset_no_image = DatasetDict(tables)

    return LocalTask


def image_columns(table: Dataset) -> list[str]:
    """Return the names of a table's image columns."""
    from datasets import Image

    return [name for name, feature in table.features.items() if isinstance(feature, Image)]


def placeholders(shown: Mapping[str, Any]) -> tuple[dict[str, Any], dict[int, str]]:
    """Return what stands for the images of a document while a task asks about it.

    That is per column of ``shown`` an image, or base64 text of one where the cell is text, and the
    column by that image's width.  The mode is RGBA, so that the task's conversion can be seen.
    """
    stand_ins = {
        name: _placeholder(width, text=isinstance(cell, str))
        for width, (name, cell) in enumerate(shown.items(), start=1)
    }
    return stand_ins, dict(enumerate(shown, start=1))


@lru_cache
def _placeholder(width: int, *, text: bool) -> Any:
    from PIL import Image

    image = Image.new("RGBA", (width, 1))
    if not text:
        return image
    stream = BytesIO()
    image.save(stream, "PNG")
    return b64encode(stream.getvalue()).decode()


# Matches "task: mmstar", 'group: "mmbench"'; not "  task: x" (of another key).  A file without
# such a line has that of the file that it includes.
_INCLUDED = re.compile(rb"^include:[ \t]*(\S+)[ \t]*\r?$", re.MULTILINE)
_NAMED = re.compile(rb"^(?:task|group):[ \t]*[\"']?([\w.+-]+)[\"']?[ \t]*\r?$", re.MULTILINE)


@lru_cache(maxsize=1)
def task_files() -> Mapping[str, Path]:
    """Return the yaml files of lmms-eval's tasks and groups by name; nothing of it is imported."""
    spec = find_spec("lmms_eval")
    if spec is None or spec.origin is None:
        raise UsageError(f"lmms-eval is not installed: {install('run')}")
    files: dict[str, Path] = {}
    for path in sorted((Path(spec.origin).parent / "tasks").rglob("*.yaml")):
        text = path.read_bytes()
        if not _NAMED.search(text) and (match := _INCLUDED.search(text)):
            included = path.parent / match[1].decode()
            text = included.read_bytes() if included.is_file() else b""
        if match := _NAMED.search(text):
            files.setdefault(match[1].decode(), path)
    return files


def task_config(task_name: str) -> dict[str, Any]:
    """Return a fresh copy of a built-in task's config, its functions imported.

    Reads only the task's own yaml (and what it includes) with lmms-eval's own loader, where its
    TaskManager would index every task.  Source: ``lmms_eval.utils.load_yaml_config``.
    """
    _task_class()
    from lmms_eval.utils import load_yaml_config

    with _importing():
        config: dict[str, Any] = load_yaml_config(str(task_files()[task_name]), mode="full")
    if config["task"] != task_name:
        raise ValueError(f"the file of {task_name} holds the task {config['task']}")
    return config


def build_task(
    task_name: str,
    dataset: Mapping[str, Dataset],
    overrides: Mapping[str, Any] | None = None,
) -> Any:
    """Build lmms-eval's own task object on local data, offline and without any API key.

    It is an ``lmms_eval.api.task.ConfigurableMessagesTask`` whose ``dataset`` is the one given, by
    split, and whose ``dataset_no_image`` lacks the image columns.  No image is decoded.
    ``overrides`` replace entries of the task's config.

    Raises `UsageError` if the test split is missing or empty.
    """
    from datasets import DatasetDict

    config = {**task_config(task_name), **(overrides or {})}
    split = config["test_split"]
    if not dataset.get(split):
        raise UsageError(
            f"the data of {task_name} has no rows in split {split!r}: download it again"
        )
    return _task_class()(config, DatasetDict(dataset))


@lru_cache(maxsize=1)
def library_version() -> str:
    """Return the version of the installed lmms-eval."""
    return version("lmms-eval")
