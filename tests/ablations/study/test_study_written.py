"""A study on pairs in the form of the paper's published sets: trains every arm, to a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.micro.data.pairs import pairs, tasks
from harness.records import ImagePart
from tests.ablations.study.test_study import analysis
from tests.commands import ROOT, process

pytestmark = pytest.mark.slow

ARMS = ("grpo", "da-rl", "da-sft", "contextrl", "contextrl-shuffled", "ca-only")
TRAIN = (
    "--config micro --orders written --prompts 8 --prompts-per-step 4 --pair-count 4 "
    "--pairs-per-step 2 --group 2 --max-tokens 4 --report-to none --updates-per-rollout 2 "
    "--max-pixels 4096 --freeze-vision"
)
SUFFIX = "Output A or B directly."


def write(folder: Path) -> Path:
    """Write selection rows and RL rows as their loader reads them: problem, images, answer."""
    rows: list[dict[str, Any]] = []
    for number, pair in enumerate(pairs("pairs", 4, domains=("image",))):
        contexts = [pair.context_positive, pair.context_negative]
        text = f"<image>\n<image>\n{pair.query} Which image gives: {pair.answer}?"
        shown = contexts[:: -1 if number % 2 else 1]
        rows.append({"problem": text, "answer": "AB"[number % 2], "images": shown})
    for item in tasks("pairs", 40, domains=("image",)):
        *images, text_part = item.messages[0].content
        if len(images) == 1 and item.target.kind == "choice":
            row = {"problem": f"<image>{text_part.text}", "answer": item.target.answer}  # type: ignore[union-attr]
            rows.append({**row, "images": [images], "choices": list(item.target.choices)})
    for number, row in enumerate(rows):
        names = []
        for place, (part,) in enumerate(row["images"]):
            assert isinstance(part, ImagePart)
            names.append(f"{number}-{place}.png")
            part.image.save(folder / names[-1])
        row["images"] = names
    path = folder / "train.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_a_study_on_written_pairs_trains_every_arm_and_reaches_a_report(
    micro_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    source = write(tmp_path / "set")
    words = ["ablate", "objective-vs-data", "--studies", str(tmp_path), "--seeds", "1"]
    words += ["--model", str(ROOT / "benchmarks/micro/model/weights"), "--arms", ",".join(ARMS)]
    words += ["--pairs", str(source), "--rl-data", str(source), "--data-root", str(micro_data)]
    words += ["--suite", "vqa12", "--benchmarks", "mathverse", "--limit", "4", "--preload"]
    words += ["--train-args", f"{TRAIN} --selection-suffix '{SUFFIX}'"]
    words += ["--run-args", "--backend transformers --dtype float32 --max-tokens 4 --no-native"]
    done = process(*words)
    assert done.returncode == 0, done.stderr
    study = tmp_path / "objective-vs-data"
    found = analysis(tmp_path)
    assert found["complete"]
    assert {row["arm"] for row in found["analysis"]["arms"]} == set(ARMS)
    for name in ARMS:
        ledger = json.loads((study / f"arms/{name}/seed-0/ledger.json").read_bytes())
        if name == "grpo":
            assert (ledger["prompts"], ledger["exposures"]) == (8, 0)  # whole batches of rollouts
            continue
        assert (ledger["orders"], ledger["one_order_pairs"]) == ("written", 4)
        shown = ledger["contrastive_rl_items"] if name == "da-rl" else ledger["exposures"]
        assert shown == 4
    page = (study / "report.html").read_text()
    assert "one order" in page
    assert "No verdict" in found["verdict"] or "one seed" in found["verdict"]
