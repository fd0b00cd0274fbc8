"""``harness ablate``: a study that ships with the harness, or one that a file declares."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from click.core import ParameterSource

from ablations.arms import Role
from ablations.cli.compare import exclude_option, exclusion_lines
from ablations.interrupts import Interrupted, listening
from ablations.statistics.text.formatting import (
    decisive,
    interval,
    p_value,
    points,
    score_interval,
    width,
)
from ablations.statistics.text.notes import note_lines
from harness.cli import options
from harness.cli.groups import PanelCommand
from harness.cli.options import COUNT, FILE, FOLDER, POINTS, option
from harness.cli.output import echo, print_result
from harness.cli.tables import aligned, percent
from harness.errors import UsageError
from harness.files.names import is_own_name
from harness.files.text import counted

if TYPE_CHECKING:
    from ablations.statistics.contrasts import Rules
    from ablations.study.designs import Design
    from ablations.study.forecast import Forecast
    from ablations.study.jobs import Execute
    from ablations.study.plan import Plan, Request
    from ablations.study.slurm.settings import SlurmSettings
    from ablations.study.study import Report


# Callbacks of options, as click calls them.


def _path_or_name(ctx: click.Context, _: click.Parameter, name: str | None) -> str | None:
    """Return an existing path in full, so that it holds in any folder; other names as they are."""
    return str(Path(name).resolve()) if name is not None and Path(name).exists() else name


def _names(ctx: click.Context, _: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))


def _shell_words(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{param.opts[0]} {text!r}: {str(error).lower()}") from None


def _seed_counts(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(f"{param.opts[0]} {text!r}: give numbers of seeds, as in 3,5,8") from None


def _folder_name(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    if name is None:
        return None
    if not name or name != Path(name).name or name.startswith("."):
        raise UsageError(f"{param.opts[0]} {name!r} is not a valid folder name")
    return name


def _external(
    ctx: click.Context, param: click.Parameter, values: Sequence[str]
) -> dict[str, tuple[Path, ...]]:
    """Return arm -> folders from values of the form ARM=DIR,DIR."""
    flag, by_arm = param.opts[0], dict[str, tuple[Path, ...]]()
    for value in values:
        arm, _, folders = value.partition("=")
        paths = tuple(Path(folder).resolve() for folder in folders.split(",") if folder)
        if not paths:
            raise UsageError(f"{flag} {value!r}: use ARM=DIR,DIR with one folder per seed")
        if arm in by_arm:
            raise UsageError(f"{flag} names {arm} twice: list all its folders at once")
        by_arm[arm] = paths
    return by_arm


def _roles(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, Role]:
    """Return arm -> role from values of the form ARM=ROLE."""
    roles = dict(value.partition("=")[::2] for value in values)
    for arm, role in roles.items():
        if role not in get_args(Role):
            raise UsageError(
                f"{param.opts[0]} {arm}={role}: use ARM=ROLE, with a role of "
                f"{', '.join(get_args(Role))}"
            )
        if not is_own_name(arm):
            raise UsageError(f"{param.opts[0]} {arm!r}: use letters, digits, dots, - and _")
    return roles  # type: ignore[return-value]  # every one is a role


_path = partial(option, kind=str, callback=_path_or_name)
_folders = partial(option, kind=str, callback=_external, multiple=True)
_arguments = partial(option, kind=str, callback=_shell_words, default="", metavar="ARGS")


PANELS = {
    "Study": "name arms seeds matching model pairs rl-data train-args allow-code",
    "Models from elsewhere": "checkpoints runs role",
    "Evaluation": "suite benchmarks limit set data-root probe run-args",
    "Statistics": "effect-size margin alpha power variance looks spending exclude",
    "Plan": "plan seed-sd seed-correlation",
    "Machines": "executor executor-settings jobs preload gpus-per-job",
    "Output": "studies note json",
}


@click.command(
    cls=PanelCommand,
    panels=PANELS,
    epilog="Example: harness ablate objective-vs-data --model path/to/base --suite vqa12 "
    "--pairs pairs.jsonl --rl-data items.jsonl --seeds 3 --plan",
)
@click.argument("study_name", metavar="STUDY")
@_path("--model", metavar="BASE", help="Checkpoint that every arm starts from.")
@option("--suite", str, "Suite or benchmark id (see 'harness list').")
@option("--benchmarks", str, "Evaluate only these benchmarks of the suite.", metavar="A,B",
        callback=_names)  # fmt: skip
@option("--limit", COUNT, "Evaluate only the first N items per benchmark.")
@_path("--pairs", metavar="P", help="Contrastive pairs, as for 'harness train'.")
@_path("--rl-data", metavar="D", help="RL items, as for 'harness train'.")
@option("--seeds", COUNT, "Seeds per arm  [default: the study's, or 3]")
@option("--name", str, "Name of the study  [default: STUDY's]", callback=_folder_name)
@option("--arms", str, "Take only these arms  [default: the study's]", metavar="A,B",
        callback=_names)  # fmt: skip
@option("--matching", ["instances", "steps", "tokens"],
        "What to hold equal across arms  [default: from the recipe, else instances]")  # fmt: skip
@_folders("--checkpoints", metavar="ARM=DIR,DIR",
        help="Use checkpoints trained elsewhere, one per seed.")  # fmt: skip
@_folders("--runs", metavar="ARM=RUN,RUN", help="Use runs evaluated elsewhere, one per seed.")
@option("--role roles", str,
        "Role of an arm of your own in --checkpoints or --runs, as in mymethod=method; repeatable.",
        metavar="ARM=ROLE", multiple=True, callback=_roles)  # fmt: skip
@option("--allow-code", bool,
        "Run code that the study file or a recipe names: rewards, losses, arms, benchmarks, a "
        "backend.")  # fmt: skip
@options.settings
@_path("--probe", metavar="PAIRS", help="Also measure context selection on these pairs.")
@option("--effect-size", POINTS,
        "Effect size to plan for, in percentage points  [default: the study's, or "
        "1.8]")  # fmt: skip
@option("--planned", POINTS, "The former name of --effect-size.", hidden=True)
@option("--margin", POINTS,
        "Equivalence margin, in percentage points; at most half of --effect-size  [default: the "
        "study's, or 0.9]")  # fmt: skip
@option("--alpha", float, "Significance level of each test  [default: the study's, or 0.05]")
@option("--power", float, "Power for minimal detectable effects  [default: the study's, or 0.8]")
@option("--variance", ["welch", "pooled", "paired"],
        "Seed variance: one per arm, pooled over all arms, or of differences seed by seed where "
        "both arms draw the same items in the same order  [default: the study's, or "
        "welch]")  # fmt: skip
@option("--looks", str,
        "Seeds per arm after which the study may stop, the last being --seeds, as in 3,5,8.",
        metavar="N,N", callback=_seed_counts)  # fmt: skip
@option("--spending", ["obrien-fleming", "pocock"],
        "--looks: how alpha is spent over them  [default: the study's, or "
        "obrien-fleming]")  # fmt: skip
@option("--seed-sd", options.Finite(min=0),
        "--plan: assumed standard deviation across training seeds, in points.",
        default=0.5)  # fmt: skip
@option("--seed-correlation", str,
        "--plan: correlation of paired arms' seeds: a number, or folders of earlier studies  "
        "[default: 0]", metavar="R|DIR,DIR")  # fmt: skip
@_arguments("--train-args", help="Extra arguments for 'harness train'.")
@_arguments("--run-args", help="Extra arguments for 'harness run'.")
@option("--executor", ["local", "ray", "slurm"], "Where trainings and evaluations run.",
        default="local")  # fmt: skip
@option("--executor-settings", FILE,
        "slurm: YAML file of what a job asks for: partition, GPUs, hours (docs/study.md).",
        metavar="FILE")  # fmt: skip
@option("--gpus-per-job", options.Finite(min=0), "ray: GPUs per training or evaluation.",
        default=1.0)  # fmt: skip
@option("--jobs", COUNT, "local: concurrent jobs; they share the CPU cores.", default=1)
@option("--preload", bool, "local: load the libraries once for all jobs (small models on a CPU).")
@option("--note", str, "A note to show with every result.")
@exclude_option
@options.data_root
@option("--studies", FOLDER, "Folder that holds the study folders.", default=Path("studies"))
@option("--plan plan_only", bool,
        "Dry run: show the plan and estimate run time from a few steps and items.")  # fmt: skip
@options.as_json
def ablate(**given: Any) -> int:
    """Run a study: train and evaluate its arms, compare them by their roles, report a verdict.

    STUDY is a YAML file (docs/study.md), or 'objective-vs-data': does a gain come from the
    objective, or from the data that it uses?  Options override the file.

    Rerun the same command to resume a study that was stopped.  Ctrl-C and SIGTERM let trainings
    finish their step and save a checkpoint; a second one stops at once.  Jobs in Slurm go on.  The
    plan is written before any score is read and cannot change afterwards.
    """
    from ablations.study.plan import check_evaluations, plan
    from ablations.study.study import say_missing, study

    slurm = _slurm(given["executor"], given["executor_settings"])
    planned = plan(_request(given))
    check_evaluations(planned, here=given["executor"] == "local")
    if given["plan_only"]:
        _show_plan(planned, given["seed_sd"] / 100, given["seed_correlation"], given["as_json"])
        return 0
    execute = _executor(given, slurm, planned.folder)
    try:
        with listening():
            report = study(planned, execute)
    except Interrupted as stop:
        echo("interrupted: rerun the same command to resume the study", err=True)
        raise click.exceptions.Exit(stop.exit_code) from None
    page = _page(planned.folder)
    if given["as_json"]:
        print_result(json.dumps(_document(report, page)))
    else:
        echo(report_text(report, planned.request.rules.at_look(report.look)))
        echo(f"study {planned.folder}" + (f"\nreport {page}" if page else ""))
    say_missing(report)
    return int(bool(report.missing))


_OF_EXECUTOR = {"jobs": "local", "preload": "local", "gpus_per_job": "ray",
                "executor_settings": "slurm"}  # fmt: skip


def _slurm(executor: str, path: Path | None) -> SlurmSettings | None:
    """Return the settings of the jobs where they run in Slurm.

    `UsageError` for options of other executors.
    """
    for name, of in _OF_EXECUTOR.items():
        source = click.get_current_context().get_parameter_source(name)
        if of != executor and source is not ParameterSource.DEFAULT:
            raise UsageError(f"--{name.replace('_', '-')} is for --executor {of}")
    if executor != "slurm":
        return None
    if path is None:
        raise UsageError("--executor slurm needs --executor-settings FILE.yaml (docs/study.md)")
    from ablations.study.slurm.settings import read_settings
    from harness.install.extras import need

    settings = read_settings(path)
    need("submitit", "slurm")
    return settings


def _executor(given: dict[str, Any], slurm: SlurmSettings | None, folder: Path) -> Execute:
    if slurm is None:
        from ablations.study.jobs import executor

        return executor(given["executor"], given["gpus_per_job"], given["preload"], given["jobs"])
    from ablations.study.slurm.arrays import on_slurm

    return partial(on_slurm, settings=slurm, folder=folder)


def _request(given: dict[str, Any]) -> Request:
    """Return the request of a study file and the command's options, which override it."""
    from ablations.study.declared import Reader, read_study, study_path, with_roles

    path = study_path(given["study_name"])
    study = with_roles(read_study(path), given["roles"])
    if given["planned"] is not None:
        given["effect_size"] = given["planned"]
    if given["data_root"] is not None:
        given["data_root"] = given["data_root"].resolve()
    out = given["studies"].resolve() / (given["name"] or path.stem)
    return Reader(study, path.parent, given["allow_code"]).request(out, given)


