"""``harness ablate objective-vs-data``: does a gain come from the objective, or from the data?"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.cli.output import print_result
from harness.cli.tables import aligned

if TYPE_CHECKING:
    from ablations.statistics.contrasts import Rules
    from ablations.study.forecast import Forecast
    from ablations.study.plan import Plan, Request
    from ablations.study.study import Report

NAME = "objective-vs-data"


def _split(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))


def _absolute_if_exists(name: str | None) -> str | None:
    """Return an existing path in full, so that it holds in any folder; other names as they are."""
    return str(Path(name).resolve()) if name is not None and Path(name).exists() else name


def _shell_words(option: str, text: str) -> tuple[str, ...]:
    from harness.errors import UsageError

    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {str(error).lower()}") from None


def _folder_name(option: str, name: str) -> str:
    from harness.errors import UsageError

    if not name or name != Path(name).name or name.startswith("."):
        raise UsageError(f"{option} {name!r} is not a valid folder name")
    return name


def _external(option: str, values: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Return arm -> folders from values of the form ARM=DIR,DIR."""
    from harness.errors import UsageError

    by_arm: dict[str, tuple[Path, ...]] = {}
    for value in values:
        arm, equals, folders = value.partition("=")
        paths = tuple(Path(folder) for folder in folders.split(",") if folder)
        if not equals or not paths:
            raise UsageError(f"{option} {value!r}: use ARM=DIR,DIR with one folder per seed")
        if arm in by_arm:
            raise UsageError(f"{option} names {arm} twice: list all its folders at once")
        by_arm[arm] = tuple(path.resolve() for path in paths)
    return by_arm


def _converted(convert: Callable[[str, Any], Any]) -> Callable[..., Any]:
    """Return a click callback that converts an option's value, given the option's name too."""
    return lambda ctx, option, value: convert(option.opts[0], value)


_path_or_name = _converted(lambda _, name: _absolute_if_exists(name))


_option = partial(click.option, show_default=True)


@click.group()
def ablate() -> None:
    """Find out where a training gain comes from."""


@ablate.command(NAME)
@_option(
    "--model", metavar="BASE", callback=_path_or_name, help="Checkpoint that every arm starts from."
)
@options.suite
@_option(
    "--pairs",
    metavar="P",
    callback=_path_or_name,
    help="Contrastive pairs, as for 'harness train'.",
)
@_option("--rl-data", metavar="D", callback=_path_or_name, help="RL items, as for 'harness train'.")
@_option("--seeds", type=click.IntRange(min=1), default=3, help="Seeds per arm.")
@_option("--name", default=NAME, callback=_converted(_folder_name), help="Name of the study.")
@_option(
    "--arms",
    metavar="A,B",
    callback=_converted(lambda _, text: _split(text)),
    help="Train only these arms  [default: the seven standard arms]",
)
@_option(
    "--matching",
    type=click.Choice(["instances", "steps", "tokens"]),
    default=None,
    help="What to hold equal across arms  [default: from the recipe, else instances]",
)
@_option(
    "--checkpoints",
    multiple=True,
    metavar="ARM=DIR,DIR",
    callback=_converted(_external),
    help="Use checkpoints trained elsewhere, one per seed.",
)
@_option(
    "--runs",
    multiple=True,
    metavar="ARM=RUN,RUN",
    callback=_converted(_external),
    help="Use runs evaluated elsewhere, one per seed.",
)
@options.settings
@_option(
    "--probe",
    metavar="PAIRS",
    callback=_path_or_name,
    help="Also measure context selection on these pairs.",
)
@_option(
    "--effect-size",
    type=options.Points(),
    default=1.8,
    help="Effect size to plan for, in percentage points.",
)
@_option("--planned", type=options.Points(), default=None, hidden=True)
@_option(
    "--margin",
    type=options.Points(),
    default=0.9,
    help="Equivalence margin, in percentage points; at most half of --effect-size.",
)
@_option("--alpha", type=float, default=0.05, help="Significance level of each test.")
@_option("--power", type=float, default=0.8, help="Power for minimal detectable effects.")
@_option(
    "--variance",
    type=click.Choice(["welch", "pooled"]),
    default="welch",
    help="Seed variance: one per arm, or pooled over all arms.",
)
@_option(
    "--seed-sd",
    type=options.Finite(min=0),
    default=0.5,
    help="--plan: assumed standard deviation across training seeds, in points.",
)
@_option(
    "--train-args",
    default="",
    metavar="ARGS",
    callback=_converted(_shell_words),
    help="Extra arguments for 'harness train'.",
)
@_option(
    "--run-args",
    default="",
    metavar="ARGS",
    callback=_converted(_shell_words),
    help="Extra arguments for 'harness run'.",
)
@_option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="Where trainings and evaluations run.",
)
@_option(
    "--gpus-per-job",
    type=options.Finite(min=0),
    default=1.0,
    help="ray: GPUs per training or evaluation.",
)
@_option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    help="local: concurrent jobs; they share the CPU cores.",
)
@_option(
    "--preload",
    is_flag=True,
    help="local: load the libraries once for all jobs (small models on a CPU).",
)
@_option("--note", default="", help="A note to show with every result.")
@options.data_root
@_option(
    "--studies",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("studies"),
    help="Folder that holds the study folders.",
)
@_option(
    "--plan",
    "plan_only",
    is_flag=True,
    help="Dry run: show the plan and estimate run time from a few steps and items.",
)
@options.as_json
def objective_vs_data(**given: Any) -> int:
    """Train and evaluate arms that separate the objective from its data, and report a verdict.

    Rerun the same command to resume a study that was stopped.  The plan is written before any score
    is read and cannot change afterwards.  docs/study.md describes the study's folder.
    """
    from ablations.study.jobs import executor
    from ablations.study.plan import plan
    from ablations.study.study import say_missing, study

    planned = plan(_request(given))
    if given["plan_only"]:
        _show_plan(planned, given["seed_sd"] / 100, given["as_json"])
        return 0
    execute = executor(given["executor"], given["gpus_per_job"], given["preload"], given["jobs"])
    try:
        report = study(planned, execute)
    except KeyboardInterrupt:
        click.echo("interrupted: rerun the same command to resume the study", err=True)
        raise click.Abort from None  # for an interrupt click adds an empty line
    page = _page(planned.folder)
    if given["as_json"]:
        print_result(json.dumps(_document(report, page)))
    else:
        click.echo(report_text(report, planned.request.rules))
        click.echo(f"study {planned.folder}" + (f"\nreport {page}" if page else ""))
    say_missing(report)
    return int(bool(report.missing))


