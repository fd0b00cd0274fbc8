"""The records of an analysis: one line per contrast, benchmark and arm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ablations.statistics.design.roles import Kind
from ablations.statistics.estimates import Verdict
from harness.reading import frame

if TYPE_CHECKING:
    import pandas as pd


MEAN = "mean"


@dataclass(frozen=True, slots=True)
class BenchmarkLine:
    """One contrast on one benchmark; numbers are None without a variance to test against.

    ``p_holm`` is adjusted over the benchmarks of the suite. ``test`` names the source of p and
    interval: Welch t, clustered t, or McNemar. ``mde`` is the smallest effect detectable at the
    plan's power. ``tost_*`` is the interval used for equivalence: 90 % at alpha 0.05.
    """

    benchmark: str
    items: int
    clusters: int
    delta: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    mde: float | None
    verdict: Verdict | None
    test: str = "Welch t"
    tost_low: float | None = None
    tost_high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One contrast of the macro average.

    ``delta``, ``low``, ``high`` are in units of the score. ``p`` is two-sided, ``p_holm`` (data
    contrasts only, where it decides the verdict) adjusted over the data contrasts,
    ``p_equivalence`` that of TOST. If the contrast was not ``tested`` (an earlier step failed, or
    it is outside the order), p and verdict are None, on every benchmark too. ``alt_variance_*`` is
    the interval by the variance that was not planned, ``boot_*`` that of the hierarchical
    bootstrap, ``tost_*`` the one used for equivalence (90 % at alpha 0.05).
    """

    name: str
    kind: Kind
    plus: str
    minus: str
    delta: float
    low: float | None
    high: float | None
    benchmarks: tuple[BenchmarkLine, ...]
    p: float | None = None
    p_equivalence: float | None = None
    tested: bool = False
    verdict: Verdict | None = None
    mde: float | None = None
    alt_variance_low: float | None = None
    alt_variance_high: float | None = None
    boot_low: float | None = None
    boot_high: float | None = None
    p_holm: float | None = None
    test: str = ""
    tost_low: float | None = None
    tost_high: float | None = None


@dataclass(frozen=True, slots=True)
class Macro:
    """The average over ``averaged`` benchmarks: B - A; ``tost_*`` as in `BenchmarkLine`."""

    delta: float
    low: float | None
    high: float | None
    p: float | None
    mde: float | None
    verdict: Verdict | None
    test: str = ""
    tost_low: float | None = None
    tost_high: float | None = None
    averaged: int | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """Total = objective + data, through one data arm; in units of the score.

    ``share`` is objective / total with its Fieller interval, if the total's interval excludes 0.
    """

    arm: str
    total: float
    objective: float
    data: float
    share: float | None
    share_low: float | None
    share_high: float | None


@dataclass(frozen=True, slots=True)
class ArmLine:
    """One arm: its seeds, its macro average, and the SD of a seed's score in two parts.

    In units of the score; no SD with one seed. ``mean_low`` and ``mean_high``: interval of the
    average over seeds, or over items with one seed.
    """

    arm: str
    seeds: int
    mean: float
    training_sd: float | None
    decoding_sd: float | None
    mean_low: float | None = None
    mean_high: float | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """Result of a study: arms, contrasts in the order of tests, waterfall and verdict.

    ``checks`` can only withhold a claim: the arms against the model before training, and the
    controls against the baseline; analyses by older versions have none.
    """

    verdict: str
    arms: tuple[ArmLine, ...]
    contrasts: tuple[Line, ...]
    waterfall: tuple[Term, ...]
    missing: tuple[str, ...]
    checks: tuple[Line, ...] = ()


def differences(
    contrasts: Iterable[tuple[Mapping[str, Any], Line | Macro, Sequence[BenchmarkLine]]],
) -> pd.DataFrame:
    """Return contrasts as a frame: one row per benchmark and one for the ``mean``.

    A contrast is its names by column, its mean and its benchmarks. Columns are these names and the
    fields of `BenchmarkLine`; differences are in units of the score.
    """
    columns = [field.name for field in fields(BenchmarkLine)]
    made = [
        {**{name: getattr(line, name, None) for name in columns}, **names}
        | {"benchmark": getattr(line, "benchmark", MEAN)}
        for names, mean, benchmarks in contrasts
        for line in (*benchmarks, mean)
    ]
    ours = [name for name in (made[0] if made else ()) if name not in columns]
    numbers = ("delta", "low", "high", "p", "p_holm", "mde", "tost_low", "tost_high")
    return frame(made, (*ours, *columns), numbers=numbers, counts=("items", "clusters"))
