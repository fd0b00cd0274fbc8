"""One batch of both kinds of rows through `MixedGenerator`, in SkyRL's own generator of turns.

    skyrl_mixed.py MODEL

In the place of the agent of SkyRL's example, which needs containers, stands one whose episode is
fixed.  Prints one JSON document: what holds.
"""

import asyncio
import json
import sys
import types
import typing

import typing_extensions

if sys.version_info < (3, 12):  # as in skyrl_step.py
    typing.TypedDict = typing_extensions.TypedDict

import skyrl_gym
from skyrl.train.config import SkyRLGymConfig, SkyRLTrainConfig
from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator
from transformers import AutoTokenizer

from ablations.export import ENVIRONMENT

EPISODE = ([1, 2, 3], 1, "complete", [1, 0, 1], [7], None)


class Agent(SkyRLGymGenerator):
    async def minisweagent_agent_loop(self, prompt: list, env_extras: dict, **_: object) -> tuple:
        assert env_extras["instance"] == {"instance_id": "a"}
        return EPISODE


class Engine:
    """Answers every prompt with the same tokens."""

    def __init__(self, tokens: list, text: str) -> None:
        self.tokens, self.text = tokens, text

    async def generate(self, request: dict, **_: object) -> dict:
        (prompt,) = request["prompt_token_ids"]
        self.prompt = list(prompt)
        return {
            "responses": [self.text],
            "response_ids": [list(self.tokens)],
            "stop_reasons": ["stop"],
            "response_logprobs": None,
        }

    async def finish_session(self, *_: object) -> None:
        pass


def main() -> None:
    name = "examples.train.mini_swe_agent.mini_swe_generator"
    for end in (8, 14, 29, len(name)):  # examples, examples.train, ...
        sys.modules[name[:end]] = types.ModuleType(name[:end])
    sys.modules[name].MiniSweAgentGenerator = Agent
    from ablations.export.mixed import MixedGenerator

    skyrl_gym.register(ENVIRONMENT, entry_point="ablations.export.environment:StrictScorers")
    config = SkyRLTrainConfig.from_cli_overrides(["generator.batched=false"])
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    answer = tokenizer.encode("B", add_special_tokens=False)
    engine = Engine(answer, "B")
    made = MixedGenerator(config.generator, SkyRLGymConfig(max_env_workers=0), engine, tokenizer)
    prompt = [{"role": "user", "content": "Which? " * 50}]
    target = json.dumps({"kind": "choice", "answer": "B", "choices": ["A", "B"]})
    extra = {"id": "p", "selection": True, "target": target, "accuracy_weight": 0.5}
    extra |= {"format_pattern": None, "opening": ""}
    rows = [{"instance": {"instance_id": "a"}}, {"instance": None, "extra_info": extra}]

    # An agent's limit of 10 tokens, which the single turn's prompt exceeds.
    given = {"max_tokens": 5, "max_input_length": 10, "sampling_params": {"max_tokens": 5}}
    given |= {"trajectory_id": None, "batch_metadata": None}

    async def both() -> list:
        return [await made.minisweagent_agent_loop(prompt, row, **given) for row in rows]

    agent, turn = asyncio.run(both())
    tokens = tokenizer.apply_chat_template(
        prompt, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    found = {
        "episode": agent == EPISODE,
        "response": turn[0] == answer,
        "reward": turn[1] == 1.0,
        "mask": turn[3] == [1] * len(answer),
        "prompt": turn[4] == engine.prompt == tokens,
        "no log-probabilities": turn[5] is None,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
