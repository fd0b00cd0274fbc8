"""Sums for lmms-eval: a task of one's own."""

import json
import subprocess
import sys
from pathlib import Path

PAIRS = [(3, 4), (12, 9), (25, 17), (8, 8), (31, 14), (6, 27), (40, 2), (19, 23)]
TASK = """\
task: arith
dataset_path: json
dataset_kwargs:
  data_files: {test: %s}
test_split: test
output_type: generate_until
doc_to_visual: !function sums.visual
doc_to_text: !function sums.text
doc_to_target: answer
process_results: !function sums.score
generation_kwargs: {temperature: 0, max_new_tokens: 64, do_sample: false}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata:
  - version: 1.0
"""
FUNCTIONS = """\
def visual(doc):
    return []


def text(doc, lmms_eval_specific_kwargs=None):
    return doc["question"]


def score(doc, results):
    return {"exact_match": float(results[0].rstrip(".").endswith(" " + doc["answer"]))}
"""


def write() -> None:
    rows = [{"question": f"What is {a} + {b}?", "answer": str(a + b)} for a, b in PAIRS]
    Path("tasks").mkdir(exist_ok=True)
    path = Path("tasks/sums.jsonl").absolute()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("tasks/arith.yaml").write_text(TASK % path)
    Path("tasks/sums.py").write_text(FUNCTIONS)


def main() -> None:
    _, url, model, seed = sys.argv
    write()
    command = [sys.executable, "-m", "lmms_eval", "--model", "openai", "--model_args",
               f"model={model},base_url={url},api_key=x", "--tasks", "arith",
               "--include_path", "tasks", "--log_samples", "--seed", seed, "--batch_size", "1",
               "--output_path", f"log/{model}-{seed}"]  # fmt: skip
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
