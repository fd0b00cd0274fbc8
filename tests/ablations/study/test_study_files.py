"""Studies that a file declares: roles carry the statistics, names are the user's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from ablations.arms import ARMS
from ablations.statistics import estimates
from ablations.statistics.analysis import analyse
from ablations.statistics.contrasts import Rules
from ablations.statistics.design.roles import STANDARD, Contrast, Design, Step
from ablations.statistics.estimates import Array, Items, Verdict
from ablations.statistics.text.verdict import step_verdict, withheld
from ablations.study.contents import hashed, training_sources
from ablations.study.declared import SHIPPED, Reader, design_of, read_study, study_path, with_roles
from ablations.study.plan import Recipe, plan
from harness.errors import UsageError
from harness.runs.identity import checkpoint_name
from tests.commands import harness
from tests.golden.cases import WEIGHTS, write_data

RNG = np.random.default_rng(0)
EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "studies").glob("*.yaml"))
ARMS_TEXT = "{plain: {role: baseline, runs: [x]}, mine: {role: method, runs: [y]}}"


def written(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def test_the_built_in_study_is_declared_in_this_form(tmp_path: Path) -> None:
    study = read_study(study_path("objective-vs-data"))
    assert design_of(study) is STANDARD
    assert list(study.arms) == list(ARMS)
    request = Reader(study, SHIPPED, False).request(tmp_path, {"suite": "vqa12", "model": "m"})
    assert request.arms == (
        "base", "grpo", "da-sft", "da-rl", "da-qa", "contextrl", "contextrl-shuffled",
    )  # fmt: skip
    assert (request.rules, request.seeds, request.design) == (Rules(), 3, STANDARD)


@pytest.mark.parametrize("path", [*EXAMPLES, *SHIPPED.glob("*.yaml")], ids=lambda path: path.stem)
def test_shipped_studies_are_read_and_planned(path: Path, tmp_path: Path) -> None:
    study = read_study(path)
    request = Reader(study, path.parent, False).request(tmp_path, {"suite": "vqa12"})
    assert request.design.contrasts(list(request.design.roles))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("arms: {a: {role: methd}}", 1, ("arms.a.role", "one of start, baseline, method")),
        ("title: x\narms:\n  a: {trian: grpo}", 3, ("arms.a.trian", "did you mean train?")),
        (f"arms: {ARMS_TEXT}\nseeds: 0", 2, ("seeds", "at least 1")),
        (f"arms: {ARMS_TEXT}\nmargin: wide", 2, ("margin", "a number")),
        ("title: x", 1, ("arms is missing",)),
        (f"arms: {ARMS_TEXT}\narms: {{}}", 2, ("arms is given twice",)),
        (f"arms: {ARMS_TEXT}\ncontrasts: [{{all: [a - b], hlm: x}}]", 2, ("contrasts.0.hlm",)),
        ("arms:\n  3: {role: method, runs: [x]}", 2, ("arms.3", "a name must be text", "'3'")),
    ],
)
def test_an_error_names_the_line_the_key_and_what_is_allowed(
    text: str, line: int, words: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        read_study(written(tmp_path, text))
    assert re.search(rf"study\.yaml(, | cannot be read: )line {line}: ", str(caught.value))
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("arms: {a/b: {role: method, runs: [x]}}", "a name of letters"),
        ("arms: {a: {role: method}}", "where it comes from"),
        ("arms: {a: {role: method, train: x, runs: [y]}}", "train and runs are given"),
        ("arms: {a: {role: method, train: nonsense}}", "no arm named 'nonsense'"),
        ("arms: {a: {runs: [x], recipe: micro}}", "recipe is for arms that are trained"),
        ("arms: {a: {role: start}, b: {role: start}}", "only one arm can"),
        (f"arms: {ARMS_TEXT}\ncontrasts: [mine-plain]", "blanks around the minus"),
        (f"arms: {ARMS_TEXT}\ncontrasts: [mine - plane]", "did you mean plain?"),
        (f"arms: {ARMS_TEXT}\ncontrasts: [mine - plain, mine - plain]", "listed twice"),
        (f"arms: {ARMS_TEXT}\ncontrasts: [{{trend: {{over: l, levels: {{mine: 1}}}}}}]",
         "two different levels"),
        (f"arms: {ARMS_TEXT}\ncontrasts: [{{trend: {{over: l, levels: {{mine: .inf}}}}}}]",
         "finite numbers"),
        (f"arms: {ARMS_TEXT}\ncontrasts: [mine - plain, plain - mine]", "are one difference"),
        ("arms: {-a: {role: method, runs: [x]}}", "a name of letters"),
    ],
)  # fmt: skip
def test_a_file_that_contradicts_itself_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        read_study(written(tmp_path, text))


def test_code_in_a_study_file_needs_consent_and_settings_are_checked(tmp_path: Path) -> None:
    def request(settings: str, allow_code: bool = False) -> tuple[str, ...]:
        arms = f"{{plain: {{role: baseline, train: grpo, settings: {settings}}}}}"
        path = written(tmp_path, f"suite: vqa12\nmodel: m\narms: {arms}")
        made = Reader(read_study(path), tmp_path, allow_code).request(tmp_path, {})
        return made.trained["plain"].args

    assert request("{coefficient: 0.001, freeze_vision: true}") == (
        "--coefficient", "0.001", "--freeze-vision",
    )  # fmt: skip
    with pytest.raises(UsageError, match="--allow-code"):
        request("{reward: 'my:reward'}")
    assert request("{reward: 'my:reward'}", allow_code=True) == ("--reward", "my:reward")
    (tmp_path / "my.py").write_text("def reward(completions): ...\n")
    args = request("{reward: 'my.py:reward'}", allow_code=True)
    assert args == ("--reward", f"{tmp_path.resolve()}/my.py:reward")
    assert hashed(args) == ["--reward", "my.py:reward"]  # its source is hashed apart
    assert set(training_sources(args)) == {"reward"}
    for wrong, words in (
        ("{coefficent: 1}", "did you mean coefficient?"),
        ("{coefficient: -1}", "at least 0"),
        ("{seed: 1}", "at the top of the study file"),
    ):
        with pytest.raises(UsageError, match=words):
            request(wrong)


def test_paths_are_relative_to_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "x").mkdir()
    path = written(tmp_path, f"suite: vqa12\nmodel: base\nseeds: 2\narms: {ARMS_TEXT}")
    made = Reader(read_study(path), tmp_path, False).request(tmp_path, {"seeds": 5})
    assert made.model == str(tmp_path.resolve() / "base")
    assert made.runs["plain"] == (tmp_path.resolve() / "x",)
    assert made.seeds == 5  # the command line overrides the file


def test_more_seeds_than_anybody_trains_are_refused(tmp_path: Path) -> None:
    arms = "{plain: {role: baseline, train: grpo}, mine: {role: method, train: contextrl}}"
    path = written(tmp_path, f"suite: vqa12\nmodel: m\nseeds: 9999999999\narms: {arms}")
    with pytest.raises(UsageError, match="at most 1000"):
        plan(Reader(read_study(path), tmp_path, False).request(tmp_path, {}))


def test_a_file_is_no_run(tmp_path: Path) -> None:
    path = written(tmp_path, f"suite: vqa12\narms: {ARMS_TEXT}".replace("[x]", "[study.yaml]"))
    with pytest.raises(UsageError, match=r"study\.yaml is not a run: it is no folder"):
        plan(Reader(read_study(path), tmp_path, False).request(tmp_path, {}))


def test_an_arm_of_the_users_own_takes_a_role_of_the_built_in_study() -> None:
    study = with_roles(read_study(study_path("objective-vs-data")), {"mymethod": "method"})
    design = design_of(study)
    assert (design.method, design.baseline) == ("mymethod", "grpo")
    assert [one.name for one in design.contrasts(("grpo", "da-rl", "mymethod"))] == [
        "mymethod - grpo", "mymethod - da-rl", "da-rl - grpo",
    ]  # fmt: skip


NAMES = {"base": "s0", "grpo": "plain", "da-rl": "reuse", "contextrl": "mymethod",
         "contextrl-shuffled": "coin"}  # fmt: skip
ROLES = {arm: ARMS[arm].role for arm in NAMES}


@given(st.integers(0, 200))
@example(89)
def test_names_change_nothing_but_names(seed: int) -> None:
    """The analysis under other names is the analysis, with those names in its sentence."""
    rng = np.random.default_rng(seed)
    y = {arm: rng.normal(0.5, 0.02, (1 if arm == "base" else 3, 4)) for arm in NAMES}
    items, rules = {"b": Items.plain(4)}, Rules(resamples=5)
    design = Design.of({NAMES[arm]: role for arm, role in ROLES.items()})
    ours = analyse({"b": y}, items, rules)
    theirs = analyse({"b": {NAMES[a]: v for a, v in y.items()}}, items, rules, design=design)
    text, missing = ours.verdict, "da-sft, da-qa"
    if f"not compared with {missing}" not in text:  # arms that their study does not have
        for old, new in sorted(NAMES.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(old, new)
        assert theirs.verdict == text
    for one, other in zip(ours.contrasts, theirs.contrasts, strict=True):
        assert (one.kind, one.delta, one.p, one.verdict) == (
            other.kind, other.delta, other.p, other.verdict,
        )  # fmt: skip
        assert (one.boot_low, one.boot_high) == (other.boot_low, other.boot_high)


def test_draws_stand_in_for_no_arm_that_is_there() -> None:
    design = Design.of({"grpo": "baseline", "da-rl": "data_control", "mine": "data_control",
                        "two": "method", "three": "method"})  # fmt: skip
    found = design.stand_ins()
    assert found == {"mine": "da-sft", "two": "contextrl", "three": "method 1"}


@pytest.mark.parametrize("name", ["two", "a", "zz", "method 1"])
def test_the_second_of_two_methods_has_the_draws_of_its_place(name: str) -> None:
    design = Design.of({"plain": "baseline", "one": "method", name: "method"})
    assert design.stand_ins()[name] == "method 1"


def test_two_methods_are_one_family_with_holm() -> None:
    roles = {"plain": "baseline", "A": "method", "B": "method"}
    design = Design.of(roles)  # type: ignore[arg-type]  # they are roles
    y = {arm: 0.5 + gain + RNG.normal(0, 0.01, (5, 1)) for arm, gain in
         (("plain", 0.0), ("A", 0.06), ("B", 0.055))}  # fmt: skip
    found = analyse({"b": y}, {"b": Items.plain(1)}, Rules(resamples=5), design=design)
    assert [line.name for line in found.contrasts] == ["A - plain", "B - plain", "A - B"]
    ps = [stats.ttest_ind(y[one.plus][:, 0], y[one.minus][:, 0], equal_var=False).pvalue
          for one in found.contrasts]  # fmt: skip
    adjusted = sm.stats.multipletests(ps, method="holm")[1]
    assert [line.p_holm for line in found.contrasts] == pytest.approx(list(adjusted))
    assert found.verdict.startswith("A is better than plain; B is better than plain; ")


@given(st.integers(0, 1000), st.lists(st.integers(2, 6), min_size=3, max_size=5))
def test_a_trend_is_the_linear_contrast_of_statsmodels(seed: int, seeds: list[int]) -> None:
    """Cell means with HC2 errors are Welch's; with the classical ones the pooled variance."""
    rng = np.random.default_rng(seed)
    arms: list[Array] = [rng.normal(0.5 + 0.01 * k, 0.01 * (k + 1), n) for k, n in enumerate(seeds)]
    levels = tuple((str(k), float(10.0 ** -(len(arms) - k))) for k in range(len(arms)))
    contrast = Contrast("trend", levels[-1][0], levels[0][0], "lambda", levels)
    weights = list(contrast.weights.values())
    design = np.repeat(np.eye(len(arms)), seeds, axis=0)
    y = np.concatenate(arms)
    welch = estimates.combination(arms, weights)
    hc2 = sm.OLS(y, design).fit(cov_type="HC2", use_t=True).t_test(weights)
    assert float(welch.delta) == pytest.approx(float(hc2.effect[0]))
    assert float(welch.se) == pytest.approx(float(hc2.sd.item()))
    pooled = estimates.combination(arms, weights, estimates.pooled_variance(arms))
    ols = sm.OLS(y, design).fit().t_test(weights)
    assert float(pooled.p) == pytest.approx(float(ols.pvalue))
    # With as many seeds each it is the slope of a straight line, times the range of the levels.
    if len(set(seeds)) == 1:
        x = np.repeat([level for _, level in levels], seeds)
        slope = stats.linregress(x, y).slope
        assert float(welch.delta) == pytest.approx(slope * (levels[-1][1] - levels[0][1]))


