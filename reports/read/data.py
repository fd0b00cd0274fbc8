"""The data that runs were made on, if it and its reader are available."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UsageError
from harness.install.extras import missing
from harness.protocols import Benchmark


@contextmanager
def as_usage_error() -> Iterator[None]:
    """Raise `UsageError` if a package needed to read data is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(missing(error) or str(error)) from error


def benchmark_of(name: str, fingerprints: Iterable[str | None], root: Path | None) -> Benchmark:
    """Return the benchmark if its data is at hand and as runs recorded it; else `UsageError`."""
    from benchmarks import suites

    with as_usage_error():
        # Imported responses were scored on data without images.
        forms = [suites.benchmark(name, root, images=images) for images in (True, False)]
        local = {form.fingerprint() for form in forms}
    if local.isdisjoint(fingerprints):
        raise UsageError("the data at hand is not that of the run (--data-root)")
    return forms[0]


def declares_images(name: str, root: Path | None) -> bool:
    """Whether a benchmark declares images; False if it is unknown here."""
    from benchmarks import suites

    try:
        with as_usage_error():
            return bool(suites.benchmark(name, root).declaration.image_conversion)
    except UsageError:
        return False
