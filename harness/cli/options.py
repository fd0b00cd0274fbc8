"""Options that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from harness.protocols import Benchmark, Tools

F = TypeVar("F", bound=Callable[..., Any])


class Finite(click.FloatRange):
    """A finite float: click's ranges accept NaN."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Points(click.types.FloatParamType):
    """A number in percentage points, as a share: 1.8 is 0.018."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number in units of a score."""
        return round(float(super().convert(value, param, ctx)) / 100, 12)


def suite(command: F) -> F:
    """Add ``--suite``, ``--benchmarks`` and ``--limit``."""
    command = click.option(
        "--limit", type=click.IntRange(min=1), help="Evaluate only the first N items per benchmark."
    )(command)
    command = click.option(
        "--benchmarks", metavar="A,B", help="Evaluate only these benchmarks of the suite."
    )(command)
    return click.option(
        "--suite", required=True, help="Suite or benchmark id (see 'harness list')."
    )(command)


def data_root(command: F) -> F:
    """Add ``--data-root``."""
    return click.option(
        "--data-root",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        help="Root folder of the data sets  [default: $HARNESS_DATA, or the user cache]",
    )(command)


def settings(command: F) -> F:
    """Add ``--set``."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="BENCHMARK.OPTION=VALUE",
        help="Set a benchmark option (see 'harness list --options'); repeatable.",
    )(command)


def sandbox(command: F) -> F:
    """Add ``--sandbox-image`` and ``--unsafe``."""
    command = click.option(
        "--unsafe", is_flag=True, help="Run model-generated code unsandboxed, with your privileges."
    )(command)
    return click.option(
        "--sandbox-image",
        default=None,
        metavar="IMAGE",
        help="Run model-generated code in a container from this image, if Docker or Podman is "
        "available  [default: bubblewrap]",
    )(command)


def tools_of(image: str | None, unsafe: bool, benchmarks: Sequence[Benchmark]) -> Tools:
    """Return the tools that the benchmarks need: a sandbox if one of them runs code.

    Raises:
        UsageError: no sandbox works here, or none of the benchmarks needs one.
    """
    from harness.errors import UsageError
    from harness.protocols import Tools
    from harness.sandbox import choose

    if not any(benchmark.declaration.needs_sandbox for benchmark in benchmarks):
        if image or unsafe:
            raise UsageError("--sandbox-image, --unsafe: none of the selected benchmarks runs code")
        return Tools()
    sandbox, why = choose(image=image, unsafe=unsafe)
    click.echo(f"sandbox {sandbox.describe()['kind']}: {why}", err=True)
    return Tools(sandbox)


def out(command: F) -> F:
    """Add ``--out``."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("runs"),
        show_default=True,
        help="Parent folder of the run folders.",
    )(command)


def as_json(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print a single JSON document.")(
        command
    )


def judge(command: F) -> F:
    """Add ``--judge`` and ``--judge-model``."""
    command = click.option("--judge-model", default=None, help="Model name at the judge endpoint.")(
        command
    )
    return click.option(
        "--judge",
        "judge_url",
        default=None,
        metavar="URL",
        help="OpenAI-compatible judge endpoint, for benchmarks whose official protocol uses one.",
    )(command)


def native(command: F) -> F:
    """Add ``--no-native``."""
    return click.option(
        "--no-native",
        is_flag=True,
        help="Skip native scoring (and loading lmms-eval); rerun without it to add the scores.",
    )(command)


def judge_of(url: str | None, model: str | None, benchmarks: Sequence[Benchmark]) -> Any:
    """Return the judge that the options name, or None.

    The API key comes from ``JUDGE_API_KEY``, else ``OPENAI_API_KEY``.

    Raises:
        UsageError: only one of the two options was given, or no benchmark uses a judge.
    """
    from harness.errors import UsageError
    from harness.protocols import Judge

    if url is None and model is None:
        return None
    if url is None or model is None:
        raise UsageError("--judge URL and --judge-model M are needed together")
    declared = [benchmark.declaration for benchmark in benchmarks]
    if not any(entry.judged_rules or entry.native_needs_judge for entry in declared):
        raise UsageError("--judge: none of the selected benchmarks uses a judge")
    key = os.environ.get("JUDGE_API_KEY") or os.environ.get("OPENAI_API_KEY") or "EMPTY"
    return Judge(url, model, key)


def check_judge(judge: Any) -> None:
    """Check that the endpoint serves the judge, before anything depends on it.

    Raises:
        UsageError: it does not.
    """
    import asyncio

    from harness.backends.endpoint import EndpointModel

    async def open_and_close() -> None:
        async with EndpointModel(judge.url, judge.model, api_key=judge.api_key):
            pass

    if judge is not None:
        asyncio.run(open_and_close())


def columns_of(mappings: Sequence[str]) -> dict[str, str]:
    """Return the values of ``--columns FIELD=COLUMN`` as a mapping.

    Raises:
        UsageError: a value has another form.
    """
    from harness.errors import UsageError

    columns = dict(mapping.partition("=")[::2] for mapping in mappings)
    if not all(columns.values()):
        raise UsageError("--columns must be FIELD=COLUMN: our field name, the data set's column")
    return columns