def test_a_trend_is_said_with_its_knob() -> None:
    levels = (("zero", 0.0), ("small", 0.001), ("large", 0.01))
    trend = Contrast("trend", "large", "zero", "lambda", levels)
    design = Design(dict.fromkeys(("zero", "small", "large")), (Step((trend,)),))
    y = {arm: 0.5 + 10 * level + RNG.normal(0, 0.002, (4, 1)) for arm, level in levels}
    found = analyse({"b": y}, {"b": Items.plain(1)}, Rules(resamples=5), design=design)
    assert found.verdict.startswith("Scores rise with lambda: trend over lambda: large - zero +")


SMALL = {"base": "start", "plain": "baseline", "coin": "placebo", "mine": "method"}


def seeds_of(levels: dict[str, float]) -> dict[str, Array]:
    """Return four seeds of every arm but the base, which is measured once."""
    return {arm: level + RNG.normal(0, 0.002, (1 if arm == "base" else 4, 1))
            for arm, level in levels.items()}  # fmt: skip


LEVELS = {"base": 0.5, "plain": 0.6, "coin": 0.7, "mine": 0.8}


def test_an_estimate_may_stand_beside_the_questions_about_a_gain() -> None:
    design = Design(SMALL, (  # type: ignore[arg-type]  # they are roles
        Step((Contrast("total", "mine", "plain"),)),
        Step((Contrast("contrast", "coin", "plain"),), "estimate"),
    ))  # fmt: skip
    rules = Rules(resamples=5)
    found = analyse({"b": seeds_of(LEVELS)}, {"b": Items.plain(1)}, rules, design=design)
    assert found.verdict.startswith("The gain of mine over plain is real")


