"""lmms-eval's own vLLM model on MathVision, timed without its start: a child of `throughput`.

Arguments: checkpoint, data root, items, batch size.  Prints one JSON line on standard output.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

TOKENS = 64


def main() -> None:
    """Build model and requests, warm up on one request, then time all of them."""
    checkpoint, root, count, batch = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5])
    from benchmarks.data import load
    from benchmarks.vqa.base.tasks import build_task

    os.environ.setdefault("OPENAI_API_KEY", "unset")
    from lmms_eval.models.chat.vllm import VLLM

    (splits,) = load("mathvision", root).values()
    split = "test" if "test" in splits else "testmini"
    task = build_task(
        f"mathvision_{split}",
        splits,
        {"generation_kwargs": {"max_new_tokens": TOKENS, "temperature": 0, "top_p": 1.0}},
    )
    task.build_all_requests(limit=count, rank=0, world_size=1)
    model = VLLM(
        checkpoint,
        batch_size=batch,
        max_new_tokens=TOKENS,
        dtype="float32",
        enforce_eager=True,
        max_model_len=4096,
        enable_prefix_caching=False,
        mm_processor_cache_gb=0,
    )
    model.task_dict[task.config.task] = task.dataset
    model.generate_until(task.instances[:1])
    began = time.perf_counter()
    answers = model.generate_until(task.instances[:count])
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "answers": len(answers)}), flush=True)


if __name__ == "__main__":  # vLLM starts children that import this module again
    main()
