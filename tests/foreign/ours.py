"""Benchmarks that we have, run by other tools on small data: which item, which verdict, which gain.

inspect asks our own prompts of V* and MMMU, with images; EvalScope its own V* with its own prompt.
The server's answers follow from model and image, so that of every item is known beforehand.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import suites
from benchmarks.micro.data import datasets
from harness.protocols import Benchmark
from harness.records import ImagePart, Item, TextPart
from tests.benchmarks.imports.reading import compared, imported, lines
from tests.commands import harness

HERE = Path(__file__).parent
ITEMS = 12  # of each benchmark
MODELS = ("base", "tuned")


def letter(model: str, images: list[bytes]) -> str:
    """Return the letter that a model answers to images."""
    return "ABCD"[hashlib.sha256(b"".join([model.encode(), *images])).digest()[0] % 4]


def asked(benchmark: Benchmark) -> Iterator[tuple[Item, list[bytes]]]:
    """Yield the multiple-choice items of a benchmark with their images as PNG."""
    for item_id in benchmark.ids():
        item = benchmark.build(item_id)
        if isinstance(item, Item) and item.target.kind == "choice":
            parts = [part for message in item.messages for part in message.content]
            yield item, [png(part) for part in parts if isinstance(part, ImagePart)]


def png(part: ImagePart) -> bytes:
    stream = io.BytesIO()
    part.image.save(stream, "PNG")
    return stream.getvalue()


def write(data: Path, out: Path) -> None:
    """Write the data sets, a file of messages for inspect, and V*'s table for EvalScope."""
    from datasets import load_from_disk

    datasets.write(data, n=ITEMS)
    with out.joinpath("items.jsonl").open("w") as stream:
        for name in ("vstar", "mmmu"):
            for item, images in asked(suites.benchmark(name, data)):
                stream.write(json.dumps(row(name, item, images)) + "\n")
    (out / "vstar").mkdir()
    load_from_disk(str(data / "vstar"))["test"].to_parquet(out / "vstar" / "test.parquet")


def row(name: str, item: Item, images: list[bytes]) -> dict[str, Any]:
    """Return an item as inspect's script reads it; V*'s ids are left to inspect."""
    shown = iter(images)
    parts = [
        {"text": part.text}
        if isinstance(part, TextPart)
        else {"image": "data:image/png;base64," + b64encode(next(shown)).decode()}
        for message in item.messages
        for part in message.content
    ]
    return {
        "benchmark": name, "id": item.id, "official": name != "vstar", "parts": parts,
        "target": item.target.answer,
    }  # fmt: skip


def scored(out: Path, name: str, stored: Mapping[str, dict[str, Any]], data: Path) -> Path:
    """Return our own run of the same responses."""
    out.mkdir(parents=True)
    rows = [{"id": i, "response": row["response"]["text"]} for i, row in stored.items()]
    responses = out / "responses.jsonl"
    responses.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = harness("score", name, responses, "--data-root", data, "--out", out / "runs",
                   "--no-native", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["run"])


def check(logs: Path, names: tuple[str, ...], data: Path, out: Path) -> Iterator[str]:
    """Yield what of imported logs is not as it must be.

    Every item is there and has the tool's verdict, and the gain is that of our own runs.
    """
    runs = {
        (str(run["model"]), row["benchmark"]): run["run"]
        for run in imported(out, logs, "--data-root", data)
        for row in run["benchmarks"]
    }
    if set(runs) != {(model, name) for model in MODELS for name in names}:
        yield f"runs of {sorted(runs)}"
        return
    own: dict[tuple[str, str], Path] = {}
    for (model, name), run in runs.items():
        known = {item.id: images for item, images in asked(suites.benchmark(name, data))}
        stored = lines(run, name)
        if set(stored) != set(known):
            yield f"{model}, {name}: {len(stored)} of {len(known)} items"
        native = lines(run, name, "native")
        if any(line["score"]["value"] != native[item]["value"] for item, line in stored.items()):
            yield f"{model}, {name}: an answer is judged otherwise by the tool"
        own[model, name] = scored(out / model / name, name, stored, data)
    for name in names:
        (line,) = compared(*(runs[model, name] for model in MODELS))["benchmarks"]
        (ours,) = compared(*(own[model, name] for model in MODELS))["benchmarks"]
        for what in ("items", "clusters", "delta", "low", "high", "p", "test"):
            if line[what] != ours[what]:
                yield f"{name}: {what} is {line[what]}, of our own runs {ours[what]}"
        print(f"{logs}: {name}: {line['items']} items, gain {line['delta']:+.4f}")


def swapped(data: Path, out: Path) -> Iterator[str]:
    """Yield the items of imported runs that have the answer to other images."""
    for path in sorted(out.glob("runs/*/samples/*.jsonl")):
        model = path.parents[1].name.partition("-")[0]
        known = {item.id: images for item, images in asked(suites.benchmark(path.stem, data))}
        for item, line in lines(path.parents[1], path.stem).items():
            if not line["response"]["text"].endswith(letter(model, known[item])):
                yield f"{model}, {path.stem}: item {item} has another's answer"


def run(name: str, python: Path, url: str, work: Path) -> list[str]:
    """Run one of the tools for two models; return what disagrees."""
    script, log, of, given = {
        "inspect": ("inspect_items.py", "log", ("vstar", "mmmu"), "items.jsonl"),
        "evalscope": ("evalscope_vstar.py", "work", ("vstar",), "vstar"),
    }[name]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    data = work / "data"
    write(data, work)
    words = {"LOCAL_API_KEY": "x", "LOCAL_BASE_URL": url}
    environment = {**os.environ, **words, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    for model in MODELS:
        command = [str(python), str(HERE / "scripts" / script), url, model, str(work / given)]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
        if done.returncode:
            return [f"{model}: {done.stderr.strip()[-2000:]}"]
    wrong = list(check(work / log, of, data, work / "ours"))
    return wrong if wrong or name != "inspect" else list(swapped(data, work / "ours"))