def _show_plan(planned: Plan, seed_sd: float, correlation: str | None, as_json: bool) -> None:
    from ablations.study.designs import correlation_of, designs
    from ablations.study.forecast import forecast, timed

    assumed = correlation_of(correlation, planned)
    expected = timed(planned, forecast(planned, seed_sd))
    offered = designs(planned, expected, assumed)
    if as_json:
        document = {
            "plan_hash": planned.hash,
            "plan": planned.content,
            "forecast": dataclasses.asdict(expected),
            "designs": [dataclasses.asdict(design) for design in offered],
        }
        print_result(json.dumps(document))
    else:
        lines = designs_text(offered, planned.request.rules, assumed)
        echo("\n".join([plan_text(planned, expected), *lines]))


def _page(folder: Path) -> Path | None:
    """Write the study's page if it is out of date; without one the verdict is still shown."""
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
    fields = ("name", "kind", "delta", "low", "high", "p", "p_holm", "tested", "verdict")
    contrasts, checks = (
        [{field: getattr(line, field) for field in fields} for line in lines]
        for lines in (report.analysis.contrasts, report.analysis.checks)
    )
    return {
        "plan_hash": report.plan_hash,
        "verdict": report.verdict,
        "contrasts": contrasts,
        "checks": checks,
        "report": None if page is None else str(page),
    }


