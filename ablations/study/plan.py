"""The plan of a study: what is trained, measured and compared, hashed before any score is read.

Paths never enter the hash, only contents.  Once a study has scores its plan is fixed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ablations.arms import ARMS, MATCHINGS, Matching, arm, drawn_alike
from ablations.settings import LATER, read_recipe, recipe_path
from ablations.statistics.contrasts import (
    BASE,
    BASELINE,
    DATA_CONTROLS,
    METHOD,
    PLACEBOS,
    Rules,
    contrasts,
    differences,
)
from ablations.statistics.design import looks
from ablations.statistics.exclusions import Exclusions, read_exclusions
from ablations.statistics.scores import check, identity
from ablations.statistics.stored import SCHEMA, current, schema_1
from benchmarks.pair_sources import content_of
from harness.backends.checkpoint import stored_dtypes
from harness.errors import UsageError
from harness.files.atomic import write_text
from harness.files.hashing import file_hash, json_hash
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
    """What a user asks for; fields are the options of ``harness ablate``.

    ``arms`` None: the default seven where there is a model, else the external ones.
    ``checkpoints`` and ``runs`` are external arms, one folder per training seed.  ``benchmarks``
    None: the whole suite.  ``probe`` names the held-out pairs of the context selection probe (None:
    it is not measured).  ``note`` is shown with every result.  ``exclude`` lists items that the
    analysis leaves out.
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
    exclude: Path | None = None


def _rules(rules: Rules) -> dict[str, Any]:
    """Return the rules as they are hashed; those of pairs and looks only where there are any."""
    later = {"paired": rules.paired, "looks": rules.looks, "spending": rules.looks}
    return {
        name: value for name, value in dataclasses.asdict(rules).items() if later.get(name, True)
    }


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """One arm of a plan: where its models come from, how many seeds, what is external.

    ``content`` fingerprints ``paths``: checkpoints, or runs by `scores.identity`.
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
    pairs and RL data.  ``dtype`` is the one in which arms are saved and all models are measured;
    None if the base has it already, or in an older plan.  ``schema`` is 1 where the study's folder
    holds this plan in that schema.  ``exclude`` are items that the analysis leaves out.
    """

    request: Request
    model: str | None
    data: Mapping[str, str | None]
    benchmarks: Mapping[str, str | None]
    arms: tuple[ArmPlan, ...]
    schema: int = SCHEMA
    dtype: str | None = None
    exclude: Exclusions = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """What is hashed: all that decides what is trained, measured and concluded."""
        asked = self.request
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
            "train": _hashed(asked.train_args),
            "run": _hashed(asked.run_args),
            "arms": {
                arm.arm: {"origin": arm.origin, "seeds": arm.seeds, "content": list(arm.content)}
                for arm in self.arms
            },
            "contrasts": [contrast.name for contrast in contrasts([a.arm for a in self.arms])],
            "rules": _rules(asked.rules),
            **({"dtype": self.dtype} if self.dtype else {}),
            **({"exclude": _listed(self.exclude)} if self.exclude else {}),
        }

    @property
    def hash(self) -> str:
        """The sha256 of `content`, under the names of the plan's schema."""
        return json_hash(schema_1(self.content) if self.schema == 1 else self.content)

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self.request.folder


