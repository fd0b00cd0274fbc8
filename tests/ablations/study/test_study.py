"""A study: its plan is fixed before scores, what is missing is said, nothing is done twice."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from ablations.statistics.contrasts import BASE, BASELINE, METHOD, ONE_SEED
from benchmarks.micro.model.build import WEIGHTS
from harness.errors import UsageError
from tests.ablations.conftest import HIGH, LOW, NONE, OBJECTIVE, names_of, study_words
from tests.benchmarks.imports.reading import LOGS
from tests.commands import ROOT, harness, modules_of, one_line, process
from tests.processes import alive_after, command_line

Runs = dict[str, Path]
PAIR = {BASELINE: LOW, METHOD: HIGH}


def analysis(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        (folder / "objective-vs-data" / "analysis.json").read_text()
    )
    return document


def test_a_plan_is_hashed_and_fixed_once_there_are_scores(
    planted_runs: Runs, tmp_path: Path
) -> None:
    words = study_words(tmp_path, planted_runs, OBJECTIVE)
    first = harness(*words, "--json")
    assert first.returncode == 0, first.stderr
    folder = tmp_path / "objective-vs-data"
    plan, found = json.loads((folder / "plan.json").read_text()), json.loads(first.stdout)
    assert plan["hash"] == found["plan_hash"] == analysis(tmp_path)["plan_hash"]
    assert plan["plan"]["contrasts"][0] == "contextrl - grpo"
    assert plan["plan"]["rules"]["margin"] == 0.04
    # The same plan again is no change, and gives the same.
    assert harness(*words, "--json").stdout == first.stdout
    one_line(harness(*words, "--margin", 3), "has scores", "rules.margin", "--name")
    fewer = words[:-2]
    one_line(harness(*fewer), "has scores", "contrasts")
    assert harness(*words, "--margin", 3, "--name", "other").returncode == 0
    text = (folder / "plan.json").read_text()
    (folder / "plan.json").write_text(text.replace('"margin": 0.04', '"margin": 0.03'))
    one_line(harness(*words), "changed by hand")


def test_a_finished_study_is_read_and_not_made_again(planted_runs: Runs, tmp_path: Path) -> None:
    runs = dict(planted_runs)
    changed = names_of(METHOD, HIGH)[0]
    runs[changed] = tmp_path / "copies" / changed
    shutil.copytree(planted_runs[changed], runs[changed])
    words = study_words(tmp_path, runs, OBJECTIVE)
    first, folder = harness(*words), tmp_path / "objective-vs-data"
    written = {
        name: (folder / name).stat().st_mtime_ns for name in ("analysis.json", "report.html")
    }
    again = harness(*words)
    assert again.stdout == first.stdout
    assert again.stderr == f"{folder}: finished, nothing is left to do\n"
    assert {name: (folder / name).stat().st_mtime_ns for name in written} == written
    # One answer of one run is another: all is made again.
    path = runs[changed] / "samples" / "phyx.jsonl"
    line = json.loads(path.read_text().splitlines()[0])
    line["score"]["value"] = 1 - line["score"]["value"]
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert harness(*words).stdout != first.stdout
    assert all((folder / name).stat().st_mtime_ns > old for name, old in written.items())


def brought(runs: Runs, copies: Path, **sampling: float) -> Runs:
    """Return copies of the runs of `PAIR`, whose manifests say another sampling."""
    made = {}
    for name in (name for arm, level in PAIR.items() for name in names_of(arm, level)):
        made[name] = copies / name
        shutil.copytree(runs[name], made[name])
        path = made[name] / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["sampling"] |= sampling
        path.write_text(json.dumps(manifest))
    return made


def test_other_runs_of_the_same_models_are_another_study(
    planted_runs: Runs, tmp_path: Path
) -> None:
    words = study_words(tmp_path / "studies", planted_runs, PAIR)
    first = harness(*words)
    assert "better" in first.stdout
    warm = brought(planted_runs, tmp_path / "warm", temperature=0.7)
    told = harness(*study_words(tmp_path / "studies", warm, PAIR))
    one_line(told, "has scores", "arms.grpo.content, arms.contextrl.content", "--name")
    # The same runs in another place are the same; what is there is read, not what was.
    moved = brought(planted_runs, tmp_path / "moved")
    again = harness(*study_words(tmp_path / "studies", moved, PAIR))
    assert again.returncode == 0
    assert "finished" not in again.stderr
    assert again.stdout == first.stdout
    lie = [one["run"] for one in analysis(tmp_path / "studies")["models"]]
    assert all("moved" in path for path in lie)
    # A run that was made again is another.
    path = moved[names_of(METHOD, HIGH)[1]] / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["invocations"][0]["started"] = "2026-01-01T00:00:00+00:00"
    path.write_text(json.dumps(manifest))
    again = harness(*study_words(tmp_path / "studies", moved, PAIR))
    one_line(again, "has scores", "differs in arms.contextrl.content:")


@pytest.mark.parametrize(
    "word",
    [{"limit": 3}, {"probe": "micro"}, {"settings": ("phyx.x=y",)}, {"run_args": ("-x",)}],
)
def test_words_for_measuring_are_refused_where_nothing_is_measured(
    word: dict[str, Any], planted_runs: Runs, tmp_path: Path
) -> None:
    from ablations.study.plan import Request, plan

    runs = {
        arm: tuple(planted_runs[name] for name in names_of(arm, level))
        for arm, level in PAIR.items()
    }
    arms = {arm.arm: arm for arm in plan(Request(tmp_path, "vqa12", runs=runs)).arms}
    assert arms[METHOD].seeds == 3
    with pytest.raises(UsageError, match="no arm is evaluated here"):
        plan(Request(tmp_path, "vqa12", runs=runs, **word))


def test_the_interval_on_new_items_stands_beside_its_error_rates(
    planted_runs: Runs, tmp_path: Path
) -> None:
    done = harness(*study_words(tmp_path, planted_runs, PAIR))
    found = analysis(tmp_path)
    (line,) = found["analysis"]["contrasts"]
    interval = f"[{100 * line['boot_low']:+.1f}, {100 * line['boot_high']:+.1f}]"
    (row,) = [row for row in done.stdout.splitlines() if row.startswith("contextrl - grpo")]
    assert interval in row
    # The bootstrap's column at 3 seeds and +0.0 points, in docs/calibration.md.
    measured = "in simulations with 3 seeds 0.3 to 10.0 % false positives"
    assert measured in found["bootstrap"]
    assert found["bootstrap"] in done.stdout


@pytest.mark.slow
def test_every_arm_is_checked_before_anything_is_trained(text_world: Path, tmp_path: Path) -> None:
    """`grpo` needs no pairs: what is wrong with them stops the arms that do."""
    from ablations.study.forecast import planned_steps
    from ablations.study.jobs import Training

    data = tmp_path / "pairs.jsonl"
    pairs = [json.loads(row) for row in (text_world / "data/pairs.jsonl").read_text().splitlines()]

    def training(arm: str, seed: int = 0) -> Training:
        words = {"--arm": arm, "--model": text_world / "model", "--pairs": data, "--out": tmp_path,
                 "--rl-data": text_world / "data/rl.jsonl", "--seed": seed, "--matching": "steps",
                 "--prompts": 8, "--pair-count": 6, "--prompts-per-step": 4, "--pairs-per-step": 3,
                 "--group": 2}  # fmt: skip
        given = [str(word) for pair in words.items() for word in pair]
        words.pop("--arm")
        shared = tuple(map(str, words))
        return Training(arm, arm, shared, ("train", *given), tmp_path, "key")

    data.write_text("\n".join(map(json.dumps, pairs)))
    (tmp_path / "own.py").write_text(
        "from dataclasses import replace\nfrom ablations.arms import ARMS\n"
        "MINE = replace(ARMS['da-rl'], name='mine')\n"
    )
    mine = f"{tmp_path}/own.py:MINE"
    arms = [training("grpo"), training("da-rl"), training("grpo", 1), training(mine)]
    # Of 8 prompts, 4 a step.
    steps = planned_steps(arms)
    assert (list(steps), steps["grpo"]) == (["grpo", "da-rl", mine], 2)
    assert steps[mine] == steps["da-rl"]
    pairs[0]["context_negative"] = pairs[0]["context_positive"]
    data.write_text("\n".join(map(json.dumps, pairs)))
    with pytest.raises(UsageError, match=r"^da-rl cannot be trained: .*context"):
        planned_steps(arms)


def test_the_plan_is_there_before_a_score_is_read(planted_runs: Runs, tmp_path: Path) -> None:
    runs = dict(planted_runs)
    for name in names_of(METHOD, HIGH):
        runs[name] = tmp_path / "copies" / name
        shutil.copytree(planted_runs[name], runs[name])
    samples = runs[names_of(METHOD, HIGH)[0]] / "samples" / "phyx.jsonl"
    whole = samples.read_text()
    samples.write_text("corrupt\n" + whole)
    words = study_words(tmp_path, runs, OBJECTIVE)
    one_line(harness(*words), "corrupt at line 1")
    folder = tmp_path / "objective-vs-data"
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "plan.json"]
    # Nothing was read, so the plan may still change.
    samples.write_text(whole)
    before = json.loads((folder / "plan.json").read_text())["hash"]
    assert harness(*words, "--margin", 3).returncode == 0
    assert json.loads((folder / "plan.json").read_text())["hash"] != before


def test_generators_recipes_and_settings_are_in_the_plan(tmp_path: Path) -> None:
    from ablations.settings import RECIPES
    from ablations.study.plan import Plan, Request, plan
    from benchmarks.micro.data.pairs import version
    from benchmarks.pair_sources import content_of

    assert content_of("micro:image") == f"micro:image by {version()}"
    recipe = tmp_path / "micro.yaml"
    shutil.copy(RECIPES / "micro.yaml", recipe)

    def content(train: tuple[str, ...], *settings: str) -> dict[str, Any]:
        asked = Request(tmp_path, "niah", train_args=train, settings=settings)
        return Plan(asked, None, {}, {}, ()).content

    # By content: the recipe's name and a copy of it are one plan, a changed copy is another.
    named, copied = content(("--config", "micro")), content(("--config", str(recipe)))
    assert named == copied
    together = content((f"--config={recipe}",))
    assert together == content(("--config=micro",))
    recipe.write_text(recipe.read_text() + "seed: 1\n")
    assert content(("--config", str(recipe))) != named
    assert content((f"--config={recipe}",)) != together
    assert content((), "niah.per_cell=2") != content((), "niah.per_cell=3")
    with pytest.raises(UsageError, match="no such file, and the recipes are"):
        content(("--config", "macro"))
    # Settings decide what is asked, and are of benchmarks of the suite.
    checkpoints = {arm: (_checkpoint(tmp_path / arm),) for arm in (BASELINE, METHOD)}
    planned = [
        plan(Request(tmp_path, "niah", checkpoints=checkpoints, settings=(f"niah.per_cell={n}",)))
        for n in (2, 3)
    ]
    assert planned[0].benchmarks != planned[1].benchmarks
    with pytest.raises(UsageError, match="'phyx' is not among niah"):
        plan(Request(tmp_path, "niah", checkpoints=checkpoints, settings=("phyx.form=x",)))


def test_what_arguments_name_is_in_the_plan_by_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edited reward is another plan and another training; a stored plan keeps its hash."""
    from ablations.study.jobs import jobs
    from ablations.study.plan import Plan, Request, commit, plan

    monkeypatch.chdir(tmp_path)
    reward, template, model = tmp_path / "my.py", tmp_path / "t.jinja", _checkpoint(tmp_path / "m")
    (tmp_path / "recipe.yaml").write_text(f"selection_chat_template: {template}\n")
    (tmp_path / "run.yaml").write_text(f"chat_template: {template}\n")
    (tmp_path / "mine.yaml").write_text("name: mine\nbenchmarks: [niah]\n")
    template.write_text("{{ messages }}")

    def planned(sources: bool = True) -> Plan:
        asked = Request(
            tmp_path / "study", "mine.yaml", str(model), "micro", "micro", ("grpo", "contextrl"),
            train_args=("--reward", "my:reward", "--config", "recipe.yaml"),
            run_args=("--config", "run.yaml", "--model-settings", "qwen3_8b_no_thinking"),
        )  # fmt: skip
        return dataclasses.replace(plan(asked), sources=sources)

    def known(plan_: Plan) -> tuple[str, str]:
        job = jobs(plan_)[0].training
        assert job is not None
        return plan_.hash, job.key

    reward.write_text("def reward(completions): return [0.0] * len(completions)\n")
    first = planned()
    sources = first.content["sources"]
    assert set(sources["train"]) == {"reward", "selection_chat_template"}
    assert set(sources["run"]) == {"recommended", "chat_template"}
    seen = [known(first)]
    reward.write_text("def reward(completions): return [1.0] * len(completions)\n")
    seen.append(known(planned()))
    template.write_text("{{ messages[0] }}")
    seen.append(known(planned()))
    assert len({hash_ for hash_, _ in seen}) == len({key for _, key in seen}) == 3
    (tmp_path / "mine.yaml").write_text("name: mine\nbenchmarks: [{niah: {per_cell: 2}}]\n")
    assert planned().hash not in {hash_ for hash_, _ in seen}
    # As an older version wrote it: the arguments' words.
    older = planned(sources=False)
    commit(older)
    assert "sources" not in older.content
    again = plan(older.request)
    assert (again.hash, known(again)) == (older.hash, known(older))


