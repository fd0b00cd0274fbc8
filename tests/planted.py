"""Runs of models with a planted accuracy, on the embedded items.

Two models are served and measured: one always right, one always wrong.  The run of every other
model is mixed from their answers.  A name is LEVEL-ARM-SEED: the level says how many items of a
hundred are answered right, the seed moves that by a little, as training seeds do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import suites
from benchmarks.micro.data.datasets import write
from harness.cli.main import cli
from harness.files.hashing import json_hash
from harness.protocols import Benchmark, build_items
from harness.records import ImagePart, Item, TextPart
from harness.runs.store import encode, read_samples
from harness.runs.summary import summarise
from tests.servers import Reply, Request, ScriptedServer

# Benchmarks whose native scoring needs a judge: none is started for it.
BENCHMARKS = ("mathvista", "mathverse", "phyx")
ITEMS = 60  # of each
SEED_SD = 0.007  # of a seed's accuracy, the same for all benchmarks of a model


def write_runs(root: Path, names: Sequence[str]) -> None:
    """Write the data and the runs of named models: in ``data`` and ``runs``.

    Each item has a difficulty, evenly spread over a benchmark: a model answers right what is easier
    than its accuracy.  So differences between models are as planted, but for their seeds.
    """
    write(root / "data", n=ITEMS)
    benchmarks = [suites.benchmark(name, root / "data") for name in BENCHMARKS]
    items = {each.declaration.id: _items(each) for each in benchmarks}
    difficulties = {name: _difficulties(name, found) for name, found in items.items()}
    targets = {content: item.target for of in items.values() for content, item in of}
    right = _measured(root, "right", lambda content: targets[content].answer)
    wrong = _measured(root, "wrong", lambda content: _wrong(targets[content]))
    for name in names:
        level = int(name.partition("-")[0]) / 100
        accuracy = level + random.Random(name).gauss(0, SEED_SD)
        run = _copied(right, root / "runs" / f"{name}-vqa12-planted", name)
        rows = []
        for each in benchmarks:
            declared = each.declaration
            known, other = (read_samples(one, declared.id) for one in (right, wrong))
            hard = difficulties[declared.id]
            mixed = {key: s if hard[s.id] < accuracy else other[key] for key, s in known.items()}
            lines = "".join(map(encode, mixed.values()))
            (run / "samples" / f"{declared.id}.jsonl").write_text(lines)
            rows.append(dataclasses.asdict(summarise(run, declared, [ITEMS], None, mixed)))
        (run / "summary.json").write_text(json.dumps({"benchmarks": rows}))


def _items(benchmark: Benchmark) -> list[tuple[str, Item]]:
    built = [item for item in build_items(benchmark) if isinstance(item, Item)]
    assert len(built) == ITEMS
    return [(_of_item(item), item) for item in built]


def _difficulties(name: str, items: Sequence[tuple[str, Item]]) -> Mapping[str, float]:
    """Return each item's difficulty; some generated items are alike to the last pixel."""
    distinct = list(dict.fromkeys(content for content, _ in items))
    order = random.Random(name).sample(range(len(distinct)), len(distinct))
    places = dict(zip(distinct, order, strict=True))
    return {item.id: (places[content] + 0.5) / len(distinct) for content, item in items}


def _measured(root: Path, name: str, answer: Callable[[str], str]) -> Path:
    """Return the run of a served model that answers an item's content."""

    def reply(request: Request) -> Reply:
        return Reply(answer(_of_request(request)))

    with ScriptedServer(reply, models=(name,)) as server:
        words = ["run", "--model", name, "--endpoint", server.url, "--suite", "vqa12"]
        words += ["--benchmarks", ",".join(BENCHMARKS), "--data-root", str(root / "data")]
        words += ["--out", str(root / "measured"), "--max-tokens", "16"]
        cli.main(words, standalone_mode=False)
        assert len(server.requests) == len(BENCHMARKS) * ITEMS
    return next((root / "measured").glob(f"{name}-*"))


def _copied(run: Path, copy: Path, name: str) -> Path:
    """Return a copy of a run, as one of a model with another name."""
    shutil.copytree(run, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["base"] = json_hash([name, "run"])
    manifest["model"] |= {"name": name, "fingerprint": json_hash([name])}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def _content(text: str, images: Sequence[Image.Image]) -> str:
    digest = hashlib.sha256(text.encode())
    for image in images:
        digest.update(repr(image.size).encode() + image.convert("RGB").tobytes())
    return digest.hexdigest()


def _of_item(item: Item) -> str:
    parts = [part for message in item.messages for part in message.content]
    text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
    return _content(text, [part.image for part in parts if isinstance(part, ImagePart)])


def _of_request(request: Request) -> str:
    return _content(request.text, [Image.open(io.BytesIO(data)) for data in request.images])


def _wrong(target: Any) -> str:
    if target.kind != "choice":
        return f"1{target.answer}"
    letters = "ABCDEFGH"[: len(target.choices)]
    return letters[(letters.index(target.answer) + 1) % len(letters)]
