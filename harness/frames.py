"""Rows as a pandas data frame, with types that do not hang on which values are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def frame(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    numbers: Sequence[str] = (),
    counts: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the rows as a frame; ``numbers`` are floats (NaN: none), ``counts`` integers or NA.

    Half a character in a text is written out: pandas' strings cannot hold it.
    """
    import pandas as pd

    cells = [[storable(row.get(name)) for name in columns] for row in rows]
    made = pd.DataFrame(cells, columns=list(columns))
    return made.astype(
        {name: kind for names, kind in ((numbers, "float64"), (counts, "Int64")) for name in names}
    )


def storable(value: Any) -> Any:
    r"""Return a text that UTF-8 has bytes for, half a character as ``\ud83d``."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value
