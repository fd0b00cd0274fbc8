"""Thumbnails of items' images as data URIs, if the runs' data is available."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

from harness.errors import UsageError
from reports.read.data import as_usage_error, benchmark_of

SIDE = 200  # pixels of the longer side


def thumbnails(
    wanted: Iterable[tuple[str, str]], fingerprints: Mapping[str, str | None], root: Path | None
) -> dict[tuple[str, str], str]:
    """Return the first image of each (benchmark, item id) as a small JPEG in a data URI.

    Only if the data at ``root`` (None: the default one) has the fingerprint of the run's data.
    """
    from benchmarks.vqa.base.benchmark import LmmsBenchmark

    by_benchmark: dict[str, set[str]] = {}
    for name, item in wanted:
        by_benchmark.setdefault(name, set()).add(item)
    uris = {}
    for name, items in by_benchmark.items():
        try:
            benchmark = benchmark_of(name, [fingerprints.get(name)], root)
            if not isinstance(benchmark, LmmsBenchmark):
                continue
            with as_usage_error():
                images = benchmark.first_images(items)
        except UsageError:  # without the data or its reader, a report does without
            continue
        uris.update({(name, item): _uri(image) for item, image in images.items()})
    return uris


def _uri(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