def plan(request: Request) -> Plan:
    """Return the plan of a study, reading no score; `UsageError` if it contradicts itself."""
    from benchmarks import suites

    _refuse_own("--train-args", request.train_args, _TRAIN_OPTIONS)
    _refuse_own("--run-args", request.run_args, _RUN_OPTIONS)
    members = suites.resolve([request.suite])
    if request.benchmarks is not None:
        members = suites.chosen(members, request.benchmarks)
    arms = tuple(_arm(name, request, members) for name in _names(request))
    origins = {arm.origin for arm in arms}
    _check(request, arms)
    request = _with_paired(request, arms)
    model = dtype = None
    if origins & {"given", "train"}:
        base = identify(_needed(request.model, "--model"), None, None)
        model = base.fingerprint
        if "train" in origins and base.checkpoint is not None:
            dtype = _measuring_dtype(base.checkpoint, request.train_args)
    data: dict[str, str | None] = {"pairs": None, "rl_data": None}
    if "train" in origins:
        data["pairs"] = content_of(_needed(request.pairs, "--pairs"))
        data["rl_data"] = content_of(_needed(request.rl_data, "--rl-data"))
    fingerprints: dict[str, str | None] = dict.fromkeys(members)
    if origins - {"runs"}:
        run_options(request)
        probe = (PROBE,) if request.probe is not None else ()
        fingerprints = {n: benchmark(request, n).fingerprint() for n in (*members, *probe)}
    exclude = {} if request.exclude is None else read_exclusions(request.exclude)
    return _as_stored(Plan(request, model, data, fingerprints, arms, dtype=dtype, exclude=exclude))


def _listed(exclude: Exclusions) -> dict[str, list[str]]:
    return {name: sorted(items) for name, items in exclude.items()}


def _check(request: Request, arms: Sequence[ArmPlan]) -> None:
    """Refuse arms without a contrast, and options that no arm uses."""
    if not arms:
        raise UsageError("no arms: give --model with training data, --checkpoints or --runs")
    names, origins = [arm.arm for arm in arms], {arm.origin for arm in arms}
    if request.rules.looks:
        looks.check(request.rules.looks, request.seeds, request.rules.spending)
        if external := [row.arm for row in arms if row.origin not in ("given", "train")]:
            raise UsageError(
                f"--looks: {', '.join(external)} must be trained here, a few seeds at a time"
            )
    if not contrasts(names):
        raise UsageError(
            f"no contrasts can be formed from {', '.join(names)}: at least {METHOD} and {BASELINE} "
            "are needed"
        )
    if "train" not in origins and (request.train_args or request.pairs or request.rl_data):
        raise UsageError(
            "--pairs, --rl-data and --train-args cannot be used: no arm is trained here"
        )
    asked = (request.limit, request.probe, *request.settings, *request.run_args)
    if origins == {"runs"} and any(value is not None for value in asked):
        raise UsageError(
            "--limit, --probe, --set and --run-args cannot be used: no arm is evaluated here"
        )


def _with_paired(request: Request, arms: Sequence[ArmPlan]) -> Request:
    """Return the request with the differences that are judged seed by seed, if it asks for that.

    They are those of arms that are trained here and draw the same RL items in the same order.
    """
    if request.rules.variance != "paired":
        return request
    trained = {row.arm for row in arms if row.origin == "train"}
    paired = tuple(
        contrast.name
        for contrast in differences([row.arm for row in arms])
        if {contrast.plus, contrast.minus} <= trained
        and drawn_alike(ARMS[contrast.plus], ARMS[contrast.minus], request.matching)
    )
    if not paired:
        raise UsageError(
            "--variance paired: no contrast is of two arms trained here that draw the same items "
            f"in the same order (matching {request.matching}): use --matching steps, or another "
            "variance"
        )
    return dataclasses.replace(request, rules=dataclasses.replace(request.rules, paired=paired))


def _as_stored(planned: Plan) -> Plan:
    """Return the plan as an older version stored it in the study's folder: its hash stays."""
    names = [contrast.name for contrast in contrasts([arm.arm for arm in planned.arms])]
    once = tuple(
        dataclasses.replace(arm, seeds=1, content=arm.content[:1], paths=arm.paths[:1])
        if arm.arm == BASE and arm.origin != "runs"
        else arm
        for arm in planned.arms
    )
    older = [
        dataclasses.replace(
            planned,
            request=_paired_only(planned.request, paired),
            arms=arms,
            dtype=dtype,
            schema=schema,
        )
        # Without pairs in the checks; a sampled base measured once; without a dtype; in schema 1.
        for paired, arms, dtype, schema in product(
            (planned.request.rules.paired, names),
            (planned.arms, once),
            (planned.dtype, None),
            (SCHEMA, 1),
        )
    ]
    try:
        stored = read_json(planned.folder / "plan.json").get("hash")
    except UsageError:
        return planned  # none, or corrupt: `commit` says so
    return next((each for each in older if each.hash == stored), planned)


