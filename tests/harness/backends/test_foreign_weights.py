"""Checkpoints of others: no code of theirs is run, and what is loaded is what is hashed."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest

from harness.backends.checkpoint import load_model, load_processor
from harness.backends.tokenizer import LocalTokenizer
from harness.errors import UsageError
from harness.files.hashing import model_fingerprint
from tests.commands import ROOT

PACKAGES = ("harness", "benchmarks", "ablations", "reports")


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


def test_code_of_a_checkpoint_is_not_run_whatever_is_typed(tmp_path: Path) -> None:
    """transformers asks on the terminal whether to run it, unless it is told not to."""
    folder = tmp_path / "model"
    shutil.copytree(ROOT / "benchmarks/micro/model/weights", folder)
    config = json.loads((folder / "config.json").read_bytes())
    names = {"AutoConfig": "code.Config", "AutoTokenizer": ["code.Any", "code.Any"]}
    (folder / "config.json").write_text(
        json.dumps({**config, "model_type": "x", "auto_map": names})
    )
    (folder / "code.py").write_text(f"import os; os.mkdir({str(tmp_path / 'made')!r})")
    before, sys.stdin = sys.stdin, io.StringIO("y\n" * 99)
    try:
        for load in (load_model, load_processor):
            with pytest.raises(UsageError, match="cannot be loaded"):
                load(folder)
        assert LocalTokenizer(folder).count("a")  # the tokenizer's own files do without
        assert sys.stdin.read() == "y\n" * 99, "nobody asked"
    finally:
        sys.stdin = before
    assert not (tmp_path / "made").exists()


def test_every_loader_refuses_code() -> None:
    loads: list[str] = []
    for path in (p for name in PACKAGES for p in sorted((ROOT / name).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".from_pretrained"):
                loads.append(f"{path}: {ast.unparse(node)}")
    assert loads
    assert not [load for load in loads if "trust_remote_code=False" not in load]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", {"transformers_weights": "sub/other.safetensors"}),
        ("config.json", {"configuration_files": ["config.4.0.0.json"]}),
        ("model.safetensors.index.json", {"weight_map": {"a": "sub/model.safetensors"}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "../model.safetensors"}}),
    ],
)
def test_what_is_loaded_is_what_is_hashed(
    tmp_path: Path, file: str, content: dict[str, object]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model.safetensors"}}'
    )
    assert model_fingerprint(tmp_path)
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(UsageError, match="not among the files by which a checkpoint is known"):
        model_fingerprint(tmp_path)
