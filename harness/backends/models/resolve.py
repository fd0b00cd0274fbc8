"""Resolve the effective settings, and where each was set: option, authors' file or checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.backends.models.settings import DRAWING, UNSET, ModelSettings, settings_of
from harness.errors import UsageError, first_line, nearest
from harness.files import plain
from harness.files.typed_json import parse, read_object
from harness.files.typed_yaml import read_typed
from harness.own_code import needs_consent

FOLDER = Path(__file__).parent
# Sampling settings in generation_config.json.
_GENERATION = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


class Sourced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recommended value, and where its authors recommend it."""

    value: Any
    source: str


class Recommended(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the authors of a model recommend.

    ``model_type`` is that of the model's config.json, None for any; ``settings`` are fields of
    `ModelSettings`.
    """

    title: str
    settings: dict[str, Sourced]
    model_type: str | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """The effective settings, and where each was set."""

    settings: ModelSettings = UNSET
    origins: Mapping[str, str] = field(default_factory=dict)


def in_force(
    given: Mapping[str, tuple[Any, str]],
    recommended: str | None,
    generation: Literal["model", "ours"],
    checkpoint: Path | None,
) -> InForce:
    """Return the effective settings, and where each was set.

    Sources are in order of precedence; for mappings, that is per key. Under greedy decoding,
    sampling settings that nobody asked for by name are left out.

    Args:
        given: (value, where it was set) of settings of the command line and of ``--config``.
        recommended: the name of a file of recommendations.
        generation: the sampling if neither sets any: that of the checkpoint's
            generation_config.json, or ours (greedy).
        checkpoint: the model's folder; None behind an endpoint.

    Raises:
        UsageError: a file cannot be read or is for another model, a value is out of range, or a
            requested setting has no effect.
    """
    layers = [dict(given)]
    if recommended is not None:
        layers.append(_recommended(recommended, checkpoint))
    if generation == "model":
        layers.append(_generation(checkpoint))
    merged: dict[str, tuple[Any, str]] = {}
    for layer in reversed(layers):
        merged |= {name: _over(entry, merged.get(name)) for name, entry in layer.items()}
    temperature, _ = merged.get("temperature", (0, ""))
    if temperature == 0:
        for name in DRAWING:
            if name in given:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{option} has no effect under greedy decoding: set --temperature, or remove it"
                )
            merged.pop(name, None)
    settings = settings_of({name: value for name, (value, _) in merged.items()}, "settings")
    settings.template_text()  # check that it can be read
    return InForce(settings, {name: origin for name, (_, origin) in merged.items()})


def _over(entry: tuple[Any, str], weaker: tuple[Any, str] | None) -> tuple[Any, str]:
    """Return a setting's value over a weaker layer's; mappings are merged by key."""
    if weaker is None or not (isinstance(entry[0], dict) and isinstance(weaker[0], dict)):
        return entry
    kept = not weaker[0].keys() <= entry[0].keys()
    return {**weaker[0], **entry[0]}, f"{entry[1]}, over {weaker[1]}" if kept else entry[1]


def _recommended(name: str, checkpoint: Path | None) -> dict[str, tuple[Any, str]]:
    where = f"--model-settings {name}"
    recommended = read_recommended(name)
    for key, each in recommended.settings.items():
        if why := needs_consent(key.replace("_", "-"), each.value):
            raise UsageError(f"{where}: {key} {why}: give it on the command line")
    kind = recommended.model_type
    actual = None if checkpoint is None else model_type(checkpoint)
    if None not in (kind, actual) and kind != actual:
        raise UsageError(f"{where} is for models of type {kind}, and {checkpoint} is of {actual}")
    values = {key: each.value for key, each in recommended.settings.items()}
    checked = settings_of(values, where)
    return {key: (getattr(checked, key), f"{where} ({recommended.settings[key].source})")
            for key in values}  # fmt: skip


def recommended_path(name: str) -> Path:
    """Return the path of a YAML file, or of a shipped one given by name.

    Raises `UsageError` if there is no such file.
    """
    shipped = {file.stem: file for file in sorted(FOLDER.glob("*.yaml"))}
    path = Path(name) if Path(name).is_file() else shipped.get(name, Path(name))
    if not path.is_file():
        raise UsageError(
            f"--model-settings {name}: no such file; the names that can be given are "
            f"{', '.join(shipped)}"
        )
    return path


def read_recommended(name: str) -> Recommended:
    """Return the recommendations in a YAML file, or in a shipped one given by name.

    Raises `UsageError` if there is no such file, its format is wrong, or it names an unknown
    setting.
    """
    where = f"--model-settings {name}"
    recommended = read_typed(recommended_path(name), Recommended, where)
    known = ModelSettings.__struct_fields__
    for key in recommended.settings:
        if key not in known:
            raise UsageError(f"{where}: unknown setting {key!r}: {nearest(key, known)}")
    return recommended


def suitable(checkpoint: Path) -> list[str]:
    """Return the names of shipped files that suit a checkpoint's type."""
    kind = model_type(checkpoint)
    names = [file.stem for file in sorted(FOLDER.glob("*.yaml"))]
    return [name for name in names if kind and read_recommended(name).model_type == kind]


def model_type(checkpoint: Path) -> str | None:
    """Return the type of a checkpoint's model, None if its config.json has none."""
    kind = (read_object(checkpoint / "config.json") or {}).get("model_type")
    return kind if isinstance(kind, str) else None


def _generation(checkpoint: Path | None) -> dict[str, tuple[Any, str]]:
    where = "--generation-config model"
    if checkpoint is None:
        raise UsageError(
            f"{where} has no effect with the endpoint backend: what its server knows of the "
            "checkpoint is not told; give the values as options"
        )
    path = checkpoint / "generation_config.json"
    try:
        document = parse(plain.read_given(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"{where}: {path} cannot be read: {first_line(error)}") from error
    if not isinstance(document, dict):
        raise UsageError(f"{where}: {path} is not a JSON object")
    values = {name: document[name] for name in _GENERATION if document.get(name) is not None}
    if values.get("top_k") == 0:  # transformers' value for "all"
        values["top_k"] = -1
    if document.get("do_sample"):
        values.setdefault("temperature", 1.0)  # the default of transformers and vLLM
    else:  # greedy, as in transformers
        values = {name: values[name] for name in values if name == "repetition_penalty"}
    checked = settings_of(values, f"{where}: {path}")
    return {name: (getattr(checked, name), f"{checkpoint.name}/{path.name}") for name in values}
