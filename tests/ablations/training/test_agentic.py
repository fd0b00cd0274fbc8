"""Episodes of a real agent in the real sandbox, their tokens, and the step that they make."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations.arms import arm
from ablations.settings import Settings
from ablations.training.check import check
from ablations.training.plan import TrainingPlan
from ablations.training.training_data import TrainingData
from benchmarks.micro.data import repositories
from harness.errors import UsageError
from harness.protocols import Model, Tools
from harness.records import Item, Response, Sampling, Score
from tests.ablations import tiny
from tests.benchmarks.longhorizon import players

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (apt-get install bubblewrap)"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainingPlan:
    folder = tmp_path_factory.mktemp("agent")
    tiny.build("qwen3", folder / "model")
    pairs, _ = tiny.write(folder / "pairs", images=False)
    repositories.write(folder / "data")
    made = Settings(
        model=str(folder / "model"),
        pairs=str(pairs),
        rl_data="agent:swebench_lite",
        data_root=str(folder / "data"),
        matching="steps",
        prompts=1,
        pair_count=2,
        prompts_per_step=1,
        group=2,
        learning_rate=1e-2,
        kl=0.0,
        max_tokens=2048,
        report_to="none",
    )
    return TrainingPlan(arm("contextrl"), TrainingData(made), folder / "run")


def scripted(tokenizer: Any) -> Callable[[list[int], int], list[int]]:
    """A policy that solves its first episode and fails in its second, step by step."""
    episodes = [-1]

    def say(ids: list[int], limit: int) -> list[int]:
        text = tokenizer.decode(ids)
        step = text.count("<|im_start|>assistant\n") - 1
        episodes[0] += step == 0
        (row,) = (r for r in players.tasks().values() if r["problem_statement"].strip() in text)
        script = (players.right, players.wrong)[episodes[0] % 2](row)
        words = players.command(script[min(step, len(script) - 1)])
        return [*tokenizer.encode(words, add_special_tokens=False), tokenizer.eos_token_id]

    return say


@pytest.mark.slow
def test_a_step_on_episodes_of_unequal_reward_moves_the_policy_the_right_way(
    run: TrainingPlan,
) -> None:
    import torch

    from ablations.training.prompting import Prompter
    from ablations.training.stages import Stage
    from ablations.training.steps.trainer import ContextTrainer

    stage = Stage(run, "rl", Path(run.settings.model), lambda _: None)
    prompter = Prompter.load(stage.start, run.settings)
    words = stage.grpo_kwargs(prompter)
    rollouts = words["rollout_func"]
    rollouts.generate = scripted(prompter.tokenizer)
    kept: list[dict[str, Any]] = []

    def played(prompts: Any, trainer: Any) -> dict[str, Any]:
        kept.append(rollouts(prompts, trainer))
        return kept[-1]

    words["rollout_func"] = played
    trainer = ContextTrainer(**words)

    def preference() -> float:
        """How much likelier what the good episode said is than what the bad one said, a token."""
        (found,) = kept
        means = []
        for prompt, completion, mask in zip(
            *(found[name] for name in ("prompt_ids", "completion_ids", "env_mask")), strict=True
        ):
            ids = torch.tensor([prompt + completion])
            with torch.no_grad():
                logits = trainer.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
            logp = logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0]
            means.append(logp[torch.tensor(mask).bool()].sum().item())
        return means[0] - means[1]

    before: list[float] = []

    class Before(tiny.callback()):  # type: ignore[misc]
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            before.append(preference())

    trainer.add_callback(Before())
    trainer.train()
    (found,) = kept
    assert found["episode_score"] == [1.0, 0.0]
    log = trainer.state.log_history[0]
    assert log["grad_norm/grpo"] > 0
    assert log["count/exposures"] == 2
    assert preference() > before[0]

    # The mask is of the policy's lines, word for word.
    tokenizer = prompter.tokenizer
    for completion, mask in zip(found["completion_ids"], found["env_mask"], strict=True):
        said = tokenizer.decode([t for t, m in zip(completion, mask, strict=True) if m])
        shown = tokenizer.decode([t for t, m in zip(completion, mask, strict=True) if not m])
        assert said.count("```mswea_bash_command") == said.count("<|im_end|>") >= 3
        assert "<returncode>" in shown
        assert "mswea_bash_command\n" not in shown


@pytest.mark.slow
def test_the_model_itself_can_play(run: TrainingPlan) -> None:
    """Random weights say nonsense: the episodes end, unsolved, and the step is made."""
    from dataclasses import replace

    from ablations.training.prompting import Prompter
    from ablations.training.stages import Stage
    from ablations.training.steps.trainer import ContextTrainer

    small = replace(run.settings, max_tokens=8, agent_steps=2)
    plan = TrainingPlan(run.arm, TrainingData(small), run.out)
    stage = Stage(plan, "rl", Path(small.model), lambda _: None)
    trainer = ContextTrainer(**stage.grpo_kwargs(Prompter.load(stage.start, small)))
    trainer.train()
    log = trainer.state.log_history[0]
    assert log["reward"] == 0
    assert 0 < log["count/generated_tokens"] <= 2 * 2 * 8


class Twins:
    """A benchmark whose episodes are one turn; the first of two tasks with one prompt is solved."""

    def __init__(self) -> None:
        self.played: list[str] = []

    async def solve(self, item: Item, model: Model, sampling: Sampling, tools: Tools) -> Response:
        self.played.append(item.id)
        return await model.chat(item.messages, sampling)

    async def score(self, item: Item, response: Response, tools: Tools) -> Score:
        return Score(float(item.id == "first"), "scored")


def test_two_tasks_with_one_prompt_are_two_episodes(text_world: Path, tmp_path: Path) -> None:
    """The rows' items are played, whatever their prompts; each completion has its own's score."""
    from ablations.training.prompting import Prompter
    from ablations.training.rollouts import Rollouts, episode_score
    from ablations.training.schedule import schedule
    from ablations.training.stages import Stage
    from ablations.training.steps.trainer import ContextTrainer

    rl = tmp_path / "rl.jsonl"
    rows = [{"id": name, "query": "Say it.", "answer": name} for name in ("first", "second")]
    rl.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = Settings(
        model=str(text_world / "model"),
        rl_data=str(rl),
        prompts_per_step=2,
        group=2,
        max_tokens=4,
        report_to="none",
    )
    plan = TrainingPlan(arm("grpo"), TrainingData(made), tmp_path / "run")
    stage = Stage(plan, "rl", text_world / "model", lambda _: None)
    prompter = Prompter.load(stage.start, made)
    twins, scores = Twins(), []

    def scored(completions: Any, **columns: Any) -> list[float | None]:
        scores.append([columns["task"][n].id for n in range(4)])
        scores.append(episode_score(completions, columns["episode_score"]))
        return scores[-1]

    rollouts: Any = Rollouts(twins, prompter, Tools(), Sampling(4, 1.0), 512)  # type: ignore[arg-type]
    kwargs = {**stage.grpo_kwargs(prompter), "rollout_func": rollouts, "reward_funcs": scored}
    ContextTrainer(**kwargs).train()
    order = [plan.data.items[slot.number].id for slot in schedule(plan) for _ in range(2)]
    assert sorted(set(order)) == ["first", "second"]
    assert twins.played == order == scores[0]
    assert scores[1] == [float(name == "first") for name in order]


def test_what_is_no_agents_task_is_one_line(run: TrainingPlan) -> None:
    from dataclasses import replace

    other = TrainingData(replace(run.settings, rl_data="agent:niah"))
    with pytest.raises(UsageError, match="niah is not an agent benchmark"):
        _ = other.items
    mixed = TrainingPlan(arm("da-rl"), run.data, run.out)
    with pytest.raises(UsageError, match="mixes single turns"):
        check(mixed)
