"""Studies declared in a YAML file: arms by role, their sources, and contrasts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from ablations.arms import ARMS, Matching, Role, arm
from ablations.settings import Settings, code_of, converted, read_recipe
from ablations.statistics.contrasts import Inference, Rules, Variance
from ablations.statistics.design.looks import Spending
from ablations.statistics.design.roles import STANDARD, Contrast, Design, Kind, Rule, Step
from ablations.study.plan import Recipe, Request, matching
from harness.errors import UsageError, nearest, unknown
from harness.files.names import is_own_name
from harness.files.typed_yaml import read_typed
from harness.own_code import needs_consent
from harness.references import in_full

SHIPPED = Path(__file__).parent / "studies"
OBJECTIVE_VS_DATA = "objective-vs-data"
Count = Annotated[int, Meta(ge=1)]
Words = str | tuple[str, ...]
Scalar = bool | int | float | str | None
_SINGLE: tuple[Role, ...] = ("start", "baseline", "method")
# Arguments that the study passes to every training.
_OWN = ("model", "pairs", "rl_data", "matching", "seed")
_DATA = ("model", "pairs", "rl_data", "probe")


class ArmEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One arm: its role and its source.

    ``train`` names an arm of ``harness list``, trained here with ``recipe`` and ``settings`` (which
    override it); ``pairs`` and ``rl_data`` replace the study's. ``checkpoints`` and ``runs`` are
    folders, one per training seed. An arm with the role start and no source is the study's model.
    ``optional``: only if ``--arms`` names it.
    """

    role: Role | None = None
    train: str | None = None
    recipe: str | None = None
    settings: dict[str, Scalar] = {}
    pairs: str | None = None
    rl_data: str | None = None
    checkpoints: Words = ()
    runs: Words = ()
    optional: bool = False


class TrendEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trend: the name of the knob, and its level by arm."""

    over: str
    levels: dict[str, float]


class StepEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of the tests; exactly one field is set."""

    all: Words = ()
    holm: Words = ()
    estimate: Words = ()
    regression: Words = ()
    trend: TrendEntry | None = None


class StudyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A study as declared in its file; any option of ``harness ablate`` may be left out.

    ``effect_size`` and ``margin`` are in points.
    """

    arms: dict[str, ArmEntry]
    title: str = ""
    contrasts: tuple[str | StepEntry, ...] = ()
    suite: str | None = None
    benchmarks: tuple[str, ...] | None = None
    set: tuple[str, ...] = ()
    limit: Count | None = None
    model: str | None = None
    pairs: str | None = None
    rl_data: str | None = None
    data_root: str | None = None
    probe: str | None = None
    recipe: str | None = None
    settings: dict[str, Scalar] = {}
    run: dict[str, Scalar] = {}
    matching: Matching | None = None
    seeds: Count = 3
    effect_size: float | None = None
    margin: float | None = None
    alpha: float = 0.05
    power: float = 0.8
    variance: Variance = "welch"
    inference: Inference = "seeds"
    looks: tuple[Count, ...] = ()
    spending: Spending = "obrien-fleming"
    exclude: str | None = None
    note: str = ""


def study_path(name: str) -> Path:
    """Return the path of a study file, or of a shipped one given by name.

    Raises `UsageError` if there is no such file.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        path = SHIPPED / f"{name}.yaml"
    if not path.is_file():
        shipped = sorted(file.stem for file in SHIPPED.glob("*.yaml"))
        if path.suffix in (".yaml", ".yml"):
            raise UsageError(f"there is no study file {name}")
        raise UsageError(
            f"no study {name!r}: give a YAML file, or one that ships with the harness: "
            f"{', '.join(shipped)}"
        )
    return path


def read_study(path: Path) -> StudyFile:
    """Return the study in a file.

    Raises:
        UsageError: it cannot be read, or contradicts itself; names the file, and line or key.
    """
    study = read_typed(path, StudyFile)
    try:
        for name, entry in study.arms.items():
            _check_arm(name, entry)
        design_of(study)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return study


