"""``harness compare``: two runs, any number of them, or two methods with several seeds each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ablations.statistics.text.formatting import cells, interval, p_value, points, score_interval
from ablations.statistics.text.notes import note_lines
from harness.cli import options
from harness.cli.options import FILE, FOLDER, POINTS, option
from harness.cli.output import json_text, print_result
from harness.cli.tables import aligned, percent
from harness.errors import UsageError
from harness.files.text import counted

if TYPE_CHECKING:
    from ablations.statistics.comparison.models import ModelContrast, ModelsComparison
    from ablations.statistics.comparison.sides import Comparison
    from ablations.statistics.exclusions import WithAllItems

WORST = 10  # categories of flips that are printed per model


exclude_option = option("--exclude", FILE,
    "Leave out the items in this file of 'harness pairs check --tainted'; the result with "
    "them is shown next to it.", metavar="FILE")  # fmt: skip


class Several(click.Command):
    """A command whose options in ``spread`` take all words up to the next option."""

    def __init__(self, *args: Any, spread: tuple[str, ...], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.spread = spread

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its words, as click wants it."""
        words: list[str] = []
        side = None
        for word in args:
            if word.startswith("-"):
                side = word if word in self.spread else None
                if side is None:
                    words.append(word)
            else:
                words += [word] if side is None else [side, word]
        return super().parse_args(ctx, words)


@click.command(
    cls=Several,
    spread=("--a", "--b"),
    epilog="Example: harness compare --a runs/old-seed-* --b runs/new-seed-*",
)
@click.argument("runs", nargs=-1, type=FOLDER, metavar="[RUN...]")
@option("--a side_a", FOLDER, "Runs of side A, one per seed.", multiple=True, metavar="RUN...")
@option("--b side_b", FOLDER, "Runs of side B, one per seed.", multiple=True, metavar="RUN...")
@option("--baseline", click.Path(path_type=Path),
        "Compare every other run with this one  [default, of more than two runs: the first]",
        metavar="RUN|MODEL")  # fmt: skip
@option("--margin", POINTS,
        "Equivalence margin, in percentage points; choose it before looking at scores.",
        default=0.9)  # fmt: skip
@option("--gate", bool, "Exit with code 1 if B is significantly worse than A, with 2 if that "
        "cannot be told.")  # fmt: skip
@option("--max-errors", options.Share(),
        "--gate: largest share of answers without a score, per side and benchmark.",
        default="1%")  # fmt: skip
@exclude_option
@options.as_json
def compare(
    runs: tuple[Path, ...],
    side_a: tuple[Path, ...],
    side_b: tuple[Path, ...],
    gate: bool,
    **given: Any,
) -> int:
    """Compare runs, or two methods with several training seeds each; differences are B - A.

    RUN_A RUN_B compares two fixed checkpoints, over items; of more runs, each with --baseline.
    --a RUN... --b RUN... compares the methods that made them, with one run per training seed.
    docs/statistics.md explains the tables.
    """
    baseline, max_errors = given["baseline"], given["max_errors"]
    several = _is_many(runs, bool(side_a), bool(side_b), baseline)
    from ablations import results
    from ablations.statistics.comparison import sides

    rules = {"margin": given["margin"], "exclude": given["exclude"]}
    if several:
        models = results.compare_models(runs, baseline=baseline, **rules)
        if gate:
            sides.check_gaps(models.gaps, max_errors, {})
        print_result(json_text(models) if given["as_json"] else _models_text(models))
        return int(gate and sides.is_loss(bool(models.losing), models.untested))
    found = results.compare(*(runs or (side_a, side_b)), **rules)
    if gate and found.macro.verdict is None:
        raise UsageError(f"--gate needs two training seeds per side; {found.heading}")
    print_result(json_text(found) if given["as_json"] else _text(found))
    return int(gate and sides.gate(found, max_errors))


def _is_many(runs: Sequence[Path], a: bool, b: bool, baseline: object) -> bool:
    """Return whether runs are compared with one of them, and not two runs or two sides.

    `UsageError` if it is none of these.
    """
    sided = a and b and not runs and baseline is None
    listed = len(runs) >= 2 and not (a or b)
    if not (sided or listed):
        raise UsageError("pass either two or more RUNs, or both --a RUN... and --b RUN...")
    return listed and (len(runs) > 2 or baseline is not None)


