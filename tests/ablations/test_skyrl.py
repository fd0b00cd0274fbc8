"""An arm as SkyRL takes it: the published row format, our order and numbers, what cannot leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import orjson
import pytest

from ablations.arms import arm
from ablations.export.skyrl import Export, _quoted
from ablations.settings import settings
from ablations.training.check import check
from ablations.training.plan import TrainingPlan
from ablations.training.rewards import AccuracyAndFormat, exported_reward
from ablations.training.schedule import Exposures, arm_view, exposures, item, schedule
from ablations.training.training_data import TrainingData
from benchmarks.pair_sources import open_pairs
from benchmarks.pairs.selection import both_orders
from harness.cli.main import cli
from harness.errors import UsageError
from harness.records import ImagePart

SMALL = {
    "prompts": 8,
    "pair_count": 6,
    "prompts_per_step": 4,
    "group": 2,
    "max_tokens": 6,
    "learning_rate": 3e-6,
    "kl": 0.02,
    "ratio_high": 0.28,
    "coefficient": 0.5,
    "clip": 5.0,
}


def training(world: Path, name: str, **changes: Any) -> TrainingPlan:
    data = {"pairs": str(world / "data/pairs.jsonl"), "rl_data": str(world / "data/rl.jsonl")}
    words = {"model": str(world / "model"), **data, **SMALL, **changes}
    return TrainingPlan(arm(name), TrainingData(settings({}, words)), world / "unused")


def rows_of(path: Path) -> Any:
    return datasets.load_dataset("parquet", data_files=str(path), split="train")


def passed(script: Path, tree: Path) -> dict[str, str]:
    """Run a script with a program in the place of SkyRL, and return the options it was given."""
    tree.mkdir()
    program = tree / "python"
    program.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    program.chmod(0o755)
    env = {**os.environ, "SKYRL": str(tree), "PYTHON": str(program)}
    done = subprocess.run(
        ["sh", str(script), "trainer.logger=console"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    flag, module, *options = json.loads(done.stdout)
    assert flag == "-m"
    return {"module": module, **dict(option.split("=", 1) for option in options)}


def test_rows_are_skyrls_and_in_our_order(text_world: Path, tmp_path: Path) -> None:
    """The format is that of SkyRL's documentation, Dataset Preparation."""
    run = training(text_world, "da-rl")
    found = Export(run, tmp_path / "out").write()
    rows = rows_of(tmp_path / "out/train.parquet")
    assert set(rows.column_names) == {
        "data_source",
        "prompt",
        "env_class",
        "reward_spec",
        "extra_info",
    }
    slots = schedule(run)
    assert len(rows) == found["train"] == len(slots) == run.amounts.rl_steps * 4
    for row, place in zip(rows, slots, strict=True):
        task = item(run, place)
        assert row["extra_info"]["id"] == task.id
        (message,) = row["prompt"]
        assert message == {"role": "user", "content": task.messages[0].render()}
        assert row["reward_spec"] == {"method": "rule", "ground_truth": task.target.answer}
        # What is answered elsewhere is worth what it is worth here.
        for text in (task.target.answer, "B", "I do not know"):
            (here,) = AccuracyAndFormat()([text], [task], [place.kind == "selection"])
            assert exported_reward(row["extra_info"], text) == here
    contrastive = [row["extra_info"]["selection"] for row in rows]
    assert contrastive == [slot.kind == "selection" for slot in slots]
    assert sum(contrastive) == 6
    # Held-out items are in no arm's plan.
    used = {run.data.items[place].id for place in range(8)}
    held_out = {row["extra_info"]["id"] for row in rows_of(tmp_path / "out/validation.parquet")}
    assert held_out
    assert not held_out & used