def _check_arm(name: str, entry: ArmEntry) -> None:
    if not is_own_name(name):
        raise UsageError(f"arms.{name}: give a name of letters, digits, dots, - and _")
    if name in get_args(Role) and entry.role != name:
        raise UsageError(f"arms.{name}: it is called as another role")
    sources = [field for field in ("train", "checkpoints", "runs") if getattr(entry, field)]
    if len(sources) > 1:
        raise UsageError(f"arms.{name}: {' and '.join(sources)} are given: use one of them")
    of_training = ("recipe", "settings", "pairs", "rl_data")
    given = [field for field in of_training if getattr(entry, field)]
    if given and sources != ["train"]:
        raise UsageError(f"arms.{name}: {given[0]} is for arms that are trained (train: ARM)")
    if entry.role == "start" and entry.train:
        raise UsageError(f"arms.{name}: the start is not trained; leave train out")
    if not sources and entry.role != "start" and name not in ARMS:
        raise UsageError(f"arms.{name}: say where it comes from: train, checkpoints or runs")
    if entry.train is not None and not _is_code(entry.train):
        arm(entry.train)


def _is_code(name: str) -> bool:
    return name.partition(":")[0].endswith(".py")


def roles_of(study: StudyFile) -> dict[str, Role | None]:
    """Return the roles of a study's arms, in the order in which arms of one role are tested.

    An arm named like one of ``harness list`` has that arm's role and rank, unless the file gives
    another role; arms of that list join if ``--arms`` names them.
    """
    roles: dict[str, Role | None] = {
        name: entry.role or (ARMS[name].role if name in ARMS else None)
        for name, entry in study.arms.items()
    }
    for role in _SINGLE[:2]:
        if len(named := [name for name, each in roles.items() if each == role]) > 1:
            raise UsageError(f"{' and '.join(named)} have the role {role}: only one arm can")
    return dict(sorted(roles.items(), key=lambda e: ARMS[e[0]].rank if e[0] in ARMS else 0))


def design_of(study: StudyFile) -> Design:
    """Return the roles and the steps of the tests; without listed steps, those the roles imply.

    Raises `UsageError` if a contrast names an unknown arm or role, or a step is not a known one.
    """
    roles = roles_of(study)
    design = Design.of(roles)
    if study.contrasts:
        steps = (_step(entry, design) for entry in study.contrasts)
        design = Design(roles, tuple(step for step in steps if step.contrasts))
    contrasts = [each for step in design.steps for each in step.contrasts]
    names = [each.name for each in contrasts]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"contrasts: {twice[0]} is listed twice")
    pairs = {(each.plus, each.minus): each.name for each in contrasts if not each.levels}
    if both := [name for (plus, minus), name in pairs.items() if (minus, plus) in pairs]:
        raise UsageError(f"contrasts: {' and '.join(both[:2])} are one difference: list one")
    return STANDARD if design == STANDARD else design


def _step(entry: str | StepEntry, design: Design) -> Step:
    if isinstance(entry, str):
        return Step(_pairs(entry, design))
    given = [name for name in entry.__struct_fields__ if getattr(entry, name)]
    if len(given) != 1:
        raise UsageError(
            "contrasts: each is 'A - B', or one of all, holm, estimate, regression, trend"
        )
    if entry.trend is not None:
        return Step((_trend(entry.trend, design),))
    (rule,) = given
    kind: Kind | None = "regression" if rule == "regression" else None
    pairs = [pair for text in listed(getattr(entry, rule)) for pair in _pairs(text, design, kind)]
    made: Rule = "holm" if rule == "holm" else "estimate" if rule == "estimate" else "all"
    return Step(tuple(pairs), made)


def _trend(entry: TrendEntry, design: Design) -> Contrast:
    for name in entry.levels:
        if name not in design.roles:
            raise unknown("arm", name, design.roles)
    if not all(map(math.isfinite, entry.levels.values())):
        raise UsageError("contrasts: the levels of a trend must be finite numbers")
    if len(set(entry.levels.values())) < 2:
        raise UsageError("contrasts: a trend needs two different levels")
    levels = tuple(sorted(entry.levels.items(), key=lambda each: each[1]))
    return Contrast("trend", levels[-1][0], levels[0][0], entry.over, levels)


