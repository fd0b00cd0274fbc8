"""Agentic reinforcement learning: a benchmark's own agent plays, the policy says its lines.

TRL comes in with prompts; whole episodes leave, tokens exactly as they were said and shown, with a
mask of what the policy said, and the benchmark's own score as the reward.  Episodes are played one
after another in this process: right, and slow; docs/training.md says what is for large scale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.training.prompting import Prompter
from benchmarks.pairs.rl_item import Task
from benchmarks.scoring import Target
from harness.errors import ContextOverflowError, ItemError, UsageError
from harness.protocols import Benchmark, Tokenizer, Tools, build_items
from harness.records import Item, Message, Response, Sampling

AGENT = "agent:"
Say = Callable[[list[int], int], list[int]]


def open_agent(source: str, root: str | None, steps: int) -> Benchmark:
    """Return the benchmark of ``agent:BENCHMARK``, its episodes limited to ``steps``.

    Raises:
        UsageError: there is no such benchmark, it is not an agent's, or its data is missing.
    """
    from benchmarks import suites

    name = source.removeprefix(AGENT)
    if "step_limit" not in suites.options(name):
        raise UsageError(f"--rl-data {source}: {name} is no task of an agent")
    made = suites.benchmark(
        name, None if root is None else Path(root), options={"step_limit": str(steps)}
    )
    made.fingerprint()  # says what is missing
    return made


def items_of(benchmark: Benchmark) -> list[Item]:
    """Return a benchmark's tasks; those that cannot be built are left out."""
    return [item for item in build_items(benchmark) if isinstance(item, Item)]


def tasks_of(benchmark: Benchmark) -> list[Task]:
    """Return a benchmark's tasks as RL items; the episode's score is their reward."""
    return [
        Task(item.id, "trajectory", item.messages, Target("text", ""))
        for item in items_of(benchmark)
    ]


@dataclass
class Policy:
    """The policy as a model that an agent asks, token in and token out.

    What was said is never written and read again as text: the next turn goes on from the same
    tokens, so that they are those that the policy drew.  ``say`` continues tokens; ``context`` is
    the most tokens of an episode.
    """

    say: Say
    prompter: Prompter
    context: int
    name: str = "policy"
    prompt: list[int] = field(default_factory=list)
    completion: list[int] = field(default_factory=list)
    said: list[int] = field(default_factory=list)
    _messages: int = 0

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        """Say the next line of the conversation.

        Raises:
            ContextOverflowError: the episode is as long as it may be.
        """
        self._show(messages)
        room = self.context - len(self.prompt) - len(self.completion)
        if room < 1:
            raise ContextOverflowError(f"the episode is {self.context} tokens long")
        end = self.prompter.tokenizer.eos_token_id
        new = self.say(self.prompt + self.completion, min(room, sampling.max_tokens))
        self._add(new, 1)
        ended = bool(new) and new[-1] == end
        if not ended:
            self._add([end], 0)
        text = self.prompter.tokenizer.decode(new, skip_special_tokens=True)
        return Response(text, finish_reason="stop" if ended else "length")

    def _show(self, messages: Sequence[Message]) -> None:
        """Add what the policy has not seen yet."""
        text = self.prompter.text(messages)
        if not self.prompt:
            self.prompt = self._ids(text)
        else:
            # After the policy's own line: whatever the template writes of earlier turns, it stays.
            # (An agent may leave out a line that it could not read; here it was said all the same.)
            new = [one for one in messages[self._messages :] if one.role != "assistant"]
            place = text.rfind(new[0].render().strip()) if new else -1
            end = self.prompter.tokenizer.eos_token
            cut = text.rfind(end, 0, place)
            if place < 0 or cut < 0:
                raise UsageError("the chat template does not end turns with the end-of-turn token")
            self._add(self._ids(text[cut + len(end) :]), 0)
        self._messages = len(messages)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.prompter.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _add(self, tokens: Sequence[int], mine: int) -> None:
        self.completion += tokens
        self.said += [mine] * len(tokens)

    async def logprobs(self, messages: object, tokens: object) -> None:
        """Tell none: an agent's answers are texts."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Never used: an agent's prompts are not cut."""
        raise AssertionError("an agent asks for no tokenizer")


@dataclass
class Rollouts:
    """TRL's ``rollout_func``: plays an episode for every prompt and has it scored.

    ``say`` is what the policy says, None for the model that is trained.
    """

    benchmark: Benchmark
    prompter: Prompter
    tools: Tools
    sampling: Sampling
    context: int
    say: Say | None = None
    _items: dict[str, Item] = field(default_factory=dict)

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """Return prompt and completion tokens, the mask of what was said, and scores."""
        say = self.say or _sampler(trainer, self.prompter, self.sampling)
        played = asyncio.run(self._all([self._item(prompt) for prompt in prompts], say))
        return {
            "prompt_ids": [policy.prompt for policy, _ in played],
            "completion_ids": [policy.completion for policy, _ in played],
            "env_mask": [policy.said for policy, _ in played],
            "logprobs": None,
            "episode_score": [value for _, value in played],
        }

    def _item(self, prompt: Sequence[Mapping[str, Any]]) -> Item:
        if not self._items:
            found = items_of(self.benchmark)
            self._items = {_key(self.prompter.chat(item.messages)): item for item in found}
        return self._items[_key(prompt)]

    async def _all(self, items: Sequence[Item], say: Say) -> list[tuple[Policy, float | None]]:
        return [await self._one(item, say) for item in items]

    async def _one(self, item: Item, say: Say) -> tuple[Policy, float | None]:
        """Play and score; a failure of the machinery has no score, so no gradient."""
        policy = Policy(say, self.prompter, self.context)
        try:
            response = await self.benchmark.solve(item, policy, self.sampling, self.tools)
            score = await self.benchmark.score(item, response, self.tools)
            value = score.value
        except ItemError:
            value = None
        if not policy.completion:  # it failed before anything was said
            policy._show(item.messages)
            policy._add([self.prompter.tokenizer.eos_token_id], 0)
        return policy, value


def _key(prompt: Sequence[Mapping[str, Any]]) -> str:
    content = prompt[-1]["content"]
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def _sampler(trainer: Any, prompter: Prompter, sampling: Sampling) -> Say:
    """Return what draws from the model that is trained."""
    import torch
    from transformers import GenerationConfig

    model = trainer.accelerator.unwrap_model(trainer.model)
    tokenizer = prompter.tokenizer

    def say(ids: list[int], limit: int) -> list[int]:
        shown = torch.tensor([ids], device=model.device)
        config = GenerationConfig(
            max_new_tokens=limit,
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
            eos_token_id=trainer.eos_token_ids,
            pad_token_id=tokenizer.pad_token_id,
        )
        with torch.no_grad():
            found = model.generate(
                input_ids=shown, attention_mask=torch.ones_like(shown), generation_config=config
            )
        new: list[int] = found[0, shown.shape[1] :].tolist()
        return new

    return say


def episode_score(
    completions: Sequence[Any], episode_score: Sequence[float | None], **_: Any
) -> list[float | None]:
    """Return the episodes' scores: TRL's reward function."""
    return list(episode_score)
