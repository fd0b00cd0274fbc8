"""The plan of a study: what is trained, measured and compared, hashed before any score is read.

Paths never enter the hash, only contents.  Once a study has scores its plan is fixed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ablations.arms import MATCHINGS, Matching, arm
from ablations.data.sources import content_of
from ablations.settings import read_recipe, recipe_path
from ablations.statistics.contrasts import (
    BASE,
    BASELINE,
    DATA_CONTROLS,
    METHOD,
    PLACEBOS,
    Rules,
    contrasts,
)
from ablations.statistics.scores import identity
from ablations.statistics.stored import SCHEMA, current, schema_1
from harness.errors import UsageError
from harness.files.hashing import file_hash, json_hash, write_atomically
from harness.runs.identity import identify
from harness.runs.store import read_json

if TYPE_CHECKING:
    from harness.protocols import Benchmark

PROBE = "probe"
DEFAULT_ARMS = (BASE, BASELINE, *DATA_CONTROLS, METHOD, *PLACEBOS)
# Options that the study sets itself: as extra arguments they would win, unseen by the plan.
_TRAIN_OPTIONS = (
    "--arm", "--model", "--pairs", "--rl-data", "--matching", "--seed", "--out", "--dry-run",
    "--json",
)  # fmt: skip
_RUN_OPTIONS = (
    "--model", "--suite", "--benchmarks", "--limit", "--set", "--data-root", "--out", "--dry-run",
    "--items", "--json",
)  # fmt: skip
Origin = Literal["given", "train", "checkpoints", "runs"]


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks for.

    ``arms`` None: the default seven where there is a model, else the external ones.
    ``checkpoints`` and ``runs`` are external arms, one folder per training seed.  ``benchmarks``
    None: the whole suite; ``settings`` are their options as BENCHMARK.OPTION=VALUE.
    ``train_args`` and ``run_args`` are extra arguments of ``harness train`` and ``harness run``.
    ``probe`` names the held-out pairs of the context selection probe (None: it is not measured).
    ``note`` is shown with every result.
    """

    folder: Path
    suite: str
    model: str | None = None
    pairs: str | None = None
    rl_data: str | None = None
    arms: tuple[str, ...] | None = None
    seeds: int = 3
    matching: Matching = "instances"
    rules: Rules = field(default_factory=Rules)
    checkpoints: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    runs: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    benchmarks: tuple[str, ...] | None = None
    settings: tuple[str, ...] = ()
    limit: int | None = None
    probe: str | None = None
    data_root: Path | None = None
    train_args: tuple[str, ...] = ()
    run_args: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """One arm of a plan: where its models come from, how many seeds, what is external.

    ``content`` holds the fingerprints of the folders in ``paths``: of checkpoints, or of runs (see
    `ablations.statistics.scores.identity`).
    """

    arm: str
    origin: Origin
    seeds: int
    content: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A study before anything is trained or read.

    ``benchmarks`` maps ids to data fingerprints (None where all runs are external and nothing
    is measured here).  ``model`` is the base model's fingerprint.  ``data`` are the fingerprints of
    pairs and RL data.  ``schema`` is 1 where the study's folder holds this plan in that schema.
    """

    request: Request
    model: str | None
    data: Mapping[str, str | None]
    benchmarks: Mapping[str, str | None]
    arms: tuple[ArmPlan, ...]
    schema: int = SCHEMA

    @property
    def content(self) -> dict[str, Any]:
        """What is hashed: all that decides what is trained, measured and concluded."""
        asked = self.request
        names = [one.arm for one in self.arms]
        return {
            "schema": SCHEMA,
            "suite": asked.suite,
            "benchmarks": dict(self.benchmarks),
            "settings": sorted(map(_setting, asked.settings)),
            "limit": asked.limit,
            "probe": None if asked.probe is None else content_of(asked.probe),
            "model": self.model,
            "data": dict(self.data),
            "matching": asked.matching,
            "train": _words(asked.train_args),
            "run": _words(asked.run_args),
            "arms": {
                one.arm: {
                    "origin": one.origin,
                    "seeds": one.seeds,
                    "content": list(one.content),
                }
                for one in self.arms
            },
            "contrasts": [one.name for one in contrasts(names)],
            "rules": dataclasses.asdict(asked.rules),
        }

    @property
    def hash(self) -> str:
        """The sha256 of `content`, under the names of the plan's schema."""
        return json_hash(schema_1(self.content) if self.schema == 1 else self.content)

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self.request.folder

    def arm(self, name: str) -> ArmPlan:
        """Return the plan of one arm."""
        return next(one for one in self.arms if one.arm == name)


