"""Local copies of the benchmarks' data: sources, layout on disk, and how to read them."""

from benchmarks.data.catalog.sources import SOURCES, Source, Table
from benchmarks.data.local.layout import count, data_root, fingerprint, note, tables
from benchmarks.data.local.read import load, records

__all__ = [
    "SOURCES",
    "Source",
    "Table",
    "count",
    "data_root",
    "fingerprint",
    "load",
    "note",
    "records",
    "tables",
]
