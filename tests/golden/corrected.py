"""Intervals with items resampled that have changed since, and by which rule.

Few clusters of one size (mathverse 6, mmmu_pro 15 here) are drawn by their CR2 residuals with a t
scale, as clusters of unequal size were before: docs/statistics.md, "Clusters of unequal size".
Intervals were too narrow.  A tooltip's "mean over 1 seeds" is "mean over 1 seed".  Nothing else
that these studies say has changed.
"""

from __future__ import annotations

import math

from ablations.statistics.text.formatting import interval

Interval = tuple[float, float]
# Old interval -> new one, by study; "compare": of `harness compare` over runs of `relabelled`.
INTERVALS: dict[str, dict[Interval, Interval]] = {
    "relabelled": {
        (0.41111111111111115, 0.7055555555555555): (0.3685068019946234, 0.7402259093268592),
        (-0.022222222222222254, 0.04444444444444451): (-0.027777777777777683, 0.04945061659987108),
        (-0.07777777777777772, 0.022222222222222254): (-0.07765519939248985, 0.02565701514647657),
        (0.40555555555555556, 0.6888888888888889): (0.3578537763065749, 0.7273712195327113),
        (-0.7111111111111111, -0.42222222222222217): (-0.7490260461497368, -0.36968777898325267),
        (-0.050000000000000044, 0.011111111111111183): (-0.05555555555555547, 0.019792369492114784),
        (-0.022222222222222254, 0.0): (-0.029951788662647097, 0.007080999376437932),
        (-0.033333333333333326, 0.06666666666666676): (-0.03467508093722111, 0.06954245894202703),
        (0.4388888888888889, 0.7222222222222222): (0.3877273004362071, 0.7606501777024648),
    },
    "worse": {
        (-0.7222222222222222, -0.4388888888888889): (-0.7600446892980874, -0.39118416433433445),
        (-0.7055555555555555, -0.41111111111111115): (-0.7420881546039491, -0.3673131475279726),
        (-0.07777777777777772, 0.022222222222222254): (-0.07777778000836671, 0.026758040103174043),
    },
    "compare": {
        (-0.07777777777777772, 0.022222222222222254): (-0.07816175353484546, 0.02594719974615703),
        (0.4388888888888889, 0.7222222222222222): (0.3858672086415977, 0.7603599402000613),
    },
}
_PAIRS = [
    pair for rows in INTERVALS.values() for old, new in rows.items()
    for pair in zip(old, new, strict=True)
]  # fmt: skip


def is_corrected(old: float, new: float) -> bool:
    """Whether a number is the end of such an interval, and is now as it should be."""
    return any(
        math.isclose(old, was, rel_tol=1e-12, abs_tol=1e-12)
        and math.isclose(new, now, rel_tol=1e-9, abs_tol=1e-12)
        for was, now in _PAIRS
    )


def corrected(study: str, text: str) -> str:
    """Return an analysis, a printed verdict or a page of a study with what is said today."""
    text = text.replace("mean over 1 seeds; see", "mean over 1 seed; see")
    for old, new in INTERVALS.get(study, {}).items():
        for form in (_stored, _printed, _cell):
            text = text.replace(form(*old), form(*new))
    return text


def _stored(low: float, high: float) -> str:
    return f'"boot_low": {low!r},\n        "boot_high": {high!r}'


def _printed(low: float, high: float) -> str:
    return f"   {interval(low, high)}"


def _cell(low: float, high: float) -> str:
    return f'data-v="{low:.10g}">{interval(low, high).replace("-", "−")}'