def _request(given: dict[str, Any]) -> Request:
    """Return the request of the command's options: those of its fields' names, as they are."""
    from ablations.statistics.contrasts import Rules
    from ablations.study.plan import Request, matching

    effect_size = given["effect_size"] if given["planned"] is None else given["planned"]
    names = ("alpha", "margin", "variance", "power")
    rules = Rules(effect_size=effect_size, **{name: given[name] for name in names})
    fields = {field.name for field in dataclasses.fields(Request)}
    made = {
        "folder": given["studies"].resolve() / given["name"],
        "rules": rules,
        "matching": matching(given["matching"], given["train_args"]),
        "benchmarks": _split(given["benchmarks"]),
        "data_root": given["data_root"] and given["data_root"].resolve(),
    }
    return Request(**{name: value for name, value in given.items() if name in fields} | made)


def _show_plan(planned: Plan, seed_sd: float, as_json: bool) -> None:
    from ablations.study.forecast import forecast, timed

    found = timed(planned, forecast(planned, seed_sd))
    if as_json:
        document = {"plan_hash": planned.hash, "plan": planned.content}
        print_result(json.dumps({**document, "forecast": dataclasses.asdict(found)}))
    else:
        click.echo(plan_text(planned, found))


def _page(folder: Path) -> Path | None:
    """Write the study's page where it is not there; one that cannot be costs no verdict."""
    from ablations.study.children import FailedError, child, say

    page, analysis = folder / "report.html", folder / "analysis.json"
    if page.exists() and page.stat().st_mtime_ns > analysis.stat().st_mtime_ns:
        return page
    try:
        child(("report", str(folder), "--out", str(page)), folder / "report.log")
    except FailedError as error:
        say(f"no report: {error}")
        return None
    return page


def _document(report: Report, page: Path | None) -> dict[str, Any]:
    fields = ("name", "kind", "delta", "low", "high", "p", "tested", "verdict")
    return {
        "plan_hash": report.plan_hash,
        "verdict": report.verdict,
        "contrasts": [
            {field: getattr(line, field) for field in fields} for line in report.analysis.contrasts
        ],
        "report": None if page is None else str(page),
    }