def report_text(report: Report, rules: Rules) -> str:
    """Return a study's result as text: scores, differences, the verdict, what is missing."""
    notes = note_lines(report.notes)
    below = [report.bootstrap] if report.bootstrap else []
    notes += exclusion_lines(report.excluded, report.with_all)
    tables = [*aligned(_scores(report)), "", *aligned(_differences(report, rules))]
    return "\n".join([*tables, *below, "", report.verdict, *notes])


def _scores(report: Report) -> list[tuple[str, ...]]:
    lines = report.analysis.arms
    arms = [line.arm for line in lines]
    rows: list[tuple[str, ...]] = [
        ("mean score (%)", *arms),
        *((row.benchmark, *(_mean(row.scores[arm]) for arm in arms)) for row in report.benchmarks),
        (f"mean of {len(report.benchmarks)}", *(percent(line.mean) for line in lines)),
        ("interval of the mean", *(score_interval(x.mean_low, x.mean_high) for x in lines)),
        ("seeds", *(str(line.seeds) for line in lines)),
    ]
    if report.losses:
        rows.append(("loss on pairs", *(report.losses.get(arm, "-") for arm in arms)))
    measured = [model for model in report.models if model.selection is not None]
    if measured:
        selection = ([m.selection or 0.0 for m in measured if m.arm == arm] for arm in arms)
        rows.append(("context selection", *map(_mean, selection)))
    return rows