def test_images_are_data_uris(image_world: Path, tmp_path: Path) -> None:
    """The shape of a record is that of SkyRL's documentation, Vision-Language RL."""
    import base64
    import io

    from PIL import Image

    run = training(image_world, "grpo")
    Export(run, tmp_path / "out").write()
    seen = 0
    rows = rows_of(tmp_path / "out/train.parquet")
    for row, place in zip(rows, schedule(run), strict=True):
        content = row["prompt"][0]["content"]
        parts = item(run, place).messages[0].content
        for found, part in zip(content, parts, strict=True):
            if not isinstance(part, ImagePart):
                assert (found["type"], found["text"]) == ("text", part.text)
                continue
            assert found["type"] == "image_url"
            head, _, body = found["image_url"]["url"].partition(",")
            assert head == "data:image/png;base64"
            image = Image.open(io.BytesIO(base64.b64decode(body)))
            assert image.tobytes() == part.image.tobytes()
            seen += 1
    assert seen > 0
    options = passed(tmp_path / "out/run.sh", tmp_path / "tree")
    assert options["generator.vision_language_generator"] == "true"
    assert options["trainer.remove_microbatch_padding"] == "false"


def test_a_value_is_one_word_of_the_script(tmp_path: Path) -> None:
    model = f"$HERE/$(touch {tmp_path}/ran)`touch {tmp_path}/ran`\"'; touch {tmp_path}/ran;"
    word = _quoted("model", model)
    shown = subprocess.run(
        ["sh", "-c", f"HERE=/here; printf %s {word}"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"model={model.replace('$HERE', '/here')}"
    assert not (tmp_path / "ran").exists()


def test_the_script_has_the_recipes_numbers(text_world: Path, tmp_path: Path) -> None:
    run = training(text_world, "grpo", lora_rank=8, template={"enable_thinking": False})
    Export(run, tmp_path / "out").write()
    options = passed(tmp_path / "out/run.sh", tmp_path / "tree")
    expected = {
        "module": "ablations.export.environment",
        "data.train_data": f"['{tmp_path}/out/train.parquet']",
        "data.val_data": f"['{tmp_path}/out/validation.parquet']",
        "trainer.train_batch_size": "4",
        "trainer.policy_mini_batch_size": "4",
        "trainer.epochs": "1",
        "trainer.max_training_steps": str(run.amounts.rl_steps),
        "trainer.policy.optimizer_config.lr": "3e-06",
        "trainer.policy.optimizer_config.adam_betas": "[0.9,0.999]",
        "trainer.policy.model.lora.rank": "8",
        "trainer.policy.model.lora.alpha": "16",
        "trainer.algorithm.advantage_estimator": "grpo",
        "trainer.algorithm.loss_reduction": "token_mean",
        "trainer.algorithm.eps_clip_low": "0.2",
        "trainer.algorithm.eps_clip_high": "0.28",
        "trainer.algorithm.use_kl_loss": "true",
        "trainer.algorithm.kl_loss_coef": "0.02",
        "generator.n_samples_per_prompt": "2",
        "generator.sampling_params.max_generate_length": "6",
        "generator.chat_template_kwargs.enable_thinking": "false",
        "trainer.logger": "console",
    }
    assert {name: options.get(name) for name in expected} == expected


@pytest.mark.parametrize("name", ["contextrl", "contextrl-shuffled", "contextrl-easyneg"])
def test_pairs_leave_as_the_arm_sees_them(name: str, image_world: Path, tmp_path: Path) -> None:
    run = training(image_world, name)
    found = Export(run, tmp_path / "out").write()
    expected = [arm_view(run).pair(index) for index in range(6)]
    for there, here in zip(open_pairs(str(tmp_path / "out/pairs.jsonl")), expected, strict=True):
        assert (there.id, there.query, there.answer, there.answer_negative) == (
            here.id,
            here.query,
            here.answer,
            here.answer_negative,
        )
        for parts, others in (
            (there.context_positive, here.context_positive),
            (there.context_negative, here.context_negative),
        ):
            for part, other in zip(parts, others, strict=True):
                if isinstance(part, ImagePart):
                    assert isinstance(other, ImagePart)
                    assert part.image.tobytes() == other.image.tobytes()
                else:
                    assert part == other
    prompts = [orjson.loads(line) for line in (tmp_path / "out/selection.jsonl").open("rb")]
    steps = run.amounts.rl_steps
    shown = exposures(run)
    assert shown == Exposures(6, run.amounts.exposures, steps, run.settings.seed)
    order = [
        (step, arm_view(run).pair(place).id) for step in range(steps) for place in shown.at(step)
    ]
    assert [(row["step"], row["pair"]) for row in prompts[::2]] == order
    assert [row["correct_answer"] for row in prompts] == ["A", "B"] * len(order)
    assert found["selection_prompts"] == 2 * run.amounts.exposures
    # Nothing known trains it, and nothing pretends to.
    assert not (tmp_path / "out/run.sh").exists()
    assert "There is no run.sh" in (tmp_path / "out/README.md").read_text()


def software(folder: Path, **changes: Any) -> Path:
    """Software tasks with the columns of SWE-Gym that SkyRL's mini-swe-agent example reads."""
    rows = [
        {
            "data_source": "SWE-Gym/SWE-Gym",
            "instance": json.dumps(
                {
                    "instance_id": f"org__repo-{place}",
                    "problem_statement": f"Bug {place}.",
                    "repo": "org/repo",
                    "base_commit": "0" * 40,
                    "eval_script": "pytest -q",
                    **changes,
                }
            ),
        }
        for place in range(16)
    ]
    folder.mkdir()
    datasets.Dataset.from_list(rows).to_parquet(folder / "swe_gym_train.parquet")
    return folder


def test_software_tasks_go_to_skyrls_agent(text_world: Path, tmp_path: Path) -> None:
    run = training(text_world, "grpo", rl_data=str(software(tmp_path / "gym")), pairs=None)
    Export(run, tmp_path / "out").write()
    rows = rows_of(tmp_path / "out/train.parquet")
    assert rows.column_names == ["data_source", "prompt", "env_class", "instance"]
    places = [place for _, place, _ in schedule(run)]
    for row, place in zip(rows, places, strict=True):
        assert row["data_source"] == "SWE-Gym/SWE-Gym"
        assert row["prompt"] == [{"role": "user", "content": f"Bug {place}."}]
        assert row["instance"]["instance_id"] == f"org__repo-{place}"
        assert row["instance"]["eval_script"] == "pytest -q"
    options = passed(tmp_path / "out/run.sh", tmp_path / "tree")
    assert options["module"] == "examples.train.mini_swe_agent.main_mini_swe"
    assert options["generator.step_wise_trajectories"] == "true"
    assert options["generator.max_input_length"] == str(32768 - 6)


@pytest.mark.parametrize("matching", ["instances", "steps"])
def test_da_rl_on_software_tasks_has_both_kinds_of_rows(
    text_world: Path, tmp_path: Path, matching: str
) -> None:
    """In the schedule's order: tasks for the agent, and letters for our environment."""
    tasks = str(software(tmp_path / "gym"))
    run = training(text_world, "da-rl", rl_data=tasks, matching=matching)
    summary = Export(run, tmp_path / "out").write()
    rows = list(rows_of(tmp_path / "out/train.parquet"))
    slots = schedule(run)
    assert [bool(row["instance"]) for row in rows] == [slot.kind == "task" for slot in slots]
    letters = [row for row in rows if not row["instance"]]
    assert len(letters) == run.amounts.extra > 0
    for row in letters:
        right = row["reward_spec"]["ground_truth"]
        wrong = "B" if right == "A" else "A"
        assert [exported_reward(row["extra_info"], text) for text in (right, wrong)] == [1.0, 0.0]
    assert summary["runs"] == "ablations.export.mixed"
    assert summary["lacking"] == ["letters bare (it takes the likelier form)"]


def test_contextrl_on_software_tasks_is_for_the_authors_extension(
    text_world: Path, tmp_path: Path
) -> None:
    """Option names and row format: ct_dataset.py and run_mini_swe_qwen3_8b.sh of their code."""
    run = training(text_world, "contextrl", rl_data=str(software(tmp_path / "gym")))
    Export(run, tmp_path / "out").write()
    options = passed(tmp_path / "out/run.sh", tmp_path / "tree")
    expected = {
        "module": "ablations.export.mixed",
        "data.choose_trajectory_data": f"['{tmp_path}/out/selection.jsonl']",
        "data.choose_trajectory_batch_size": str(2 * 6 // run.amounts.rl_steps),
        "trainer.algorithm.choose_trajectory_coef": "0.5",
        "trainer.algorithm.choose_trajectory_clip": "5.0",
        "trainer.algorithm.choose_trajectory_prefill": '""',
        "trainer.algorithm.choose_trajectory_enable_thinking": "false",
    }
    assert {name: options.get(name) for name in expected} == expected
    first = orjson.loads((tmp_path / "out/selection.jsonl").read_bytes().splitlines()[0])
    pair = {pair.id: pair for pair in run.data.pairs}[first["pair"]]
    assert first["prompt"] == both_orders(pair)[0].messages[0].render()


def differing(one: Path, other: Path) -> dict[str, list[str]]:
    """Return the files that differ between two exports, and the lines that only the first has.

    Without README.md, which describes the arm.
    """
    found = {}
    for name in sorted({path.name for path in one.iterdir()} - {"README.md"}):
        texts = [(folder / name).read_bytes() for folder in (one, other)]
        if texts[0] != texts[1]:
            first, second = (text.decode(errors="replace").splitlines() for text in texts)
            found[name] = [line.strip(" \\") for line in first if line not in second]
    return found


def test_exports_for_agents_differ_in_one_coefficient(text_world: Path, tmp_path: Path) -> None:
    """One program and one set of numbers; lambda is `contextrl`'s, other rows are `da-rl`'s.

    The authors' ct_policy_worker.py skips the selection prompts at a coefficient of 0.
    """
    tasks = str(software(tmp_path / "gym"))
    for name in ("grpo", "contextrl", "da-rl"):
        run = training(text_world, name, rl_data=tasks, matching="steps", updates_per_rollout=2)
        Export(run, tmp_path / name).write()
    grpo, contextrl = tmp_path / "grpo", tmp_path / "contextrl"
    coefficient = "trainer.algorithm.choose_trajectory_coef"
    assert differing(grpo, contextrl) == {"run.sh": [f"{coefficient}=0.0"]}
    assert differing(contextrl, grpo) == {"run.sh": [f"{coefficient}=0.5"]}
    assert set(differing(tmp_path / "da-rl", grpo)) >= {"train.parquet"}
    options = passed(contextrl / "run.sh", tmp_path / "tree")
    assert options["trainer.train_batch_size"] == "8"  # two updates
    assert options["trainer.policy_mini_batch_size"] == "4"
    assert "skips the selection prompts" in (grpo / "README.md").read_text()


def test_a_chat_template_goes_with_generation_that_takes_one(
    text_world: Path, tmp_path: Path
) -> None:
    """SkyRL refuses `chat_template_kwargs` where `generator.batched` is true."""
    tasks = str(software(tmp_path / "gym"))
    run = training(
        text_world,
        "contextrl",
        rl_data=tasks,
        template={"enable_thinking": False},
        letters="likelier",
    )
    found = Export(run, tmp_path / "out").write()
    options = passed(tmp_path / "out/run.sh", tmp_path / "tree")
    assert options["generator.chat_template_kwargs.enable_thinking"] == "false"
    assert options["generator.batched"] == "false"
    assert found["lacking"] == ["template (an agent's turns are asked without it)"]


@pytest.mark.parametrize(
    ("name", "changes", "lacking"),
    [
        ("grpo", {}, []),
        ("grpo", {"freeze_vision": True, "letters": "bare"}, ["freeze_vision"]),
        ("contextrl", {"letters": "likelier"}, []),
        ("contextrl", {}, ["letters bare (it takes the likelier form)"]),
        (
            "contextrl",
            {"letters": "likelier", "selection_template": {"enable_thinking": False, "x": 1}},
            ["selection_template (x)"],
        ),
    ],
)
def test_settings_that_do_not_reach_skyrl_are_named(
    name: str, changes: dict[str, Any], lacking: list[str], text_world: Path, tmp_path: Path
) -> None:
    found = Export(training(text_world, name, **changes), tmp_path / "out").write()
    assert found["lacking"] == lacking
    readme = (tmp_path / "out/README.md").read_text()
    assert ("Without an option in SkyRL" in readme) == bool(lacking)
    assert all(setting in readme for setting in lacking)


def test_exports_of_single_turns_differ_in_their_rows_alone(
    text_world: Path, tmp_path: Path
) -> None:
    """By instances `grpo` and `da-rl` take as many steps; `contextrl` has no trainer there."""
    for name in ("grpo", "da-rl"):
        Export(training(text_world, name, prompts=10), tmp_path / name).write()
    assert set(differing(tmp_path / "grpo", tmp_path / "da-rl")) == {"train.parquet"}
    rows = {name: rows_of(tmp_path / name / "train.parquet") for name in ("grpo", "da-rl")}
    kinds = [row["extra_info"]["selection"] for row in rows["da-rl"]]
    assert (len(rows["grpo"]), sum(kinds)) == (len(kinds), 6)


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("base", {}, "has no GRPO"),
        ("ca-only", {}, "has no GRPO"),
        ("da-sft", {}, "begins with supervised training"),
        ("da-joint-sft", {}, "cross-entropy over the vocabulary"),
        ("grpo", {"reward": "mine:reward"}, "--reward is a function"),
        ("grpo", {"loss_type": "bnpo"}, "loss_type bnpo"),
        ("contextrl", {"clip_form": "upper"}, "clip_form upper"),
        ("grpo", {"rl_data": "agent:swebench_lite"}, "exported from a data set of them"),
    ],
)
def test_what_cannot_leave_is_one_line(
    name: str, changes: dict[str, Any], says: str, text_world: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        Export(training(text_world, name, **changes), tmp_path / "out").write()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_task_that_skyrl_cannot_grade_is_refused(text_world: Path, tmp_path: Path) -> None:
    run = training(text_world, "grpo", rl_data=str(software(tmp_path / "gym", eval_script="")))
    with pytest.raises(UsageError, match=r"row \d+ \(org__repo-\d+\): it has no eval_script"):
        Export(run, tmp_path / "out").write()
    assert not (tmp_path / "out").exists()


def test_software_tasks_are_not_trained_on_here(text_world: Path, tmp_path: Path) -> None:
    run = training(text_world, "grpo", rl_data=str(software(tmp_path / "gym")))
    with pytest.raises(UsageError, match="an agent has to play: --export skyrl"):
        check(run)


def test_the_command_exports(
    text_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "train",
        "--arm",
        "grpo",
        "--export",
        "skyrl",
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    words += ["--model", str(text_world / "model"), "--prompts", "8", "--prompts-per-step", "4"]
    words += ["--rl-data", str(text_world / "data/rl.jsonl"), "--matching", "steps"]
    cli.main(words, standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert (found["train"], found["pairs"], found["runs"]) == (8, 0, "ablations.export.environment")
    with pytest.raises(UsageError, match="is not empty"):
        cli.main(words, standalone_mode=False)


def test_the_readme_names_what_the_scorers_import(text_world: Path, tmp_path: Path) -> None:
    """SkyRL's environment has this project without its dependencies, but for these."""
    Export(training(text_world, "grpo"), tmp_path / "out").write()
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import ablations.export, ablations.training.rewards as rewards\n"
        "from benchmarks.scoring import Target\n"
        "for kind in ('math', 'number', 'text', 'choice'):\n"
        "    rewards.AccuracyAndFormat().value('The answer is 3 (A).', Target(kind, 'A'), False)\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(loaded - set(sys.stdlib_module_names)))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    ours = {"ablations", "benchmarks", "harness"}
    # msgspec itself takes typing_extensions where it is installed, and does without.
    needed = " ".join(sorted(set(run.stdout.split()) - ours - {"typing_extensions"}))
    assert f"`pip install {needed}`" in (tmp_path / "out/README.md").read_text()