def _pairs(text: str, design: Design, kind: Kind | None = None) -> tuple[Contrast, ...]:
    """Return the contrasts of "A - B"; a role stands for all arms that have it."""
    plus, dash, minus = text.partition(" - ")
    if not dash:
        raise UsageError(f"contrasts: {text!r} is not A - B, with blanks around the minus")
    sides = [_side(side.strip(), design) for side in (plus, minus)]
    return tuple(
        Contrast(kind or design.kind_of(a, b), a, b) for a in sides[0] for b in sides[1] if a != b
    )


def _side(name: str, design: Design) -> tuple[str, ...]:
    if name in design.roles:
        return (name,)
    if name in get_args(Role):
        return design.named(name)  # type: ignore[arg-type]  # it is a role
    hint = nearest(name, [*design.roles, *get_args(Role)])
    raise UsageError(f"contrasts: no arm and no role named {name!r}: {hint}")


def listed(words: Words) -> tuple[str, ...]:
    """Return one or several texts as a tuple."""
    return (words,) if isinstance(words, str) else words


def with_roles(study: StudyFile, given: Mapping[str, Role]) -> StudyFile:
    """Return the study with these arms and roles, replacing others in roles that allow one arm.

    They come from ``--checkpoints`` and ``--runs`` on the command line.
    """
    replaced = {role for role in given.values() if role in _SINGLE}
    kept = {
        name: entry
        for name, entry in study.arms.items()
        if (entry.role not in replaced or entry.optional) and name not in given
    }
    added = {name: ArmEntry(role, train=None) for name, role in given.items()}
    return msgspec.structs.replace(study, arms={**kept, **added})