def _mean(scores: Sequence[float]) -> str:
    return percent(sum(scores) / len(scores) if scores else None)


def _differences(report: Report, rules: Rules) -> list[tuple[str, ...]]:
    level = f"{100 * rules.level:g} % interval"
    header = ("difference (points)", "", "delta", level, "items resampled", "p", "MDE", "verdict")
    rows: list[tuple[str, ...]] = [header]
    for line in (*report.analysis.contrasts, *report.analysis.checks):
        delta = points(line.delta), decisive(line, rules.alpha)
        p = p_value(line.p if line.p_holm is None else line.p_holm)  # decides the verdict
        resampled, mde = interval(line.boot_low, line.boot_high), width(line.mde)
        verdict = line.verdict or ("not tested" if line.mde is not None else "-")
        rows.append((line.name, line.kind, *delta, resampled, p, mde, verdict))
    return rows


def plan_text(planned: Plan, expected: Forecast) -> str:
    """Return a plan and its forecast as text."""
    arms = [("arm", "seeds", "source", "optimizer steps")]
    for row in planned.arms:
        arms.append((row.arm, str(row.seeds), row.origin, str(expected.steps.get(row.arm, "-"))))
    lines = [
        f"plan {planned.hash[:12]} in {planned.folder}",
        *aligned(arms),
        _todo_text(expected),
        *_time_text(expected),
        "contrasts, in test order: " + ", ".join(planned.content["contrasts"]),
        *_power_text(planned.request.rules, expected),
    ]
    seen = [(row.benchmark, str(row.items), f"{100 * row.mde:.1f}") for row in expected.benchmarks]
    if seen:
        lines += aligned([("benchmark", "items", "MDE (points)"), *seen])
    return "\n".join(lines)


