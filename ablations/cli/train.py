"""``harness train``: one arm, from a checkpoint, pairs and RL data to a checkpoint."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import click

from ablations.interrupts import Interrupted, listening
from ablations.settings import Settings, read_recipe, refuse_code, settings
from harness.cli import options
from harness.cli.groups import PanelCommand
from harness.cli.options import FOLDER, option
from harness.cli.output import echo, print_result
from harness.errors import UsageError
from harness.files.text import counted
from harness.patterns import SECONDS

if TYPE_CHECKING:
    from ablations.arms import Arm
    from ablations.training.matching import Amounts
    from ablations.training.plan import TrainingPlan

F = TypeVar("F", bound=Callable[..., Any])


def _settings(command: F) -> F:
    """Add an option for each field of `Settings` that has a single value."""
    types = get_type_hints(Settings)
    for field in reversed(dataclasses.fields(Settings)):
        flag, kind = f"--{field.name.replace('_', '-')}", types[field.name]
        if get_origin(kind) is dict:  # of recipes only
            continue
        help_ = field.metadata["help"]
        if field.default not in ("", None):
            help_ += f"  [default: {field.default}]"
        if get_origin(kind) is Literal:
            type_: Any = click.Choice(get_args(kind))
        else:
            (type_,) = {kind, *get_args(kind)} & {int, float, str, bool}
        if type_ is bool:
            flag += f"/--no-{flag[2:]}"
        command = click.option(flag, type=type_, default=None, help=help_)(command)
    return command


PANELS = {
    "Arm": "arm model config allow-code seed out",
    "Data": """pairs rl-data columns image-root selection-rows pair-template prompts pair-count
        pair-passes rl-passes matching""",
    "Selection prompts": """orders selection-suffix prefill letters selection-chat-template
        max-selection-tokens min-pixels max-pixels""",
    "Loss on selection prompts": "coefficient clip clip-form pair-loss",
    "GRPO": """prompts-per-step group updates-per-rollout temperature top-p max-tokens kl ratio-low
        ratio-high loss-type reward accuracy-weight format-pattern""",
    "Agent (--rl-data agent:...)": "data-root agent-steps agent-context",
    "Optimizer": """learning-rate sft-learning-rate weight-decay adam-beta2 warmup-steps schedule
        max-grad-norm pairs-per-step batch-size""",
    "Weights": """lora-rank lora-alpha freeze-vision dtype save-dtype bf16 gradient-checkpointing
        vllm-server""",
    "Output": "dry-run export save-every report-to norms-every json",
}


@click.command(
    cls=PanelCommand,
    panels=PANELS,
    epilog="Example: harness train --arm contextrl --model path/to/ckpt --pairs pairs.jsonl "
    "--rl-data items.jsonl --dry-run",
)
@click.option("--arm", "arms", required=True, multiple=True,
        help="Arm to train; see 'harness list'.  Repeat it with --dry-run to check "
        "several.")  # fmt: skip
@click.option("--config", metavar="FILE|RECIPE",
        help="YAML file or recipe that sets any of these options.")  # fmt: skip
@option("--allow-code", bool, "Let --config name a reward or a loss, whose Python code runs.")
@option("--out", FOLDER, "Folder of the run  [default: trained/<model>-<arm>-seed<seed>]")
@options.columns
@_settings
@option("--dry-run", bool, "Check, and show the matching table; do not train.")
@option("--export", ["skyrl"], "Write the arm for another trainer into --out; do not train.")
@options.as_json
def train(arms: tuple[str, ...], dry_run: bool, as_json: bool, **given: Any) -> None:
    """Train one arm of the ablation.

    Evaluate the result with 'harness run --model OUT/checkpoint'.  The same command resumes an
    interrupted run, and shows a finished one at once.  Ctrl-C and SIGTERM finish the current step
    and save a checkpoint; a second one stops at once, and the last checkpoint is resumed from.
    """
    from ablations.arms import arm
    from ablations.training.check import first_process
    from ablations.training.run import train as run

    chosen, *others = map(arm, arms)
    if others and not dry_run:
        raise UsageError("several --arm only work with --dry-run; train one arm at a time")
    export = given.pop("export")
    plan = _plan(chosen, "trained" if export is None else export, given)
    if dry_run:
        _show_plan(plan, others, as_json)
    elif export:
        _export(plan, as_json)
    else:
        try:
            with listening():
                ledger = run(plan, lambda text: echo(text, err=True))
        except Interrupted as stop:
            if first_process():
                echo(f"{stop}: rerun the same command to resume", err=True)
            raise click.exceptions.Exit(stop.exit_code) from None
        if first_process():
            _show(plan, ledger, as_json)


def _plan(chosen: Arm, parent: str, given: dict[str, Any]) -> TrainingPlan:
    """Return the plan of an arm; ``parent`` is the default folder of the folders of runs."""
    from ablations.training.plan import TrainingPlan
    from ablations.training.training_data import TrainingData

    names = ("config", "out", "mapped", "allow_code")
    config, out, mapped, allowed = (given.pop(name) for name in names)
    recipe = read_recipe(config) if config else {}
    made = settings(recipe, given)
    if not allowed:
        unnamed = {name: value for name, value in recipe.items() if given.get(name) is None}
        refuse_code(unnamed, f"--config {config}")
    made = dataclasses.replace(made, columns={**made.columns, **options.columns_of(mapped)})
    model = Path(made.model.rstrip("/")).name or "model"
    folder = out or Path(parent) / f"{model}-{chosen.name}-seed{made.seed}"
    return TrainingPlan(chosen, TrainingData(made), folder)


def _export(plan: TrainingPlan, as_json: bool) -> None:
    from ablations.export.skyrl import Export

    summary = Export(plan, plan.out).write()
    if as_json:
        print_result(json.dumps(summary))
        return
    echo(
        f"{summary['arm']} for SkyRL in {summary['folder']}: "
        f"{counted(summary['train'], 'RL item')}, {summary['validation']} held out, "
        f"{counted(summary['pairs'], 'pair')}, "
        f"{counted(summary['selection_prompts'], 'selection prompt')}; never run, see README.md "
        f"there"
    )
    if summary["lacking"]:
        echo(f"SkyRL has no option for {'; '.join(summary['lacking'])}: it trains without")
    if summary["runs"] is None:
        echo("no run.sh: README.md says what SkyRL lacks for this arm")


def _show_plan(plan: TrainingPlan, others: Sequence[Arm], as_json: bool) -> None:
    """Check the plan, and those of other arms, and show what all arms would get."""
    from ablations.training.check import check
    from ablations.training.plan import repeated, table
    from ablations.training.schedule import negative_questions

    plans = [plan, *(dataclasses.replace(plan, arm=other) for other in others)]
    for checked in plans:
        try:
            check(checked)
        except UsageError as error:
            raise UsageError(f"{checked.arm.name} cannot be trained: {error}") from error
    names = [checked.arm.name for checked in plans]
    rows, matching = table(plan, others), plan.settings.matching
    if as_json:
        arms = {
            name: {"reason": row} if isinstance(row, str) else dataclasses.asdict(row)
            for name, row in rows.items()
        }
        found = {"rows": plan.data.row_counts(), "notes": plan.data.notes()}
        shown = {"checked": names, "matching": matching, "arms": arms, **found}
        print_result(json.dumps(shown))
        return
    lines = [
        f"matched by {matching}; planned, {', '.join(names)} marked by *",
        *_table(rows, names),
    ]
    if reused := repeated(plan):
        lines.append(f"  {reused}")
    lines += [f"  {note}" for note in plan.data.notes()]
    for checked in plans:
        if checked.arm.extra == "qa":
            number = negative_questions(checked)
            lines.append(f"  da-qa: {counted(number, 'question')} about the other context")
    echo("\n".join(lines))


_COLUMNS = {  # of Amounts, and their two lines of heading
    "prompts": ("RL", "prompts"),
    "distinct": ("unique", "prompts"),
    "extra": ("contrastive", "prompts"),
    "rl_steps": ("RL", "steps"),
    "items_per_step": ("prompts", "per step"),
    "sft_steps": ("SFT", "steps"),
    "selection_steps": ("pairs-only", "steps"),
    "exposures": ("pair", "exposures"),
}


def _table(rows: Mapping[str, Amounts | str], marked: Sequence[str]) -> Iterator[str]:
    for line in zip(*_COLUMNS.values(), strict=True):
        yield " " * 21 + "".join(f"{heading:>12}" for heading in line)
    for name, row in rows.items():
        if not isinstance(row, str):
            row = "".join(f"{getattr(row, column):>12}" for column in _COLUMNS)
        yield f"{'*' if name in marked else ' '} {name:<19}{row}"


def _show(plan: TrainingPlan, ledger: dict[str, Any], as_json: bool) -> None:
    if as_json:
        checkpoint = str(plan.checkpoint)
        print_result(json.dumps({"arm": plan.arm.name, "checkpoint": checkpoint, "ledger": ledger}))
        return
    echo(
        f"{ledger['arm']}: {counted(ledger['optimizer_steps'], 'optimizer step')}, "
        f"{counted(ledger['train_tokens'], 'token')} trained on, {ledger['generated_tokens']} "
        f"generated, {counted(ledger['exposures'], 'pair exposure')}, {ledger['seconds']:.0f} s"
    )
    for line in learning_summary(ledger):
        echo(line)
    if ledger.get("steps_without_reward"):
        echo(
            f"{counted(ledger['steps_without_reward'], 'RL step')} without a reward gave no signal"
        )
    if ledger.get("format_timeout"):
        echo(
            f"{ledger['format_timeout']:.1%} of the completions took the format pattern longer "
            f"than {SECONDS:g} s each, and counted as no match"
        )
    if "changed_weights" in ledger:
        changed, dtype = ledger["changed_weights"], ledger["save_dtype"]
        echo(f"{changed:.1%} of the weights differ from the start, saved in {dtype}")
    echo(f"$ harness run --model {plan.checkpoint} --suite ...")


def learning_summary(ledger: dict[str, Any]) -> list[str]:
    """Return lines on reward and selection accuracy in the first and the last ten steps."""
    steps = ledger["optimizer_steps"] - ledger["sft_steps"]
    lines = []
    for name, label in (("reward", "reward"), ("ca/accuracy", "selection accuracy in training")):
        first, last = ledger["first"][name], ledger["last"][name]
        if last is None:
            continue
        if steps < 20:  # the first ten and the last ten steps would overlap
            lines.append(f"{label}: {last:.3f} in the last {min(steps, 10)} of {steps} steps")
        else:
            lines.append(f"{label}: {first:.3f} in the first ten steps, {last:.3f} in the last ten")
    return lines