class Reader:
    """Make the `Request` of a study file; the command line overrides the file.

    Args:
        study: the file's content.
        folder: its folder; paths in the file are relative to it.
        allow_code: whether it may name user code: a reward, an arm, a backend, a benchmark.
    """

    def __init__(self, study: StudyFile, folder: Path, allow_code: bool) -> None:
        self._study = study
        self._folder = folder.resolve()
        self._allow_code = allow_code

    def request(self, out: Path, given: Mapping[str, Any]) -> Request:
        """Return the request; ``given`` holds fields of `Request` and `Rules`, None if not given.

        Raises `UsageError` if a source is missing, or a setting is wrong.
        """
        study, design = self._study, design_of(self._study)
        fields: dict[str, Any] = {
            "suite": self._suite(),
            **{name: self._in_full(name, getattr(study, name)) for name in _DATA},
            "data_root": study.data_root and Path(self._in_full("data_root", study.data_root)),
            "exclude": study.exclude and Path(self._in_full("exclude", study.exclude)),
            "benchmarks": study.benchmarks,
            "settings": self._in_full("set", study.set),
            "limit": study.limit,
            "seeds": study.seeds,
            "note": study.note,
        }
        chosen = {
            name: given[name] if given.get(name) not in (None, (), "") else value
            for name, value in fields.items()
        }
        if chosen["suite"] is None:
            raise UsageError(
                "no suite: give --suite, or suite: in the study file; of runs, the suite or "
                "benchmark that they are of"
            )
        train_args = (*self._training(study.recipe, study.settings, "settings"),)
        train_args += tuple(given.get("train_args") or ())
        return Request(
            out,
            **chosen,
            arms=self._arms(chosen["model"], given),
            matching=matching(given.get("matching") or study.matching, train_args),
            rules=self._rules(given),
            checkpoints={**self._sources("checkpoints", given), **(given.get("checkpoints") or {})},
            runs={**self._sources("runs", given), **(given.get("runs") or {})},
            train_args=train_args,
            run_args=(*self._running(), *(given.get("run_args") or ())),
            title=study.title or out.name,
            design=design,
            order=tuple(dict.fromkeys([*study.arms, *ARMS])),
            trained=self._trained(),
        )

    def _in_full(self, option: str, value: Any) -> Any:
        """Return an option's value in the file, with absolute paths to files and code."""
        return in_full(self._folder, option, value)

    def _arms(self, model: str | None, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the given arms, or else those of the file.

        Without a model and without a source in the file: the command line's external arms.
        """
        if given.get("arms"):
            return tuple(given["arms"])
        arms = self._study.arms
        external = any(entry.checkpoints or entry.runs for entry in arms.values())
        if model is None and not external:
            return ()
        return tuple(name for name, entry in arms.items() if not entry.optional)

    def _sources(self, kind: str, given: Mapping[str, Any]) -> dict[str, tuple[Path, ...]]:
        elsewhere = {*(given.get("checkpoints") or {}), *(given.get("runs") or {})}
        return {
            name: tuple((self._folder / path).resolve() for path in listed(words))
            for name, entry in self._study.arms.items()
            if (words := getattr(entry, kind)) and name not in elsewhere
        }

    def _trained(self) -> dict[str, Recipe]:
        return {
            name: Recipe(
                self._arm(name, entry.train),
                self._training(entry.recipe, entry.settings, f"arms.{name}.settings"),
                self._in_full("pairs", entry.pairs),
                self._in_full("rl_data", entry.rl_data),
            )
            for name, entry in self._study.arms.items()
            if entry.train is not None
        }

    def _arm(self, name: str, train: str) -> str:
        """Return the arm to train; user code by its absolute path."""
        if _is_code(train):
            self._consent(f"arms.{name}.train", f"an arm ({train})")
            train = str(self._in_full("train", train))
        arm(train)
        return train

    def _suite(self) -> str | None:
        suite = self._study.suite
        if suite is None:
            return None
        if needs_consent("suite", suite, self._folder):
            self._consent("suite", f"a benchmark ({suite})")
        return str(self._in_full("suite", suite))

    def _running(self) -> tuple[str, ...]:
        for name, each in self._study.run.items():
            why = needs_consent(name.replace("_", "-"), each, self._folder)
            if why and not self._allow_code:
                raise UsageError(f"run.{name} {why}: add --allow-code if you trust the file")
        return _options("run", {n: self._in_full(n, v) for n, v in self._study.run.items()})

    def _consent(self, key: str, what: str) -> None:
        if not self._allow_code:
            raise UsageError(f"{key}: {what} is code: add --allow-code if you trust it")

    def _training(
        self, recipe: str | None, settings: Mapping[str, Scalar], key: str
    ) -> tuple[str, ...]:
        words: list[str] = []
        if recipe is not None:
            words += ["--config", str(self._in_full("recipe", recipe))]
        of_recipe = read_recipe(words[1]) if words else {}
        for values in (of_recipe, settings):
            for code in code_of(values).values():
                if not code.is_installed:
                    self._consent(key, f"{code.option} {code.name}")
        words += ["--allow-code"] * bool(code_of(of_recipe))
        types = get_type_hints(Settings, include_extras=True)
        for name, value in settings.items():
            if name not in types:
                raise UsageError(f"{key}.{name}: no such setting: {nearest(name, types)}")
            if name in _OWN or get_origin(types[name]) is dict:
                where = "at the top of the study file" if name in _OWN else "in a recipe"
                raise UsageError(f"{key}.{name}: it is set {where}")
            converted(f"{key}.{name}", value, types[name])
        return (*words, *_options(key, {n: self._in_full(n, v) for n, v in settings.items()}))

    def _rules(self, given: Mapping[str, Any]) -> Rules:
        """Return the rules; the effect size defaults to at least twice the margin."""
        study = self._study
        names = [field.name for field in dataclasses.fields(Rules)]
        values = {name: getattr(study, name) for name in names if hasattr(study, name)}
        for name in ("effect_size", "margin"):
            values[name] = None if values[name] is None else round(values[name] / 100, 12)
        values |= {name: given[name] for name in names if given.get(name) not in (None, ())}
        if values["effect_size"] is None:
            default = Rules.__dataclass_fields__["effect_size"].default
            values["effect_size"] = 2 * values["margin"] if values["margin"] else default
        if values["margin"] is None:
            values["margin"] = values["effect_size"] / 2
        return Rules(**values)


def _options(key: str, settings: Mapping[str, Scalar]) -> tuple[str, ...]:
    """Return settings as options of a command: a bool becomes a flag, or its ``--no-`` form."""
    words: list[str] = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            words += [f"--{flag}", str(value)]
    return tuple(words)
