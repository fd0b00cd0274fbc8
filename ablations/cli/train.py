"""``harness train``: one arm, from a checkpoint, pairs and RL data to a checkpoint."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import click

from ablations.settings import Settings
from harness.cli import options

if TYPE_CHECKING:
    from ablations.arms import Arm
    from ablations.training.matching import Amounts
    from ablations.training.plan import TrainingPlan

F = TypeVar("F", bound=Callable[..., Any])
_CLICK = {int: click.INT, float: click.FLOAT, str: click.STRING}


def _settings(command: F) -> F:
    """Add an option for each field of `Settings` that has a single value."""
    types = get_type_hints(Settings)
    for field in reversed(dataclasses.fields(Settings)):
        flag, kind = f"--{field.name.replace('_', '-')}", types[field.name]
        if get_origin(kind) is dict:
            continue
        text = field.metadata["help"]
        if field.default not in ("", None):
            text += f"  [default: {field.default}]"
        if get_origin(kind) is Literal:
            command = click.option(flag, type=click.Choice(get_args(kind)), help=text)(command)
            continue
        (single,) = {kind, *get_args(kind)} & {int, float, str, bool}
        if single is bool:
            command = click.option(f"{flag}/--no-{flag[2:]}", default=None, help=text)(command)
        else:
            command = click.option(flag, type=_CLICK[single], default=None, help=text)(command)
    return command


@click.command()
@click.option(
    "--arm",
    "arm_names",
    required=True,
    multiple=True,
    help="Arm to train; see 'harness list'.  Repeat it with --dry-run to check several.",
)
@click.option(
    "--config",
    metavar="FILE|RECIPE",
    help="YAML file or recipe that sets any of the options below.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder of the run  [default: trained/<model>-<arm>-seed<seed>]",
)
@click.option(
    "--columns",
    "mapped",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="Map our field name to the data set's column name; may be repeated.",
)
@_settings
@click.option("--dry-run", is_flag=True, help="Check, and show the matching table; do not train.")
@click.option(
    "--export",
    type=click.Choice(["skyrl"]),
    help="Write the arm for another trainer into --out; do not train.",
)
@options.as_json
def train(
    arm_names: tuple[str, ...],
    config: str | None,
    out: Path | None,
    dry_run: bool,
    export: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Train one arm of the ablation.

    Evaluate the result with 'harness run --model OUT/checkpoint'.  The same command resumes an
    interrupted run, and shows a finished one at once.
    """
    from ablations.arms import arm
    from ablations.settings import read_recipe, settings
    from ablations.training.checkpoints import first_process
    from ablations.training.plan import TrainingData, TrainingPlan
    from ablations.training.run import train as run
    from harness.errors import UsageError

    chosen, *others = map(arm, arm_names)
    if others and not dry_run:
        raise UsageError("several --arm only work with --dry-run; train one arm at a time")
    recipe = read_recipe(config) if config else {}
    mapped = options.columns_of(given.pop("mapped"))
    made = settings(recipe, given)
    columns = {**made.columns, **mapped}
    made = dataclasses.replace(made, columns=columns)
    name = Path(made.model.rstrip("/")).name or "model"
    own = f"{name}-{chosen.name}-seed{made.seed}"
    plan = TrainingPlan(chosen, TrainingData(made), out or Path("trained") / own)
    if dry_run:
        _show_plan(plan, others, as_json)
        return
    if export:
        _export(plan, out or Path(export) / own, as_json)
        return

    def say(text: str) -> None:
        if first_process():
            click.echo(text, err=True)

    ledger = run(plan, say)
    if first_process():
        _show(plan, ledger, as_json)


def _export(plan: TrainingPlan, out: Path, as_json: bool) -> None:
    from ablations.export.skyrl import Export

    found = Export(plan, out).write()
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(
        f"{found['arm']} for SkyRL in {found['folder']}: {found['train']} RL items, "
        f"{found['validation']} held out, {found['pairs']} pairs, "
        f"{found['selection_prompts']} selection prompts; never run, see README.md there"
    )
    if found["runs"] is None:
        click.echo("no run.sh: README.md says what SkyRL lacks for this arm")


