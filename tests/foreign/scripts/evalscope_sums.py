"""Sums for EvalScope: its general benchmarks on local files."""

import json
import sys
from pathlib import Path

from evalscope import TaskConfig, run_task

PAIRS = [(3, 4), (12, 9), (25, 17), (8, 8), (31, 14), (6, 27), (40, 2), (19, 23)]


def write() -> None:
    for name in ("qa", "mcq"):
        Path("data", name).mkdir(parents=True, exist_ok=True)
    asked = [
        {"system": "You add numbers.", "query": f"What is {a} + {b}?", "response": str(a + b)}
        for a, b in PAIRS
    ]
    Path("data/qa/arith.jsonl").write_text("\n".join(map(json.dumps, asked)) + "\n")
    rows = [
        f"{i},What is {a} + {b}?,{a + b + 1},{a + b},{a + b + 2},{a + b + 3},B"
        for i, (a, b) in enumerate(PAIRS)
    ]
    Path("data/mcq/arith_val.csv").write_text(
        "\n".join(["id,question,A,B,C,D,answer", *rows]) + "\n"
    )


def main() -> None:
    _, url, model, seed = sys.argv
    write()
    local = {"general_mcq": "data/mcq", "general_qa": "data/qa"}
    run_task(
        TaskConfig(
            model=model,
            api_url=url,
            api_key="x",
            eval_type="openai_api",
            datasets=list(local),
            dataset_args={
                name: {"local_path": path, "subset_list": ["arith"]} for name, path in local.items()
            },
            generation_config={"temperature": 0.7, "seed": int(seed), "max_tokens": 64},
            seed=int(seed),
            work_dir=f"work/{model}-{seed}",
            no_timestamp=True,
        )
    )


if __name__ == "__main__":
    main()
