"""Local copies of the benchmarks' data: sources, layout on disk, and readers."""

from benchmarks.data.catalog.sources import Source as Source
from benchmarks.data.catalog.sources import Table as Table
from benchmarks.data.catalog.sources import source as source
from benchmarks.data.local.layout import count as count
from benchmarks.data.local.layout import data_root as data_root
from benchmarks.data.local.layout import find as find
from benchmarks.data.local.layout import fingerprint as fingerprint
from benchmarks.data.local.layout import note as note
from benchmarks.data.local.layout import tables as tables
from benchmarks.data.local.read import convert as convert
from benchmarks.data.local.read import load as load
from benchmarks.data.local.read import records as records
