"""Local copies of the benchmarks' data: sources, layout on disk, and how to read them."""

from benchmarks.data.catalog.sources import Source, Table, source
from benchmarks.data.local.layout import count, data_root, find, fingerprint, note, tables
from benchmarks.data.local.read import load, records

__all__ = [
    "Source",
    "Table",
    "count",
    "data_root",
    "find",
    "fingerprint",
    "load",
    "note",
    "records",
    "source",
    "tables",
]
