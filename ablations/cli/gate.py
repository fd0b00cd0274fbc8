"""``harness gate``: may a candidate be released, by a policy of what it may lose?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ablations.cli.compare import Several, exclude_option
from ablations.statistics.text.formatting import interval, points
from ablations.statistics.text.notes import note_lines
from harness.cli import options
from harness.cli.options import FILE, FOLDER, option
from harness.cli.output import json_text, print_result
from harness.cli.tables import aligned, percent
from harness.errors import UsageError

if TYPE_CHECKING:
    from ablations.statistics.release.gate import Gate, GatedBenchmark

EXIT = {"GO": 0, "NO-GO": 1, "INCONCLUSIVE": 3}


@click.command(cls=Several, spread=("--baseline", "--candidate"))
@click.argument("runs", nargs=-1, type=FOLDER, metavar="[BASELINE CANDIDATE]")
@option("--baseline side_a", FOLDER, "Runs of the baseline, one per seed.",
        multiple=True, metavar="RUN...")  # fmt: skip
@option("--candidate side_b", FOLDER, "Runs of the candidate, one per seed.",
        multiple=True, metavar="RUN...")  # fmt: skip
@option("--policy -p policy", FILE,
        "Policy file (YAML): limits by benchmark, in the schema of NeMo Evaluator's 'nel gate'.",
        required=True, metavar="FILE")  # fmt: skip
@option("--max-errors", options.Share(),
        "Exit with code 2 if more than this share of a side's answers to a gated benchmark have "
        "no score.", default="1%")  # fmt: skip
@exclude_option
@options.as_json
def gate(
    runs: tuple[Path, ...],
    side_a: tuple[Path, ...],
    side_b: tuple[Path, ...],
    policy: Path,
    **given: Any,
) -> int:
    """Decide on a release: GO (exit code 0), NO-GO (1) or INCONCLUSIVE (3).

    GO: every gated benchmark is shown to lose at most what the policy allows.  NO-GO: one is shown
    to lose more.  INCONCLUSIVE: neither; the table says what would decide it.  Code 2 is for wrong
    usage, broken runs and missing benchmarks.  docs/gate.md explains policy, table and errors.
    """
    if len(runs) == 2 and not side_a and not side_b:
        side_a, side_b = runs[:1], runs[1:]
    elif runs or not side_a or not side_b:
        raise UsageError(
            "pass either BASELINE CANDIDATE, or both --baseline RUN... and --candidate RUN..."
        )
    from ablations.statistics.exclusions import read_exclusions
    from ablations.statistics.release import gate as release
    from ablations.statistics.release.policy import read_policy

    exclude = read_exclusions(given["exclude"])
    limits = read_policy(policy)
    found = release.gate(side_a, side_b, limits, given["max_errors"], exclude)
    print_result(json_text(found) if given["as_json"] else text(found))
    return EXIT[found.verdict]


def text(found: Gate) -> str:
    """Return the verdict, its reasons, the table, and what would decide it."""
    heads = ("benchmark", "tier", "status", "items", "baseline", "candidate", "change",
             "95 % interval", "limit", "relative", "95 % interval", "limit",
             "without score")  # fmt: skip
    table = [heads, *(_row(line) for line in found.benchmarks)]
    if all(line.max_relative_drop is None for line in found.benchmarks):
        table = [(*row[:9], row[12]) for row in table]
    lines = [f"{found.verdict}: {found.heading}", *(f"  {reason}" for reason in found.reasons), ""]
    for side, runs in found.runs.items():
        lines += [f"{side}  {run['folder']} ({run['model']})" for run in runs]
    lines += ["", *aligned(table, left=(0, 1, 2)), "", *_deciding(found)]
    lines.append(
        "scores in percent, changes (candidate - baseline) in points; without score: answers of "
        "baseline, candidate"
    )
    lines += [f"left out (--exclude): {name} {n}" for name, n in found.excluded.items()]
    lines += [f"with them: {found.with_all}"] * (found.with_all is not None)
    return "\n".join([*lines, *note_lines(found.notes)])


def _row(line: GatedBenchmark) -> tuple[str, ...]:
    limits, sign = line.limits, line.limits.sign
    relative: Sequence[str] = ("", "", "")
    if line.max_relative_drop is not None and line.relative is not None:
        bound = f"{-100 * sign * line.max_relative_drop:+g} %"
        bounds = interval(line.relative_low, line.relative_high)
        relative = (f"{points(line.relative)} %", bounds, bound)
    items = str(line.items) + (f" x {line.repeats}" if line.repeats > 1 else "")
    scores = percent(line.baseline), percent(line.candidate)
    change = points(line.delta), interval(line.low, line.high)
    limit = f"{-100 * sign * limits.max_drop:+g}"
    without = ", ".join(str(side.without_score) for side in line.missing.values())
    named = (line.benchmark, limits.tier, line.status, items)
    return (*named, *scores, *change, limit, *relative, without)


def _deciding(found: Gate) -> list[str]:
    """Return the table of what would decide each undecided benchmark; empty where none is."""
    from ablations.statistics.design.needs import needs_text

    rows = [
        (line.benchmark, needs_text(line.undecided.if_unchanged, line.items),
         needs_text(line.undecided.as_measured, line.items), f"{line.available:,}")
        for line in found.benchmarks
        if line.undecided is not None
    ]  # fmt: skip
    if not rows:
        return []
    heads = ("benchmark", "if nothing changed", "if the change is as measured", "items there are")
    sizes = f"what would decide it with {100 * found.power:g} % power; each number alone:"
    return [sizes, *aligned([heads, *rows], left=(0, 1, 2)), ""]
