"""The plan of a study: what is trained, measured and compared, hashed before any score is read.

Contents enter the hash, paths never do. A study with scores keeps its plan.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, cast

from ablations.arms import ARMS, Matching, arm, drawn_alike
from ablations.settings import LATER, read_recipe
from ablations.statistics.contrasts import Rules
from ablations.statistics.design import looks
from ablations.statistics.design.roles import STANDARD, Contrast, Design
from ablations.statistics.exclusions import Exclusions, read_exclusions
from ablations.statistics.scores import check, identity
from ablations.statistics.stored import SCHEMA, current, schema_1
from ablations.study.contents import (
    data_content,
    hashed,
    hashed_value,
    named,
    reads_otherwise,
    run_sources,
    setting,
    suite_content,
    suite_name,
    suite_words,
    training_sources,
)
from harness.backends.checkpoint import stored_dtypes
from harness.errors import UsageError, unknown
from harness.files.atomic import write_text
from harness.files.hashing import json_hash
from harness.files.text import counted
from harness.files.typed_json import fits, parse, record
from harness.runs.identity import identify
from harness.runs.store import read_json, read_manifest

if TYPE_CHECKING:
    from harness.backends.models.resolve import InForce
    from harness.protocols import Benchmark

PROBE = "probe"
TITLE = "objective against data"
DEFAULT_ARMS = STANDARD.named("start", "baseline", "data_control", "method", "placebo")
# Options set by the study: as extra arguments they would override it, unseen by the plan.
_TRAIN_OPTIONS = (
    "--arm", "--model", "--pairs", "--rl-data", "--matching", "--seed", "--out", "--dry-run",
    "--json",
)  # fmt: skip
_RUN_OPTIONS = (
    "--model", "--suite", "--benchmarks", "--limit", "--set", "--data-root", "--out", "--dry-run",
    "--items", "--json",
)  # fmt: skip
_MOST_SEEDS = 1000
Origin = Literal["given", "train", "checkpoints", "runs"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an arm of a study file is trained here.

    ``arm`` is one of ``harness list``; ``args`` follow those of all arms; ``pairs`` and ``rl_data``
    replace the study's.
    """

    arm: str
    args: tuple[str, ...] = ()
    pairs: str | None = None
    rl_data: str | None = None

    def content(self, name: str, study: Request | None = None) -> dict[str, Any]:
        """Return what is hashed of it; nothing if it is just the arm of its name.

        ``study`` has the arguments of all arms, and the data that is not replaced here; older plans
        lack it.
        """
        of_args = training_sources(self.args) if study else {}
        file, colon, attribute = self.arm.rpartition(":")
        made = {
            "arm": Path(file).name + colon + attribute,
            "args": hashed(self.args, folders=study is not None),
            **_given(sources=of_args),
            **self._data(study),
            **_given(code=ARMS[self.arm].source),
        }
        return {} if made == {"arm": name, "args": []} else {"train": made}

    def _data(self, study: Request | None) -> dict[str, str | None]:
        """Return the hashes of its training data, where they differ from the other arms'."""
        data = {"pairs": self.pairs, "rl_data": self.rl_data}
        if study and reads_otherwise(self.args):
            data = {key: source or getattr(study, key) for key, source in data.items()}
        words = (*study.train_args, *self.args) if study else ()
        return {key: data_content(source, words) for key, source in data.items() if source}


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks for; fields are the options of ``harness ablate`` or of a study file.

    ``arms`` None: the default seven if there is a model, else the external ones. ``checkpoints``
    and ``runs`` are external arms, one folder per training seed. ``benchmarks`` None: the whole
    suite. ``probe`` names the held-out pairs of the context selection probe (None: not measured).
    ``note`` is shown with every result. ``exclude`` lists items that the analysis leaves out.
    ``design`` has the arms' roles and contrasts, ``order`` all possible arms in the order of
    tables, ``trained`` how those of a study file are trained.
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
    title: str = TITLE
    design: Design = STANDARD
    order: tuple[str, ...] = tuple(ARMS)
    trained: Mapping[str, Recipe] = field(default_factory=dict)

    def recipe(self, name: str) -> Recipe:
        """Return how an arm is trained: as in the study file, else as the arm of its name."""
        return self.trained.get(name) or Recipe(name)

    def train_words(self, name: str) -> tuple[str, ...]:
        """Return an arm's training arguments: those of all arms, then its own."""
        return (*self.train_args, *self.recipe(name).args)