def _paired_only(request: Request, names: Sequence[str]) -> Request:
    paired = tuple(name for name in request.rules.paired if name in names)
    return dataclasses.replace(request, rules=dataclasses.replace(request.rules, paired=paired))


def _measuring_dtype(base: Path, train_args: Sequence[str]) -> str | None:
    """Return the dtype that arms are saved in, None if the base has it too.

    It is that of the arguments, else the recipe's, else the default.
    """
    options = dict(named(train_args))
    recipe = read_recipe(options["--config"]) if "--config" in options else {}
    saved = str(options.get("--save-dtype") or recipe.get("save_dtype") or LATER["save_dtype"])
    try:
        return saved if stored_dtypes(base) != {saved} else None
    except UsageError:
        return None  # the first training says what is wrong with it


def matching(given: Matching | None, train_args: Sequence[str]) -> Matching:
    """Return the matching: as given, else as the recipe in ``train_args`` says, else instances.

    `UsageError` where the recipe says otherwise, or cannot be read.
    """
    recipes = [value for name, value in named(train_args) if name == "--config"]
    stated = read_recipe(recipes[-1]).get("matching") if recipes else None
    if stated is None:
        return given or "instances"
    if given not in (None, stated):
        raise UsageError(
            f"--matching {given}: the recipe {recipes[-1]} says {stated}; leave --matching out, or "
            "change the recipe"
        )
    if stated not in MATCHINGS:
        raise UsageError(f"--config {recipes[-1]}: matching is one of {', '.join(MATCHINGS)}")
    return cast("Matching", stated)


def benchmark(request: Request, name: str) -> Benchmark:
    """Return a benchmark of the study with its settings, or the probe with its pairs.

    `UsageError` for a wrong setting, or one of a benchmark that is not in the suite.
    """
    from benchmarks import suites
    from benchmarks.options import split

    if name == PROBE:
        options: Mapping[str, str] = {"pairs": str(request.probe)}
    else:
        options = split(request.settings, suites.resolve([request.suite])).get(name, {})
    return suites.benchmark(name, request.data_root, options=options)


def _refuse_own(option: str, args: Sequence[str], own: Sequence[str]) -> None:
    """Refuse extra arguments of a command that the study gives itself."""
    for name in (arg.partition("=")[0] for arg in args):
        if name in own:
            raise UsageError(f"{option}: {name} is set by the study: pass it to the study itself")


def _needed(value: str | None, option: str) -> str:
    if value is None:
        raise UsageError(f"{option} is required to train arms")
    return value


def _names(request: Request) -> list[str]:
    """Return the arms in the order of the table of all arms."""
    external = [*request.checkpoints, *request.runs]
    for name in external:
        if external.count(name) > 1:
            raise UsageError(f"{name} is given twice: use --checkpoints or --runs, not both")
    chosen = request.arms
    if chosen is None:
        chosen = DEFAULT_ARMS if request.model is not None else ()
    names = {arm(name).name for name in (*chosen, *external)}
    return [name for name in ARMS if name in names]


def _arm(name: str, request: Request, benchmarks: Sequence[str]) -> ArmPlan:
    if name in request.runs:
        paths = request.runs[name]
        models, content = zip(*(identity(path, benchmarks) for path in paths), strict=True)
        origin: Origin = "runs"
        if name == BASE:  # several samples of one model, or refused
            check({name: paths})
            return ArmPlan(name, origin, len(paths), content, paths)
    elif name in request.checkpoints:
        paths = request.checkpoints[name]
        models = content = tuple(identify(str(path), None, None).fingerprint for path in paths)
        origin = "checkpoints"
        if name == BASE and len(paths) == 1:
            seeds = _base_runs(request)
            return ArmPlan(name, origin, seeds, content * seeds, paths * seeds)
    elif name == BASE:
        return ArmPlan(name, "given", _base_runs(request))
    else:
        return ArmPlan(name, "train", request.seeds)
    for number, model in enumerate(models):
        if model in models[:number]:
            raise UsageError(
                f"{name}: {paths[number]} and {paths[models.index(model)]} are of the same "
                "model: each folder must hold a different training seed"
            )
    return ArmPlan(name, origin, len(paths), content, paths)


