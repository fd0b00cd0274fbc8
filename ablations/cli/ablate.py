"""``harness ablate objective-vs-data``: is a gain the objective's, or the data's?"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options

if TYPE_CHECKING:
    from ablations.statistics.contrasts import Rules
    from ablations.study.forecast import Forecast
    from ablations.study.plan import Plan
    from ablations.study.study import Report

NAME = "objective-vs-data"
_PLAN = "Say what would be done and how long it takes, by a few steps and items; keep nothing."


@click.group()
def ablate() -> None:
    """Tell where a training gain comes from."""


@ablate.command(NAME)
@click.option("--model", metavar="BASE", help="The checkpoint that every arm starts from.")
@options.suite
@click.option("--pairs", metavar="P", help="Contrastive pairs, as for 'harness train'.")
@click.option("--rl-data", metavar="D", help="Ordinary RL items, as for 'harness train'.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--name", default=NAME, show_default=True, help="The study's name.")
@click.option("--arms", metavar="A,B", help="Only these arms  [default: the seven of the study]")
@click.option(
    "--matching",
    type=click.Choice(["instances", "steps", "tokens"]),
    default=None,
    help="What the arms have the same amount of  [default: as the recipe says, else instances]",
)
@click.option(
    "--checkpoints", multiple=True, metavar="ARM=DIR,DIR", help="Checkpoints made elsewhere."
)
@click.option("--runs", multiple=True, metavar="ARM=RUN,RUN", help="Runs made elsewhere.")
@options.settings
@click.option("--probe", metavar="PAIRS", help="Measure context selection on these pairs too.")
@click.option("--planned", type=float, default=1.8, show_default=True, help="Effect in points.")
@click.option(
    "--margin",
    type=float,
    default=0.9,
    show_default=True,
    help="Points that count as no difference; at most half of --planned.",
)
@click.option("--alpha", type=float, default=0.05, show_default=True)
@click.option("--power", type=float, default=0.8, show_default=True)
@click.option(
    "--variance",
    type=click.Choice(["welch", "pooled"]),
    default="welch",
    show_default=True,
    help="Each arm's own seed variance, or one for all arms.",
)
@click.option(
    "--seed-sd",
    type=options.Finite(min=0),
    default=0.5,
    show_default=True,
    help="--plan: spread of training seeds to assume, in points.",
)
@click.option("--train-args", default="", metavar="WORDS", help="More words for 'harness train'.")
@click.option("--run-args", default="", metavar="WORDS", help="More words for 'harness run'.")
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option(
    "--gpus-per-job",
    type=options.Finite(min=0),
    default=1.0,
    show_default=True,
    help="ray: GPUs that each training or evaluation takes.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="local: trainings and evaluations at a time, each with its share of the cores.",
)
@click.option(
    "--preload",
    is_flag=True,
    help="local: load the libraries once for all commands; for small models on a CPU.",
)
@click.option("--note", default="", help="A sentence to stand beside every result.")
@options.data_root
@click.option(
    "--studies",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("studies"),
    show_default=True,
    help="Folder that holds the studies' folders.",
)
@click.option("--plan", "plan_only", is_flag=True, help=_PLAN)
@options.as_json
def objective_vs_data(**words: Any) -> int:
    """Train and measure arms that separate the objective from its data, and say what is shown.

    The same command continues a study that was stopped.  The plan is written before any score is
    read and cannot change afterwards.  docs/study.md says what is in the study's folder.
    """
    return _Command(**words).go()


@dataclass(frozen=True)
class _Command:
    """The options of one call."""

    model: str | None
    suite: str
    pairs: str | None
    rl_data: str | None
    seeds: int
    name: str
    arms: str | None
    matching: Any
    checkpoints: Sequence[str]
    runs: Sequence[str]
    benchmarks: str | None
    limit: int | None
    settings: Sequence[str]
    probe: str | None
    planned: float
    margin: float
    alpha: float
    power: float
    variance: Any
    seed_sd: float
    train_args: str
    run_args: str
    executor: Any
    gpus_per_job: float
    jobs: int
    preload: bool
    note: str
    data_root: Path | None
    studies: Path
    plan_only: bool
    as_json: bool

    def go(self) -> int:
        """Plan; then show the plan, or do the study and show what it says."""
        from ablations.study.jobs import executor
        from ablations.study.plan import plan
        from ablations.study.study import say_missing, study

        planned = plan(self._request())
        if self.plan_only:
            self._show_plan(planned)
            return 0
        doer = executor(self.executor, self.gpus_per_job, self.preload, self.jobs)
        try:
            report = study(planned, doer)
        except KeyboardInterrupt:
            click.echo("interrupted: the same command continues the study", err=True)
            raise click.Abort from None  # for an interrupt click adds an empty line
        page = _page(planned.folder)
        if self.as_json:
            click.echo(json.dumps(_document(report, page)))
        else:
            click.echo(report_text(report, planned.request.rules))
            click.echo(f"study {planned.folder}" + (f"\nreport {page}" if page else ""))
        say_missing(report)
        return int(bool(report.missing))

    def _request(self) -> Any:
        from ablations.statistics.contrasts import Rules
        from ablations.study.plan import Request, matching

        rules = Rules(
            alpha=self.alpha,
            planned=round(self.planned / 100, 12),
            margin=round(self.margin / 100, 12),
            variance=self.variance,
            wanted=self.power,
        )
        train_args = _words("--train-args", self.train_args)
        return Request(
            folder=self.studies.resolve() / _folder_name(self.name),
            suite=self.suite,
            model=_placed(self.model),
            pairs=_placed(self.pairs),
            rl_data=_placed(self.rl_data),
            arms=_split(self.arms),
            seeds=self.seeds,
            matching=matching(self.matching, train_args),
            rules=rules,
            checkpoints=_brought("--checkpoints", self.checkpoints),
            runs=_brought("--runs", self.runs),
            benchmarks=_split(self.benchmarks),
            settings=tuple(self.settings),
            limit=self.limit,
            probe=_placed(self.probe),
            data_root=None if self.data_root is None else self.data_root.resolve(),
            train_args=train_args,
            run_args=_words("--run-args", self.run_args),
            note=self.note,
        )

    def _show_plan(self, planned: Plan) -> None:
        from ablations.study.forecast import forecast, timed

        found = timed(planned, forecast(planned, self.seed_sd / 100))
        if self.as_json:
            document = {"plan_hash": planned.hash, "plan": planned.content}
            click.echo(json.dumps({**document, "forecast": dataclasses.asdict(found)}))
        else:
            click.echo(plan_text(planned, found))


def _words(option: str, text: str) -> tuple[str, ...]:
    from harness.errors import UsageError

    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{option} {text!r}: {str(error).lower()}") from None


def _split(words: str | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(word.strip() for word in words.split(","))


def _placed(word: str | None) -> str | None:
    """Return a path that does not hang on the working folder; other names as they are."""
    return str(Path(word).resolve()) if word is not None and Path(word).exists() else word


def _folder_name(name: str) -> str:
    from harness.errors import UsageError

    if not name or name != Path(name).name or name.startswith("."):
        raise UsageError(f"--name {name!r} is no name of a folder in --studies")
    return name


def _brought(option: str, words: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Return arm -> folders of words of the form ARM=DIR,DIR."""
    from harness.errors import UsageError

    found: dict[str, tuple[Path, ...]] = {}
    for word in words:
        arm, equals, folders = word.partition("=")
        paths = tuple(Path(folder) for folder in folders.split(",") if folder)
        if not equals or not paths:
            raise UsageError(f"{option} {word!r}: give ARM=DIR,DIR, one folder a training seed")
        if arm in found:
            raise UsageError(f"{option} names {arm} twice: give all its folders at once")
        found[arm] = tuple(path.resolve() for path in paths)
    return found


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
    fields = ("name", "kind", "delta", "low", "high", "p", "tested", "word")
    return {
        "plan_hash": report.plan_hash,
        "verdict": report.verdict,
        "contrasts": [
            {field: getattr(line, field) for field in fields} for line in report.analysis.contrasts
        ],
        "report": None if page is None else str(page),
    }


