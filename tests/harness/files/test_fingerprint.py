"""Fingerprints: content counts, names and places do not."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.files.atomic import write_text
from harness.files.hashing import file_hash, model_fingerprint, tree_hash


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def checkpoint(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_file_hash_is_its_sha256_also_after_a_change(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"two", b"three!"):
        path.write_bytes(content)
        os.utime(path, ns=(len(content), hash(content) % 10**9))
        assert file_hash(path) == hashlib.sha256(content).hexdigest()


def test_a_corrupt_cache_costs_only_time(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    (tmp_path / "cache" / "harness").mkdir(parents=True)
    (tmp_path / "cache" / "harness" / "file-hashes.json").write_text('{"a": [1]}')
    assert file_hash(path) == hashlib.sha256(b"x").hexdigest()


def test_a_checkpoint_is_its_content_not_its_path(tmp_path: Path) -> None:
    one = checkpoint(tmp_path / "one")
    two = Path(shutil.copytree(one, tmp_path / "two"))
    assert model_fingerprint(one) == model_fingerprint(two)
    for name in ("optimizer.bin", "training_args.bin", "eval_results.json", "log.txt"):
        (two / name).write_bytes(b"not the model")
    (two / "README.md").write_text("nor this")
    assert model_fingerprint(one) == model_fingerprint(two)
    (two / "chat_template.jinja").write_text("another prompt")
    assert model_fingerprint(one) != model_fingerprint(two)
    (two / "chat_template.jinja").unlink()
    (two / "model.safetensors").write_bytes(b"weight2")
    assert model_fingerprint(one) != model_fingerprint(two)


def test_names_in_a_tree_count(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("y")
    before = tree_hash(tmp_path, [tmp_path / "a", tmp_path / "b"])
    assert before == tree_hash(tmp_path, [tmp_path / "b", tmp_path / "a"])
    (tmp_path / "b").rename(tmp_path / "c")
    assert before != tree_hash(tmp_path, [tmp_path / "a", tmp_path / "c"])


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_half_a_checkpoint_is_one_line(tmp_path: Path, missing: str) -> None:
    folder = checkpoint(tmp_path / "one")
    (folder / missing).unlink()
    with pytest.raises(UsageError, match=r"holds no (config\.json|weights)"):
        model_fingerprint(folder)


def test_an_atomic_write_leaves_no_part_behind(tmp_path: Path) -> None:
    write_text(tmp_path / "x" / "file", "content")
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["file"]
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "x" / "file", "\ud800")
    assert (tmp_path / "x" / "file").read_text() == "content"
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["file"]


@pytest.mark.parametrize(
    "name", ["tekken.json", "params.json", "quantize_config.json", "hf_quant_config.json"]
)
def test_what_vllm_reads_besides_counts(tmp_path: Path, name: str) -> None:
    one = checkpoint(tmp_path / "one")
    before = model_fingerprint(one)
    (one / name).write_text("{}")
    assert model_fingerprint(one) != before


def test_every_pickle_that_vllm_loads_counts(tmp_path: Path) -> None:
    """Without safetensors vLLM loads all ``*.bin`` but a trainer's."""
    one = checkpoint(tmp_path / "one")
    (one / "zz.bin").write_bytes(b"not loaded beside safetensors")
    (one / "model.safetensors").rename(one / "pytorch_model.bin")
    before = model_fingerprint(one)
    (one / "optimizer.bin").write_bytes(b"not the model")
    assert model_fingerprint(one) == before
    (one / "zz.bin").write_bytes(b"other weights")
    assert model_fingerprint(one) != before
