"""Local copies of the benchmarks' data: where they come from, where they lie, how they are read.

The adapters come in with a benchmark id and a data root; they leave with a fingerprint and a
count (cheap: neither torch nor datasets is imported) or with the tables themselves.
"""

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
