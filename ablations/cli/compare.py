"""``harness compare``: two runs, or two sides of several training seeds each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options

if TYPE_CHECKING:
    from ablations.statistics.compare import Comparison, Macro
    from ablations.statistics.lines import BenchmarkLine

_RUN = click.Path(path_type=Path, file_okay=False)


class _Several(click.Command):
    """A command whose ``--a`` and ``--b`` take all words up to the next option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its words, as click wants it."""
        spread: list[str] = []
        side = None
        for word in args:
            if word.startswith("-"):
                side = word if word in ("--a", "--b") else None
                if side is None:
                    spread.append(word)
            else:
                spread += [word] if side is None else [side, word]
        return super().parse_args(ctx, spread)


@click.command(cls=_Several)
@click.argument("runs", nargs=-1, type=_RUN, metavar="[RUN_A RUN_B]")
@click.option("--a", "side_a", multiple=True, type=_RUN, metavar="RUN...", help="Seeds of side A.")
@click.option("--b", "side_b", multiple=True, type=_RUN, metavar="RUN...", help="Seeds of side B.")
@click.option(
    "--margin",
    type=float,
    default=0.9,
    show_default=True,
    help="Points within which two sides count as equivalent; choose before you look.",
)
@click.option("--gate", is_flag=True, help="Exit code 1 where B is significantly worse than A.")
@options.as_json
def compare(
    runs: tuple[Path, ...],
    side_a: tuple[Path, ...],
    side_b: tuple[Path, ...],
    margin: float,
    gate: bool,
    as_json: bool,
) -> int:
    """Compare two runs, or two methods by several training seeds each; differences are B - A.

    RUN_A RUN_B compares two fixed checkpoints, over items.  --a RUN... --b RUN... compares the
    methods that made them, one run a training seed.  docs/statistics.md explains every cell.
    """
    from harness.errors import UsageError

    two = len(runs) == 2 and not side_a and not side_b
    if not two and (runs or not side_a or not side_b):
        raise UsageError("give RUN_A RUN_B, or --a RUN... --b RUN...: nothing else is compared")
    if not margin > 0:
        raise UsageError(
            f"--margin {margin:g}: give more than 0 points, what you would not care about"
        )
    from ablations.statistics import compare as sides
    from ablations.statistics.contrasts import Rules

    margin = round(margin / 100, 12)  # points to units of the score
    rules = Rules(planned=2 * margin, margin=margin)
    found = sides.checkpoints(runs[0], runs[1], rules) if two else sides.arms(side_a, side_b, rules)
    if gate and found.macro.word is None:
        raise UsageError(f"--gate needs two training seeds a side: one is {found.heading}")
    click.echo(_json(found) if as_json else _text(found))
    return int(gate and found.loses)


def _json(found: Comparison) -> str:
    import orjson

    return orjson.dumps(dataclasses.asdict(found), option=orjson.OPT_INDENT_2).decode()


def _text(found: Comparison) -> str:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("benchmark", "items", "clusters", "B - A", "95 % interval", "p", "p (Holm)"):
        table.add_column(name, justify="left" if name == "benchmark" else "right")
    table.add_column("MDE", justify="right")
    for name in ("", "test"):
        table.add_column(name, justify="left")
    for line in found.benchmarks:
        counts = (line.benchmark, str(line.items), str(line.clusters))
        table.add_row(*counts, *_cells(line, _p(line.p_holm)), line.test)
    if len(found.benchmarks) > 1:
        table.add_row(f"mean of {len(found.benchmarks)}", "", "", *_cells(found.macro, ""))
    console = Console(width=140, no_color=True)
    with console.capture() as capture:
        console.print(table)
    rows = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join([found.heading, "", *rows, "", *_below(found)])


def _cells(line: BenchmarkLine | Macro, p_holm: str) -> tuple[str, ...]:
    interval = _interval(line.low, line.high)
    mde = "-" if line.mde is None else f"{100 * line.mde:.1f}"
    return (f"{100 * line.delta:+.1f}", interval, _p(line.p), p_holm, mde, line.word or "-")


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def _p(p: float | None) -> str:
    return "-" if p is None else f"{p:.3f}" if p >= 0.001 else "<.001"


def _below(found: Comparison) -> list[str]:
    lines = [
        f"differences in points; words at {found.alpha:g}, margin {100 * found.margin:g} points; "
        "MDE: the difference seen with 80 % power"
    ]
    if found.pooled is not None and found.bootstrap is not None and found.spread is not None:
        from ablations.statistics.calibration import bootstrap_errors

        lines += [
            f"the mean with one variance for both sides: {_interval(*found.pooled)}",
            f"on new items too (hierarchical bootstrap): {_interval(*found.bootstrap)}; "
            + bootstrap_errors(spread.seeds for spread in found.spread),
        ]
    for side, spread in zip("AB", found.spread or (), strict=False):
        lines.append(
            f"{side}: {spread.seeds} seeds; sd of a seed's mean {100 * spread.training_sd:.2f} "
            f"points from training, {100 * spread.decoding_sd:.2f} from items"
        )
    return [*lines, *(f"note: {note}" for note in found.notes)]