def _text(found: Comparison) -> str:
    heads = ("benchmark", "items", "clusters", "B - A", "95 % interval", "p", "p (Holm)", "MDE")
    table: list[tuple[str, ...]] = [(*heads, "verdict", "test")]
    for line in found.benchmarks:
        counts = (line.benchmark, str(line.items), str(line.clusters))
        table.append((*counts, *cells(line, p_value(line.p_holm), found.alpha), line.test))
    if len(found.benchmarks) > 1:
        mean = (f"mean of {found.macro.averaged}", "", "")
        table.append((*mean, *cells(found.macro, "", found.alpha), found.macro.test))
    rows = aligned(table, left=(0, 8, 9))
    return "\n".join([found.heading, *_sides(found), "", *rows, "", *_below(found)])


def _sides(found: Comparison) -> list[str]:
    """Return which runs A and B are, and their scores."""
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


def _below(found: Comparison) -> list[str]:
    lines = [
        f"differences in points; verdicts at alpha {found.alpha:g}, margin "
        f"{100 * found.margin:g} points; "
        "MDE: smallest difference detectable with 80 % power"
    ]
    if found.pooled is not None and found.bootstrap is not None:
        lines += [
            f"mean, one variance for both sides: {interval(*found.pooled)}",
            f"mean, items resampled (hierarchical bootstrap): {interval(*found.bootstrap)}; "
            + found.bootstrap_errors,
        ]
    for side, spread in zip("AB", found.spread or (), strict=False):
        lines.append(
            f"{side}: {counted(spread.seeds, 'seed')}; SD of a seed's mean "
            f"{100 * spread.training_sd:.2f} "
            f"points from training, {100 * spread.decoding_sd:.2f} from items"
        )
    lines += exclusion_lines(found.excluded, found.with_all)
    return [*lines, *note_lines(found.notes)]


def _models_text(found: ModelsComparison) -> str:
    lines = [found.heading, "", *aligned(_model_scores(found)), "", *aligned(_contrasts(found))]
    for contrast in found.contrasts:
        lines += ["", *aligned(_benchmarks(contrast, found.alpha))]
        if contrast.flips:
            lines += ["", *aligned(_flips(contrast))]
    below = (
        f"differences in points; verdicts at alpha {found.alpha:g} after Holm over all models (and "
        f"benchmarks), margin {100 * found.margin:g} points"
    )
    notes = note_lines(found.notes)
    excluded = exclusion_lines(found.excluded, found.with_all)
    return "\n".join([*lines, "", below, *excluded, *notes])


def _model_scores(found: ModelsComparison) -> list[tuple[str, ...]]:
    names = list(dict.fromkeys(row.name for row in found.models))
    cells: dict[str, list[str]] = {}
    for row in found.models:
        text = f"{percent(row.score)} {score_interval(row.low, row.high)}"
        cells.setdefault(row.benchmark, []).append(text)
    if len(cells) == 2:  # the mean of one benchmark is that benchmark
        cells.popitem()
    return [("score (%)", *names), *((name, *texts) for name, texts in cells.items())]


_CELLS = ("delta", "95 % interval", "p", "p (Holm)", "MDE", "verdict")


def _contrasts(found: ModelsComparison) -> list[tuple[str, ...]]:
    rows = [
        (each.name, *cells(each.macro, p_value(each.p_holm), found.alpha))
        for each in found.contrasts
    ]
    return [("mean difference", *_CELLS), *rows]


def _benchmarks(contrast: ModelContrast, alpha: float) -> list[tuple[str, ...]]:
    rows = [
        (line.benchmark, str(line.items), *cells(line, p_value(line.p_holm), alpha))
        for line in contrast.benchmarks
    ]
    return [(contrast.name, "items", *_CELLS), *rows]


def _flips(contrast: ModelContrast) -> list[tuple[str, ...]]:
    header = (f"{contrast.plus}: items that flip, worst first", "items", "gained", "lost")
    rows = [
        (f"{row.benchmark}: {row.category}", str(row.items), str(row.gained), str(row.lost))
        for row in islice(contrast.flips, WORST)
    ]
    return [header, *rows]


def exclusion_lines(excluded: Mapping[str, int], with_all: Sequence[WithAllItems]) -> list[str]:
    """Return which items were left out, and the differences with them."""
    if not excluded:
        return []
    counts = ", ".join(f"{name} {number}" for name, number in excluded.items())
    lines = [f"items left out (--exclude): {counts}"]
    for line in with_all:
        bounds = "" if line.low is None else f" {interval(line.low, line.high)}"
        lines.append(
            f"with them: {line.name} {points(line.delta)}{bounds} {line.verdict or ''}".rstrip()
        )
    return lines
