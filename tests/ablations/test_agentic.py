"""Episodes of a real agent in the real sandbox, their tokens, and the step that they make."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablations.arms import arm
from ablations.settings import Settings
from ablations.training.plan import Training
from benchmarks.micro.data import repositories
from harness.errors import UsageError
from tests.ablations import tiny
from tests.benchmarks.longhorizon import players

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed (apt-get install bubblewrap)"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Training:
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
    return Training(arm("contextrl"), made, folder / "run")


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
def test_a_step_on_episodes_of_unequal_reward_moves_the_policy_the_right_way(run: Training) -> None:
    import torch

    from ablations.training import checkpoints
    from ablations.training.stages import Stage
    from ablations.training.trainer import ContextTrainer

    stage = Stage(run, "rl", Path(run.settings.model), lambda _: None)
    prompter = checkpoints.prompter(stage.start, run.settings)
    words = stage.grpo_words(prompter)
    rollouts = words["rollout_func"]
    rollouts.say = scripted(prompter.tokenizer)
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
def test_the_model_itself_can_play(run: Training) -> None:
    """Random weights say nonsense: the episodes end, unsolved, and the step is made."""
    from dataclasses import replace

    from ablations.training import checkpoints
    from ablations.training.stages import Stage
    from ablations.training.trainer import ContextTrainer

    small = replace(run.settings, max_tokens=8, agent_steps=2)
    stage = Stage(Training(run.arm, small, run.out), "rl", Path(small.model), lambda _: None)
    trainer = ContextTrainer(**stage.grpo_words(checkpoints.prompter(stage.start, small)))
    trainer.train()
    log = trainer.state.log_history[0]
    assert log["reward"] == 0
    assert 0 < log["count/generated_tokens"] <= 2 * 2 * 8


def test_what_is_no_agents_task_is_one_line(run: Training) -> None:
    from dataclasses import replace

    other = Training(run.arm, replace(run.settings, rl_data="agent:niah"), run.out)
    with pytest.raises(UsageError, match="niah is no task of an agent"):
        _ = other.tasks
    mixed = Training(arm("da-rl"), run.settings, run.out)
    with pytest.raises(UsageError, match="mixes single turns"):
        mixed.check()
