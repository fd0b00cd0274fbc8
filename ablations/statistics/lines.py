"""The records of an analysis: one line per contrast, benchmark and arm."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.statistics.contrasts import Kind
from ablations.statistics.estimates import Verdict


@dataclass(frozen=True, slots=True)
class BenchmarkLine:
    """One contrast on one benchmark; numbers are None where there is no variance to test against.

    ``p_holm`` is adjusted over the benchmarks of the suite.  ``test`` names what made p and
    interval: Welch t, clustered t, or McNemar.  ``mde`` is the smallest effect detectable with the
    plan's power.  ``tost_*`` is the interval that equivalence is judged by: 90 % at alpha 0.05.
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

    ``delta``, ``low``, ``high`` are in units of the score.  ``p`` is two-sided, ``p_holm`` (of data
    contrasts, where it decides the verdict) adjusted over the data contrasts, ``p_equivalence`` of
    TOST.  Where the contrast was not ``tested`` (a step before it failed, or it is outside the
    order) p and verdict are None, on every benchmark too.  ``alt_variance_*`` is the interval by
    the variance that was not planned, ``boot_*`` that of the hierarchical bootstrap, ``tost_*``
    the one that equivalence is judged by (90 % at alpha 0.05).
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
    """The average over benchmarks: B - A, interval, p, minimal detectable effect, verdict, test.

    ``tost_*`` is the interval that equivalence is judged by, as in `BenchmarkLine`.  ``averaged``:
    over how many benchmarks.
    """

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

    ``share`` is objective / total with its Fieller interval, where the total's interval excludes 0.
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
    """One arm: its seeds, its macro average, and the sd of a seed's score in two parts.

    In units of the score; no sd with one seed.  ``mean_low`` and ``mean_high`` are the interval of
    the average: over seeds, of one seed over items.
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
    """What a study says: arms, contrasts in the order of tests, the waterfall, and the verdict.

    ``checks`` can only withhold a claim: the arms against the model before training, and the
    controls against the baseline; analyses of older versions have none.
    """

    verdict: str
    arms: tuple[ArmLine, ...]
    contrasts: tuple[Line, ...]
    waterfall: tuple[Term, ...]
    missing: tuple[str, ...]
    checks: tuple[Line, ...] = ()
