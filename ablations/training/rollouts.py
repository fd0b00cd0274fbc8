"""Agentic RL: the benchmark's agent scaffold runs episodes with the policy as its model.

An episode is tokens exactly as they were generated and shown, a mask of those that the policy
generated, and the benchmark's own score as the reward.  Episodes run one after another in this
process: correct, and slow; docs/training.md says what to use at scale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.training.prompting import Prompter
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
        raise UsageError(f"--rl-data {source}: {name} is not an agent benchmark")
    benchmark = suites.benchmark(
        name, None if root is None else Path(root), options={"step_limit": str(steps)}
    )
    benchmark.fingerprint()  # says what is missing
    return benchmark


def items_of(benchmark: Benchmark) -> list[Item]:
    """Return a benchmark's tasks; those that cannot be built are left out."""
    return [item for item in build_items(benchmark) if isinstance(item, Item)]


@dataclass
class Policy:
    """The policy as the model of an agent, tokens in and tokens out.

    A generated turn is never rendered and tokenized again: the next turn continues from the same
    tokens that the policy drew.  ``say`` continues tokens; ``context`` is the maximum number of
    tokens per episode; ``said`` is 1 for each completion token that the policy generated.
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
        """Generate the next turn of the conversation.

        Raises:
            ContextOverflowError: the episode has reached its token limit.
        """
        self._show(messages)
        room = self.context - len(self.prompt) - len(self.completion)
        if room < 1:
            raise ContextOverflowError(f"the episode has reached {self.context} tokens")
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
            # After the policy's own turn; earlier turns stay, however the template renders them.
            # (An agent may drop a turn that it could not parse; the policy generated it anyway.)
            new = [m for m in messages[self._messages :] if m.role != "assistant"]
            start = text.rfind(new[0].render().strip()) if new else -1
            end = self.prompter.tokenizer.eos_token
            cut = text.rfind(end, 0, start)
            if start < 0 or cut < 0:
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
        """Return None: an agent's answers are texts."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Never used: an agent's prompts are not cut."""
        raise AssertionError("an agent asks for no tokenizer")


@dataclass
class Rollouts:
    """TRL's ``rollout_func``: plays an episode for every prompt and has it scored.

    The items are those of the trainer's current rows: two tasks may have the same prompt.  ``say``
    generates the policy's turns, None for the model that is trained.
    """

    benchmark: Benchmark
    prompter: Prompter
    tools: Tools
    sampling: Sampling
    context: int
    say: Say | None = None

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """Return prompt and completion tokens, the mask of generated ones, and scores."""
        say = self.say or _sampler(trainer, self.prompter, self.sampling)
        played = asyncio.run(self._play_all(trainer.asked, say))
        return {
            "prompt_ids": [policy.prompt for policy, _ in played],
            "completion_ids": [policy.completion for policy, _ in played],
            "env_mask": [policy.said for policy, _ in played],
            "logprobs": None,
            "episode_score": [value for _, value in played],
        }

    async def _play_all(self, items: Sequence[Item], say: Say) -> list[tuple[Policy, float | None]]:
        return [await self._play(item, say) for item in items]

    async def _play(self, item: Item, say: Say) -> tuple[Policy, float | None]:
        """Play and score; an infrastructure failure has no score, so no gradient."""
        policy = Policy(say, self.prompter, self.context)
        try:
            response = await self.benchmark.solve(item, policy, self.sampling, self.tools)
            score = await self.benchmark.score(item, response, self.tools)
            value = score.value
        except ItemError:
            value = None
        if not policy.completion:  # it failed before anything was generated
            policy._show(item.messages)
            policy._add([self.prompter.tokenizer.eos_token_id], 0)
        return policy, value


def _sampler(trainer: Any, prompter: Prompter, sampling: Sampling) -> Say:
    """Return a function that samples from the model that is trained."""
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
            tokens = model.generate(
                input_ids=shown, attention_mask=torch.ones_like(shown), generation_config=config
            )
        new: list[int] = tokens[0, shown.shape[1] :].tolist()
        return new

    return say


def episode_score(
    completions: Sequence[Any], episode_score: Sequence[float | None], **_: Any
) -> list[float | None]:
    """Return the episodes' scores: TRL's reward function."""
    return list(episode_score)