def _base_runs(request: Request) -> int:
    """Return how often the model before training is measured: per seed where it is sampled."""
    return request.seeds if run_options(request)["temperature"] > 0 else 1


def run_options(request: Request) -> Mapping[str, Any]:
    """Return the options of ``harness run`` for the study's evaluations, by parameter.

    `UsageError` where it refuses ``--run-args``: before anything is trained.
    """
    import click

    from benchmarks.cli.run import run

    if {"-h", "--help"} & set(request.run_args):
        raise UsageError("--run-args: see `harness run --help`; an evaluation takes no --help")
    words = ["--model", str(request.model), "--suite", request.suite, *request.run_args]
    try:
        return run.make_context("run", words).params
    except click.UsageError as error:
        raise UsageError(f"--run-args: {error.format_message()}") from None


def _hashed(args: Sequence[str]) -> list[str]:
    """Return arguments as they are hashed: a file, or a built-in recipe, by its content."""
    hashed = []
    for arg, (name, value) in zip(args, named(args), strict=True):
        path = recipe_path(value) if name == "--config" and value else Path(value)
        start = arg.removesuffix(value)  # "--config=", where it is one argument
        hashed.append(start + file_hash(path) if path.is_file() else arg)
    return hashed


def named(args: Sequence[str]) -> list[tuple[str, str]]:
    """Return every argument as a value with its option, from "--name=value" or the one before."""
    named = []
    for last, arg in pairwise(("", *args)):
        name, equals, value = arg.partition("=")
        together = equals and name.startswith("--")
        named.append((name, value) if together else (last, arg))
    return named


def _setting(setting: str) -> str:
    """Return BENCHMARK.OPTION=VALUE as it is hashed: a file by its content."""
    name, equals, value = setting.partition("=")
    return f"{name}{equals}{file_hash(Path(value))}" if Path(value).is_file() else setting


def has_scores(folder: Path) -> bool:
    """Whether any answer of the study was scored, or any score was read."""
    samples = folder.glob("runs/*/*/samples/*.jsonl")
    return (folder / "analysis.json").exists() or any(path.stat().st_size for path in samples)


def read_plan(folder: Path) -> dict[str, Any]:
    """Return a study's ``plan.json`` (names of today): plan, hash, time of writing, and paths.

    `UsageError` where it is missing, corrupt, or its plan does not have its hash.
    """
    path = folder / "plan.json"
    stored = read_json(path)
    content = stored.get("plan")
    if not isinstance(content, dict) or stored.get("hash") != json_hash(content):
        raise UsageError(f"{path} was changed by hand: its hash does not match its plan")
    return {**stored, "plan": current(content)}


def commit(planned: Plan) -> None:
    """Write ``plan.json`` before any score is read.

    `UsageError` where the study has scores and its plan is another, or was edited.
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
    write_text(path, json_text(document))


def _paths(planned: Plan) -> dict[str, Any]:
    """Return where things lay: for a reader, outside the hash."""
    asked = planned.request
    names = ("model", "pairs", "rl_data", "train_args", "run_args", "settings", "note")
    return {
        **{name: getattr(asked, name) for name in names},
        "data_root": None if asked.data_root is None else str(asked.data_root),
        "arms": {arm.arm: [str(path) for path in arm.paths] for arm in planned.arms if arm.paths},
    }


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], stem: str = "") -> list[str]:
    """Return the dotted names of what differs between two nested mappings."""
    names = []
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            names += _changed(old, new, f"{stem}{name}.")
        elif old != new:
            names.append(f"{stem}{name}")
    return names


def json_text(document: Any) -> str:
    """Return a document as indented JSON; nan is null, dataclasses are objects."""
    import orjson

    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    return orjson.dumps(document, option=options).decode() + "\n"
