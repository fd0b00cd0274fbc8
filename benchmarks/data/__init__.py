"""Local copies of the benchmarks' data: where they come from, where they lie, how they are read.

The adapters come in with a benchmark id and a data root; they leave with a fingerprint and a
count (cheap: neither torch nor datasets is imported) or with the tables themselves.
"""

from benchmarks.data.layout import count, data_root, fingerprint, note, tables
from benchmarks.data.read import load, records
from benchmarks.data.sources import SOURCES, Source, Table

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
