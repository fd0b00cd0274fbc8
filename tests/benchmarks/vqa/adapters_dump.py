"""Writes what the adapters yield, or what lmms-eval itself would ask, as JSON for the tests.

Run as ``python -m tests.benchmarks.vqa.adapters_dump ours|lmms FOLDER OUT``, where FOLDER holds
data roots, each in a process of its own: ``ours`` without any key in the environment, ``lmms``
(the outside reference: TaskManager, load_from_disk, doc_to_text) with the keys that its modules
ask for.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

TASKS = {
    "mathvista": {"": "mathvista_testmini_cot"},
    "mathverse": {"testmini": "mathverse_testmini"},
    "mathvision": {"": "mathvision_test"},
    "mmmu_pro": {"standard (10 options)": "mmmu_pro_standard", "vision": "mmmu_pro_vision"},
    "mmmu": {"": "mmmu_val"},
    "vstar": {"": "vstar_bench"},
    "mmstar": {"": "mmstar"},
    "blink": {
        "Art_Style": "blink_art_style",
        "Counting": "blink_counting",
        "Forensic_Detection": "blink_forensic_detection",
        "Functional_Correspondence": "blink_functional_correspondence",
        "IQ_Test": "blink_iq_test",
        "Jigsaw": "blink_jigsaw",
        "Multi-view_Reasoning": "blink_multi_view_reasoning",
        "Object_Localization": "blink_object_localization",
        "Relative_Depth": "blink_relative_depth",
        "Relative_Reflectance": "blink_relative_reflectance",
        "Semantic_Correspondence": "blink_semantic_correspondence",
        "Spatial_Relation": "blink_spatial_relation",
        "Visual_Correspondence": "blink_visual_correspondence",
        "Visual_Similarity": "blink_visual_similarity",
    },
    "scienceqa": {"ScienceQA-IMG": "scienceqa_img"},
    "phyx": {"data_for_llms_eval": "phyx_mini_mc"},
    "olympiadbench_physics": {"OE_MM_physics_en_COMP": "olympiadbench_OE_MM_physics_en_COMP"},
    "mme_realworld_lite": {"": "mmerealworld_lite"},
}
FOLDERS = {"vstar": "vstar_bench", "olympiadbench_physics": "olympiadbench"}
FOLDERS["mme_realworld_lite"] = "mme_realworld"


def pixels(image: Any) -> str:
    """Return a hash of an image's size and pixels."""
    return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()


def ours(root: Path, benchmark_id: str) -> dict[str, Any]:
    """Return the adapter's items, with and without images."""
    from benchmarks import suites
    from harness.protocols import FailedItem, build_items

    options = {"image_conversion": "native"}
    benchmark = suites.benchmark(benchmark_id, root, options=options)
    built = list(build_items(benchmark))
    order = list(benchmark.ids())
    failed = {item.id: item.reason for item in built if isinstance(item, FailedItem)}
    good = [item for item in built if not isinstance(item, FailedItem)]
    texts = suites.benchmark(benchmark_id, root, images=False)
    unlike = [
        place.id
        for made, item in ((benchmark, iter(built)), (texts, build_items(texts)))
        for place in made.places.values()
        if fields(direct(made, place)) != fields(next(item))
    ]
    return {
        "unlike": unlike,
        "declaration": asdict(benchmark.declaration),
        "count": benchmark.count(),
        "order": order,
        "failed": failed,
        "built": [item.id for item in built],
        "items": [
            {
                "id": item.id,
                "target": asdict(item.target),
                "cluster": item.cluster,
                "parts": item.parts,
                "messages": [
                    [message.role, [_part(part) for part in message.content]]
                    for message in item.messages
                ],
            }
            for item in good
        ],
        "texts": [
            [item.id, item.cluster, item.messages[0].render()]
            for item in build_items(texts)
            if not isinstance(item, FailedItem)
        ],
    }