def test_a_recipe_says_the_matching(tmp_path: Path) -> None:
    from ablations.study.plan import matching

    recipe = tmp_path / "own.yaml"
    for words in (("--config", "micro"), ("--lora-rank", "4", "--config=micro")):
        assert matching(None, words) == matching("steps", words) == "steps"
        with pytest.raises(UsageError, match="--matching tokens: the recipe micro says steps"):
            matching("tokens", words)
    recipe.write_text("group: 4\n")
    assert matching(None, ("--config", str(recipe))) == matching(None, ()) == "instances"
    assert matching("tokens", ("--config", str(recipe))) == "tokens"
    recipe.write_text("matching: step\n")
    with pytest.raises(UsageError, match="matching must be one of"):
        matching(None, ("--config", str(recipe)))


def test_a_base_of_another_dtype_is_measured_as_its_arms(tmp_path: Path) -> None:
    """The plan names the dtype; where the base has it already, the plan is that of before."""
    import torch
    from safetensors.torch import save_file

    from ablations.study.jobs import jobs
    from ablations.study.plan import Request, plan

    folder = tmp_path / "base"
    folder.mkdir()

    def planned(stored: str, *train: str, run: tuple[str, ...] = ()) -> Any:
        (folder / "config.json").write_text(json.dumps({"dtype": stored}))
        weight = torch.zeros(2, dtype=getattr(torch, stored))
        save_file({"a": weight}, folder / "model.safetensors")
        arms = (BASE, BASELINE, METHOD)
        asked = Request(
            tmp_path / "s", "niah", str(folder), "micro:image", "micro:image", arms,
            train_args=train, run_args=run,
        )  # fmt: skip
        return plan(asked)

    def measured(made: Any) -> set[tuple[str, ...]]:
        suites = [words for job in jobs(made) for _, words in job.suites]
        return {words[words.index("--dtype") + 1 :][:1] for words in suites if "--dtype" in words}

    recipe = tmp_path / "own.yaml"
    recipe.write_text("save_dtype: bfloat16\n")
    sixteen = ("--save-dtype", "bfloat16")
    for stored, train, dtype in (
        ("float32", (), None),
        ("bfloat16", (), "float32"),
        ("float16", (), "float32"),
        ("float32", sixteen, "bfloat16"),
        ("float32", ("--save-dtype=bfloat16",), "bfloat16"),
        ("float32", ("--config", str(recipe)), "bfloat16"),
        ("bfloat16", sixteen, None),
    ):
        made = planned(stored, *train)
        assert (made.dtype, made.content.get("dtype")) == (dtype, dtype)
        assert measured(made) == ({(dtype,)} if dtype else set())
    by_hand = planned("bfloat16", run=("--dtype", "float16"))
    assert measured(by_hand) == {("float16",)}
    # A plan that an older version stored keeps its hash.
    made = planned("bfloat16")
    older = dataclasses.replace(made, dtype=None)
    made.folder.mkdir()
    (made.folder / "plan.json").write_text(json.dumps({"hash": older.hash}))
    assert planned("bfloat16").hash == older.hash != made.hash