def _given(**values: Any) -> dict[str, Any]:
    """Return the values that are not empty: fields added later, hashed only if set."""
    return {name: value for name, value in values.items() if value}


def _rules(rules: Rules) -> dict[str, Any]:
    """Return the rules as hashed; fields added later count only if set."""
    later = {
        "paired": rules.paired,
        "looks": rules.looks,
        "spending": rules.looks,
        "inference": rules.inference != "seeds",
    }
    return {
        name: value for name, value in dataclasses.asdict(rules).items() if later.get(name, True)
    }


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """One arm of a plan: the source of its models, number of seeds, what is external.

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

    ``benchmarks`` maps ids to data fingerprints (None if all runs are external and nothing is
    measured here). ``model`` is the base model's fingerprint. ``data`` are the fingerprints of
    pairs and RL data. ``dtype`` is that in which arms are saved and all models are measured; None
    if the base has it already, or in an older plan. ``schema`` is 1 if the study's folder holds
    this plan in that schema. ``exclude`` are items that the analysis leaves out; if named after
    there were scores, ``planned_exclude`` are those of the plan. ``sources``: whether what
    arguments name is hashed by content, as older plans do not.
    """

    request: Request
    model: str | None
    data: Mapping[str, str | None]
    benchmarks: Mapping[str, str | None]
    arms: tuple[ArmPlan, ...]
    schema: int = SCHEMA
    dtype: str | None = None
    exclude: Exclusions = field(default_factory=dict)
    planned_exclude: Exclusions | None = None
    sources: bool = True

    @property
    def content(self) -> dict[str, Any]:
        """What is hashed: all that decides training, evaluation and conclusions."""
        asked = self.request
        exclude = self.exclude if self.planned_exclude is None else self.planned_exclude
        named = _sources(asked) if self.sources else {}
        design = {} if asked.design == STANDARD else dataclasses.asdict(asked.design)
        return {
            "schema": SCHEMA,
            "suite": suite_name(asked.suite) if "suite" in named else asked.suite,
            "benchmarks": dict(self.benchmarks),
            "settings": sorted(hashed_value("set", each, self.sources) for each in asked.settings),
            "limit": asked.limit,
            "probe": None if asked.probe is None else data_content(asked.probe, ()),
            "model": self.model,
            "data": dict(self.data),
            "matching": asked.matching,
            "train": hashed(asked.train_args, folders=self.sources),
            "run": hashed(asked.run_args, folders=self.sources),
            "arms": {
                arm.arm: {
                    "origin": arm.origin,
                    "seeds": arm.seeds,
                    "content": list(arm.content),
                    **(
                        asked.recipe(arm.arm).content(arm.arm, asked if self.sources else None)
                        if arm.origin == "train"
                        else {}
                    ),
                }
                for arm in self.arms
            },
            "contrasts": [contrast.name for contrast in self.contrasts],
            "rules": _rules(asked.rules),
            **_given(dtype=self.dtype, sources=named, exclude=listed(exclude), design=design),
        }

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The contrasts of its arms, in the order of tests."""
        return self.request.design.contrasts([arm.arm for arm in self.arms])

    @property
    def hash(self) -> str:
        """The sha256 of `content`, with the names of the plan's schema."""
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
    members = _members(request)
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
        if "train" in origins:
            dtype = _measuring_dtype(base.to_train(), request, arms)
    data = _data(request, arms, request.train_args)
    fingerprints: dict[str, str | None] = dict.fromkeys(members)
    if origins - {"runs"}:
        run_options(request)
        probe = (PROBE,) if request.probe is not None else ()
        fingerprints = {n: benchmark(request, n).fingerprint() for n in (*members, *probe)}
    exclude = read_exclusions(request.exclude)
    return _as_stored(Plan(request, model, data, fingerprints, arms, dtype=dtype, exclude=exclude))


