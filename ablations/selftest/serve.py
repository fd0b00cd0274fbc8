"""Part ``serve``: vLLM on a model and images; requests a second beside a bare client's."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

from ablations.selftest.throughput import WithoutNative, bare, bodies, engine
from ablations.selftest.trials import Measured
from ablations.study.children import say
from benchmarks.micro.model.base import tokenizer
from benchmarks.micro.model.qwen3vl import Shape, Tower, config, processor
from benchmarks.micro.prepare import prepare
from benchmarks.suites import benchmark
from harness.backends import BackendSpec, open_model
from harness.backends.http.endpoint import EndpointModel
from harness.backends.models.settings import ModelSettings
from harness.backends.spec import Setup
from harness.protocols import build_items

DATA = "mathvision"  # of the micro world; every item has an image
ITEMS = {True: 200, False: 64}  # on a GPU (all that the micro world has), and without
TOKENS, ROUNDS = 64, 3
CONTEXT = 4096
PIXELS = 512 * 512  # of an image to the random models: 256 tokens
SHAPES = {
    "100M": Shape(
        Tower(hidden=768, intermediate=2304, layers=12, heads=12),
        kv_heads=4,
        head_dim=64,
        vision=Tower(hidden=384, intermediate=1536, layers=12, heads=6),
        max_pixels=1024 * 1024,
    ),
    # Qwen3-VL-2B's widths; more layers stand for its vocabulary of 151,936.
    "2B": Shape(
        Tower(hidden=2048, intermediate=6144, layers=34, heads=16),
        kv_heads=8,
        head_dim=128,
        vision=Tower(hidden=1024, intermediate=4096, layers=24, heads=16),
        max_pixels=1024 * 1024,
    ),
}


def run(name: str, folder: Path, gpus: int) -> Measured:
    """Serve a model (bf16 on a GPU, float32 without) and ask questions with images."""
    model, data = prepare(folder / "micro")
    size, _, parallel = name.partition("-")
    if size in SHAPES:
        model = write_config(folder / size, SHAPES[size])
    dummy = {"load-format": "dummy"} if size in SHAPES else {}
    settings = ModelSettings(
        extra_body={"ignore_eos": True},  # every answer has all tokens
        min_pixels=PIXELS if size in SHAPES else None,
        # No contestant finds the work of another done.
        vllm_arg={"enable-prefix-caching": False, "mm-processor-cache-gb": 0, **dummy},
    )
    spec = BackendSpec(
        "vllm",
        model,
        dtype="bfloat16" if gpus else "float32",
        tensor_parallel=2 if parallel == "tensor-parallel" else 1,
        replicas=2 if parallel == "data-parallel" else 1,
        max_model_len=CONTEXT,
        log_path=folder / f"vllm-{name}.log",
        setup=Setup(settings),
    )
    return asyncio.run(_measured(spec, data, folder / f"serve-{name}", ITEMS[gpus > 0]))


def write_config(folder: Path, shape: Shape) -> Path:
    """Write a Qwen3-VL without weights: configuration, tokenizer and processor."""
    bpe = tokenizer()
    made = config(shape, bpe)
    made.architectures = ["Qwen3VLForConditionalGeneration"]
    made.save_pretrained(folder)
    processor(shape, bpe).save_pretrained(folder)
    return folder


async def _measured(spec: BackendSpec, data: Path, folder: Path, items: int) -> Measured:
    import aiohttp

    bench: Any = WithoutNative(benchmark(DATA, data))
    name = spec.checkpoint.name if spec.checkpoint else ""
    requests = bodies(build_items(bench, items), name, TOKENS, {"ignore_eos": True})
    alone, ours = [], []
    begun = time.monotonic()
    async with open_model(spec, say) as model:
        start = time.monotonic() - begun
        assert isinstance(model, EndpointModel)
        connector = aiohttp.UnixConnector(str(model.socket), limit=items)
        async with aiohttp.ClientSession(connector=connector) as session:
            await bare(session, requests, TOKENS)  # warm
            for number in range(ROUNDS):
                seconds, prompt = await bare(session, requests, TOKENS)
                alone.append(seconds)
                ours.append(await engine(bench, model, folder / str(number), items, TOKENS))
    ratio = statistics.median(a / b for a, b in zip(ours, alone, strict=True))
    figures = {
        "start": (start, "s"),
        "harness": (items / statistics.median(ours), "requests/s"),
        "bare client": (items / statistics.median(alone), "requests/s"),
        "harness over bare client": (ratio, "x the time"),
        "requests": (float(items), "at once"),
        "prompt": (prompt, "tokens"),
        "answer": (float(TOKENS), "tokens"),
    }
    return Measured(figures)
