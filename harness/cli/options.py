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
    """A finite number: NaN is in every range of click's."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


def suite(command: F) -> F:
    """Add ``--suite``, ``--benchmarks`` and ``--limit``."""
    command = click.option(
        "--limit", type=click.IntRange(min=1), help="Only the first N items of each."
    )(command)
    command = click.option(
        "--benchmarks", metavar="A,B", help="Only these benchmarks of the suite."
    )(command)
    return click.option(
        "--suite", required=True, help="A suite of 'harness list', or one benchmark's id."
    )(command)


def data_root(command: F) -> F:
    """Add ``--data-root``."""
    return click.option(
        "--data-root",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        help="Folder with one data folder a benchmark  [default: $HARNESS_DATA or the cache]",
    )(command)


def settings(command: F) -> F:
    """Add ``--set``."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="BENCHMARK.OPTION=VALUE",
        help="Set an option of a benchmark ('harness list --options'); may be repeated.",
    )(command)


def sandbox(command: F) -> F:
    """Add ``--sandbox-image`` and ``--unsafe``."""
    command = click.option(
        "--unsafe", is_flag=True, help="Run a model's programs with your rights, in no sandbox."
    )(command)
    return click.option(
        "--sandbox-image",
        default=None,
        metavar="IMAGE",
        help="Run a model's programs in containers of this image where an engine answers  "
        "[default: bubblewrap]",
    )(command)


def tools_of(image: str | None, unsafe: bool, benchmarks: Sequence[Benchmark]) -> Tools:
    """Return the tools that the benchmarks need: a sandbox where one of them runs programs.

    Raises:
        UsageError: none works here, or one was asked for that nothing needs.
    """
    from harness.errors import UsageError
    from harness.protocols import Tools
    from harness.sandbox import choose

    if not any(benchmark.declaration.needs_sandbox for benchmark in benchmarks):
        if image or unsafe:
            raise UsageError("--sandbox-image and --unsafe: no benchmark here runs programs")
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
        help="Folder that holds the run folders.",
    )(command)


def as_json(command: F) -> F:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
    )(command)


def judge(command: F) -> F:
    """Add ``--judge`` and ``--judge-model``."""
    command = click.option(
        "--judge-model", default=None, help="The model to ask at the judge's endpoint."
    )(command)
    return click.option(
        "--judge",
        "judge_url",
        default=None,
        metavar="URL",
        help="OpenAI-compatible endpoint that grades where a benchmark's own protocol asks for it.",
    )(command)


def native(command: F) -> F:
    """Add ``--no-native``."""
    return click.option(
        "--no-native",
        is_flag=True,
        help="Leave out the native scores, and with them loading lmms-eval; "
        "the same command without this option adds them.",
    )(command)


def judge_of(url: str | None, model: str | None, benchmarks: Sequence[Benchmark]) -> Any:
    """Return the judge that the options name, or None.

    The key is taken from ``JUDGE_API_KEY``, else ``OPENAI_API_KEY``.

    Raises:
        UsageError: only one of the two options was given, or none of the benchmarks asks a judge.
    """
    from harness.errors import UsageError
    from harness.protocols import Judge

    if url is None and model is None:
        return None
    if url is None or model is None:
        raise UsageError("--judge URL and --judge-model M go together: give both")
    declared = [benchmark.declaration for benchmark in benchmarks]
    if not any(one.judged_rules or one.native_needs_judge for one in declared):
        raise UsageError("--judge: no benchmark here asks a judge, leave it out")
    key = os.environ.get("JUDGE_API_KEY") or os.environ.get("OPENAI_API_KEY") or "EMPTY"
    return Judge(url, model, key)


def check_judge(judge: Any) -> None:
    """See that the judge's server answers and serves the judge, before anything waits for it.

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


def columns_of(words: Sequence[str]) -> dict[str, str]:
    """Return ``--columns FIELD=COLUMN`` words as a mapping.

    Raises:
        UsageError: a word has another form.
    """
    from harness.errors import UsageError

    found = dict(word.partition("=")[::2] for word in words)
    if not all(found.values()):
        raise UsageError("--columns FIELD=COLUMN: write what the data set calls the field")
    return found