@pytest.mark.parametrize(
    ("contrast", "words"),
    [
        (Contrast("contrast", "mine", "base"), "mine is better than base: "),
        (Contrast("contrast", "base", "mine"), "Nothing could be tested: "),
        (
            Contrast("trend", "mine", "base", "dose", (("base", 0.0), ("mine", 1.0))),
            "Nothing could be tested: ",
        ),
    ],
)
def test_a_base_measured_once_is_tested_only_where_it_is_subtracted(
    contrast: Contrast, words: str
) -> None:
    design = Design(SMALL, (Step((contrast,)),))  # type: ignore[arg-type]  # they are roles
    rules = Rules(resamples=5)
    found = analyse({"b": seeds_of(LEVELS)}, {"b": Items.plain(1)}, rules, design=design)
    assert found.verdict.startswith(words)
    assert found.contrasts[0].tested == words.startswith("mine")


def test_the_verdict_on_a_step_goes_by_what_its_contrasts_claim() -> None:
    steps = (Contrast("contrast", "mine", "plain"), Contrast("contrast", "plain", "coin"))
    design = Design(SMALL, (Step(steps, "holm"),))  # type: ignore[arg-type]  # they are roles
    rules = Rules(resamples=5)
    found = analyse({"b": seeds_of(LEVELS | {"base": 0.75})}, {"b": Items.plain(1)}, rules,
                    design=design)  # fmt: skip
    lines = found.contrasts
    assert step_verdict("contrast", lines, one_claim=False) is Verdict.MIXED
    assert step_verdict("contrast", lines) is Verdict.INCONCLUSIVE_TOGETHER
    assert withheld(lines[:1], found.checks, design) == ""
    over = Contrast("contrast", "coin", "plain")
    design = Design(SMALL, (Step((over,)),))  # type: ignore[arg-type]  # they are roles
    found = analyse({"b": seeds_of(LEVELS | {"base": 0.75})}, {"b": Items.plain(1)}, rules,
                    design=design)  # fmt: skip
    assert withheld(found.contrasts, found.checks, design) == "not better than base"


