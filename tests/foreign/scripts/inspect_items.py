"""Items of our benchmarks for inspect, of a file of messages: one task for each benchmark.

A sample has the official id where its line says so, else the number that inspect gives.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText
from inspect_ai.scorer import pattern


def sample(row: dict) -> Sample:
    parts = [
        ContentImage(image=part["image"]) if "image" in part else ContentText(text=part["text"])
        for part in row["parts"]
    ]
    known = {"id": row["id"]} if row["official"] else {}
    return Sample(input=[ChatMessageUser(content=parts)], target=row["target"], **known)


def items(benchmark: str) -> Task:
    rows = map(json.loads, Path(os.environ["ITEMS"]).read_text().splitlines())
    samples = [sample(row) for row in rows if row["benchmark"] == benchmark]
    return Task(dataset=samples, scorer=pattern(r"ANSWER: ([A-Z])"))


@task
def vstar() -> Task:
    return items("vstar")


@task
def mmmu() -> Task:
    return items("mmmu")


def main() -> None:
    _, _, model, path = sys.argv
    common = ["--model", f"openai-api/local/{model}", "--temperature", "0", "--display", "none"]
    given = {**os.environ, "ITEMS": path}
    for name in ("vstar", "mmmu"):
        command = ["inspect", "eval", f"{__file__}@{name}", *common, "--log-dir", f"log/{model}"]
        subprocess.run(command, check=True, env=given)


if __name__ == "__main__":
    main()
