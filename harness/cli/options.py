"""Options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from harness.cli.output import echo
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.protocols import Benchmark, Judge, Tools

F = TypeVar("F", bound=Callable[..., Any])
Param = click.Parameter | None
Ctx = click.Context | None


class Finite(click.FloatRange):
    """A finite float: click's ranges accept NaN."""

    def convert(self, value: Any, param: Param, ctx: Ctx) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Points(click.types.FloatParamType):
    """A number in percentage points, as a share: 1.8 is 0.018."""

    def convert(self, value: Any, param: Param, ctx: Ctx) -> float:
        """Return the number in units of a score."""
        return round(float(super().convert(value, param, ctx)) / 100, 12)


class Share(click.ParamType[float]):
    """A share of a whole, in [0, 1]: written as ``0.05`` or ``5%``.

    A plain ``1`` is refused: it may be meant as all, or as 1 %.
    """

    name = "SHARE|N%"

    def convert(self, value: Any, param: Param, ctx: Ctx) -> float:
        """Return the share."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = math.nan
        if share == 1 and not text.endswith("%"):
            self.fail(f"{value!r} can mean 1% or 100%: write the one that you mean", param, ctx)
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is not a share: write 0.05 or 5%", param, ctx)
        return share


class _Tags(click.ParamType[tuple[str, str]]):
    """An opening and a closing tag with a comma between."""

    name = "OPEN,CLOSE"

    def convert(self, value: Any, param: Param, ctx: Ctx) -> tuple[str, str]:
        """Return both tags."""
        if isinstance(value, tuple):
            return value
        tags = tuple(tag.strip() for tag in str(value).split(","))
        if len(tags) != 2 or not all(tags):
            self.fail(f"{value!r} is not OPEN,CLOSE, for example '<plan>,</plan>'", param, ctx)
        return tags


class Keyed(click.Option):
    """An option that gives values by key: those that are typed are laid over those of a file."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> Any:
        """Return the values of command line and file as one, and where they come from."""
        value, source = super().consume_value(ctx, opts)
        file = (ctx.default_map or {}).get(str(self.name))
        if source is ParameterSource.COMMANDLINE and file is not None:
            both = [self.type_cast_value(ctx, each) for each in (file, value)]
            value = [*both[0], *both[1]] if self.multiple else {**both[0], **both[1]}
        return value, source


