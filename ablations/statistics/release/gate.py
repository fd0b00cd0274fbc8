"""Release gate: two runs, or two methods with several training seeds, against a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ablations.statistics import estimates
from ablations.statistics.analysis import CLUSTERED, WELCH, number
from ablations.statistics.comparison.sides import CHECKPOINTS, A, B, methods, read_sides
from ablations.statistics.design.needs import ItemsDesign, Needs, SeedsDesign, Target, sampling_part
from ablations.statistics.estimates import Array, Components, Estimate, Items, Ratio
from ablations.statistics.exclusions import NOT_HELD, NOTHING, Exclusions
from ablations.statistics.intervals import score_interval
from ablations.statistics.release import rule
from ablations.statistics.release.policy import Limits, Policy
from ablations.statistics.scores import ScoreTable, gap_notes
from harness.errors import UsageError
from harness.runs.store import read_manifest, read_samples
from harness.runs.summary import BenchmarkSummary, checked_summaries

POWER = 0.8
CALLED: Mapping[str, str] = MappingProxyType({A: "baseline", B: "candidate"})
SCORE = "score test"
Summaries = Mapping[str, BenchmarkSummary]


@dataclass(frozen=True, slots=True)
class Missing:
    """One side's stored answers to a benchmark, and how many are unscored."""

    answers: int
    without_score: int


@dataclass(frozen=True, slots=True)
class Undecided:
    """What would decide a benchmark with 80 % power; each number alone, see `Needs`.

    ``if_unchanged``: to show that the candidate is as good as the baseline, if it is.
    ``as_measured``: to show on which side of the limit the change lies, if the true change is the
    measured one.
    """

    if_unchanged: Needs
    as_measured: Needs


@dataclass(frozen=True, slots=True)
class GatedBenchmark:
    """One benchmark against its limits; scores and differences in units of the score.

    ``delta`` is candidate - baseline with its 95 % interval; ``relative_*`` is delta / baseline
    (Fieller), None if no relative limit applies. ``p`` is for the limits being exceeded: one-sided,
    the smallest, Holm-adjusted over gated limits. ``repeats`` is per item, ``available`` the number
    of items in the local data.
    """

    benchmark: str
    status: rule.Status
    limits: Limits
    max_relative_drop: float | None
    items: int
    clusters: int
    available: int
    repeats: int
    baseline: float
    candidate: float
    delta: float
    low: float | None
    high: float | None
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    p: float | None
    test: str
    missing: Mapping[str, Missing]
    undecided: Undecided | None


@dataclass(frozen=True, slots=True)
class Gate:
    """Result of `harness gate`.

    ``runs`` are folder and model name of each run by side. ``excluded`` counts excluded items by
    benchmark; ``with_all`` is the verdict including them.
    """

    verdict: rule.Decision
    reasons: tuple[str, ...]
    heading: str
    alpha: float
    power: float
    benchmarks: tuple[GatedBenchmark, ...]
    notes: tuple[str, ...]
    runs: Mapping[str, Sequence[Mapping[str, str]]]
    excluded: Mapping[str, int]
    with_all: rule.Decision | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    limits: Limits
    scores: tuple[Array, Array]  # baseline, candidate: seeds x items
    items: Items
    available: int
    repeats: int
    missing: Mapping[str, Missing]
    sampled: bool
    evidence: rule.Evidence

    @property
    def means(self) -> tuple[float, float]:
        baseline, candidate = (float(self.items.mean(y).mean()) for y in self.scores)
        return baseline, candidate

    @property
    def tested(self) -> tuple[rule.Limit, ...]:
        return rule.limits_of(self.limits, self.means[0])

    @property
    def rooms(self) -> list[Estimate]:
        return [self.evidence.room(limit) for limit in self.tested]


def gate(
    baseline: Sequence[Path],
    candidate: Sequence[Path],
    policy: Policy,
    max_errors: float,
    exclude: Exclusions = NOTHING,
) -> Gate:
    """Judge a candidate against a baseline: one run each, or one per training seed.

    `UsageError` if the runs cannot be compared or are broken (more than ``max_errors``, a fraction,
    of a side's answers to a gated benchmark are unscored), a required benchmark is missing, or the
    policy gates nothing in the runs.
    """
    if len(baseline) != len(candidate) and min(len(baseline), len(candidate)) < 2:
        raise UsageError(
            "give one run on each side (two checkpoints), or at least two on each, one per "
            "training seed (two methods)"
        )
    table = read_sides(baseline, candidate, exclude, CALLED)
    if exclude and not table.excluded:
        raise UsageError(NOT_HELD)
    _check(table, policy, max_errors)
    cases = _cases(table, policy, (baseline, candidate))
    lines = _judged(cases)
    skipped = [
        f"{name}: not judged, its metric {policy.of(name).metric!r} is not one of ours"
        for name in table.scores
        if not policy.of(name).is_supported
    ]
    return Gate(
        *verdict_of(lines),
        heading_of([len(baseline), len(candidate)]),
        rule.ALPHA,
        POWER,
        tuple(lines),
        (*table.notes, *skipped, *_guard_notes(cases)),
        {"baseline": _named(baseline), "candidate": _named(candidate)},
        table.excluded,
        gate(baseline, candidate, policy, max_errors).verdict if exclude else None,
    )


