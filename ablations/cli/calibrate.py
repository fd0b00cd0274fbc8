"""``harness calibrate-statistics``: error rates and power on simulated studies."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.options import option
from harness.cli.output import echo, json_text, print_result
from harness.files.text import counted

if TYPE_CHECKING:
    from ablations.statistics.release.simulation import GateRow
    from ablations.statistics.simulation.calibration import Calibration, PairRow, StudyRow

FALSE_POSITIVES, COVERAGE = 0.06, 0.94
_SETTING = ("seeds", "seed sd", "planted")
_METHODS = ("coverage", "p<.05: Welch", "pooled", "bootstrap", "items only")
_INTERACTION = ("seeds", "items per benchmark", "on an item", "p<.05: Welch", "bootstrap")
_DESIGN = ("design", "seeds", "correlation", "false positives", "power", "seeds on average")
_GATES = {
    "no change": ("GO", "NO-GO"),
    "all lose the limit": ("NO-GO",),
    "one loses the limit": ("GO",),
    "one loses twice the limit": ("GO", "NO-GO"),
    "all lose twice the limit": ("NO-GO",),
}
_STEPS = ("total", "objective", "placebo", "data: no gain", "data: gain")


@click.command("calibrate-statistics")
@option("--reps", options.COUNT, "Simulated studies per setting.", default=10_000)
@option("--seed", int, "Random seed.", default=0)
@option("--gate", bool, "Simulate `harness gate` instead, beside NeMo Evaluator's rule.")
@options.as_json
def calibrate(reps: int, seed: int, gate: bool, as_json: bool) -> int:
    """Simulate studies with the sizes of vqa12, and count the verdicts.

    Exit code 1 if the primary test misses its aims: at most 6 % false positives and at least 94 %
    coverage.  docs/calibration.md explains the tables.
    """
    from ablations.statistics.simulation.calibration import calibrate as simulate
    from benchmarks.suites import SUITES, benchmark

    sizes = [benchmark(name).declaration.n_items for name in SUITES["vqa12"]]
    if gate:
        from ablations.statistics.release.simulation import simulate as simulate_gates

        rows = simulate_gates(sizes, reps, seed)
        print_result(json_text(rows) if as_json else _gates(rows))
        return 0
    rates = simulate(sizes, reps, seed, lambda text: echo(text, err=True))
    print_result(json_text(rates) if as_json else _text(rates))
    return int(rates.false_positives > FALSE_POSITIVES or rates.coverage < COVERAGE)


def _gates(rows: Sequence[GateRow]) -> str:
    """Return the rates of both rules as a table, a row for each setting and policy."""
    table: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        cells = table.setdefault((row.setting, row.policy), [row.setting, row.policy])
        for verdict in _GATES[row.truth]:
            cells.append(" / ".join(f"{100 * rate[verdict]:.1f}" for rate in row.rates.values()))
    rules = " / ".join(rows[0].rates)
    heads = [f"{truth}: {v}, {rules}" for truth, verdicts in _GATES.items() for v in verdicts]
    return "\n".join(_table(["setting", "limits", *heads], list(table.values())))


def _text(rates: Calibration) -> str:
    from ablations.statistics.estimates import VERDICTS
    from ablations.statistics.simulation.calibration import DESIGN_EFFECT

    names = [verdict.replace("(within the margin)", "(within)") for verdict in VERDICTS]
    tests = ("welch", "pooled", "bootstrap", "items")
    pairs = []
    for row in rates.pairs:
        verdicts = (row.verdicts[verdict] for verdict in VERDICTS)
        significant = (row.significant[test] for test in tests)
        pairs.append(_row(row, f"{100 * row.effect:+.1f}", *verdicts, row.coverage, *significant))
    steps = attrgetter("total", "objective", "placebo", "data_nothing", "data_better")
    studies = [_row(row, row.planted, *steps(row)) for row in rates.studies]
    interactions = [
        (str(row.seeds), "all" if row.limit is None else str(row.limit),
         f"±{100 * row.interaction:g}", f"{100 * row.significant['welch']:.1f}",
         f"{100 * row.significant['bootstrap']:.1f}")
        for row in rates.interactions
    ]  # fmt: skip
    designs = [
        (row.design, ", ".join(map(str, row.seeds)), f"{row.correlation:g}",
         f"{100 * row.false_positives:.1f}", f"{100 * row.power:.1f}", f"{row.stopped:.1f}")
        for row in rates.designs
    ]  # fmt: skip
    lines = [
        f"Two arms, {counted(rates.reps, 'study')} per row, {counted(sum(rates.sizes), 'item')} in "
        f"{counted(len(rates.sizes), 'benchmark')}, margin {100 * rates.margin:g} points; in "
        f"percent",
        "",
        *_table([*_SETTING, *names, *_METHODS], pairs),
        "",
        "Whole studies of six arms; how often each step passed, in percent",
        "",
        *_table([*_SETTING, *_STEPS], studies),
        "",
        "Arms alike on average that differ on single items: false positives for new items, in "
        "percent",
        "",
        *_table(_INTERACTION, interactions),
        "",
        f"Designs, for an effect of {DESIGN_EFFECT:g} standard deviations of a seed's score; in "
        "percent",
        "",
        *_table(_DESIGN, designs),
        "",
        f"primary test: at most {100 * rates.false_positives:.1f} % false positives "
        f"(aim {100 * FALSE_POSITIVES:g}), at least {100 * rates.coverage:.1f} % coverage "
        f"(aim {100 * COVERAGE:g})",
    ]
    return "\n".join(lines)


def _row(row: PairRow | StudyRow, planted: str, *rates: float) -> list[str]:
    setting = [str(row.seeds), f"{100 * row.spread:g}", planted]
    return setting + [f"{100 * rate:.1f}" for rate in rates]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table, as docs/calibration.md has it."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