def several(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return one decorator that adds several options, listed by --help in this order."""

    def add(command: F) -> F:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return add


COUNT = click.IntRange(min=1)
FILE: click.Path = click.Path(path_type=Path, dir_okay=False)
FOLDER: click.Path = click.Path(path_type=Path, file_okay=False)
POINTS = Points()


def option(flags: str, kind: Any, help: str, **attributes: Any) -> Callable[[F], F]:
    """Return an option whose help shows its default.

    ``flags`` may end with the parameter's name.  ``kind`` is the values' type, their list, or bool
    for a flag without a value.
    """
    if kind is bool:
        attributes["is_flag"] = True
    else:
        attributes["type"] = click.Choice(kind) if isinstance(kind, list) else kind
    return click.option(*flags.split(), help=help, show_default=True, **attributes)


suite = several(
    option(
        "--suite",
        str,
        "Suite, benchmark, lmms:TASK or a file of your own; several with commas between.",
        required=True,
    ),
    option("--benchmarks", str, "Evaluate only these benchmarks of the suite.", metavar="A,B"),
    option("--limit", COUNT, "Evaluate only the first N items per benchmark  [default: all]"),
)
ids = option(
    "--ids",
    str,
    "Evaluate only these items (ID, or BENCHMARK/ID), or those in a file, one a line.",
    metavar="ID,ID|@FILE",
)
data_root = option(
    "--data-root",
    FOLDER,
    "Root folder of the data sets  [default: $HARNESS_DATA, or the user cache]",
)
settings = option(
    "--set settings",
    str,
    "Set a benchmark option (see 'harness list --options'); repeatable.",
    cls=Keyed,
    multiple=True,
    metavar="BENCHMARK.OPTION=VALUE",
)
sandbox = several(
    option(
        "--sandbox-image",
        str,
        "Run model-generated code in a container from this image, if Docker or Podman is "
        "available  [default: bubblewrap]",
        metavar="IMAGE",
    ),
    option("--unsafe", bool, "Run model-generated code unsandboxed, with your privileges."),
)
out = option("--out", FOLDER, "Parent folder of the run folders.", default=Path("runs"))
as_json = option("--json as_json", bool, "Print a single JSON document.")
judge = several(
    option(
        "--judge judge_url",
        str,
        "OpenAI-compatible endpoint of an LLM judge.",
        metavar="URL",
    ),
    option("--judge-model", str, "Model name at the judge endpoint."),
    option(
        "--judge-key-env",
        str,
        "Environment variable that holds the judge's API key  [default: JUDGE_API_KEY; for "
        "api.openai.com also OPENAI_API_KEY]",
        metavar="NAME",
    ),
    option(
        "--key-over-http",
        bool,
        "Send API keys over plain http too, to hosts in private networks only.",
    ),
)
max_errors = option(
    "--max-errors",
    Share(),
    "Exit with code 2 if more than this share of a benchmark's responses are errors.",
    default="1%",
)
reasoning_tags = option(
    "--reasoning-tags",
    _Tags(),
    "Tags between which the model writes its reasoning, besides the known ones such as "
    "<think>; repeatable. Affects scoring only.  [default: those that a checkpoint's files name]",
    multiple=True,
)
columns = option(
    "--columns mapped",
    str,
    "Map our field name to the data set's column name; repeatable.",
    multiple=True,
    metavar="FIELD=COLUMN",
)
native = option(
    "--no-native",
    bool,
    "Skip native scoring (and loading lmms-eval); rerun without it to add the scores.",
)


def tools_of(image: str | None, unsafe: bool, benchmarks: Sequence[Benchmark]) -> Tools:
    """Return the tools that the benchmarks need: a sandbox if one of them runs code.

    Raises `UsageError` if no sandbox works here, or the options are given and none needs one.
    """
    from harness.protocols import Tools
    from harness.sandbox import choose

    if not any(benchmark.declaration.needs_sandbox for benchmark in benchmarks):
        if image or unsafe:
            raise UsageError("--sandbox-image, --unsafe: none of the selected benchmarks runs code")
        return Tools()
    sandbox, why = choose(image=image, unsafe=unsafe)
    echo(f"sandbox {sandbox.describe()['kind']}: {why}", err=True)
    return Tools(sandbox)


def judge_given(given: SimpleNamespace) -> Judge | None:
    """Return the judge that the options name, or None.

    Raises `UsageError` if only one of URL and model was given, or its key is missing or would be
    sent unencrypted (`harness.backends.http.urls.key_for`).
    """
    from harness.backends.http.urls import base_url, key_for
    from harness.protocols import Judge

    url, model = given.judge_url, given.judge_model
    if url is None and model is None:
        if given.judge_key_env is not None:
            raise UsageError("--judge-key-env has no effect without --judge; remove it")
        return None
    if url is None or model is None:
        raise UsageError("--judge URL and --judge-model M are needed together")
    key = key_for(
        base_url(url), given.judge_key_env, "JUDGE_API_KEY", over_http=given.key_over_http
    )
    return Judge(url, model, key)


def judge_of(given: SimpleNamespace, benchmarks: Sequence[Benchmark]) -> Judge | None:
    """Return the judge that the options name (`judge_given`), or None.

    Raises `UsageError` also if there is one and no benchmark uses it.
    """
    judge = judge_given(given)
    declared = (benchmark.declaration for benchmark in benchmarks)
    if judge and not any(entry.judged_rules or entry.native_needs_judge for entry in declared):
        raise UsageError("--judge: none of the selected benchmarks uses a judge")
    return judge


def check_judge(judge: Judge | None) -> None:
    """Raise `UsageError` if the endpoint does not serve the judge."""
    import asyncio

    from harness.backends.http.endpoint import EndpointModel

    async def open_and_close(judge: Judge) -> None:
        async with EndpointModel(judge.url, judge.model, judge.api_key):
            pass

    if judge is not None:
        asyncio.run(open_and_close(judge))


def columns_of(mappings: Sequence[str]) -> dict[str, str]:
    """Return the values of ``--columns FIELD=COLUMN`` as a mapping."""
    columns = dict(mapping.partition("=")[::2] for mapping in mappings)
    if not all(columns.values()):
        raise UsageError("--columns must be FIELD=COLUMN: our field name, the data set's column")
    return columns