def _data(request: Request, arms: Sequence[ArmPlan], args: Sequence[str]) -> dict[str, str | None]:
    """Return the hashes of pairs and RL data as read by the arms' training arguments."""
    data: dict[str, str | None] = {"pairs": None, "rl_data": None}
    recipes = [request.recipe(arm.arm) for arm in arms if arm.origin == "train"]
    for name, source in (("pairs", request.pairs), ("rl_data", request.rl_data)):
        if any(getattr(recipe, name) is None for recipe in recipes):
            data[name] = data_content(_needed(source, f"--{name.replace('_', '-')}"), args)
    return data


def _members(request: Request) -> tuple[str, ...]:
    """Return the suite's benchmarks; a runs-only study may name ones that only its runs have."""
    from benchmarks import suites

    try:
        return suites.resolve([request.suite])
    except UsageError as error:
        if request.model is not None or request.checkpoints or not request.runs:
            raise
        held = [read_manifest(path)["benchmarks"] for path in chain(*request.runs.values())]
        common = [name for name in held[0] if all(name in each for each in held)]
        words = tuple(dict.fromkeys(suite_words(request.suite)))
        if not set(words) <= set(common):
            raise UsageError(f"{error}; all of these runs have {', '.join(common)}") from None
        return words


def listed(exclude: Exclusions) -> dict[str, list[str]]:
    """Return items in a fixed order."""
    return {name: sorted(items) for name, items in exclude.items()}


def _check(request: Request, arms: Sequence[ArmPlan]) -> None:
    if not arms:
        raise UsageError("no arms: give --model with training data, --checkpoints or --runs")
    names, origins = [arm.arm for arm in arms], {arm.origin for arm in arms}
    if request.seeds > _MOST_SEEDS:
        raise UsageError(f"{counted(request.seeds, 'seed')} per arm: at most {_MOST_SEEDS}")
    if request.rules.looks:
        looks.check(request.rules.looks, request.seeds, request.rules.spending)
        if external := [row.arm for row in arms if row.origin not in ("given", "train")]:
            raise UsageError(
                f"--looks: {', '.join(external)} must be trained here, a few seeds at a time"
            )
    design = request.design
    if not design.contrasts(names):
        needed = f"at least {design.method} and {design.baseline} are needed"
        if not design.locates_gain:
            needed = "give arms the roles method and baseline, or list contrasts"
        raise UsageError(f"no contrasts can be formed from {', '.join(names)}: {needed}")
    if request.rules.inference == "items" and (several := [r.arm for r in arms if r.seeds > 1]):
        raise UsageError(
            f"inference over items is about single checkpoints, and {several[0]} has several: "
            "set seeds to 1, or inference to seeds"
        )
    if "train" not in origins and (request.train_args or request.pairs or request.rl_data):
        raise UsageError(
            "--pairs, --rl-data and --train-args (in a study file also settings and recipe) cannot "
            "be used: no arm is trained here"
        )
    asked = (request.limit, request.probe, *request.settings, *request.run_args)
    if origins == {"runs"} and any(value is not None for value in asked):
        raise UsageError(
            "--limit, --probe, --set and --run-args (in a study file: run) cannot be used: no arm "
            "is evaluated here"
        )


def _with_paired(request: Request, arms: Sequence[ArmPlan]) -> Request:
    """Return the request with the contrasts judged seed by seed, if it asks for pairing.

    Those of arms trained here that draw the same RL items in the same order.
    """
    if request.rules.variance != "paired":
        return request
    trained = {row.arm for row in arms if row.origin == "train"}
    paired = tuple(
        contrast.name
        for contrast in request.design.differences([row.arm for row in arms])
        if {contrast.plus, contrast.minus} <= trained
        and not contrast.levels
        and same_draws(request, contrast)
    )
    if not paired:
        raise UsageError(
            "--variance paired: no contrast is of two arms trained here that draw the same items "
            f"in the same order (matching {request.matching}): use --matching steps, or another "
            "variance"
        )
    return _pairing(request, paired)


