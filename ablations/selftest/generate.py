"""Part ``generate``: texts of vLLM against those of transformers, both in float32."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from ablations.selftest.serve import CONTEXT, DATA
from ablations.selftest.trials import Measured
from ablations.study.children import say
from benchmarks.micro.prepare import prepare
from benchmarks.suites import benchmark
from harness.backends import BackendSpec, open_model
from harness.protocols import build_items
from harness.records import Item, Sampling

ITEMS, TOKENS = 64, 32
LEAST = 0.95  # of the texts are identical: two tokens may be equally likely to the last bits


def run(name: str, folder: Path, gpus: int) -> Measured:
    """Answer the same questions with images by both, greedily."""
    model, data = prepare(folder / "micro")
    items = [item for item in build_items(benchmark(DATA, data), ITEMS) if isinstance(item, Item)]
    texts, seconds = {}, {}
    for kind in ("vllm", "transformers"):
        log = folder / "vllm-generate.log"
        spec = BackendSpec(kind, model, dtype="float32", max_model_len=CONTEXT, log_path=log)
        texts[kind], seconds[kind] = asyncio.run(_answered(spec, items))
    one, other = texts.values()
    same = sum(a == b for a, b in zip(one, other, strict=True)) / len(items)
    figures = {
        "identical texts": (same, "share"),
        "texts": (float(len(items)), ""),
        "distinct texts": (float(len({*one})), ""),
        **{kind: (value, "s") for kind, value in seconds.items()},
    }
    wrong = [f"{same:.0%} of the texts are identical"] if same < LEAST else []
    return Measured(figures, [*wrong, *(["all texts are alike"] if len({*one}) == 1 else [])])


async def _answered(spec: BackendSpec, items: Sequence[Item]) -> tuple[list[str], float]:
    """Return the texts, and the seconds that they took."""
    async with open_model(spec, say) as model:
        begun = time.monotonic()
        asked = (model.chat(item.messages, Sampling(TOKENS)) for item in items)
        responses = await asyncio.gather(*asked)
        return [response.text for response in responses], time.monotonic() - begun