def _lines(table: Any) -> str:
    from rich.console import Console

    console = Console(width=160, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _table(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table


def report_text(report: Report, rules: Rules) -> str:
    """Return what a study says as text: scores, differences, the verdict, what is missing."""
    arms = {line.arm: line for line in report.analysis.arms}
    selection = any(one.selection is not None for one in report.models)
    scores = _table("mean score (%)", *arms)
    for row in report.benchmarks:
        means = [100 * sum(row.scores[arm]) / len(row.scores[arm]) for arm in arms]
        scores.add_row(row.benchmark, *(f"{mean:.1f}" for mean in means))
    scores.add_row(
        f"mean of {len(report.benchmarks)}", *(f"{100 * one.mean:.1f}" for one in arms.values())
    )
    scores.add_row("seeds", *(str(one.seeds) for one in arms.values()))
    if selection:
        scores.add_row("context selection", *(_selection(report, arm) for arm in arms))
    level = f"{100 * rules.level:g} % interval"
    deltas = _table("difference (points)", "", "delta", level, "new items too", "p", "MDE", "word")
    for line in report.analysis.contrasts:
        p = line.p if line.p_holm is None else line.p_holm  # the word goes by it
        deltas.add_row(
            line.name,
            line.kind,
            f"{100 * line.delta:+.1f}",
            _interval(line.low, line.high),
            _interval(line.items_low, line.items_high),
            "-" if p is None else f"{p:.3f}" if p >= 0.001 else "<.001",
            "-" if line.mde is None else f"{100 * line.mde:.1f}",
            line.word or ("not tested" if line.mde is not None else "-"),
        )
    notes = [f"note: {note}" for note in report.notes]
    below = [report.bootstrap] if report.bootstrap else []
    return "\n".join([_lines(scores), "", _lines(deltas), *below, "", report.verdict, *notes])


def _selection(report: Report, arm: str) -> str:
    found = [m.selection for m in report.models if m.arm == arm and m.selection is not None]
    return f"{100 * sum(found) / len(found):.1f}" if found else "-"


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def plan_text(planned: Plan, found: Forecast) -> str:
    """Return a plan and its forecast as text."""
    rules = planned.request.rules
    arms = _table("arm", "seeds", "comes from", "optimizer steps")
    for one in planned.arms:
        steps = str(found.steps.get(one.arm, "-"))
        arms.add_row(one.arm, str(one.seeds), one.origin, steps)
    seen = _table("benchmark", "items", "MDE (points)")
    for row in found.benchmarks:
        seen.add_row(row.benchmark, str(row.items), f"{100 * row.mde:.1f}")
    needed = "more than 1000" if found.seeds_needed is None else str(found.seeds_needed)
    smallest = "nothing can be tested" if found.mde is None else f"{100 * found.mde:.1f} points"
    lines = [
        f"plan {planned.hash[:12]} in {planned.folder}",
        _lines(arms),
        _todo_text(found),
        *_time_text(found),
        "contrasts, in the order of tests: " + ", ".join(planned.content["contrasts"]),
        f"alpha {rules.alpha:g}, margin {100 * rules.margin:g} points, variance {rules.variance}",
        f"smallest difference of the mean seen with power {rules.wanted:g}: {smallest} at "
        f"{found.seeds} seed{'s' * (found.seeds > 1)} an arm; "
        f"{100 * rules.planned:g} points need {needed} seeds an arm "
        "(of the total alone; all contrasts of the objective at once need more)",
        *_equivalence_text(rules, found),
        f"(sd of a seed's mean: {100 * found.training_sd:.2f} points from training, assumed; at "
        f"most {100 * found.decoding_sd:.2f} from items)",
    ]
    return "\n".join([*lines, _lines(seen)] if found.benchmarks else lines)


def _equivalence_text(rules: Rules, found: Forecast) -> list[str]:
    """Say whether the word "equivalent" is within reach, where a contrast asks for it."""
    if found.equivalence is None:
        return []
    within = f"equivalence within {100 * rules.margin:g} points"
    chance = (
        f"arms that do not differ at all are called so with a chance of {found.equivalence:.1%} "
        f"at {found.seeds} seeds an arm"
    )
    if found.equivalence >= rules.wanted:
        return [f"{within}: {chance}"]
    seeds = found.equivalence_seeds
    needed = "more than 1000" if seeds is None else str(seeds)
    return [
        f"{within} cannot be reached with power {rules.wanted:g}: {chance}; it needs {needed} seeds"
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
