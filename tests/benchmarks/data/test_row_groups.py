"""Row groups of parquet files as rows, within a bound."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmarks.data.local.row_groups import rows_of_group
from harness.errors import UsageError


def written(path: Path, text: str, rows: int, *, as_dictionary: bool) -> parquet.ParquetFile:
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
    table = pa.table({"a": column if as_dictionary else column.dictionary_decode()})
    parquet.write_table(table, path)
    return parquet.ParquetFile(path)


@pytest.mark.parametrize("as_dictionary", [True, False])
def test_a_text_that_all_rows_share_counts_for_each(tmp_path: Path, as_dictionary: bool) -> None:
    path = tmp_path / "bomb.parquet"
    file = written(path, "w" * 10_000, 5000, as_dictionary=as_dictionary)
    assert path.stat().st_size < 100_000
    with pytest.raises(UsageError, match=r"bomb\.parquet: its row group 1 takes more than"):
        rows_of_group(file, path, 0, least=1 << 20)
    assert rows_of_group(file, path, 0)[-1] == {"a": "w" * 10_000}


def test_a_header_of_very_many_columns_is_read(tmp_path: Path) -> None:
    from benchmarks.own.rows import open_rows

    path = tmp_path / "wide.tsv"
    names = [f"c{number}" for number in range(100_000)]
    path.write_text("\t".join(names) + "\n" + "\t".join(["x"] * len(names)) + "\n")
    assert open_rows(path)[0]["c99999"] == "x"
