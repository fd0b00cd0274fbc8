"""Sums for lm-evaluation-harness: a task of one's own with two filters."""

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
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["Question:"], do_sample: false, temperature: 0.0, max_gen_toks: 64}
filter_list:
  - name: last
    filter:
      - {function: regex, regex_pattern: "(-?[0-9]+)", group_select: -1}
      - {function: take_first}
  - name: whole
    filter:
      - {function: regex, regex_pattern: "^(-?[0-9]+)$"}
      - {function: take_first}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
"""


def write() -> None:
    rows = [{"question": f"What is {a} + {b}?", "answer": str(a + b)} for a, b in PAIRS]
    Path("tasks").mkdir(exist_ok=True)
    path = Path("tasks/sums.jsonl").absolute()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("tasks/arith.yaml").write_text(TASK % path)


def main() -> None:
    _, url, model, seed = sys.argv
    write()
    command = ["lm_eval", "--model", "local-chat-completions", "--tasks", "arith", "--model_args",
               f"model={model},base_url={url}/chat/completions,num_concurrent=2,max_retries=1",
               "--apply_chat_template", "--include_path", "tasks", "--log_samples", "--seed", seed,
               "--output_path", f"log/{model}-{seed}"]  # fmt: skip
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