def _checkpoint(folder: Path) -> Path:
    """Write what a plan takes for a checkpoint: it hashes files and loads none."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(folder.name)
    return folder


def test_a_corrupt_note_of_what_was_measured_is_asked_again(tmp_path: Path) -> None:
    from ablations.study.jobs import Job, work

    asked: list[str] = []

    def run(words: Sequence[str], log: Path) -> str:
        asked.append(log.name)
        made = tmp_path / "out" / "model-vqa12-00000000"
        made.mkdir(parents=True, exist_ok=True)
        (made / "manifest.json").write_text("{}")
        return json.dumps({"run": str(made), "benchmarks": []})

    suites = (("vqa12", ("--suite", "vqa12")),)
    model = str(_checkpoint(tmp_path / "model"))
    job = Job(METHOD, 0, None, model, suites, "rules", tmp_path / "out")
    runs = work(job, run).runs
    assert work(job, run).runs == runs
    assert asked == ["vqa12.log"]
    marker = tmp_path / "out" / "evaluated.json"
    whole = json.loads(marker.read_text())
    for number, changed in enumerate(({"runs": []}, {"runs": {"vqa12": 5}}, {"runs": {}}), 2):
        marker.write_text(json.dumps({**whole, **changed}))
        assert work(job, run).runs == runs
        assert len(asked) == number
    marker.write_text(json.dumps({**whole, "seconds": "x"}))
    found = work(job, run)
    assert (found.runs, found.run_seconds, len(asked)) == (runs, 0.0, 4)
    marker.write_text("[" * 100_000)
    failed = work(job, run)
    assert (failed.failed, "is corrupt" in failed.reason) == ("evaluation", True)


def test_missing_arms_shrink_the_verdict(planted_runs: Runs, tmp_path: Path) -> None:
    arms = {arm: OBJECTIVE[arm] for arm in (BASELINE, "da-rl", METHOD)}
    done = harness(*study_words(tmp_path, planted_runs, arms))
    assert done.returncode == 0, done.stderr
    found = analysis(tmp_path)
    assert found["analysis"]["missing"] == ["da-rl", "da-sft", "da-qa", "contextrl-shuffled"][1:]
    assert "placebo missing" in found["verdict"]
    assert found["verdict"] in done.stdout
    assert found["complete"]
    assert [row["benchmark"] for row in found["benchmarks"]] == ["mathvista", "mathverse", "phyx"]
    assert all(set(row["scores"]) == set(arms) for row in found["benchmarks"])


def test_one_seed_is_no_verdict(planted_runs: Runs, tmp_path: Path) -> None:
    words = ["ablate", "objective-vs-data", "--suite", "vqa12", "--studies", tmp_path]
    for arm, level in ((BASELINE, LOW), (METHOD, HIGH)):
        words += ["--runs", f"{arm}={planted_runs[names_of(arm, level)[0]]}"]
    done = harness(*words, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"].startswith(f"No verdict: {ONE_SEED}.")
    assert [line["verdict"] for line in found["contrasts"]] == [None]
    assert not found["contrasts"][0]["tested"]
    # Nine benchmarks of the suite were planned, and no run holds them.
    assert "vstar (no scores)" in found["verdict"]


def test_a_benchmark_outside_the_plan_is_left_out(planted_runs: Runs, tmp_path: Path) -> None:
    words = study_words(tmp_path, planted_runs, OBJECTIVE)
    words[words.index("--benchmarks") + 1] = "mathverse,phyx"
    assert harness(*words).returncode == 0
    found = analysis(tmp_path)
    assert [row["benchmark"] for row in found["benchmarks"]] == ["mathverse", "phyx"]
    assert "mathvista: left out, it is not in the plan" in found["notes"]


WRONG: dict[str, tuple[list[object], list[str]]] = {
    "no arm": (["--suite", "vqa12"], ["no arms", "--model"]),
    "no contrast": (
        ["--suite", "vqa12", "--model", WEIGHTS, "--arms", "base,grpo"],
        ["no contrast"],
    ),
    "no model": (["--suite", "vqa12", "--arms", "grpo,contextrl"], ["--model is required"]),
    "a name": (["--suite", "vqa12", "--arms", "grpo,contextlr"], ["did you mean contextrl"]),
    "a form": (["--suite", "vqa12", "--runs", "grpo"], ["ARM=DIR,DIR"]),
    "a margin": (["--suite", "vqa12", "--margin", 1], ["at most half"]),
    "no run": (
        ["--suite", "vqa12", "--runs", "grpo=/tmp", "--runs", "contextrl=/tmp"],
        ["is not a run"],
    ),
    "a folder": (["--suite", "vqa12", "--name", "../x"], ["--name"]),
    "its own word to training": (
        ["--suite", "vqa12", "--train-args", "--config micro --seed=7"],
        ["--train-args: --seed is set by the study"],
    ),
    "its own word to runs": (
        ["--suite", "vqa12", "--run-args", "--limit 3"],
        ["--run-args: --limit is set by the study"],
    ),
    "a share to runs": (
        ["--suite", "vqa12", "--model", "x", "--run-args", "--max-errors 1"],
        ["--run-args: ", "'1' can mean 1% or 100%"],
    ),
    "a misspelt word to runs": (
        ["--suite", "vqa12", "--model", "x", "--run-args", "--temprature 1"],
        ["--run-args: No such option", "--temperature"],
    ),
    "a suite": (["--suite", "vqa13"], ["did you mean vqa12"]),
    "quotes to training": (["--suite", "vqa12", "--train-args", '"'], ["--train-args", "quot"]),
    "quotes to runs": (["--suite", "vqa12", "--run-args", "'x"], ["--run-args", "quot"]),
    "a spread": (["--suite", "vqa12", "--seed-sd", "nan"], ["--seed-sd", "is not a finite number"]),
    "an effect": (["--suite", "vqa12", "--planned", "inf"], ["effect size is inf points"]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_one_line(wrong: str, tmp_path: Path) -> None:
    words, pieces = WRONG[wrong]
    one_line(harness("ablate", "objective-vs-data", "--studies", tmp_path, *words), *pieces)
    assert not list(tmp_path.iterdir())


UNHEEDED = {
    "--backend transformers --extra-body '{\"a\": 1}'": "--extra-body has no effect with the tran",
    "--backend transformers --vllm-arg max-num-seqs=2": "--vllm-arg has no effect with the tran",
    "--backend transformers --chat-template-kwargs '{\"a\": 1}'": "the chat template reads no 'a'",
    "--min-pixels 99999 --max-pixels 999": "--min-pixels 99999 is above --max-pixels 999",
}


@pytest.mark.parametrize("plan", [[], ["--plan"]])
@pytest.mark.parametrize("args", UNHEEDED)
def test_a_setting_that_no_evaluation_heeds_is_one_line_before_anything_runs(
    args: str, plan: list[str], micro_data: Path, tmp_path: Path
) -> None:
    words = ["ablate", "objective-vs-data", "--suite", "vqa12", "--benchmarks", "vstar", *plan]
    words += ["--model", WEIGHTS, "--data-root", micro_data, "--studies", tmp_path]
    words += ["--pairs", "micro:image", "--rl-data", "micro:image", "--run-args", args]
    one_line(harness(*words), UNHEEDED[args])
    assert not list(tmp_path.iterdir())


def test_one_run_twice_is_refused(planted_runs: Runs, tmp_path: Path) -> None:
    run = planted_runs[names_of(BASELINE, LOW)[0]]
    words = study_words(tmp_path, planted_runs, {METHOD: HIGH})
    one_line(harness(*words, "--runs", f"grpo={run},{run}"), "are of the same model")


def test_runs_that_cannot_be_compared_leave_nothing(planted_runs: Runs, tmp_path: Path) -> None:
    other, studies = tmp_path / "runs" / "other", tmp_path / "studies"
    shutil.copytree(planted_runs[names_of(METHOD, HIGH)[0]], other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["benchmarks"]["phyx"]["max_tokens"] = 17
    (other / "manifest.json").write_text(json.dumps(manifest))
    words = ["ablate", "objective-vs-data", "--suite", "vqa12", "--studies", studies]
    words += ["--runs", f"grpo={planted_runs[names_of(BASELINE, LOW)[0]]}"]
    words += ["--runs", f"contextrl={other}"]
    one_line(harness(*words), "phyx", "differ in max_tokens (16 and 17)", f"and {other} ")
    assert not studies.exists()
    # What only the answers tell comes later; it names the runs as they were given, too.
    shutil.rmtree(other)
    shutil.copytree(planted_runs[names_of(METHOD, HIGH)[0]], other)
    samples = other / "samples" / "phyx.jsonl"
    samples.write_text("".join(samples.read_text().splitlines(keepends=True)[1:]))
    one_line(harness(*words), "phyx", "holds 60 items", f"and {other} 59")


def test_one_process_at_a_time(planted_runs: Runs, tmp_path: Path) -> None:
    folder = tmp_path / "objective-vs-data"
    folder.mkdir()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        one_line(harness(*study_words(tmp_path, planted_runs, NONE)), "another process is using")


def test_a_study_of_runs_imports_no_torch(planted_runs: Runs, tmp_path: Path) -> None:
    words = study_words(tmp_path, planted_runs, NONE)
    heavy = {"torch", "transformers", "datasets", "lmms_eval", "vllm"}
    assert modules_of(*words, "--json").isdisjoint(heavy)


def test_the_forecast_is_a_closed_form(
    planted_runs: Runs, micro_data: Path, tmp_path: Path
) -> None:
    """Nothing can be measured on runs, so the numbers of items come from a checkpoint's data."""
    from ablations.study.forecast import forecast
    from ablations.study.plan import ArmPlan, Plan, Request

    request = Request(tmp_path / "study", "vqa12", benchmarks=("mathverse", "phyx"), limit=20,
                      data_root=micro_data)  # fmt: skip
    arms = tuple(
        ArmPlan(arm, "checkpoints", 3, paths=(tmp_path,) * 3) for arm in (BASELINE, METHOD)
    )
    data: dict[str, str | None] = {"mathverse": "x", "phyx": "y"}
    found = forecast(Plan(request, None, {}, data, arms), training_sd=0.005)
    assert (found.trainings, found.evaluations, found.items) == (0, 6, 40)
    # Two benchmarks of 20 independent items answered right half of the time.
    assert found.decoding_sd == pytest.approx(math.sqrt(0.25 / 20 / 2))
    alone, together = found.benchmarks[0].mde, found.mde
    assert together is not None
    spread = [math.sqrt(0.005**2 + 0.25 / 20 / n) for n in (1, 2)]
    assert alone / together == pytest.approx(spread[0] / spread[1])
    assert found.seconds is None