def _pairing(request: Request, paired: tuple[str, ...]) -> Request:
    return dataclasses.replace(request, rules=dataclasses.replace(request.rules, paired=paired))


def same_draws(request: Request, contrast: Contrast) -> bool:
    """Whether both arms of a contrast are trained here on the same RL items in the same order."""
    plus, minus = (request.recipe(arm) for arm in (contrast.plus, contrast.minus))
    alike = (plus.args, plus.pairs, plus.rl_data) == (minus.args, minus.pairs, minus.rl_data)
    return alike and drawn_alike(ARMS[plus.arm], ARMS[minus.arm], request.matching)


def _as_stored(planned: Plan) -> Plan:
    """Return the plan as an older version stored it in the study's folder, so its hash stays."""
    try:
        document = read_json(planned.folder / "plan.json")
    except UsageError:
        return planned  # none, or corrupt: `commit` reports it
    data = {True: planned.data, False: _data(planned.request, planned.arms, ())}
    pairs = planned.request.rules.paired
    names = [contrast.name for contrast in planned.contrasts]
    tested = tuple(name for name in pairs if name in names)
    once = tuple(
        dataclasses.replace(arm, seeds=1, content=arm.content[:1], paths=arm.paths[:1])
        if arm.arm == planned.request.design.start and arm.origin != "runs"
        else arm
        for arm in planned.arms
    )
    older = [
        dataclasses.replace(
            planned,
            request=_pairing(planned.request, paired),
            arms=arms,
            dtype=dtype,
            schema=schema,
            sources=sources,
            data=data[sources],
        )
        # Variants of older versions: without pairs in the checks; a sampled base measured once;
        # without a dtype; in schema 1; without the contents of what arguments name: folders by
        # path.
        for paired, arms, dtype, schema, sources in product(
            (pairs, tested),
            (planned.arms, once),
            (planned.dtype, None),
            (SCHEMA, 1),
            (True, False),
        )
    ]
    if planned.exclude and has_scores(planned.folder):
        content = document.get("plan")
        stored: Any = content.get("exclude") if isinstance(content, dict) else None
        whole = fits(stored, dict[str, list[str]])
        exclude = {name: frozenset(items) for name, items in stored.items()} if whole else {}
        older += [dataclasses.replace(each, planned_exclude=exclude) for each in older]
    return next((each for each in older if each.hash == document.get("hash")), planned)


def late_note(planned: Plan) -> list[str]:
    """Return a note if the items to exclude were named after there were scores."""
    if planned.planned_exclude is None:
        return []
    own = "without the items that it names" if planned.planned_exclude else "with them"
    return [f"--exclude was given after scores were there: the planned result is that {own}"]


def _measuring_dtype(base: Path, request: Request, arms: Sequence[ArmPlan]) -> str | None:
    """Return the dtype that arms are saved in, None if the base has it too.

    From the arguments, else the recipe, else the default.
    """
    trained = [arm.arm for arm in arms if arm.origin == "train"]
    dtypes = {
        str(setting(request.train_words(arm), "save_dtype") or LATER["save_dtype"])
        for arm in trained
    }
    if len(dtypes) > 1:
        raise UsageError(
            f"arms would be saved in {' and '.join(sorted(dtypes))}, which alone can make a "
            "difference: give all of them one save_dtype"
        )
    (saved,) = dtypes
    try:
        return saved if stored_dtypes(base) != {saved} else None
    except UsageError:
        return None  # the first training reports the error


