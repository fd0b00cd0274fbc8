"""Weights that are a pickle: only tensors are read, and what else it holds is never run."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest

from harness.backends.checkpoint import load_model
from harness.errors import UsageError
from tests.commands import ROOT


class _Program:
    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.made),)


def test_a_pickle_that_holds_a_program_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(
        ROOT / "benchmarks/micro/model/weights",
        folder,
        ignore=shutil.ignore_patterns("*.safetensors"),
    )
    weights = pickle.dumps({"a": _Program(tmp_path / "made")}, protocol=2)
    for content in (weights, b""):
        (folder / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(UsageError, match="cannot be loaded") as caught:
            load_model(folder)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()
