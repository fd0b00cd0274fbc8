"""Options of a model's settings, made from their one table, and ``--config``, a file of options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import click
import msgspec
from click.core import ParameterSource

from harness.backends.models.resolve import InForce, in_force
from harness.backends.models.settings import ModelSettings, argument_name
from harness.cli import options
from harness.cli.options import Ctx, Param
from harness.errors import UsageError, nearest
from harness.files.typed_json import parse
from harness.files.typed_yaml import expected, read_yaml
from harness.own_code import needs_consent
from harness.references import beside

F = TypeVar("F", bound=Callable[..., Any])


class _Setting(click.ParamType[Any]):
    """A value of a field of `ModelSettings`, as text; a mapping as JSON."""

    def __init__(self, hint: Any, name: str) -> None:
        self.hint, self.name = hint, name

    def convert(self, value: Any, param: Param, ctx: Ctx) -> Any:
        """Return the value, of the field's type."""
        try:
            if self.name == "JSON" and isinstance(value, str):
                value = parse(value)
            return msgspec.convert(value, self.hint, strict=False)
        except ValueError as error:  # msgspec's are of that kind
            what = f"is not valid {self.name}: {error}"
            if isinstance(error, msgspec.ValidationError):
                what = f"must be {expected(str(error).partition(' - at `')[0], self.hint)}"
            return self.fail(f"{value!r} {what}", param, ctx)


class _Argument(click.ParamType[tuple[str, Any]]):
    """An argument of another program: ``name=value``, or a name alone."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: Param, ctx: Ctx) -> tuple[str, Any]:
        """Return the name, with dashes, and the value, True where there is none."""
        if isinstance(value, tuple):
            return value
        name, sign, text = str(value).partition("=")
        name = argument_name(name)
        if not name or name.startswith("-"):
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return name, (text if sign else True)


def _kind(hint: Any) -> tuple[str, Any]:
    """Return the metavar of a field and its type without None."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    kinds = [each for each in get_args(hint) if each is not type(None)]
    bare = kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007 - made here
    plain = get_args(bare)[0] if get_origin(bare) is Annotated else bare
    if get_origin(plain) is dict:
        return "JSON", bare
    if get_origin(plain) in (Union, UnionType):
        return "N|native", bare
    metavars: dict[Any, str] = {int: "N", float: "X", str: "TEXT"}
    return metavars[plain], bare


def _options(command: F) -> F:
    """Add an option for each field of `ModelSettings`."""
    hints = get_type_hints(ModelSettings, include_extras=True)
    for name in reversed(ModelSettings.__struct_fields__):
        text = get_args(hints[name])[1].description
        metavar, kind = _kind(hints[name])
        attributes: dict[str, Any] = {"type": _Setting(kind, metavar), "help": text}
        if metavar == "JSON":
            attributes["cls"] = options.Keyed
        if name == "vllm_arg":
            attributes |= {"type": _Argument(), "multiple": True}
        elif name == "chat_template":
            attributes["metavar"] = "FILE"
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, **attributes)(command)
    return command


def _read_config(ctx: click.Context, param: click.Parameter, name: str | None) -> None:
    """Make the values of a YAML file the defaults of the command's options."""
    if name is None:
        return
    where = f"--config {name}"
    known = {
        opt.removeprefix("--"): option
        for option in ctx.command.params
        for opt in option.opts
        if option is not param
    }
    defaults: dict[str, Any] = dict(ctx.default_map or {})
    file = Path(name)
    for key, value in read_yaml(file, where).items():
        key = str(key)
        option = known.get(key.replace("_", "-"))
        if option is None:
            raise UsageError(f"{where}: unknown option {key!r}: {nearest(key, known)}")
        flags = [opt.removeprefix("--") for opt in option.opts]
        consents = (needs_consent(flag, value, file.parent) for flag in flags)
        if why := next(filter(None, consents), ""):
            raise UsageError(f"{where}: {key} {why}: give it on the command line")
        if value is not None:
            typed = _as_typed(option, value, f"{where}: {key}")
            defaults[str(option.name)] = beside(file, flags[0], typed)
    ctx.default_map = defaults
    ctx.meta[__name__] = where


def _as_typed(option: click.Parameter, value: Any, where: str) -> Any:
    """Return a YAML value as what would be typed on the command line."""
    if isinstance(option, click.Option) and option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{where} is true or false, not {value!r}")
        return value
    if option.multiple and isinstance(value, dict):
        value = [f"{name}={_typed(inner)}" for name, inner in value.items()]
    if option.multiple:
        return [_typed(each) for each in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        value = ",".join(map(str, value))  # as in benchmarks: [a, b]
    return _typed(value)


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


model_settings = options.several(
    _options,
    options.option(
        "--adapter",
        options.FOLDER,
        "vLLM, transformers: LoRA adapter (PEFT) to apply to the checkpoint.",
    ),
    options.option(
        "--generation-config",
        ["model", "ours"],
        "Defaults of sampling: the checkpoint's generation_config.json, or ours (greedy).",
        default="ours",
    ),
    options.option(
        "--model-settings recommended",
        str,
        "Sampling that the model's authors recommend, such as qwen3_vl_8b; options win.",
        metavar="NAME|FILE",
    ),
    options.option(
        "--config",
        str,
        "YAML file with options of this command; the command line wins.",
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_read_config,
    ),
)
"""The options of a model's settings, of whose they are, and ``--config``."""


def settings_in_force(ctx: click.Context, checkpoint: Path | None) -> InForce:
    """Return the settings of a command that are in force; raises `UsageError` as `in_force`."""
    given: dict[str, tuple[Any, str]] = {}
    for name in ModelSettings.__struct_fields__:
        value, source = ctx.params[name], ctx.get_parameter_source(name)
        if source is ParameterSource.DEFAULT or value is None:
            continue
        if name == "vllm_arg":
            value = dict(value)
        file = ctx.meta[__name__] if name in (ctx.default_map or {}) else ""
        origin = "command line"
        if source is ParameterSource.DEFAULT_MAP:
            origin = file
        elif file and isinstance(value, dict):
            origin += f", over {file}"
        given[name] = value, origin
    return in_force(given, ctx.params["recommended"], ctx.params["generation_config"], checkpoint)


def options_in_config(ctx: click.Context) -> set[str]:
    """Return the options that ``--config`` sets, without their dashes."""
    names = ctx.default_map if __name__ in ctx.meta and ctx.default_map else {}
    return {opt[2:] for each in ctx.command.params if each.name in names for opt in each.opts}