def test_equivalence_out_of_reach_is_said(tmp_path: Path) -> None:
    """200 items: a seed's sd is at most 3.6 points, a difference's 2.9 at 3 seeds, 1.1 at 20."""
    from ablations.cli.ablate import plan_text
    from ablations.statistics.contrasts import Rules
    from ablations.study.forecast import forecast
    from ablations.study.plan import ArmPlan, Plan, Request

    request = Request(tmp_path / "study", "niah", settings=("niah.per_cell=10",),
                      rules=Rules(effect_size=0.16, margin=0.08))  # fmt: skip

    def said(seeds: int, *arms: str) -> str:
        plans = [ArmPlan(arm, "checkpoints", seeds, paths=(tmp_path,) * seeds) for arm in arms]
        planned = Plan(request, None, {}, {"niah": "x"}, tuple(plans))
        return plan_text(planned, forecast(planned, training_sd=0.005))

    few = said(3, BASELINE, "da-qa", METHOD)
    assert "equivalence within 8 points is not attainable at power 0.8" in few
    many = said(20, BASELINE, "da-qa", METHOD)
    assert "equivalence within 8 points: " in many
    assert "not attainable" not in many
    assert "equivalence within" not in said(3, BASELINE, METHOD)


def test_the_time_counts_every_training_of_every_arm() -> None:
    from ablations.study.forecast import Forecast, Timing

    steps, trained = {"grpo": 10, "contextrl": 20}, {"grpo": 3, "contextrl": 2}
    found = Forecast(5, 0, 0, 1, 0, 0, None, None, None, None, (), steps, trained, Timing(2, 1))
    assert found.seconds == 3 * (2 + 10) + 2 * (2 + 20)