def heading_of(seeds: Sequence[int]) -> str:
    """Return what a gate is about, from each side's number of runs."""
    return CHECKPOINTS if seeds[0] == 1 else methods(seeds, "these items")


def verdict_of(lines: Sequence[GatedBenchmark]) -> tuple[rule.Decision, tuple[str, ...]]:
    """Return what follows from the benchmarks, and the reasons."""
    gated = [line for line in lines if line.limits.is_gated]
    statuses = np.array([str(line.status) for line in gated])
    return rule.Decision(str(rule.decision(statuses))), tuple(_reasons(gated))


def _cases(table: ScoreTable, policy: Policy, sides: Sequence[Sequence[Path]]) -> list[_Case]:
    summaries = [[checked_summaries(run, read_manifest(run)) for run in side] for side in sides]
    held = read_manifest(sides[0][0])["benchmarks"]
    cases = [
        _case(name, table, policy.of(name), summaries, held[name].get("n"))
        for name in table.scores
        if policy.of(name).is_supported
    ]
    for case in cases:
        if case.limits.metric == "pass@1":
            _check_right_or_wrong(case.name, [run for side in sides for run in side])
    return cases


def _check(table: ScoreTable, policy: Policy, max_errors: float) -> None:
    absent = {gap.benchmark: CALLED[gap.arm] for gap in table.gaps if not gap.answers}
    asked = {gap.benchmark for gap in table.gaps if gap.answers}
    lacking = [
        f"{name} (the {absent[name]} lacks it)" if name in absent else name
        for name in sorted(policy.required)
        if name not in table.scores and (name in absent or name not in asked)
    ]
    if lacking:
        raise UsageError(
            f"the policy requires {', '.join(lacking)}, and both sides hold only "
            f"{', '.join(table.scores)}: run what is missing, or make it advisory"
        )
    gaps = [gap for gap in table.gaps if gap.answers and policy.of(gap.benchmark).is_gated]
    if broken := gap_notes(gaps, max_errors, CALLED):
        raise UsageError(
            f"broken runs cannot be gated (more than {100 * max_errors:g} % of a side): "
            f"{'; '.join(broken)}. Run the same `harness run` again, or set --max-errors"
        )
    if not any(policy.of(name).is_gated for name in table.scores):
        raise UsageError(
            f"the policy gates none of {', '.join(table.scores)}: all of them are advisory"
        )