def plan(request: Request) -> Plan:
    """Return the plan of a study; no score is read.

    Raises:
        UsageError: something that the plan needs is missing or contradicts itself.
    """
    from benchmarks import suites

    _refuse_own("--train-args", request.train_args, _TRAIN_OPTIONS)
    _refuse_own("--run-args", request.run_args, _RUN_OPTIONS)
    members = suites.resolve([request.suite])
    if request.benchmarks is not None:
        members = suites.chosen(members, request.benchmarks)
    arms = tuple(_arm(name, request, members) for name in _names(request))
    measured = any(one.origin != "runs" for one in arms)
    trained = any(one.origin == "train" for one in arms)
    if not arms:
        raise UsageError("no arms: give --model with training data, --checkpoints or --runs")
    if not contrasts([one.arm for one in arms]):
        listed = ", ".join(one.arm for one in arms)
        raise UsageError(
            f"no contrasts can be formed from {listed}: at least {METHOD} and {BASELINE} are needed"
        )
    if not trained and (request.train_args or request.pairs or request.rl_data):
        raise UsageError("--pairs, --rl-data and --train-args: no arm is trained here")
    asked = (request.limit, request.probe, *request.settings, *request.run_args)
    if not measured and any(word is not None for word in asked):
        raise UsageError("--limit, --probe, --set and --run-args: no arm is evaluated here")
    model = None
    if any(one.origin in ("given", "train") for one in arms):
        model = identify(_needed(request.model, "--model"), None, None).fingerprint
    data: dict[str, str | None] = {"pairs": None, "rl_data": None}
    if trained:
        data["pairs"] = content_of(_needed(request.pairs, "--pairs"))
        data["rl_data"] = content_of(_needed(request.rl_data, "--rl-data"))
    found: dict[str, str | None] = dict.fromkeys(members)
    wanted = (*members, *((PROBE,) if request.probe is not None else ()))
    if measured:
        for name in wanted:
            found[name] = benchmark(request, name).fingerprint()
    return _in_stored_schema(Plan(request, model, data, found, arms))


def _in_stored_schema(planned: Plan) -> Plan:
    """Return the plan with schema 1 where the study's folder holds it so: its hash stays."""
    older = dataclasses.replace(planned, schema=1)
    try:
        stored = read_json(planned.folder / "plan.json").get("hash")
    except UsageError:
        return planned  # none, or garbled: `commit` says so
    return older if stored == older.hash else planned


def matching(given: Matching | None, train_words: Sequence[str]) -> Matching:
    """Return what the arms have alike: as given, else as the recipe says, else instances.

    Args:
        given: to the study.
        train_words: further words for ``harness train``, a recipe among them.

    Raises:
        UsageError: both are there and differ, or the recipe cannot be read.
    """
    named = [value for name, value in _named(train_words) if name == "--config"]
    found = read_recipe(named[-1]).get("matching") if named else None
    if found is None:
        return given or "instances"
    if given not in (None, found):
        raise UsageError(
            f"--matching {given}: the recipe {named[-1]} says {found}; leave --matching out, or "
            "change the recipe"
        )
    if found not in MATCHINGS:
        raise UsageError(f"--config {named[-1]}: matching is one of {', '.join(MATCHINGS)}")
    return cast("Matching", found)


def benchmark(request: Request, name: str) -> Benchmark:
    """Return a benchmark of the study with its settings, or the probe with its pairs.

    Raises:
        UsageError: a setting is wrong, or of a benchmark that is not in the suite.
    """
    from benchmarks import suites
    from benchmarks.options import split

    if name == PROBE:
        options: Mapping[str, str] = {"pairs": str(request.probe)}
    else:
        options = split(request.settings, suites.resolve([request.suite])).get(name, {})
    return suites.benchmark(name, request.data_root, options=options)


def _refuse_own(option: str, words: Sequence[str], own: Sequence[str]) -> None:
    """Raise for a word among a command's further words that the study gives itself."""
    for word in words:
        name = word.partition("=")[0]
        if name in own:
            raise UsageError(f"{option}: {name} is set by the study: pass it to the study itself")


def _needed(value: str | None, option: str) -> str:
    if value is None:
        raise UsageError(f"{option} is required to train arms")
    return value


def _names(request: Request) -> list[str]:
    """Return the arms in the order of the table of all arms."""
    from ablations.arms import ARMS

    external = [*request.checkpoints, *request.runs]
    for name in external:
        if external.count(name) > 1:
            raise UsageError(f"{name} is given twice: use --checkpoints or --runs, not both")
    chosen = request.arms
    if chosen is None:
        chosen = DEFAULT_ARMS if request.model is not None else ()
    wanted = {arm(name).name for name in (*chosen, *external)}
    return [name for name in ARMS if name in wanted]


