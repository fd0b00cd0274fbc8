"""The images of items, from the data that a run was made on, if available."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ItemError, UsageError
from harness.protocols import Benchmark, FailedItem
from harness.records import Message
from reports.read.data import as_usage_error, benchmark_of, declares_images
from reports.view.contents import IMAGE
from reports.view.items import Place, View

if TYPE_CHECKING:
    from PIL import Image

_LOSSLESS = 300_000  # pixels; up to this size an image is a PNG: figures and small scenes
ENDINGS = {"JPEG": ".jpg", "PNG": ".png"}


class Prompts:
    """The prompts of items with their images, from the data; ``notes``: why there are none."""

    def __init__(self, view: View, data_root: Path | None) -> None:
        self.notes: dict[str, str] = {}
        self._view, self._root = view, data_root
        self._benchmarks: dict[str, Benchmark] = {}
        self._declared: dict[str, bool] = {}

    def messages(self, place: Place, stored: Sequence[str]) -> Sequence[Message]:
        """Return an item's messages with images, none without; `UsageError` if they are missing."""
        if place.benchmark in self.notes or not self._has_images(place.benchmark, stored):
            return ()
        try:
            with as_usage_error():
                built = self._benchmark(place.benchmark).build(place.id)
        except (KeyError, ItemError) as error:
            raise UsageError(f"this item is not in the data, or not as it was: {error}") from error
        except UsageError as error:
            self.notes[place.benchmark] = (
                f"{place.benchmark} is shown without its images: {error}"
                f"{'' if self._root else '; or name the --data-root of the run'}"
            )
            return ()
        if isinstance(built, FailedItem):
            raise UsageError(built.reason)
        return built.messages

    def _entries(self, name: str) -> list[Mapping[str, Any]]:
        return [run.manifest["benchmarks"].get(name, {}) for run in self._view.runs]

    def _has_images(self, name: str, stored: Sequence[str]) -> bool:
        """Whether an item has images, according to its prompt, the manifests or the benchmark."""
        recorded = [entry.get("image_conversion") for entry in self._entries(name)]
        if any(recorded) or any(map(IMAGE.search, stored)):
            return True
        if name not in self._declared:  # not recorded by older versions and other tools
            self._declared[name] = None in recorded and declares_images(name, self._root)
        return self._declared[name]

    def _benchmark(self, name: str) -> Benchmark:
        if name not in self._benchmarks:
            prints = [entry.get("data_fingerprint") for entry in self._entries(name)]
            self._benchmarks[name] = benchmark_of(name, prints, self._root)
        return self._benchmarks[name]


def encoded(image: Image.Image, longest: int | None = None) -> tuple[bytes, str]:
    """Return an image file and its format, scaled down to ``longest`` pixels a side if larger."""
    if longest is not None:
        image = image.copy()
        image.thumbnail((longest, longest))
    kind = "PNG" if image.width * image.height <= _LOSSLESS else "JPEG"
    out = io.BytesIO()
    image.convert("RGB").save(out, kind, quality=90)
    return out.getvalue(), kind