def matching(given: Matching | None, train_args: Sequence[str]) -> Matching:
    """Return the matching: as given, else from the recipe in ``train_args``, else instances.

    `UsageError` if the recipe contradicts it, or cannot be read.
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
    return cast("Matching", stated)  # `read_recipe` has checked it


def benchmark(request: Request, name: str) -> Benchmark:
    """Return a benchmark of the study with its settings, or the probe with its pairs.

    `UsageError` for a wrong setting, or one for a benchmark outside the suite.
    """
    from benchmarks import suites
    from benchmarks.options import split

    suite = suites.suite(request.suite)
    probe = () if request.probe is None else (PROBE,)
    options = split(request.settings, (*suite.members, *probe), suite.options).get(name, {})
    if name in probe:
        if "pairs" in options:
            raise UsageError("--set probe.pairs: the study's --probe names the pairs")
        options["pairs"] = str(request.probe)
    return suites.benchmark(name, request.data_root, options=options)


def _refuse_own(option: str, args: Sequence[str], own: Sequence[str]) -> None:
    for name in (arg.partition("=")[0] for arg in args):
        if name in own:
            raise UsageError(f"{option}: {name} is set by the study: pass it to the study itself")


def _needed(value: str | None, option: str) -> str:
    if value is None:
        raise UsageError(f"{option} is required to train arms")
    return value


def _names(request: Request) -> list[str]:
    if both := [name for name in request.checkpoints if name in request.runs]:
        raise UsageError(f"{both[0]} is given twice: use --checkpoints or --runs, not both")
    chosen = request.arms
    if chosen is None:
        chosen = DEFAULT_ARMS if request.model is not None else ()
    names = {*chosen, *request.checkpoints, *request.runs}
    for name in names:
        if name not in request.order:
            raise UsageError(
                f"{unknown('arm', name, request.order)}; an arm of your own needs a role: "
                f"--role {name}=method, or a study file"
            )
    return [name for name in request.order if name in names]


def _arm(name: str, request: Request, benchmarks: Sequence[str]) -> ArmPlan:
    start = request.design.start
    if name in request.runs:
        paths = request.runs[name]
        models, content = zip(*(identity(path, benchmarks) for path in paths), strict=True)
        origin: Origin = "runs"
        if name == start:  # several samples of one model, or rejected
            check({name: paths}, start)
            return ArmPlan(name, origin, len(paths), content, paths)
    elif name in request.checkpoints:
        paths = request.checkpoints[name]
        models = content = tuple(identify(str(path), None, None).fingerprint for path in paths)
        origin = "checkpoints"
        if name == start and len(paths) == 1:
            seeds = _base_runs(request)
            return ArmPlan(name, origin, seeds, content * seeds, paths * seeds)
    elif name == start:
        return ArmPlan(name, "given", _base_runs(request))
    else:
        arm(request.recipe(name).arm)
        return ArmPlan(name, "train", request.seeds)
    for number, model in enumerate(models):
        if model in models[:number]:
            raise UsageError(
                f"{name}: {paths[number]} and {paths[models.index(model)]} are of the same "
                "model: each folder must hold a different training seed"
            )
    return ArmPlan(name, origin, len(paths), content, paths)


def _base_runs(request: Request) -> int:
    """Return how often the model before training is measured: once per seed if sampled."""
    return request.seeds if run_options(request)["temperature"] > 0 else 1


def _a_checkpoint(request: Request) -> Path | None:
    """Return the folder of a model that the study measures, None if all are runs."""
    if request.model is None:
        return next((paths[0] for paths in request.checkpoints.values()), None)
    if (Path(request.model) / "config.json").is_file():
        return Path(request.model)
    return identify(request.model, None, None).checkpoint


def run_options(request: Request) -> Mapping[str, Any]:
    """Return the options of ``harness run`` for the study's evaluations, by parameter.

    The temperature is the effective one, even if it comes from the model's authors. `UsageError` if
    ``--run-args`` are invalid: before anything is trained.
    """
    given, force = _evaluation(request)
    return vars(given) | {"temperature": force.settings.temperature or 0.0}


def check_evaluations(plan: Plan, *, here: bool) -> None:
    """Raise `UsageError` for an option of the evaluations that no model of the plan can heed.

    ``here``: they run on this machine, whose default backend is known. Loads no weights.
    """
    from benchmarks.cli.run import refuse_idle_options, refuse_unsupported, try_settings

    if all(arm.origin == "runs" for arm in plan.arms) or (plan.folder / "analysis.json").exists():
        return
    given, force = _evaluation(plan.request)
    given.as_json = True  # as the study asks
    if here or given.backend not in (None, "auto"):
        refuse_idle_options(given)
        refuse_unsupported(force, given)
    try_settings(force, _a_checkpoint(plan.request), given)


def _evaluation(request: Request) -> tuple[SimpleNamespace, InForce]:
    import click

    from benchmarks.cli.run import run
    from harness.cli.settings import options_in_config, settings_in_force

    if {"-h", "--help"} & set(request.run_args):
        raise UsageError("--run-args: see `harness run --help`; an evaluation takes no --help")
    words = ["--model", str(request.model), "--suite", request.suite, *request.run_args]
    try:
        context = run.make_context("run", words)
    except click.UsageError as error:
        raise UsageError(f"--run-args: {error.format_message()}") from None
    own = {name[2:] for name in _RUN_OPTIONS}
    if taken := sorted(own.intersection(options_in_config(context))):
        raise UsageError(
            f"--run-args: its --config sets {taken[0]}, which the study sets: pass it to the study "
            "itself"
        )
    force = settings_in_force(context, _a_checkpoint(request))
    return SimpleNamespace(**context.params), force


def _sources(request: Request) -> dict[str, Any]:
    """Return hashes of what the shared arguments and the suite name; empty if nothing."""
    run_args = request.run_args
    return _given(
        train=training_sources(request.train_args),
        run=run_sources(run_options(request), run_args) if run_args else {},
        suite=suite_content(request.suite),
    )


def has_scores(folder: Path) -> bool:
    """Whether any answer of the study was scored, or any score was read."""
    samples = folder.glob("runs/*/*/samples/*.jsonl")
    return (folder / "analysis.json").exists() or any(path.stat().st_size for path in samples)


def read_plan(folder: Path) -> dict[str, Any]:
    """Return a study's ``plan.json`` with current names: plan, hash, time of writing, and paths.

    `UsageError` if it is missing or corrupt, or its plan does not match its hash.
    """
    path = folder / "plan.json"
    stored = read_json(path)
    content = stored.get("plan")
    if not isinstance(content, dict) or stored.get("hash") != json_hash(content):
        raise UsageError(f"{path} was changed by hand: its hash does not match its plan")
    return {**stored, "plan": current(content)}


def judged_by(stored: Mapping[str, Any], look: int | None) -> tuple[Rules, Design]:
    """Return the rules of a stored plan, at one of its looks, and its design.

    `UsageError` if they are not readable.
    """
    try:
        rules = record(Rules, stored["plan"]["rules"])
        own = stored["plan"].get("design")
        return rules.at_look(look), STANDARD if own is None else record(Design, own)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"plan.json is corrupt ({type(error).__name__}: {error}): analyse the study again"
        ) from error


def commit(planned: Plan) -> None:
    """Write ``plan.json`` before any score is read.

    `UsageError` if the study has scores and its plan differs or was edited.
    """
    path = planned.folder / "plan.json"
    if path.exists():
        stored = read_plan(planned.folder)
        if stored["hash"] == planned.hash:
            return
        if has_scores(planned.folder):
            asked = parse(json_text(planned.content))  # with lists, like the stored one
            raise UsageError(
                f"{planned.folder} has scores, and its plan differs in "
                f"{', '.join(_changed(stored['plan'], asked))}: a plan is fixed before scores "
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
    asked = planned.request
    names = ("model", "pairs", "rl_data", "train_args", "run_args", "settings", "note")
    return {
        **({} if asked.title == TITLE else {"title": asked.title}),
        **{name: getattr(asked, name) for name in names},
        "data_root": None if asked.data_root is None else str(asked.data_root),
        "arms": {arm.arm: [str(path) for path in arm.paths] for arm in planned.arms if arm.paths},
    }


def _changed(before: Mapping[str, Any], after: Mapping[str, Any], stem: str = "") -> list[str]:
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
