"""The tiny model is the same wherever it is built, and says what scorers can read."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

import pytest

from benchmarks.micro.model.qwen3vl import Shape
from harness.backends.transformers import TransformersModel
from harness.records import Response, Sampling
from tests.harness.backends.questions import question
from tests.random_model import BENCH, TINY, build


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_the_same_seed_builds_the_same_files(micro_model: Path, tmp_path: Path) -> None:
    build(tmp_path / "again")
    build(tmp_path / "other", seed=1)
    assert digests(tmp_path / "again") == digests(micro_model)
    differing = digests(tmp_path / "other").items() - digests(micro_model).items()
    assert {name for name, _ in differing} == {"model.safetensors"}


@pytest.mark.parametrize(("shape", "low", "high"), [(TINY, 0.5e6, 2e6), (BENCH, 100e6, 150e6)])
def test_sizes(shape: Shape, low: float, high: float) -> None:
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    from benchmarks.micro.model.qwen3vl import config
    from tests.random_model import _tokenizer

    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(config(shape, _tokenizer()))
    assert low < sum(parameter.numel() for parameter in model.parameters()) < high


def test_answers_are_letters_and_digits_and_differ(micro_model: Path) -> None:
    async def run() -> list[Response]:
        async with TransformersModel(micro_model, dtype="float32") as model:
            return await asyncio.gather(*(model.chat(question(i), Sampling(24)) for i in range(24)))

    texts = [response.text for response in asyncio.run(run())]
    assert sum(bool(re.search(r"[A-E]|\d", text)) for text in texts) >= 20
    assert len(set(texts)) >= 12