def report_text(report: Report, rules: Rules) -> str:
    """Return what a study says as text: scores, differences, the verdict, what is missing."""
    from ablations.statistics.formatting import interval, p_value, points, width

    arms = {line.arm: line for line in report.analysis.arms}
    scores = [("mean score (%)", *arms)]
    for row in report.benchmarks:
        means = [100 * sum(row.scores[arm]) / len(row.scores[arm]) for arm in arms]
        scores.append((row.benchmark, *(f"{mean:.1f}" for mean in means)))
    averages = (f"{100 * line.mean:.1f}" for line in arms.values())
    scores.append((f"mean of {len(report.benchmarks)}", *averages))
    scores.append(("seeds", *(str(line.seeds) for line in arms.values())))
    if any(model.selection is not None for model in report.models):
        scores.append(("context selection", *(_selection(report, arm) for arm in arms)))
    level = f"{100 * rules.level:g} % interval"
    deltas = [("difference (points)", "", "delta", level, "items resampled", "p", "MDE", "verdict")]
    for line in report.analysis.contrasts:
        deltas.append(
            (
                line.name,
                line.kind,
                points(line.delta),
                interval(line.low, line.high),
                interval(line.boot_low, line.boot_high),
                p_value(line.p if line.p_holm is None else line.p_holm),  # decides the verdict
                width(line.mde),
                line.verdict or ("not tested" if line.mde is not None else "-"),
            )
        )
    notes = [f"note: {note}" for note in report.notes]
    below = [report.bootstrap] if report.bootstrap else []
    return "\n".join([*aligned(scores), "", *aligned(deltas), *below, "", report.verdict, *notes])


def _selection(report: Report, arm: str) -> str:
    found = [m.selection for m in report.models if m.arm == arm and m.selection is not None]
    return f"{100 * sum(found) / len(found):.1f}" if found else "-"


def plan_text(planned: Plan, found: Forecast) -> str:
    """Return a plan and its forecast as text."""
    rules = planned.request.rules
    arms = [("arm", "seeds", "source", "optimizer steps")]
    for one in planned.arms:
        steps = str(found.steps.get(one.arm, "-"))
        arms.append((one.arm, str(one.seeds), one.origin, steps))
    seen = [("benchmark", "items", "MDE (points)")]
    seen += [(row.benchmark, str(row.items), f"{100 * row.mde:.1f}") for row in found.benchmarks]
    needed = "more than 1000" if found.seeds_needed is None else str(found.seeds_needed)
    smallest = "nothing can be tested" if found.mde is None else f"{100 * found.mde:.1f} points"
    lines = [
        f"plan {planned.hash[:12]} in {planned.folder}",
        *aligned(arms),
        _todo_text(found),
        *_time_text(found),
        "contrasts, in test order: " + ", ".join(planned.content["contrasts"]),
        f"alpha {rules.alpha:g}, margin {100 * rules.margin:g} points, variance {rules.variance}",
        f"smallest difference of the macro average detectable with power {rules.power:g}: "
        f"{smallest} with {found.seeds} seed{'s' * (found.seeds > 1)} per arm; "
        f"{100 * rules.effect_size:g} points need {needed} seeds per arm "
        "(for the total alone; all objective contrasts at once need more)",
        *_equivalence_text(rules, found),
        f"(SD of a seed's macro average: {100 * found.training_sd:.2f} points from training, "
        f"assumed; at most {100 * found.decoding_sd:.2f} from items)",
    ]
    return "\n".join([*lines, *aligned(seen)] if found.benchmarks else lines)


def _equivalence_text(rules: Rules, found: Forecast) -> list[str]:
    """Return whether the verdict "equivalent" is attainable, where a contrast asks for it."""
    if found.equivalence is None:
        return []
    within = f"equivalence within {100 * rules.margin:g} points"
    chance = (
        f"truly equal arms are called equivalent with probability {found.equivalence:.1%} at "
        f"{found.seeds} seeds per arm"
    )
    if found.equivalence >= rules.power:
        return [f"{within}: {chance}"]
    seeds = found.equivalence_seeds
    needed = "more than 1000" if seeds is None else str(seeds)
    return [
        f"{within} is not attainable at power {rules.power:g}: {chance}; it needs {needed} seeds "
        "per arm"
    ]


def _todo_text(found: Forecast) -> str:
    done = f"{found.trainings} trainings, {found.evaluations} evaluations"
    if not found.evaluations:
        return f"{done}; the runs hold {found.items} items in common"
    return f"{done} of {found.items} items"


def _time_text(found: Forecast) -> list[str]:
    one, other, lines = found.training, found.evaluation, []
    if one is not None:
        lines.append(
            f"a training step takes {one.each:.2f} s here after {one.start:.0f} s to start "
            "(measured on the first steps)"
        )
    if other is not None:
        each = other.start + other.each * found.items
        lines.append(
            f"an evaluation takes {each:.0f} s here: {other.start:.0f} s to start and "
            f"{1000 * other.each:.1f} ms an item (measured on a few)"
        )
    if found.seconds:
        lines.append(f"all of it, one after the other: {found.seconds / 60:.0f} min")
    return lines