def _show_plan(plan: TrainingPlan, others: Sequence[Arm], as_json: bool) -> None:
    """Check the plan, and those of other arms, and show what all arms would get."""
    from ablations.training.matching import Amounts
    from ablations.training.plan import check, repeated, table
    from ablations.training.schedule import negative_questions
    from harness.errors import UsageError

    plans = [plan, *(dataclasses.replace(plan, arm=other) for other in others)]
    for checked in plans:
        try:
            check(checked)
        except UsageError as error:
            raise UsageError(f"{checked.arm.name} cannot be trained: {error}") from error
    names = [checked.arm.name for checked in plans]
    rows, matching = table(plan), plan.settings.matching
    if as_json:
        arms = {
            name: dataclasses.asdict(row) if isinstance(row, Amounts) else {"reason": row}
            for name, row in rows.items()
        }
        click.echo(json.dumps({"checked": names, "matching": matching, "arms": arms}))
        return
    click.echo(f"matched by {matching}; planned, {', '.join(names)} marked by *")
    for line in _table(rows, names):
        click.echo(line)
    if reused := repeated(plan):
        click.echo(f"  {reused}")
    for checked in plans:
        if checked.arm.extra == "qa":
            click.echo(f"  da-qa: {negative_questions(checked)} questions about the other context")


_COLUMNS = {  # of Amounts, and their two lines of heading
    "prompts": ("RL", "prompts"),
    "distinct": ("unique", "prompts"),
    "extra": ("contrastive", "prompts"),
    "rl_steps": ("RL", "steps"),
    "items_per_step": ("prompts", "per step"),
    "sft_steps": ("SFT", "steps"),
    "selection_steps": ("L_CA-only", "steps"),
    "exposures": ("pair", "exposures"),
}


def _table(rows: Mapping[str, Amounts | str], marked: Sequence[str]) -> Iterator[str]:
    for line in zip(*_COLUMNS.values(), strict=True):
        yield " " * 21 + "".join(f"{heading:>12}" for heading in line)
    for name, row in rows.items():
        cells = (
            row
            if isinstance(row, str)
            else "".join(f"{getattr(row, column):>12}" for column in _COLUMNS)
        )
        yield f"{'*' if name in marked else ' '} {name:<19}{cells}"


def _show(plan: TrainingPlan, ledger: dict[str, Any], as_json: bool) -> None:
    if as_json:
        document = {
            "arm": plan.arm.name,
            "checkpoint": str(plan.checkpoint),
            "ledger": ledger,
        }
        click.echo(json.dumps(document))
        return
    click.echo(
        f"{ledger['arm']}: {ledger['optimizer_steps']} optimizer steps, "
        f"{ledger['train_tokens']} tokens trained on, {ledger['generated_tokens']} generated, "
        f"{ledger['exposures']} pair exposures, {ledger['seconds']:.0f} s"
    )
    for line in learning_summary(ledger):
        click.echo(line)
    click.echo(f"$ harness run --model {plan.checkpoint} --suite ...")


def learning_summary(ledger: dict[str, Any]) -> list[str]:
    """Return lines on reward and selection accuracy in the first and the last ten steps."""
    steps = ledger["optimizer_steps"] - ledger["sft_steps"]
    lines = []
    for name, word in (("reward", "reward"), ("ca/accuracy", "selection accuracy in training")):
        first, last = ledger["first"][name], ledger["last"][name]
        if last is None:
            continue
        if steps < 20:  # the first ten and the last ten would be partly the same steps
            lines.append(f"{word}: {last:.3f} in the last {min(steps, 10)} of {steps} steps")
        else:
            lines.append(f"{word}: {first:.3f} in the first ten steps, {last:.3f} in the last ten")
    return lines
