"""``harness train``: one arm, from a checkpoint, pairs and RL data to a checkpoint."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ablations.settings import Settings
from harness.cli import options

if TYPE_CHECKING:
    from ablations.arms import Arm
    from ablations.training.plan import Training

F = TypeVar("F", bound=Callable[..., Any])
_TYPES = {"int": click.INT, "float": click.FLOAT, "str": click.STRING}


def _settings(command: F) -> F:
    """Add an option for each field of `Settings` that has a single value."""
    for field in reversed(dataclasses.fields(Settings)):
        flag = f"--{field.name.replace('_', '-')}"
        kind = str(field.type).partition(" ")[0]
        text = field.metadata["help"]
        if field.default not in ("", None):
            text += f"  [default: {field.default}]"
        if kind == "bool":
            command = click.option(f"{flag}/--no-{flag[2:]}", default=None, help=text)(command)
        elif kind in _TYPES:
            choices = field.metadata["choices"]
            type_ = click.Choice(choices) if choices else _TYPES[kind]
            command = click.option(flag, type=type_, default=None, help=text)(command)
    return command


@click.command()
@click.option(
    "--arm",
    "arm_names",
    required=True,
    multiple=True,
    help="What to train; see 'harness list'.  Several may be given with --dry-run.",
)
@click.option("--config", metavar="FILE|RECIPE", help="YAML with any of the options below.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder of the run  [default: trained/<model>-<arm>-seed<seed>]",
)
@click.option(
    "--columns",
    "column_words",
    multiple=True,
    metavar="FIELD=COLUMN",
    help="What a data set's column is called; may be repeated.",
)
@_settings
@click.option("--dry-run", is_flag=True, help="Show the matching table; train nothing.")
@click.option(
    "--export",
    type=click.Choice(["skyrl"]),
    help="Write the arm for another trainer in the folder --out; train nothing.",
)
@options.as_json
def train(
    arm_names: tuple[str, ...],
    config: str | None,
    out: Path | None,
    column_words: tuple[str, ...],
    dry_run: bool,
    export: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Train one arm of the ablation.

    The checkpoint that comes out runs with 'harness run --model OUT/checkpoint'.  The same command
    continues a run that was interrupted, and shows a finished one at once.
    """
    from ablations.arms import arm
    from ablations.settings import read_recipe, settings
    from ablations.training.distributed import first_process
    from ablations.training.plan import Training
    from ablations.training.run import train as run
    from ablations.training.run_folder import finished
    from harness.errors import UsageError

    chosen, *others = map(arm, arm_names)
    if others and not dry_run:
        raise UsageError("--arm is given several times: that is for --dry-run, train one by one")
    recipe = read_recipe(config) if config else {}
    made = settings(recipe, given)
    columns = {**made.columns, **options.columns_of(column_words)}
    made = dataclasses.replace(made, columns=columns)
    name = Path(made.model.rstrip("/")).name or "model"
    own = f"{name}-{chosen.name}-seed{made.seed}"
    training = Training(chosen, made, out or Path("trained") / own)
    if dry_run:
        _show_plan(training, others, as_json)
        return
    if export:
        _export(training, out or Path(export) / own, as_json)
        return

    def say(text: str) -> None:
        if first_process():
            click.echo(text, err=True)

    known = finished(training)
    if known is None:
        say(f"{chosen.name}: {chosen.title}; in {training.out}")
    ledger = known or run(training, say)
    if first_process():
        _show(training, ledger, as_json)


def _export(training: Training, out: Path, as_json: bool) -> None:
    from ablations.export.skyrl import Export

    found = Export(training, out).write()
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(
        f"{found['arm']} for SkyRL in {found['folder']}: {found['train']} RL items, "
        f"{found['validation']} held out, {found['pairs']} pairs, "
        f"{found['selection_prompts']} selection prompts; not run, see README.md there"
    )
    if found["runs"] is None:
        click.echo("there is no run.sh: README.md says what SkyRL lacks for this arm")


def _show_plan(training: Training, others: Sequence[Arm], as_json: bool) -> None:
    """Check a training and those of other arms, and show what all arms would get."""
    from ablations.arms import arm
    from ablations.training.matching import Amounts
    from harness.errors import UsageError

    names = [training.arm.name, *(other.name for other in others)]
    for other in (training.arm, *others):
        training = training.of(other)  # what the one before has read is not read again
        try:
            training.check()
        except UsageError as error:
            raise UsageError(f"{other.name} cannot be trained: {error}") from error
    rows = training.table()
    if as_json:
        plain = {
            name: dataclasses.asdict(row) if isinstance(row, Amounts) else {"reason": row}
            for name, row in rows.items()
        }
        document = {"checked": names, "matching": training.settings.matching, "arms": plain}
        click.echo(json.dumps(document))
        return
    marked = ", ".join(names)
    click.echo(f"matched by {training.settings.matching}; planned, {marked} marked by *")
    heads = ("ordinary", "different", "contrastive", "RL", "RL items", "SFT", "L_CA-only", "pair")
    units = ("prompts", "ones", "RL items", "steps", "a step", "steps", "steps", "exposures")
    click.echo(" " * 21 + "".join(f"{word:>12}" for word in heads))
    click.echo(" " * 21 + "".join(f"{word:>12}" for word in units))
    for name, row in rows.items():
        mark = "*" if name in names else " "
        if isinstance(row, str):
            click.echo(f"{mark} {name:<19}{row}")
            continue
        cells = (row.prompts, row.distinct, row.extra, row.rl_steps, row.items_per_step)
        numbers = (*cells, row.sft_steps, row.selection_steps, row.exposures)
        click.echo(f"{mark} {name:<19}" + "".join(f"{number:>12}" for number in numbers))
    if again := training.repeated():
        click.echo(f"  {again}")
    if "da-qa" in names:
        asked = training.of(arm("da-qa")).negative_questions()
        click.echo(f"  da-qa asks {asked} questions about the other context")


def _show(training: Training, ledger: dict[str, Any], as_json: bool) -> None:
    if as_json:
        document = {
            "arm": training.arm.name,
            "checkpoint": str(training.checkpoint),
            "ledger": ledger,
        }
        click.echo(json.dumps(document))
        return
    click.echo(
        f"{ledger['arm']}: {ledger['optimizer_steps']} optimizer steps, "
        f"{ledger['train_tokens']} tokens trained on, {ledger['generated_tokens']} generated, "
        f"{ledger['exposures']} pair exposures, {ledger['seconds']:.0f} s"
    )
    for line in learned(ledger):
        click.echo(line)
    click.echo(f"$ harness run --model {training.checkpoint} --suite ...")


def learned(ledger: dict[str, Any]) -> list[str]:
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