def _todo_text(expected: Forecast) -> str:
    training, evaluation = expected.trainings, expected.evaluations
    done = f"{counted(training, 'training')}, {counted(evaluation, 'evaluation')}"
    if not expected.evaluations:
        return f"{done}; the runs hold {counted(expected.items, 'item')} in common"
    return f"{done} of {counted(expected.items, 'item')}"


def _time_text(expected: Forecast) -> list[str]:
    training, evaluation, lines = expected.training, expected.evaluation, []
    if training is not None:
        lines.append(
            f"a training step takes {training.each:.2f} s here after {training.start:.0f} s to "
            "start (measured on the first steps)"
        )
    if evaluation is not None:
        each = evaluation.start + evaluation.each * expected.items
        lines.append(
            f"an evaluation takes {each:.0f} s here: {evaluation.start:.0f} s to start and "
            f"{1000 * evaluation.each:.1f} ms per item (measured on a few)"
        )
    if expected.seconds:
        lines.append(f"in total, one after the other: {expected.seconds / 60:.0f} min")
    return lines


def _seeds_text(seeds: int | None) -> str:
    return "more than 1000 seeds" if seeds is None else counted(seeds, "seed")


def _power_text(rules: Rules, expected: Forecast) -> list[str]:
    mde, seeds = expected.mde, expected.seeds
    smallest = "nothing can be tested" if mde is None else f"{100 * mde:.1f} points"
    return [
        f"alpha {rules.alpha:g}, margin {100 * rules.margin:g} points, variance {rules.variance}",
        f"smallest difference of the macro average detectable with power {rules.power:g}: "
        f"{smallest} with {counted(seeds, 'seed')} per arm; "
        f"{100 * rules.effect_size:g} points need {_seeds_text(expected.seeds_needed)} per "
        "arm (for the total alone; all objective contrasts at once need more)",
        *_equivalence_text(rules, expected),
        f"(SD of a seed's macro average: {100 * expected.training_sd:.2f} points from training, "
        f"assumed; at most {100 * expected.decoding_sd:.2f} from items)",
    ]


def _equivalence_text(rules: Rules, expected: Forecast) -> list[str]:
    """Return whether the verdict "equivalent" is attainable, if a contrast needs it."""
    if expected.equivalence is None:
        return []
    within = f"equivalence within {100 * rules.margin:g} points"
    chance = (
        f"truly equal arms are called equivalent with probability {expected.equivalence:.1%} at "
        f"{counted(expected.seeds, 'seed')} per arm"
    )
    if expected.equivalence >= rules.power:
        return [f"{within}: {chance}"]
    return [
        f"{within} is not attainable at power {rules.power:g}: {chance}; it needs "
        f"{_seeds_text(expected.equivalence_seeds)} per arm"
    ]


def designs_text(offered: Sequence[Design], rules: Rules, correlation: float) -> list[str]:
    """Return the table of designs and which is cheapest for the planned effect; or nothing."""
    from ablations.study.designs import cheapest

    if not offered:
        return []
    effect = f"{100 * rules.effect_size:g} points"
    header = ("design", "power as planned", f"seeds for {rules.power:g}", "on average",
              "trainings", "minutes")  # fmt: skip
    rows = [
        (
            design.name,
            "-" if design.power is None else f"{100 * design.power:.0f} %",
            "more than 60" if design.needed is None else str(design.needed),
            _number(design.expected, 1),
            _number(design.trainings, 0),
            _number(None if design.seconds is None else design.seconds / 60, 0),
        )
        for design in offered
    ]
    note = f"paired: at a correlation of {correlation:g} between the seeds of two arms"
    if not any(design.name == "paired" for design in offered):
        note = "paired is not offered: with this matching the arms of the total draw other items"
    if not any(design.repeats > offered[0].repeats for design in offered):
        note += "; more repeats are not offered: with greedy decoding they are all alike"
    best = cheapest(offered)
    conclusion = "no design reaches the power" if best is None else f"cheapest: {best.name}"
    return [
        f"designs for the total, to detect {effect} ({note}):",
        *aligned([header, *rows]),
        f"{conclusion} for {effect} at power {rules.power:g}",
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