def _arm(name: str, request: Request, benchmarks: Sequence[str]) -> ArmPlan:
    if name in request.runs:
        paths = request.runs[name]
        found = [identity(path, benchmarks) for path in paths]
        models, content = [model for model, _ in found], [run for _, run in found]
        origin: Origin = "runs"
    elif name in request.checkpoints:
        paths = request.checkpoints[name]
        models = content = [identify(str(path), None, None).fingerprint for path in paths]
        origin = "checkpoints"
    else:
        start = name == BASE
        return ArmPlan(name, "given" if start else "train", 1 if start else request.seeds)
    for number, one in enumerate(models):
        if one in models[:number]:
            raise UsageError(
                f"{name}: {paths[number]} and {paths[models.index(one)]} are of the same "
                "model: each folder must hold a different training seed"
            )
    return ArmPlan(name, origin, len(paths), tuple(content), paths)


def _words(words: Sequence[str]) -> list[str]:
    """Return words as they are hashed: a file, and a recipe of ours, by its content."""
    hashed = []
    for word, (name, value) in zip(words, _named(words), strict=True):
        path = recipe_path(value) if name == "--config" and value else Path(value)
        start = word.removesuffix(value)  # "--config=", where it is one word
        hashed.append(start + file_hash(path) if path.is_file() else word)
    return hashed


def _named(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return every word as a value with the option before it, which may stand in the same word."""
    found = []
    for last, word in zip(("", *words), words, strict=False):
        name, equals, value = word.partition("=")
        together = equals and name.startswith("--")
        found.append((name, value) if together else (last, word))
    return found


def _setting(word: str) -> str:
    """Return BENCHMARK.OPTION=VALUE as it is hashed: a file by its content."""
    name, equals, value = word.partition("=")
    return f"{name}{equals}{file_hash(Path(value))}" if Path(value).is_file() else word


def has_scores(folder: Path) -> bool:
    """Whether any answer of the study was scored, or any score was read."""
    samples = folder.glob("runs/*/*/samples/*.jsonl")
    return (folder / "analysis.json").exists() or any(path.stat().st_size for path in samples)


def read_plan(folder: Path) -> dict[str, Any]:
    """Return a study's ``plan.json``: plan (names of today), hash, time of writing, and paths.

    Raises:
        UsageError: there is none, it is garbled, or the plan is not that of the hash.
    """
    path = folder / "plan.json"
    stored = read_json(path)
    content = stored.get("plan")
    if not isinstance(content, dict) or stored.get("hash") != json_hash(content):
        raise UsageError(f"{path} was changed by hand: its hash does not match its plan")
    return {**stored, "plan": current(content)}


def commit(planned: Plan) -> None:
    """Write ``plan.json`` before any score is read; a plan that is there already must be the same.

    Raises:
        UsageError: the study has scores and its plan is another, or was edited.
    """
    path = planned.folder / "plan.json"
    if path.exists():
        stored = read_plan(planned.folder)
        content = stored["plan"]
        if stored["hash"] == planned.hash:
            return
        if has_scores(planned.folder):
            raise UsageError(
                f"{planned.folder} has scores, and its plan differs in "
                f"{', '.join(_changed(content, planned.content))}: a plan is fixed before scores "
                "are read; give the study another --name"
            )
    elif has_scores(planned.folder):
        raise UsageError(f"{planned.folder} has scores and no plan.json: give another --name")
    document = {
        "hash": planned.hash,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": planned.content,
        "paths": _paths(planned),
    }
    write_atomically(path, json_text(document))


def _paths(planned: Plan) -> dict[str, Any]:
    """Return where things lay: for a reader, outside the hash."""
    asked = planned.request
    return {
        "model": asked.model,
        "pairs": asked.pairs,
        "rl_data": asked.rl_data,
        "data_root": None if asked.data_root is None else str(asked.data_root),
        "train_args": list(asked.train_args),
        "run_args": list(asked.run_args),
        "settings": list(asked.settings),
        "arms": {one.arm: [str(path) for path in one.paths] for one in planned.arms if one.paths},
        "note": asked.note,
    }


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], stem: str = "") -> list[str]:
    """Return the dotted names of what differs between two nested mappings."""
    names = []
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            names += _changed(one, other, f"{stem}{name}.")
        elif one != other:
            names.append(f"{stem}{name}")
    return names


def json_text(document: Any) -> str:
    """Return a document as indented JSON; nan is null, dataclasses are objects."""
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    return orjson.dumps(document, option=options).decode() + "\n"
