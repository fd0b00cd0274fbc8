"""What is asked of the stored runs and studies: a name and the words of one command each.

The words are relative to a folder that holds a copy of ``stored/``, the data that the runs were
made on as ``data``, and the shipped weights as ``weights``; `world` makes one.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STORED, EXPECTED = HERE / "stored", HERE / "expected"
# The folder of the shipped weights, wherever the micro world keeps it.
WEIGHTS = next((HERE.parents[1] / "benchmarks" / "micro").rglob("model.safetensors")).parent
NOTE = "micro world: generated scenes and traces, no evidence about real models\n"
ITEMS = 60  # a benchmark

RUN = "runs/weights-vqa12-bed0bccd"
TRAINED, RELABELLED, WORSE = "studies/trained", "studies/relabelled", "new/worse"
LATER = 4e9  # a time in the future
SEEDS = {
    "base": ("base-seed-0/weights-vqa12-bed0bccd",),
    "grpo": ("grpo-seed-0/checkpoint-vqa12-102c17da", "grpo-seed-1/checkpoint-vqa12-17f2be24"),
    "da-sft": (
        "da-sft-seed-0/checkpoint-vqa12-279c5b60",
        "da-sft-seed-1/checkpoint-vqa12-40b7db37",
    ),
    "contextrl": (
        "contextrl-seed-0/checkpoint-vqa12-68356d1a",
        "contextrl-seed-1/checkpoint-vqa12-1f6d24c1",
    ),
    "contextrl-shuffled": (
        "contextrl-shuffled-seed-0/checkpoint-vqa12-e83d17f3",
        "contextrl-shuffled-seed-1/checkpoint-vqa12-217761cd",
    ),
}


def runs(arm: str) -> list[str]:
    """Return the stored runs of an arm of the trained study, one a seed."""
    return [f"{TRAINED}/runs/{name}" for name in SEEDS[arm]]


def _brought(arms: Mapping[str, str]) -> list[str]:
    """Return the words that bring an arm's runs under the name of another arm."""
    return [
        word for name, arm in arms.items() for word in ("--runs", f"{name}={','.join(runs(arm))}")
    ]


_RUN_AGAIN = (
    "run",
    "--model",
    "weights",
    "--suite",
    "vqa12",
    "--limit",
    "10",
    "--data-root",
    "data",
    "--backend",
    "transformers",
    "--dtype",
    "float32",
    "--max-tokens",
    "32",
    "--out",
    "runs",
    "--json",
    "--items",
)
_STUDY = (
    "ablate",
    "objective-vs-data",
    "--suite",
    "vqa12",
    "--benchmarks",
    "mathverse,mmmu_pro,vstar",
    "--json",
)
# da-sft was trained to ruin: as another arm it makes differences that are certain.
_AS_OTHERS = _brought(
    {
        "base": "base",
        "grpo": "da-sft",
        "da-rl": "contextrl-shuffled",
        "contextrl": "contextrl",
        "contextrl-shuffled": "grpo",
    }
)
_RULES = ("--planned", "12", "--margin", "6", "--variance", "pooled")

COMMANDS: dict[str, Sequence[str]] = {
    "run": _RUN_AGAIN,
    "score-mathvista": ("score", "mathvista", "responses/mathvista.jsonl"),
    "score-olympiadbench": ("score", "olympiadbench_physics", "responses/olympiadbench.jsonl"),
    "show-native": ("show", RUN, "mmmu_pro/vision:test_Math_1", "--json"),
    "show-mathvista": ("show", RUN, "mathvista/8", "--json"),
    "show-ruined": ("show", runs("da-sft")[0], "vstar/2", "--json"),
    "show-probe": (
        "show", f"{TRAINED}/runs/contextrl-seed-0/checkpoint-probe-86343a61",
        "probe-0-0/B", "--json",
    ),
    "compare-runs": ("compare", runs("base")[0], runs("contextrl")[0], "--json"),
    "compare-ruined": ("compare", runs("grpo")[0], runs("da-sft")[0], "--json"),
    "compare-arms": (
        "compare", "--a", *runs("grpo"), "--b", *runs("contextrl"),
        "--margin", "15", "--json",
    ),
    "compare-arms-ruined": ("compare", "--a", *runs("da-sft"), "--b", *runs("grpo"), "--json"),
    "compare-one-seed": ("compare", "--a", *runs("base"), "--b", *runs("contextrl"), "--json"),
    "ablate-relabelled": (
        *_STUDY, *_AS_OTHERS, *_RULES, "--studies", "studies", "--name", "relabelled",
    ),
    "ablate-worse": (
        *_STUDY, *_brought({"grpo": "grpo", "da-sft": "contextrl", "contextrl": "da-sft"}),
        "--studies", "new", "--name", "worse",
    ),
    "report-trained": ("report", TRAINED),
    "report-relabelled": ("report", RELABELLED),
    "report-run": ("report", runs("da-sft")[0]),
    "report-two-runs": ("report", runs("base")[0], runs("da-sft")[0]),
    "report-comparison": ("report", "comparisons/grpo-contextrl.json"),
}  # fmt: skip


def words(name: str) -> list[str]:
    """Return the words of one command; a report writes its tables to ``tables.csv``."""
    if name.startswith("report"):
        return [*COMMANDS[name], "--out", "page.html", "--csv", "tables.csv", "--data-root", "data"]
    if name.startswith("score"):
        return [*COMMANDS[name], "--data-root", "data", "--out", "scored", "--json"]
    return list(COMMANDS[name])


def write_data(folder: Path) -> None:
    """Write the data that the stored runs were made on."""
    from benchmarks.micro.data.datasets import write

    write(folder, n=ITEMS)
    for benchmark in folder.iterdir():
        (benchmark / "note.txt").write_text(NOTE)


def world(folder: Path, data: Path) -> None:
    """Copy all that the commands read into a folder, which is then theirs to write in."""
    shutil.copytree(STORED, folder, dirs_exist_ok=True)
    shutil.copytree(WEIGHTS, folder / "weights")
    (folder / "data").symlink_to(data)
    for study in (RELABELLED, WORSE):  # a study whose page is newer than it writes none: seconds
        page = folder / study / "report.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.touch()
        os.utime(page, (LATER, LATER))


def called(name: str) -> dict[str, Any]:
    """Run one command in the present folder and return what it says.

    Returns:
        ``exit``, the exit code; ``json``, the document on standard output, or of a report
        ``headline`` and ``rows``, the lines of its tables without empty cells.
    """
    from click.testing import CliRunner

    from harness.cli.main import cli

    done = CliRunner().invoke(cli, words(name), standalone_mode=False)
    if done.exception is not None:
        raise AssertionError(f"{name}: {done.exception}\n{done.stderr}") from done.exception
    said: dict[str, Any] = {"exit": done.return_value if isinstance(done.return_value, int) else 0}
    if name.startswith("report"):
        said["headline"] = done.stdout.splitlines()[0]
        rows = csv.DictReader(io.StringIO(Path("tables.csv").read_text()))
        said["rows"] = [{key: value for key, value in row.items() if value} for row in rows]
    else:
        said["json"] = json.loads(done.stdout.replace(f"{Path.cwd()}/", ""))
    return said
