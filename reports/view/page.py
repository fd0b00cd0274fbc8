"""The page of a view: a list of items, and chunks of full items, in one file or served."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from harness.errors import UsageError
from harness.files import plain
from harness.files.atomic import write_text
from harness.files.names import file_name
from harness.files.text import visible
from harness.records import ImagePart
from reports.html import render_template
from reports.view.contents import Sides, entry, item, pictured, shown_text
from reports.view.images import ENDINGS, Prompts, encoded
from reports.view.items import Place, View

CHUNK = 100  # items read and sent together
SIDE = 2048  # longer side of an image beside a page, in pixels
_ON_DISK = "img-src 'self' file: data:"
_SERVED = "img-src 'self' data:; connect-src 'self'"
# Yields all items, reporting progress.
Progress = Callable[[Sequence[Place]], AbstractContextManager[Iterable[Place]]]
Address = Callable[[Place, ImagePart, int], str]


def with_images(place: Place, sides: Sides, prompts: Prompts, address: Address) -> dict[str, Any]:
    """Return an item's prompt with its images, or the reason for their absence in ``no_images``."""
    stored = next(side[0] for side in sides if side).sample.prompt
    try:
        messages = prompts.messages(place, stored)
    except UsageError as error:
        return {"no_images": visible(f"Without its images: {error}")}
    if not messages:
        note = prompts.notes.get(place.benchmark)
        return {"no_images": visible(note)} if note else {}
    return {"prompt": pictured(messages, stored, partial(address, place))}


def render(view: View, entries: Sequence[Any], chunks: Sequence[str], notes: Sequence[str]) -> str:
    """Return the page.

    ``entries`` is the list, ``chunks`` the items as returned by `packed`; without chunks, the page
    requests them from its server.
    """
    labels = shown_text([run.label for run in view.runs])
    return visible(
        render_template(
            "view",
            policy=_ON_DISK if chunks else _SERVED,
            labels=labels,
            notes=[*_differences(view), *notes],
            index=packed({"labels": labels, "chunk": CHUNK, "items": entries}),
            chunks=chunks,
            version=version("contextrl-harness"),
        )
    )


def packed(value: Any) -> str:
    """Return JSON, compressed, as base64: no text from a model is in the page as such."""
    return base64.b64encode(gzip.compress(msgspec.json.encode(value), 4, mtime=0)).decode()


def _differences(view: View) -> list[str]:
    found = []
    for name in dict.fromkeys(place.benchmark for place in view.places):
        entries = (run.manifest["benchmarks"].get(name, {}) for run in view.runs)
        if len({entry.get("data_fingerprint") for entry in entries} - {None}) > 1:
            found.append(f"{name}: the runs were made on different data; items are paired by id")
    return found


def write(view: View, prompts: Prompts | None, path: Path, progress: Progress) -> None:
    """Write the page, and images beside it; `UsageError` for a corrupt run or a failed write."""
    images = path.with_name(f"{path.name.removesuffix('.html')}_files")
    entries: list[Any] = []
    chunks: list[str] = []
    try:
        with progress(view.places) as places:
            left = iter(places)
            while chunk := list(islice(left, CHUNK)):
                made = [_whole(view, place, prompts, images) for place in chunk]
                entries += [each for each, _ in made]
                chunks.append(packed([each for _, each in made]))
        notes = list(prompts.notes.values()) if prompts else []
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, render(view, entries, chunks, notes))
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or path}: {error.strerror}") from error


def _whole(
    view: View, place: Place, prompts: Prompts | None, images: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    sides = view.answers(place)
    pictures = {} if prompts is None else with_images(place, sides, prompts, partial(_add, images))
    return entry(place, sides), item(view, place, sides) | pictures


def _add(images: Path, place: Place, part: ImagePart, number: int) -> str:
    """Write an image to a folder, and return its address; `UsageError` if a link is in the way."""
    content, kind = encoded(part.image, SIDE)
    parent = images / file_name(place.benchmark)
    for folder in (images, parent):
        plain.check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    path = parent / f"{file_name(f'{place.id}-{number}')}{ENDINGS[kind]}"
    with open(path, "wb", opener=plain.opener) as stream:
        stream.write(content)
    return "/".join(map(quote, path.relative_to(images.parent).parts))
