"""Imports a library without the optional packages that it would load only to look for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Import what stands inside as if ``packages`` were not installed; loaded ones stay.

    ``None`` in ``sys.modules`` is Python's own mark for a module that cannot be imported.
    """
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
