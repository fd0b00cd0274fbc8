"""``harness compare``: two runs, or two methods with several training seeds each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ablations.cli.exclude import exclude_option, exclusion_lines
from harness.cli import options
from harness.cli.output import print_result
from harness.cli.tables import aligned, percent

if TYPE_CHECKING:
    from ablations.statistics.compare import Comparison
    from ablations.statistics.exclusions import Exclusions
    from ablations.statistics.lines import BenchmarkLine, Macro

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
@click.option(
    "--a",
    "side_a",
    multiple=True,
    type=_RUN,
    metavar="RUN...",
    help="Runs of side A, one per seed.",
)
@click.option(
    "--b",
    "side_b",
    multiple=True,
    type=_RUN,
    metavar="RUN...",
    help="Runs of side B, one per seed.",
)
@click.option(
    "--margin",
    type=options.Points(),
    default=0.9,
    show_default=True,
    help="Equivalence margin, in percentage points; choose it before looking at scores.",
)
@click.option(
    "--gate",
    is_flag=True,
    help="Exit with code 1 if B is significantly worse than A, with 2 if that cannot be told.",
)
@click.option(
    "--max-errors",
    type=options.Share(),
    default="1%",
    show_default=True,
    help="--gate: largest share of answers without a score, per side and benchmark.",
)
@exclude_option
@options.as_json
def compare(
    runs: tuple[Path, ...],
    side_a: tuple[Path, ...],
    side_b: tuple[Path, ...],
    **given: Any,
) -> int:
    """Compare two runs, or two methods with several training seeds each; differences are B - A.

    RUN_A RUN_B compares two fixed checkpoints, over items.  --a RUN... --b RUN... compares the
    methods that made them, with one run per training seed.  docs/statistics.md explains the table.
    """
    from harness.errors import UsageError

    margin = given["margin"]
    two = len(runs) == 2 and not side_a and not side_b
    if not two and (runs or not side_a or not side_b):
        raise UsageError("pass either RUN_A RUN_B, or both --a RUN... and --b RUN...")
    if not margin > 0:
        raise UsageError(
            f"--margin {100 * margin:g}: must be positive: the largest difference you would ignore"
        )
    from ablations.statistics import compare as sides
    from ablations.statistics.contrasts import Rules
    from ablations.statistics.exclusions import read_exclusions

    rules = Rules(effect_size=2 * margin, margin=margin)

    def compared(exclude: Exclusions) -> Comparison:
        if two:
            return sides.checkpoints(runs[0], runs[1], rules, exclude)
        return sides.arms(side_a, side_b, rules, exclude)

    if given["exclude"] is None:
        found = compared({})
    else:
        found = sides.excluding(compared, read_exclusions(given["exclude"]))
    if given["gate"] and found.macro.verdict is None:
        raise UsageError(f"--gate needs two training seeds per side; {found.heading}")
    print_result(_json(found) if given["as_json"] else _text(found))
    return int(given["gate"] and sides.gate(found, given["max_errors"]))


def _json(found: Comparison) -> str:
    import orjson

    return orjson.dumps(dataclasses.asdict(found), option=orjson.OPT_INDENT_2).decode()


def _text(found: Comparison) -> str:
    from ablations.statistics.formatting import p_value

    heads = ("benchmark", "items", "clusters", "B - A", "95 % interval", "p", "p (Holm)", "MDE")
    table: list[tuple[str, ...]] = [(*heads, "verdict", "test")]
    for line in found.benchmarks:
        counts = (line.benchmark, str(line.items), str(line.clusters))
        table.append((*counts, *_cells(line, p_value(line.p_holm), found.alpha), line.test))
    if len(found.benchmarks) > 1:
        mean = (f"mean of {found.macro.averaged}", "", "")
        table.append((*mean, *_cells(found.macro, "", found.alpha), found.macro.test))
    rows = aligned(table, left=(0, 8, 9))
    return "\n".join([found.heading, *_sides(found), "", *rows, "", *_below(found)])


def _sides(found: Comparison) -> list[str]:
    """Return which runs A and B are, and their scores."""
    from ablations.statistics.formatting import score_interval

    lines = [
        f"{side}  {run.folder} ({run.manifest['model']['name']})"
        for side, runs in zip("AB", found.runs, strict=True)
        for run in runs
    ]
    cells: dict[str, tuple[str, ...]] = {"score (%)": ("A", "95 % interval", "B", "95 % interval")}
    for row in found.scores:  # all of A, then all of B
        score = percent(row.score), score_interval(row.low, row.high)
        cells[row.benchmark] = (*cells.get(row.benchmark, ()), *score)
    table = [(name, *scores) for name, scores in cells.items()]
    # The mean of one benchmark is its score.
    return [*lines, "", *aligned(table[:2] if len(found.benchmarks) == 1 else table)]


def _cells(line: BenchmarkLine | Macro, p_holm: str, alpha: float) -> tuple[str, ...]:
    from ablations.statistics.formatting import decisive, p_value, points, width

    bounds = decisive(line, alpha)
    numbers = (points(line.delta), bounds, p_value(line.p), p_holm, width(line.mde))
    return (*numbers, line.verdict or "-")


def _below(found: Comparison) -> list[str]:
    lines = [
        f"differences in points; verdicts at alpha {found.alpha:g}, margin "
        f"{100 * found.margin:g} points; "
        "MDE: smallest difference detectable with 80 % power"
    ]
    if found.pooled is not None and found.bootstrap is not None:
        from ablations.statistics.formatting import interval

        lines += [
            f"mean, one variance for both sides: {interval(*found.pooled)}",
            f"mean, items resampled (hierarchical bootstrap): {interval(*found.bootstrap)}; "
            + found.bootstrap_errors,
        ]
    for side, spread in zip("AB", found.spread or (), strict=False):
        lines.append(
            f"{side}: {spread.seeds} seeds; SD of a seed's mean {100 * spread.training_sd:.2f} "
            f"points from training, {100 * spread.decoding_sd:.2f} from items"
        )
    lines += exclusion_lines(found.excluded, found.with_all)
    return [*lines, *(f"note: {note}" for note in found.notes)]
