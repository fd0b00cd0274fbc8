"""Rename schema 1 keys of stored plans, analyses and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMA = 2
"""Of ``plan.json`` and ``analysis.json``."""

RENAMED = {
    "word": "verdict",
    "wanted": "power",
    "planned": "effect_size",
    "other_low": "alt_variance_low",
    "other_high": "alt_variance_high",
    "items_low": "boot_low",
    "items_high": "boot_high",
}
"""A key of schema 1 -> its name now.  A plan of schema 1 is hashed under its old names."""


def current(document: Any) -> Any:
    """Return a schema 1 document with current names; a current one is unchanged."""
    return _renamed(document, RENAMED, SCHEMA)


def schema_1(document: Any) -> Any:
    """Return a document with schema 1 names."""
    return _renamed(document, {new: old for old, new in RENAMED.items()}, 1)


def _renamed(document: Any, names: Mapping[str, str], schema: int) -> Any:
    if isinstance(document, list | tuple):
        return [_renamed(value, names, schema) for value in document]
    if not isinstance(document, dict):
        return document
    renamed = {names.get(k, k): _renamed(value, names, schema) for k, value in document.items()}
    return renamed | ({"schema": schema} if renamed.get("schema") in (1, SCHEMA) else {})
