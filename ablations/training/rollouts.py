"""Agentic RL: the benchmark's agent scaffold runs episodes with the policy as its model.

An episode is the tokens exactly as generated and shown, a mask of those the policy generated, and
the benchmark's own score as the reward. Episodes run one after another in this process, which is
slow; docs/training.md says what to use at scale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablations.training.prompting import Prompter
from harness.errors import ContextOverflowError, ItemError, UsageError
from harness.files.text import counted
from harness.protocols import Benchmark, Tokenizer, Tools
from harness.records import Item, Message, Response, Sampling

AGENT = "agent:"
Generate = Callable[[list[int], int], list[int]]


def open_agent(source: str, root: str | None, steps: int) -> Benchmark:
    """Return the benchmark of ``agent:BENCHMARK``, with at most ``steps`` steps per episode.

    Raises `UsageError` if there is no such benchmark, it has no agent, or its data is missing.
    """
    from benchmarks import suites

    name = source.removeprefix(AGENT)
    if "step_limit" not in suites.options(name):
        known = [other for other in suites.names() if "step_limit" in suites.options(other)]
        raise UsageError(
            f"--rl-data {source}: {name} is not an agent benchmark: choose from {', '.join(known)}"
        )
    data_root = None if root is None else Path(root)
    benchmark = suites.benchmark(name, data_root, options={"step_limit": str(steps)})
    benchmark.fingerprint()  # raises if data is missing
    return benchmark


@dataclass
class Policy:
    """The policy as the model of an agent.

    A generated turn is never re-rendered or re-tokenized: the next turn continues from the sampled
    tokens. ``generate`` continues tokens up to a number of new ones; ``context`` is the maximum
    number of tokens per episode; ``mask`` is 1 for each completion token that the policy generated.
    """

    generate: Generate
    prompter: Prompter
    context: int
    name: str = "policy"
    prompt: list[int] = field(default_factory=list)
    completion: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    _messages: int = 0

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        """Generate the next turn of the conversation.

        Raises `ContextOverflowError` if the episode has reached its token limit.
        """
        self.show(messages)
        room = self.context - len(self.prompt) - len(self.completion)
        if room < 1:
            raise ContextOverflowError(f"the episode has reached {counted(self.context, 'token')}")
        new = self.generate(self.prompt + self.completion, min(room, sampling.max_tokens))
        self._add(new, generated=1)
        ended = new[-1:] == [self.prompter.tokenizer.eos_token_id]
        if not ended:
            self.end_turn()
        return Response(self.prompter.answer(new), finish_reason="stop" if ended else "length")

    def show(self, messages: Sequence[Message]) -> None:
        """Append what the policy has not seen yet.

        Raises `UsageError` if the chat template does not end turns with the tokenizer's end token.
        """
        text = self.prompter.text(messages)
        if not self.prompt:
            self.prompt = self.prompter.ids(text)
        else:
            # After the policy's own turn; earlier turns stay, whatever the template does with them.
            # (An agent may drop a turn that it could not parse; the policy generated it anyway.)
            new = [m for m in messages[self._messages :] if m.role != "assistant"]
            start = text.rfind(new[0].render().strip()) if new else -1
            end = self.prompter.tokenizer.eos_token
            cut = text.rfind(end, 0, start)
            if start < 0 or cut < 0:
                raise UsageError("the chat template does not end turns with the end-of-turn token")
            self._add(self.prompter.ids(text[cut + len(end) :]), generated=0)
        self._messages = len(messages)

    def end_turn(self) -> None:
        """Add an end of turn that the policy did not generate."""
        self._add([self.prompter.tokenizer.eos_token_id], generated=0)

    def _add(self, tokens: Sequence[int], generated: int) -> None:
        self.completion += tokens
        self.mask += [generated] * len(tokens)

    async def logprobs(self, messages: object, tokens: object, form: object = None) -> None:
        """Return None: an agent uses only texts."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Never used: an agent's prompts are not truncated."""
        raise AssertionError("an agent needs no tokenizer")


@dataclass
class Rollouts:
    """TRL's ``rollout_func``: play and score one episode per prompt.

    Items come from the trainer's current rows, because two tasks may have the same prompt.
    ``generate`` makes the policy's turns; None: the model in training.
    """

    benchmark: Benchmark
    prompter: Prompter
    tools: Tools
    sampling: Sampling
    context: int
    generate: Generate | None = None

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """Return prompt and completion tokens, the mask of generated ones, and scores."""
        generate = self.generate or _sampler(trainer, self.prompter, self.sampling)

        async def play_all() -> list[tuple[Policy, float | None]]:
            return [await self._play(item, generate) for item in trainer.row_items]

        played = asyncio.run(play_all())
        return {
            "prompt_ids": [policy.prompt for policy, _ in played],
            "completion_ids": [policy.completion for policy, _ in played],
            "env_mask": [policy.mask for policy, _ in played],
            "logprobs": None,
            "episode_score": [value for _, value in played],
        }

    async def _play(self, item: Item, generate: Generate) -> tuple[Policy, float | None]:
        """Play and score; an infrastructure failure has no score, so no gradient."""
        policy = Policy(generate, self.prompter, self.context)
        try:
            response = await self.benchmark.solve(item, policy, self.sampling, self.tools)
            value = (await self.benchmark.score(item, response, self.tools)).value
        except ItemError:
            value = None
        if not policy.completion:  # failed before anything was generated
            policy.show(item.messages)
            policy.end_turn()
        return policy, value


def _sampler(trainer: Any, prompter: Prompter, sampling: Sampling) -> Generate:
    import torch
    from transformers import GenerationConfig

    model = trainer.accelerator.unwrap_model(trainer.model)

    def generate(ids: list[int], limit: int) -> list[int]:
        shown = torch.tensor([ids], device=model.device)
        config = GenerationConfig(
            max_new_tokens=limit,
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=0,
            eos_token_id=trainer.eos_token_ids,
            pad_token_id=prompter.tokenizer.pad_token_id,
        )
        with torch.no_grad():
            tokens = model.generate(
                input_ids=shown, attention_mask=torch.ones_like(shown), generation_config=config
            )
        new: list[int] = tokens[0, shown.shape[1] :].tolist()
        return new

    return generate


def episode_score(
    completions: Sequence[Any], episode_score: Sequence[float | None], **_: Any
) -> list[float | None]:
    """Return the episodes' scores: TRL's reward function."""
    return list(episode_score)