def test_checkpoints_are_planned_without_a_trace(planted_runs: Runs, tmp_path: Path) -> None:
    words = study_words(tmp_path, planted_runs, OBJECTIVE)
    done = harness(*words, "--plan")
    assert done.returncode == 0, done.stderr
    assert "0 trainings, 0 evaluations; the runs hold 180 items in common" in done.stdout
    assert "\n\n" not in done.stdout
    assert not list(tmp_path.iterdir())
    document = json.loads(harness(*words, "--plan", "--json").stdout)
    assert document["plan"]["arms"]["grpo"]["origin"] == "runs"


@pytest.mark.parametrize("plan_only", [True, False])
def test_what_cannot_be_trained_is_told_before_all_else(plan_only: bool, tmp_path: Path) -> None:
    words: list[object] = ["ablate", "objective-vs-data", "--suite", "niah", "--studies", tmp_path]
    words += ["--model", _checkpoint(tmp_path / "base"), "--pairs", "micro", "--rl-data", "micro"]
    words += ["--train-args", "--lr 1", *(["--plan"] if plan_only else [])]
    one_line(harness(*words), "No such option '--lr'", "harness train --help")
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


@pytest.mark.slow
def test_an_interrupt_while_libraries_are_loaded_ends_all(tmp_path: Path) -> None:
    words: list[object] = ["ablate", "objective-vs-data", "--suite", "niah", "--studies", tmp_path]
    words += ["--preload", "--set", "niah.per_cell=2"]
    for arm in (BASELINE, METHOD):
        words += ["--checkpoints", f"{arm}={_checkpoint(tmp_path / arm)}"]
    study = subprocess.Popen(
        [sys.executable, "-m", "harness", *map(str, words)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert study.stderr is not None
    assert study.stderr.readline() == "grpo seed 0: begins\n"
    assert study.stderr.readline().startswith("$ harness run")
    server = psutil.Process(study.pid)
    while not any("forkserver" in " ".join(command_line(one)) for one in server.children()):
        time.sleep(0.02)
    time.sleep(0.5)
    os.killpg(study.pid, signal.SIGINT)  # as a terminal does
    rest = study.communicate(timeout=120)[1]
    assert rest == "interrupted: rerun the same command to resume the study\n"
    assert study.returncode == 130


# --- With models: each evaluation is a process that loads torch.


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Return two random checkpoints an arm."""
    root = tmp_path_factory.mktemp("checkpoints")
    folders = {arm: [root / f"{arm}-{seed}" for seed in range(2)] for arm in (BASELINE, METHOD)}
    program = "import sys; from pathlib import Path; from tests.random_model import build\n"
    program += "for seed, name in enumerate(sys.argv[1:]): build(Path(name), seed=seed)"
    every = [str(path) for paths in folders.values() for path in paths]
    subprocess.run([sys.executable, "-c", program, *every], check=True, cwd=ROOT)
    return folders


def words_of(folder: Path, checkpoints: dict[str, list[Path]], data: Path) -> list[object]:
    words: list[object] = ["ablate", "objective-vs-data", "--suite", "vqa12", "--studies", folder]
    words += ["--benchmarks", "mathverse,phyx", "--limit", 8, "--data-root", data]
    words += ["--run-args", "--backend transformers --dtype float32 --max-tokens 8"]
    for arm, paths in checkpoints.items():
        words += ["--checkpoints", f"{arm}={','.join(map(str, paths))}"]
    return words


@pytest.mark.slow
def test_a_failed_arm_is_said_and_made_up_for(
    checkpoints: dict[str, list[Path]], micro_data: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkpoints[METHOD][1], broken)
    weights = broken / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    brought = {**checkpoints, METHOD: [checkpoints[METHOD][0], broken]}
    words = words_of(tmp_path, brought, micro_data)
    done = process(*words, "--json")
    assert done.returncode == 1, done.stderr
    found = analysis(tmp_path)
    assert "Missing from the plan: contextrl seed 1 (evaluation failed)." in found["verdict"]
    (missing,) = found["missing"]
    assert (missing["arm"], missing["seed"], missing["step"]) == (METHOD, 1, "evaluation")
    assert missing["reason"] in done.stderr
    assert not found["complete"]
    assert [one["seeds"] for one in found["analysis"]["arms"]] == [2, 1]


def comparable(folder: Path) -> dict[str, Any]:
    """Return the analysis without what differs between two makings: places and seconds."""
    found = analysis(folder)
    left_out = {"run": "", "run_seconds": 0, "train_seconds": 0}
    models = [{**one, **left_out} for one in found["models"]]
    return {**found, "models": models, "read": ""}


def until(condition: Callable[[], bool], study: subprocess.Popen[bytes]) -> None:
    while not condition() and study.poll() is None:
        time.sleep(0.02)


@pytest.fixture(scope="module")
def whole(
    checkpoints: dict[str, list[Path]], micro_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a study of the checkpoints that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    done = process(*words_of(folder, checkpoints, micro_data), "--preload")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("$ harness run") == 4
    return folder


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.external
def test_ray_does_what_one_machine_does(
    checkpoints: dict[str, list[Path]], whole: Path, micro_data: Path, tmp_path: Path
) -> None:
    words = words_of(tmp_path, checkpoints, micro_data)
    done = process(*words, "--executor", "ray", "--gpus-per-job", 0)
    assert done.returncode == 0, done.stderr
    assert comparable(tmp_path) == comparable(whole)


@pytest.mark.slow
def test_the_calibration_measures_and_leaves_nothing(
    checkpoints: dict[str, list[Path]], micro_data: Path, tmp_path: Path
) -> None:
    words = words_of(tmp_path, checkpoints, micro_data)
    done = process(*words, "--plan", "--json")
    assert done.returncode == 0, done.stderr
    forecast = json.loads(done.stdout)["forecast"]
    assert (forecast["trainings"], forecast["evaluations"], forecast["items"]) == (0, 4, 16)
    assert forecast["evaluation"]["start"] > 0
    assert forecast["training"] is None
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_at_any_step_a_study_goes_on(
    checkpoints: dict[str, list[Path]], whole: Path, micro_data: Path, tmp_path: Path
) -> None:
    killed = tmp_path
    words = [str(word) for word in words_of(killed, checkpoints, micro_data)]
    words += ["--jobs", "2"]
    folder = killed / "objective-vs-data"

    def samples() -> int:
        return sum(path.stat().st_size for path in folder.glob("runs/*/*/samples/*.jsonl"))

    def marked() -> int:
        return len(list(folder.glob("runs/*/evaluated.json")))

    def children() -> list[psutil.Process]:
        return psutil.Process(study.pid).children(recursive=True)

    moments: list[Callable[[], bool]] = [
        lambda: (folder / "plan.json").exists(),
        lambda: samples() > 0,
        lambda: marked() == 1,
        lambda: marked() == 2 and bool(children()),
        lambda: marked() == 4,
    ]
    for number, moment in enumerate(moments):
        study = subprocess.Popen(
            [sys.executable, "-m", "harness", *words], cwd=ROOT, stderr=subprocess.DEVNULL
        )
        until(moment, study)
        family = children() if study.poll() is None else []
        # An interrupt once, sudden death otherwise.
        study.send_signal(signal.SIGINT if number == 1 else signal.SIGKILL)  # if it still runs
        study.wait(60)
        assert not alive_after(20, family)
    done = process(*words)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("$ harness run") == 0  # all four were measured before
    assert comparable(killed) == comparable(whole)


@pytest.mark.slow
def test_tainted_items_are_left_out_and_the_contrasts_with_them_are_told(
    planted_runs: Runs, tmp_path: Path
) -> None:
    words = study_words(tmp_path, planted_runs, PAIR)
    samples = planted_runs[names_of(METHOD, PAIR[METHOD])[0]] / "samples" / "phyx.jsonl"
    items = [json.loads(line)["id"] for line in samples.read_text().splitlines()[:3]]
    tainted = tmp_path / "tainted.jsonl"
    rows = [{"benchmark": "phyx", "item": item} for item in items]
    tainted.write_text("\n".join(map(json.dumps, rows)) + "\n")
    harness(*words, "--name", "plain")
    done = harness(*words, "--exclude", tainted)
    found, plain = (
        json.loads((tmp_path / name / "analysis.json").read_text())
        for name in ("objective-vs-data", "plain")
    )
    assert (found["excluded"], plain["excluded"]) == ({"phyx": 3}, {})
    (line,), (told,) = plain["analysis"]["contrasts"], found["with_all"]
    assert (told["delta"], told["low"]) == (line["delta"], line["low"])
    assert found["plan_hash"] != plain["plan_hash"]
    assert "items left out (--exclude): phyx 3" in done.stdout
    page = (tmp_path / "objective-vs-data" / "report.html").read_text()
    assert "Left out, because the training data hold them (--exclude): phyx 3" in page
    # A list that is given when the study is finished: nothing is made again, and the plan stays.
    late = harness(*words, "--name", "plain", "--exclude", tainted)
    assert "$ harness train" not in late.stderr
    assert "$ harness run" not in late.stderr
    assert "--exclude was given after scores were there" in late.stdout
    excluding = json.loads((tmp_path / "plain" / "analysis.json").read_text())
    assert excluding["plan_hash"] == plain["plan_hash"]
    for name in ("excluded", "analysis", "with_all", "verdict"):
        assert excluding[name] == found[name]
    refused = harness(*words)  # what the plan leaves out stays out
    assert (refused.returncode, "its plan differs in exclude" in refused.stderr) == (2, True)
    harness(*words, "--name", "plain")
    again = json.loads((tmp_path / "plain" / "analysis.json").read_text())
    changed = {"read": None, "notes": None}  # a note names the other study on these runs now
    assert again | changed == plain | changed


def test_runs_of_a_benchmark_that_only_they_have_are_a_study(tmp_path: Path) -> None:
    logs = [LOGS / "lm-eval" / name for name in ("model-3", "model-5")]
    runs: dict[str, list[Path]] = {}
    for arm, log in zip((BASELINE, METHOD), logs, strict=True):
        for seed in range(2):
            out = tmp_path / f"{arm}-{seed}"
            assert harness("import", log, "--out", out, "--model-name", out.name).returncode == 0
            runs.setdefault(arm, []).extend(out.iterdir())
    words: list[object] = ["ablate", "objective-vs-data", "--studies", tmp_path / "studies"]
    for arm, paths in runs.items():
        words += ["--runs", f"{arm}={','.join(map(str, paths))}"]
    done = harness(*words, "--suite", "tiny_sums", "--json")
    assert done.returncode == 0, done.stderr
    means = {one["arm"]: one["mean"] for one in analysis(tmp_path / "studies")["analysis"]["arms"]}
    for arm, log in zip((BASELINE, METHOD), logs, strict=True):
        (results,) = log.glob("results_*.json")
        told = json.loads(results.read_text())["results"]["tiny_sums"]
        assert means[arm] == pytest.approx(told["exact_match,strict-match"])
    one_line(
        harness(*words, "--suite", "tiny_smus"), "tiny_smus", "all of these runs have tiny_sums"
    )
