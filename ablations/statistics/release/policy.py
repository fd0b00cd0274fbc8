"""Release policies: which loss on which benchmark stops a release.

The schema is that of NeMo Evaluator's gate policies (version 1); its files are read unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np
from msgspec import Meta

from ablations.statistics.estimates import Array, Booleans
from harness.errors import UsageError, nearest
from harness.files.typed_yaml import read_yaml

Tier = Literal["critical", "supporting", "advisory"]
Direction = Literal["higher_is_better", "lower_is_better"]
METRICS = ("strict", "mean_reward", "pass@1")
VERSION = 1
_Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Limits:
    """Allowed losses on one benchmark, as fractions: 0.01 is one point, or 1 % of the baseline.

    ``max_relative_drop`` applies only if the baseline's score is below ``relative_guard_below``
    (None: always). ``metric``: "strict" and "mean_reward" are the strict score, as is "pass@1" for
    binary answers; only an advisory benchmark may name another metric.
    """

    tier: Tier = "supporting"
    max_drop: _Share = 0.015
    max_relative_drop: _Share | None = None
    relative_guard_below: _Share | None = None
    metric: str = "strict"
    direction: Direction = "higher_is_better"

    @property
    def is_gated(self) -> bool:
        """Whether the benchmark counts towards the verdict."""
        return self.tier != "advisory"

    @property
    def is_supported(self) -> bool:
        """Whether runs have its metric."""
        return self.metric in METRICS

    @property
    def sign(self) -> int:
        """The factor that makes a loss negative."""
        return 1 if self.direction == "higher_is_better" else -1

    def guards(self, baseline: Array) -> Booleans:
        """Return where the relative limit applies: below the guard, for nonzero scores."""
        guard = self.relative_guard_below
        return np.asarray((baseline > 0) & (baseline < (np.inf if guard is None else guard)))

    def relative_drop(self, baseline: float) -> float | None:
        """Return the relative limit, None if there is none or it does not apply."""
        return self.max_relative_drop if self.guards(np.asarray(baseline)) else None


_TYPES: Mapping[str, Any] = {
    "tier": Tier,
    "max_drop": _Share,
    "max_relative_drop": _Share,
    "relative_guard_below": _Share,
    "metric": str,
    "direction": Direction,
}


@dataclass(frozen=True, slots=True)
class Policy:
    """``defaults`` for every benchmark, and the resolved limits of listed ones."""

    defaults: Limits
    benchmarks: Mapping[str, Limits]

    def of(self, benchmark: str) -> Limits:
        """Return the limits of a benchmark, listed or not."""
        return self.benchmarks.get(benchmark, self.defaults)

    @property
    def required(self) -> frozenset[str]:
        """The benchmarks that both sides must have: all listed ones that are not advisory."""
        return frozenset(name for name, limits in self.benchmarks.items() if limits.is_gated)


def read_policy(path: Path) -> Policy:
    """Read a policy file; `UsageError` (one line) if invalid, naming the benchmark and field."""
    where = f"policy {path}"
    document = read_yaml(path, where)
    _check_names(document, ("version", "defaults", "benchmarks"), where)
    if document.get("version", VERSION) not in (VERSION, str(VERSION)):
        raise UsageError(f"{where}: version must be {VERSION}, the only one supported")
    defaults = _limits(Limits(), document.get("defaults"), f"{where}, defaults")
    listed = _mapping(document.get("benchmarks"), f"{where}, benchmarks")
    benchmarks = {
        str(name): _limits(defaults, entry, f"{where}, benchmark {name}")
        for name, entry in listed.items()
    }
    return Policy(defaults, benchmarks)


def _limits(defaults: Limits, entry: Any, where: str) -> Limits:
    """Return the defaults updated by an entry; null means not set."""
    fields = {name: value for name, value in _mapping(entry, where).items() if value is not None}
    _check_names(fields, tuple(_TYPES), where)
    limits = replace(defaults, **{n: _converted(n, v, where) for n, v in fields.items()})
    if limits.is_gated and not limits.is_supported:
        raise UsageError(
            f"{where}: the metric {limits.metric!r} cannot be gated: {', '.join(METRICS)}"
        )
    return limits


def _converted(name: str, value: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, _TYPES[name], strict=False)  # YAML reads 1e-2 as text
    except msgspec.ValidationError as error:
        allowed = "text" if name == "metric" else "a share between 0 and 1 (0.01 is one point)"
        if name in ("tier", "direction"):
            allowed = f"one of {', '.join(get_args(_TYPES[name]))}"
        raise UsageError(f"{where}: {name} must be {allowed}") from error


def _mapping(value: Any, where: str) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a mapping of names to values")
    return value


def _check_names(fields: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
    for name in fields:
        if name not in known:
            raise UsageError(f"{where}: unknown name {str(name)!r}: {nearest(str(name), known)}")
