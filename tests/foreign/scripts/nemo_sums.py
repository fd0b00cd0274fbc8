"""Sums for NeMo Evaluator, as a benchmark of one's own, twice each."""

import subprocess
import sys

from nemo_evaluator.environments.custom import benchmark, scorer
from nemo_evaluator.scoring import ScorerInput

PAIRS = [(3, 4), (12, 9), (25, 17), (8, 8), (31, 14), (6, 27), (40, 2), (19, 23)]


def rows() -> list[dict]:
    return [
        {"a": a, "b": b, "target": str(a + b), "category": "small" if a + b < 30 else "large"}
        for a, b in PAIRS
    ]


@benchmark(name="arith", dataset=rows, prompt="What is {a} + {b}?", target_field="target")
@scorer
def score(sample: ScorerInput) -> dict:
    right = str(sample.target) in sample.response
    return {"correct": right, "category": sample.metadata.get("category")}


def main() -> None:
    _, url, model, seed = sys.argv
    command = ["nel", "eval", "run", "--bench", __file__, "--model-url", url, "--model-id", model]
    more = ["--api-key", "x", "-n", "2", "--temperature", "0.7", "-o", f"run/{model}-{seed}"]
    subprocess.run([*command, *more], check=True)


if __name__ == "__main__":
    main()
