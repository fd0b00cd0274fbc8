"""The command ``harness``: imports the module of the command called; one line per usage error."""

from __future__ import annotations

import io
import os
import signal
import sys
import sysconfig
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import click

from harness.cli.groups import LateGroup
from harness.cli.output import echo, results_only
from harness.errors import UsageError
from harness.files.atomic import storage_failure

# Command -> (module:attribute, one line of help); imported when the command is called.
COMMANDS = {
    "list": ("ablations.cli.list:list_", "List suites, benchmarks and arms."),
    "doctor": (
        "benchmarks.cli.doctor:doctor",
        "Check this machine: packages, backends, data, model.",
    ),
    "data": ("benchmarks.cli.data:data", "Download, import and verify benchmark data."),
    "run": ("benchmarks.cli.run:run", "Evaluate a model on a suite."),
    "score": ("benchmarks.cli.score:score", "Score existing responses."),
    "import": (
        "benchmarks.cli.import_:import_",
        "Import logs of lmms-eval, lm-eval, inspect and others as runs.",
    ),
    "conformance": (
        "benchmarks.cli.conformance:conformance",
        "Check scorers against official graders.",
    ),
    "train": ("ablations.cli.train:train", "Train one arm of the ablation."),
    "pairs": ("ablations.cli.pairs.group:pairs", "Build, read and check contrastive pairs."),
    "show": ("benchmarks.cli.show:show", "Show one item of a run in full."),
    "runs": ("benchmarks.cli.runs:runs", "List runs with state and scores."),
    "studies": ("ablations.cli.studies:studies", "List studies with state and verdict."),
    "compare": (
        "ablations.cli.compare:compare",
        "Compare runs, or two methods with several seeds each.",
    ),
    "gate": (
        "ablations.cli.gate:gate",
        "Decide on a release by a policy file: GO, NO-GO or INCONCLUSIVE.",
    ),
    "plan": (
        "ablations.cli.plan:plan",
        "Compute the items, repeats or seeds that an effect needs, from earlier results.",
    ),
    "ablate": (
        "ablations.cli.ablate:ablate",
        "Run a study: objective or data as the source of a gain, or your own design.",
    ),
    "view": ("reports.cli.view:view", "Browse the items of a run, or of two side by side."),
    "report": ("reports.cli.report:report", "Write an HTML report of a study, comparison or run."),
    "export": (
        "reports.cli.export:export",
        "Export runs, studies and comparisons: csv, parquet, wandb, ...",
    ),
    "calibrate-statistics": (
        "ablations.cli.calibrate:calibrate",
        "Measure error rates and power on simulated studies.",
    ),
    "selftest": (
        "ablations.cli.selftest:selftest",
        "Try serving, training and a study on this machine, for the first hour on a new one.",
    ),
    "demo": ("ablations.cli.demo:demo", "Run the whole ablation on the embedded micro world."),
}

SILENT = {"HF_HUB_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""Keeps libraries from telling their makers that they are used: TRL at each training, and Ray."""

_HALF = 700  # characters of a longer message's beginning and of its end that are shown


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        echo(f"harness {version('contextrl-harness')}")
        ctx.exit()


@click.group(
    cls=LateGroup,
    commands_by_name=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show the full traceback on errors.")
def cli(debug: bool) -> None:
    """Evaluate vision-language models and test where a training gain comes from."""


def main() -> None:
    """Run the command line: exit code 2 on usage or environment errors, 130 on interrupt."""
    _keep_out_of_this_folder()
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    end_as_by_ctrl_c()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a model may answer with half a character
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run_command(sys.argv[1:]))


def _keep_out_of_this_folder() -> None:
    """Let no Python that we start import from the present folder, which may be somebody's data.

    They find a checkout of this project by its path.
    """
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONSAFEPATH"] = "1"
    if root not in map(sysconfig.get_path, ("purelib", "platlib")):
        others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, dict.fromkeys([root, *others])))


def end_as_by_ctrl_c() -> None:
    """Have SIGTERM, which ``docker stop`` sends, end this process as Ctrl-C does: it cleans up."""
    process = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() != process:  # a fork of ours
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, end)


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    debug = "--debug" in arguments
    arguments = [word for word in arguments if word != "--debug"]
    try:
        with results_only() if "--json" in arguments else nullcontext():
            done: Any = cli.main(arguments, prog_name="harness", standalone_mode=False)
    except UsageError as error:
        if debug:
            raise
        echo(f"harness: {_clipped(str(error))}", err=True)
        return 2
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message())
        return 0
    except click.ClickException as error:
        echo(f"harness: {_clipped(_one_line(error))}", err=True)
        return error.exit_code if isinstance(error, click.UsageError) else 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:
        from harness.install.extras import missing

        failure = storage_failure(error) or missing(error)
        if failure is None or debug:
            raise
        echo(f"harness: {failure}", err=True)
        return 2
    return done if isinstance(done, int) else 0


def _clipped(text: str) -> str:
    """Return a message, less the middle of a very long one: it quotes what others wrote."""
    left_out = len(text) - 2 * _HALF
    if left_out <= 0:
        return text
    return f"{text[:_HALF]} [... {left_out} characters ...] {text[-_HALF:]}"


def _one_line(error: click.ClickException) -> str:
    """Return click's message and which --help to read."""
    message = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} (see '{context.command_path} --help')" if context else message
