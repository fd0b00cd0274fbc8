"""``harness calibrate-statistics``: error rates and power on simulated studies."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.cli.output import print_result

if TYPE_CHECKING:
    from ablations.statistics.calibration import Calibration

FALSE_POSITIVES, COVERAGE = 0.06, 0.94
_SETTING = ("seeds", "seed sd", "planted")
_METHODS = ("coverage", "p<.05: Welch", "pooled", "bootstrap", "items only")
_STEPS = ("total", "objective", "placebo", "data: no gain", "data: gain")


@click.command("calibrate-statistics")
@click.option(
    "--reps",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    help="Simulated studies per setting.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@options.as_json
def calibrate(reps: int, seed: int, as_json: bool) -> int:
    """Simulate studies with the sizes of vqa12, and count the verdicts.

    Exit code 1 where the primary test misses its aims: at most 6 % false positives, and 94 %
    coverage.  docs/statistics.md explains the tables.
    """
    from ablations.statistics.calibration import calibrate as simulate
    from benchmarks.suites import SUITES, benchmark

    sizes = [benchmark(name).declaration.n_items for name in SUITES["vqa12"]]
    found = simulate(sizes, reps, seed, lambda text: click.echo(text, err=True))
    print_result(_json(found) if as_json else _text(found))
    return int(found.false_positives > FALSE_POSITIVES or found.coverage < COVERAGE)


def _json(found: Calibration) -> str:
    import orjson

    return orjson.dumps(dataclasses.asdict(found), option=orjson.OPT_INDENT_2).decode()


def _text(found: Calibration) -> str:
    from ablations.statistics.estimates import VERDICTS

    pairs = [
        [
            str(row.seeds),
            f"{100 * row.spread:g}",
            f"{100 * row.effect:+.1f}",
            *(_rate(row.verdicts[verdict]) for verdict in VERDICTS),
            _rate(row.coverage),
            *(_rate(row.significant[name]) for name in ("welch", "pooled", "bootstrap", "items")),
        ]
        for row in found.pairs
    ]
    studies = [
        [
            str(row.seeds),
            f"{100 * row.spread:g}",
            row.planted,
            *(_rate(rate) for rate in (row.total, row.objective, row.placebo)),
            _rate(row.data_nothing),
            _rate(row.data_better),
        ]
        for row in found.studies
    ]
    names = [name.replace("(within the margin)", "(within)") for name in VERDICTS]
    return "\n".join(
        [
            f"Two arms, {found.reps} studies a row, {sum(found.sizes)} items in "
            f"{len(found.sizes)} benchmarks, margin {100 * found.margin:g} points; in percent",
            "",
            *_table([*_SETTING, *names, *_METHODS], pairs),
            "",
            "Whole studies of six arms; how often each step passed, in percent",
            "",
            *_table([*_SETTING, *_STEPS], studies),
            "",
            f"primary test: at most {100 * found.false_positives:.1f} % false positives "
            f"(aim {100 * FALSE_POSITIVES:g}), at least {100 * found.coverage:.1f} % coverage "
            f"(aim {100 * COVERAGE:g})",
        ]
    )


def _rate(value: float) -> str:
    return f"{100 * value:.1f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table, as docs/statistics.md has it."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