def _case(
    name: str,
    table: ScoreTable,
    limits: Limits,
    summaries: Sequence[Sequence[Summaries]],
    available: int | None,
) -> _Case:
    items = table.items[name]
    baseline, candidate = table.scores[name][A], table.scores[name][B]
    evidence: rule.Evidence
    binary = estimates.is_binary(baseline) and estimates.is_binary(candidate)
    if len(baseline) > 1:
        evidence = rule.OverSeeds(items.mean(candidate), items.mean(baseline))
    elif name in table.single and items.independent and binary:
        evidence = rule.Cells.of(candidate[0], baseline[0])
    else:
        evidence = rule.OverItems(candidate[0], baseline[0], items)
    sides = [[run[name] for run in side if name in run] for side in summaries]
    without = {gap.arm: gap.missing for gap in table.gaps if gap.benchmark == name}
    return _Case(
        name=name,
        limits=limits,
        scores=(baseline, candidate),
        items=items,
        available=available or len(items.clusters),
        repeats=min((row.answers // row.n for side in sides for row in side if row.n), default=1),
        missing={
            called: Missing(sum(row.answers for row in rows), without.get(arm, 0))
            for (arm, called), rows in zip(CALLED.items(), sides, strict=True)
        },
        sampled=table.sampled,
        evidence=evidence,
    )


def _check_right_or_wrong(name: str, runs: Sequence[Path]) -> None:
    for run in runs:
        for sample in read_samples(run, name).values():
            if sample.score.value not in (None, 0, 1):
                raise UsageError(
                    f"{name}: pass@1 is for answers that are right or wrong, and {run} holds "
                    f"partial credit: use the metric mean_reward"
                )


def _judged(cases: Sequence[_Case]) -> list[GatedBenchmark]:
    rooms = [room for case in cases for room in case.rooms]
    gated = [case.limits.is_gated for case in cases for _ in case.tested]
    judged = rule.judge(rooms, gated)
    ends = np.cumsum([len(case.tested) for case in cases])
    lines = []
    for case, end in zip(cases, ends, strict=True):
        of = slice(end - len(case.tested), end)
        status = rule.Status(str(rule.benchmark_status(judged.kept[of], judged.exceeded[of])))
        undecided = None
        if status is rule.Status.UNDECIDED:
            family = sum(gated) if case.limits.is_gated else 1
            undecided = _undecided(case, [not kept for kept in judged.kept[of]], family)
        p = float(np.nanmin(judged.p[of])) if not np.isnan(judged.p[of]).all() else None
        lines.append(_line(case, status, p, undecided))
    return lines


def _line(
    case: _Case, status: rule.Status, p: float | None, undecided: Undecided | None
) -> GatedBenchmark:
    (baseline, candidate), limits = case.means, case.limits
    low, high = (number(bound) for bound in case.evidence.combined(1, -1).interval(1 - rule.ALPHA))
    relative, ratio = limits.relative_drop(baseline), Ratio(None, None, None)
    if relative is not None:
        ratio = rule.relative_change(case.evidence, 1 - limits.sign * relative)
    tests = {rule.Cells: SCORE, rule.OverItems: CLUSTERED, rule.OverSeeds: WELCH}
    n = len(case.items.clusters)
    return GatedBenchmark(
        benchmark=case.name, status=status, limits=limits, max_relative_drop=relative, items=n,
        clusters=len(np.unique(case.items.clusters)), available=case.available,
        repeats=case.repeats,
        baseline=baseline, candidate=candidate, delta=candidate - baseline, low=low, high=high,
        relative=None if relative is None else candidate / baseline - 1,
        relative_low=ratio.low, relative_high=ratio.high,
        p=p, test=tests[type(case.evidence)],
        missing=case.missing,
        undecided=undecided,
    )  # fmt: skip


def _undecided(case: _Case, is_open: Sequence[bool], family: int) -> Undecided:
    """Return what would decide a benchmark, given the limits not shown to be kept.

    ``family``: number of limits in Holm's method; in the worst case, a limit being exceeded is
    tested at 1 / family of the level.
    """
    baseline = case.means[0]
    unchanged, keeping, exceeding = [], [], []
    for limit, room, still_open in zip(case.tested, case.rooms, is_open, strict=True):
        if not still_open or np.isnan(room.se):
            continue
        design = _design(case, limit, float(room.se))
        without_change = limit.allowed + limit.sign * (1 - limit.kept) * baseline
        unchanged.append(design.needs(Target(without_change, rule.ALPHA, POWER)))
        if room.delta < 0:
            exceeding.append(design.needs(Target(-float(room.delta), rule.ALPHA / family, POWER)))
        else:
            keeping.append(design.needs(Target(float(room.delta), rule.ALPHA, POWER)))
    measured = _least(exceeding) if exceeding else _most(keeping)
    return Undecided(_most(unchanged), measured)


def _most(needs: Sequence[Needs]) -> Needs:
    """Return what all limits need: the maximum, None if one cannot be met."""
    every = zip(*map(astuple, needs), strict=True)
    return Needs(*(None if None in numbers else max(numbers) for numbers in every))


def _least(needs: Sequence[Needs]) -> Needs:
    """Return what the least demanding limit needs."""
    every = zip(*map(astuple, needs), strict=True)
    return Needs(*(min((n for n in v if n is not None), default=None) for v in every))


def _design(case: _Case, limit: rule.Limit, se: float) -> ItemsDesign | SeedsDesign:
    n, (baseline, candidate) = len(case.items.clusters), case.scores
    if isinstance(case.evidence, rule.OverSeeds):
        sides = [estimates.components([y], [case.items]) for y in case.scores]
        of = Components(*(float(np.mean([getattr(s, part) for s in sides]))
                          for part in ("training", "decoding")))  # fmt: skip
        return SeedsDesign(of, min(map(len, case.scores)), n, case.repeats, case.sampled)
    sampling, weights = None, case.items.weights
    if case.sampled:
        sampling = sampling_part(candidate[0], baseline[0], weights, case.repeats, limit.kept)
    return ItemsDesign(se, n, case.repeats, sampling)


def _reasons(gated: Sequence[GatedBenchmark]) -> list[str]:
    reasons = []
    for status in (rule.Status.INFERIOR, rule.Status.UNDECIDED, rule.Status.NON_INFERIOR):
        names = [f"{b.benchmark} ({b.limits.tier})" for b in gated if b.status is status]
        if names:
            reasons.append(f"{status}: {', '.join(names)}")
    return reasons


def _guard_notes(cases: Sequence[_Case]) -> list[str]:
    """Return a note if the baseline's interval contains the guard: chance chose the limits."""
    notes = []
    for case in cases:
        guard = case.limits.relative_guard_below
        if case.limits.max_relative_drop is None or guard is None:
            continue
        score = score_interval(case.scores[0], case.items)
        if score.low is not None and score.high is not None and score.low < guard <= score.high:
            counts = "counts" if score.score < guard else "does not count"
            notes.append(
                f"{case.name}: the relative limit {counts}, but the baseline's interval "
                f"[{100 * score.low:.1f}, {100 * score.high:.1f}] holds the guard "
                f"{100 * guard:g} %: on new items that may change"
            )
    return notes


def _named(runs: Sequence[Path]) -> list[Mapping[str, str]]:
    return [
        {"folder": str(run.resolve()), "model": str(read_manifest(run)["model"]["name"])}
        for run in runs
    ]