def test_the_code_of_an_arm_decides_what_is_trained(tmp_path: Path) -> None:
    contents = []
    for number, like in enumerate(("grpo", "ca-only")):
        file = tmp_path / str(number) / "arms.py"
        file.parent.mkdir()
        file.write_text(
            "from dataclasses import replace\nfrom ablations.arms import ARMS\n"
            f"MINE = replace(ARMS[{like!r}], name='mine')\n"
        )
        contents.append(Recipe(f"{file}:MINE").content("mine")["train"]["code"])
    assert len(set(contents)) == 2
    assert Recipe("grpo").content("grpo") == {}


OWN_ARM = """
from dataclasses import replace
from ablations.study.contents import hashed, training_sources
from ablations.arms import ARMS
MINE = replace(ARMS["grpo"], name="mine")
"""


def test_an_arm_in_a_file_is_relative_to_the_study_and_hashed_by_its_source(tmp_path: Path) -> None:
    """The study's folder may be copied; what is trained is the code, wherever it lies."""
    contents = []
    for name, more in (("one", ""), ("two", ""), ("three", "# another\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "own.py").write_text(OWN_ARM + more)
        arms = "{plain: {role: baseline, train: grpo}, x: {role: method, train: 'own.py:MINE'}}"
        study = read_study(written(folder, f"suite: vqa12\nmodel: m\narms: {arms}"))
        with pytest.raises(UsageError, match=r"arms\.x\.train: .* --allow-code"):
            Reader(study, folder, False).request(tmp_path, {})
        recipe = Reader(study, folder, True).request(tmp_path, {}).trained["x"]
        assert recipe.arm == f"{folder.resolve()}/own.py:MINE"
        contents.append(recipe.content("x"))
    assert contents[0] == contents[1] != contents[2]
    assert contents[0]["train"]["arm"] == "own.py:MINE"  # as stored plans have it


@pytest.mark.parametrize(
    "key",
    [
        "suite: own.py",
        "suite: 'vqa12,own.py'",
        "suite: package",
        "suite: vqa12\nrun: {backend: own.py}",
        "suite: vqa12\nrun: {suite: own.py}",
        "suite: vqa12\nrun: {unsafe: true}",
        "suite: vqa12\nrun: {api_key_env: SECRET}",
    ],
)
def test_code_is_run_from_no_study_file_without_consent(key: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("raise SystemExit(3)\n")
    study = read_study(written(tmp_path, f"{key}\narms: {ARMS_TEXT}"))
    with pytest.raises(UsageError, match="add --allow-code if you trust"):
        Reader(study, tmp_path, False).request(tmp_path, {})


def test_a_checkpoint_against_its_parent_is_judged_over_items() -> None:
    """No loss beyond the margin: one-sided, as a z test of the paired differences has it."""
    design = Design({"parent": "start", "child": "method"},
                    (Step((Contrast("regression", "child", "parent"),)),))  # fmt: skip
    n = 4000
    parent = (np.arange(n) % 3 > 0).astype(float)[None]
    child = parent.copy()
    child[0, :40] = 1 - child[0, :40]
    broken = parent.copy()
    broken[0, :] *= np.arange(n) % 2
    scores = {"same": {"parent": parent, "child": child},
              "lost": {"parent": parent, "child": broken}}  # fmt: skip
    items = {name: Items.plain(n) for name in scores}
    rules = Rules(inference="items", effect_size=0.04, margin=0.02, resamples=5)
    (line,) = analyse(scores, items, rules, ("same", "lost"), design).contrasts
    rows = {row.benchmark: row for row in line.benchmarks}
    assert (line.kind, line.tested, line.verdict) == ("regression", True, Verdict.WORSE)
    assert rows["lost"].verdict is Verdict.WORSE
    assert rows["same"].verdict in (Verdict.EQUIVALENT, Verdict.NON_INFERIOR)
    alone = analyse({"same": scores["same"]}, items, rules, ("same",), design)
    d = (child - parent)[0]
    z = (d.mean() + 0.02) / (d.std(ddof=1) / n**0.5)
    estimate = estimates.clustered(d, items["same"])
    assert float(estimate.noninferiority_p(0.02)) == pytest.approx(stats.norm.sf(z), abs=1e-4)
    assert "no loss shown on any benchmark" in alone.verdict


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("studies/lambda/arms/mine/seed-2/checkpoint", "lambda-mine-seed-2"),
        ("trained/model-grpo-seed0/checkpoint", "model-grpo-seed0"),
        ("models/Qwen3-VL-8B", "Qwen3-VL-8B"),
    ],
)
def test_a_trained_checkpoint_is_called_by_what_it_was_trained_as(
    folder: str, name: str, tmp_path: Path
) -> None:
    assert checkpoint_name(tmp_path / folder) == name


FEW = (
    "--prompts 8 --prompts-per-step 4 --pair-count 8 --pairs-per-step 4 --group 2 --max-tokens 8 "
    "--warmup-steps 0 --norms-every 5 --report-to none"
)


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_trains_measures_and_concludes(path: Path, tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    words: list[object] = ["ablate", path, "--model", WEIGHTS, "--data-root", tmp_path / "data"]
    words += ["--studies", tmp_path, "--benchmarks", "vstar", "--limit", 10, "--train-args", FEW]
    words += ["--run-args", "--no-native", "--preload", "--json"]
    words += [] if path.stem == "parent" else ["--seeds", 2]
    done = harness(*words)
    assert done.returncode == 0, done.stderr
    design = design_of(read_study(path))
    found = json.loads(done.stdout)
    asked = design.contrasts(list(design.roles))
    assert [line["name"] for line in found["contrasts"]] == [each.name for each in asked]
    assert found["contrasts"][0]["tested"]
    runs = [run.name for run in tmp_path.glob(f"{path.stem}/runs/*/*-vqa12-*")]
    assert runs
    assert not [name for name in runs if name.startswith("checkpoint")]