def direct(benchmark: Any, place: Any) -> Any:
    """Build an item with lmms-eval's task and decoded images, and nothing prepared."""
    from benchmarks.data.local.images import is_empty, undecodable
    from harness.errors import ItemError
    from harness.protocols import FailedItem
    from harness.records import ImagePart, Item, Message, TextPart

    table = benchmark.tables[place.form]
    doc = {n: None if is_empty(cell) else cell for n, cell in table.rows[place.row].items()}
    try:
        turns = [{"role": "user", "content": [{"type": "text", "text": None}]}]
        if benchmark.images:
            for name in benchmark.needed(doc):
                if doc.get(name) is None:
                    raise ItemError(f"the data set has no image in column {name}")
            seen = {n: decoded(n, c) if n in table.images and c else c for n, c in doc.items()}
            try:
                turns = benchmark.messages(table.task, seen)
                for part in turns[0]["content"]:
                    if part["type"] == "image":
                        part["url"].load()
            except undecodable() as error:
                raise ItemError(f"an image does not decode: {error}") from error
        else:
            turns[0]["content"][0]["text"] = benchmark.prompt(table.task, doc)
        messages = tuple(
            Message(
                turn["role"],
                tuple(
                    TextPart(part["text"]) if part["type"] == "text" else ImagePart(part["url"])
                    for part in turn["content"]
                ),
            )
            for turn in turns
        )
        target, parts = benchmark.target(doc), benchmark.parts(table.form, doc)
        return Item(place.id, messages, target, benchmark.cluster(doc, place.id), parts)
    except ItemError as error:
        return FailedItem(place.id, str(error))
    except (AttributeError, TypeError, ValueError, LookupError) as error:
        return FailedItem(place.id, f"malformed row: {type(error).__name__}: {error}")


def decoded(name: str, cell: Any) -> Any:
    """Decode an image cell as ``datasets`` does."""
    import datasets

    from benchmarks.data.local.images import undecodable
    from harness.errors import ItemError

    try:
        return datasets.Image().decode_example({"bytes": None, "path": None, **cell})
    except undecodable() as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ItemError(f"the image in column {name} does not decode: {why}") from error


def fields(item: Any) -> Any:
    """Return all of an item that decides what is asked and scored; addresses in memory left out."""
    import re

    if hasattr(item, "reason"):
        return item.id, re.sub("0x[0-9a-f]+", "", item.reason)
    content = [
        (message.role, [_part(part) for part in message.content]) for message in item.messages
    ]
    modes = [
        p.image.mode for message in item.messages for p in message.content if hasattr(p, "image")
    ]
    return item.id, content, modes, item.target, item.cluster, item.parts


def _part(part: Any) -> list[str]:
    return ["image", pixels(part.image)] if hasattr(part, "image") else ["text", part.text]


def lmms(root: Path, benchmark_id: str) -> dict[str, Any]:
    """Return, by config, what lmms-eval's own task objects say of each document."""
    return {
        config: _reference(root / benchmark_id, benchmark_id, config, name)
        for config, name in TASKS[benchmark_id].items()
    }


def _reference(folder: Path, benchmark_id: str, config: str, name: str) -> dict[str, Any]:
    import lmms_eval.tasks
    from lmms_eval.api.task import ConfigurableMessagesTask

    tasks = Path(lmms_eval.tasks.__file__).parent / FOLDERS.get(benchmark_id, benchmark_id)
    manager = lmms_eval.tasks.TaskManager(
        "WARNING", include_path=str(tasks), include_defaults=False
    )
    settings = manager._get_config(name)
    own = folder / config
    path = own if (own / "dataset_dict.json").is_file() else folder
    settings.update(dataset_path=str(path), dataset_kwargs={"load_from_disk": True})
    settings.pop("dataset_name", None)
    # The real MathVision is tested on its small split.
    if not (path / settings["test_split"]).is_dir():
        settings["test_split"] = next(path.glob("*/state.json")).parent.name
    task = ConfigurableMessagesTask(config=settings)
    docs = []
    for doc in task.eval_docs:
        turns = task.doc_to_messages(doc)
        docs.append(
            {
                "text": task.doc_to_text(doc),
                "visuals": [pixels(image) for image in task.doc_to_visual(doc)],
                "messages": [
                    [
                        turn["role"],
                        [
                            ["text", part["text"]]
                            if part["type"] == "text"
                            else ["image", pixels(part["url"])]
                            for part in turn["content"]
                        ],
                    ]
                    for turn in turns
                ],
                "gold": task.doc_to_target(doc),
                "doc": {key: value for key, value in doc.items() if _plain(key, value)},
            }
        )
    return {"docs": docs, "generation": dict(task.config.generation_kwargs)}


