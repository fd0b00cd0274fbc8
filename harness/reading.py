"""A stored run as data frames: `read_run`, the public way to what a run folder holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import unknown
from harness.records import Response, Sample
from harness.runs.store import SampleKey, read_manifest, read_samples
from harness.runs.summary import BenchmarkSummary, checked_summaries, current_values

if TYPE_CHECKING:
    import pandas as pd

SCORES = (
    "benchmark", "n", "answers", "strict", "stderr", "native", "native_n", "judged", "judged_n",
    "unparsable", "unscored", "errors", "truncated", "note",
)  # fmt: skip
SAMPLES = (
    "benchmark", "id", "repeat", "cluster", "parts", "value", "status", "prediction", "target",
    "native", "judged", "source_value", "why", "flag", "prompt", "scoring", "time",
)  # fmt: skip
NUMBERS = ("value", "native", "judged", "source_value", "seconds")
OF_SAMPLE = ("cluster", "parts", "target", "scoring", "source_value", "time")
COUNTS = ("time", "prompt_tokens", "completion_tokens", "prompt_tokens_cut")
RESPONSE = (*(field.name for field in fields(Response) if field.name != "text"), "truncated")


@dataclass(frozen=True, slots=True)
class Run:
    """A stored run: its folder, its manifest, and what its summary says by benchmark.

    It can be given wherever the path of a run is.
    """

    path: Path
    manifest: Mapping[str, Any]
    summaries: Mapping[str, BenchmarkSummary]

    def __fspath__(self) -> str:
        """Return the folder's path."""
        return str(self.path)

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.manifest["model"]["name"])

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The ids of its benchmarks."""
        return tuple(self.manifest["benchmarks"])

    def scores(self) -> pd.DataFrame:
        """Return one row per benchmark: scores in [0, 1] with their counts (`SCORES`).

        A score that there is none of is missing (NaN).
        """
        rows = [{name: getattr(row, name) for name in SCORES} for row in self.summaries.values()]
        return frame(rows, SCORES, numbers=("strict", "stderr", "native", "judged"))

    def parts(self) -> pd.DataFrame:
        """Return one row per part of a benchmark: ``benchmark``, ``part``, ``strict`` in [0, 1]."""
        rows = [
            {"benchmark": name, "part": part, "strict": value}
            for name, row in self.summaries.items()
            for part, value in row.parts.items()
        ]
        return frame(rows, ("benchmark", "part", "strict"), numbers=("strict",))

    def samples(self, *benchmarks: str) -> pd.DataFrame:
        """Return one row per item and repeat, of these benchmarks or of all.

        Columns are those of `harness.records.Sample` and its `Response` and `Score`: ``value`` is
        the strict score in [0, 1], ``native`` and ``judged`` those of the present answer,
        ``response`` the text of the answer. ``parts`` are tuples, ``target`` and ``trajectory`` as
        stored; ``prompt`` joins the messages by an empty line. Raises `UsageError` if the run has
        no such benchmark, or its files are corrupt.
        """
        rows = (row for name in benchmarks or self.benchmarks for row in self._rows(name))
        columns = (*SAMPLES, "response", *RESPONSE)
        return frame(rows, columns, numbers=NUMBERS, counts=COUNTS)

    def _rows(self, benchmark: str) -> Iterator[dict[str, Any]]:
        if benchmark not in self.benchmarks:
            raise unknown("benchmark in this run", benchmark, self.benchmarks)
        samples = read_samples(self.path, benchmark)
        summary = self.summaries.get(benchmark)
        native, judged = current_values(self.path, summary, samples) if summary else ({}, {})
        for key, sample in samples.items():
            yield _row(benchmark, key, sample) | {
                "native": native.get(key), "judged": judged.get(key)
            }  # fmt: skip


def read_run(path: str | os.PathLike[str]) -> Run:
    """Open a run's folder.

    Raises `UsageError` if it is not a run, its manifest or summary is corrupt, or the summary is
    not what the samples say.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    return Run(folder, manifest, checked_summaries(folder, manifest))


def _row(benchmark: str, key: SampleKey, sample: Sample) -> dict[str, Any]:
    response = sample.response
    answered = (
        {} if response is None
        else {**asdict(response), "response": response.text, "truncated": response.truncated}
    )  # fmt: skip
    return {
        "benchmark": benchmark,
        **{name: getattr(sample, name) for name in OF_SAMPLE},
        **{name: getattr(sample.score, name) for name in sample.score.__slots__},
        "id": key[0],
        "repeat": key[1],
        "prompt": "\n\n".join(sample.prompt),
        **answered,
    }


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

    cells = [[_storable(row.get(name)) for name in columns] for row in rows]
    made = pd.DataFrame(cells, columns=list(columns))
    return made.astype(
        {name: kind for names, kind in ((numbers, "float64"), (counts, "Int64")) for name in names}
    )


def _storable(value: Any) -> Any:
    r"""Return a text that UTF-8 has bytes for, half a character as ``\ud83d``."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value