def _plain(key: str, value: Any) -> bool:
    return key not in ("bytes", "image") and not hasattr(value, "tobytes")


def damage(
    root: Path, benchmark_id: str, to: Path, harm: Callable[[Any], Any] | None = None
) -> str:
    """Copy a data set, its first table through ``harm`` (the default cuts an image in half).

    Returns:
        The config of that table.
    """
    from datasets import DatasetDict, Image, load_from_disk

    config = next(iter(TASKS[benchmark_id]))
    for other in TASKS[benchmark_id]:
        own = root / benchmark_id / other
        folder = own if (own / "dataset_dict.json").is_file() else own.parent
        splits = load_from_disk(str(folder))
        if other == config:
            split = next(iter(splits))
            for column in [n for n, f in splits[split].features.items() if isinstance(f, Image)]:
                splits = splits.cast_column(column, Image(decode=False))
            splits = DatasetDict({**splits, split: (harm or _cut)(splits[split])})
        splits.save_to_disk(str(to / benchmark_id / (other if folder == own else "")))
    return config


def _cut(table: Any) -> Any:
    from datasets import Dataset, Features, Image

    rows = table.to_list()
    column = next(
        name
        for name in ("decoded_image", "image", "image_1", "bytes")
        if rows[1].get(name) is not None
    )
    cell = rows[1][column]
    if isinstance(cell, str):
        rows[1][column] = cell[: len(cell) // 8 * 4]
    else:
        rows[1][column] = {"bytes": cell["bytes"][: len(cell["bytes"]) // 2], "path": None}
    kinds = {
        name: Image() if isinstance(feature, Image) else feature
        for name, feature in table.features.items()
    }
    return Dataset.from_list(rows, features=Features(kinds))


def every_kind_of_image(table: Any) -> Any:
    """Return a table whose rows take turns in the modes and formats of their image."""
    import base64
    import io
    from itertools import cycle

    from datasets import Dataset, Features, Image
    from PIL import ExifTags
    from PIL import Image as Pictures

    turned = Pictures.Exif()
    turned[ExifTags.Base.Orientation] = 6
    kinds = [
        *((mode, "PNG", {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *((mode, "JPEG", {"exif": turned}) for mode in ("L", "RGB", "CMYK")),
        *(("RGB", form, {}) for form in ("GIF", "BMP", "TIFF", "WEBP")),
    ]
    rows = table.to_list()
    column = next(name for name in ("image", "bytes") if rows[0].get(name) is not None)
    for row, (mode, form, options) in zip(rows, cycle(kinds), strict=False):
        text = isinstance(row[column], str)
        content = base64.b64decode(row[column]) if text else row[column]["bytes"]
        image = Pictures.open(io.BytesIO(content)).convert("L" if mode == "I;16" else mode)
        stream = io.BytesIO()
        image.convert(mode).save(stream, form, **options)
        content = stream.getvalue()
        row[column] = (
            base64.b64encode(content).decode() if text else {"bytes": content, "path": None}
        )
    features = {n: Image() if isinstance(f, Image) else f for n, f in table.features.items()}
    return Dataset.from_list(rows, features=Features(features))


def forget_answer(table: Any) -> Any:
    """Return a table whose second row has no answer."""
    from datasets import Dataset

    rows = table.to_list()
    rows[1]["answer"] = None
    return Dataset.from_list(rows, features=table.features)


def refusal() -> str:
    """Return what `build_task` says to a data set without the task's split."""
    from benchmarks.vqa.base.tasks import build_task
    from harness.errors import UsageError

    try:
        build_task("mmstar", {})
    except UsageError as error:
        return str(error)
    return ""


def main(mode: str, root: Path, out: Path) -> None:
    """Dump every benchmark under each data root in ``root``."""
    dump: dict[str, Any] = {"no rows": refusal() if mode == "ours" else ""}
    for home in sorted(root.iterdir()):
        dump[home.name] = {
            benchmark_id: (ours if mode == "ours" else lmms)(home, benchmark_id)
            for benchmark_id in TASKS
            if (home / benchmark_id).is_dir()
            and not (mode == "lmms" and home.name in ("damaged", "odd", "kinds"))
        }
    out.write_text(json.dumps({"environment": sorted(os.environ), **dump}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
