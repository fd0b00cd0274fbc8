"""One step of SkyRL from an arm's export, in its own code: data, rewards, advantages and loss.

    skyrl_step.py FOLDER STEP.json

FOLDER is the export; STEP.json has SkyRL's options, as run.sh passes them, and the rollouts.
Prints one JSON document.  The forward is transformers': SkyRL's own wrapper needs flash-attn.
"""

import json
import sys
import typing
from collections.abc import Callable
from pathlib import Path

import typing_extensions

if sys.version_info < (3, 12):  # pydantic takes no other there, and SkyRL asks for 3.12
    typing.TypedDict = typing_extensions.TypedDict

import numpy as np
import skyrl_gym
import torch
from skyrl.backends.skyrl_train.utils import ppo_utils
from skyrl.backends.skyrl_train.utils.torch_utils import logprobs_from_logits, masked_mean
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.dataset import PromptDataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from ablations.export import ENVIRONMENT


def main() -> None:
    folder, step = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    config = SkyRLTrainConfig.from_cli_overrides(step["options"])
    path = config.trainer.policy.model.path
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)

    def tokens(messages: list) -> list:
        return tokenizer.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
            **config.generator.chat_template_kwargs,
        )

    longest = config.trainer.max_prompt_length
    data = PromptDataset(str(folder / "train.parquet"), tokenizer, longest, num_workers=1)
    found = {"prompts": [tokens(data[place][0]) for place in range(len(data))]}
    skyrl_gym.register(ENVIRONMENT, entry_point="ablations.export.environment:StrictScorers")
    found["rewards"] = [reward(data[row["place"]], row["text"]) for row in step["rows"]]
    found |= losses(config, model, found, step["rows"])
    found["ca"] = selection(model, tokenizer, folder, step["clip"], tokens)
    print(json.dumps(found))


def reward(record: tuple, text: str) -> float:
    _, name, extras, _ = record
    return skyrl_gym.make(name, extras=extras).step(text)["reward"]


def losses(config: SkyRLTrainConfig, model: torch.nn.Module, found: dict, rows: list) -> dict:
    """The lines of SkyRL's trainer and policy worker, for one mini-batch in one micro-batch."""
    algorithm = config.trainer.algorithm
    logps, mask, old, base = [], *(torch.tensor([row[name] for row in rows]) for name in FIELDS)
    for row in rows:
        answer = torch.tensor([row["completion"]])
        prompt = torch.tensor([found["prompts"][row["place"]]])
        logits = model(torch.cat([prompt, answer], dim=1)).logits[:, -answer.shape[1] - 1 : -1]
        logps.append(logprobs_from_logits(logits / algorithm.temperature, answer)[0])
    logps, mask = torch.stack(logps), mask.float()
    scores = torch.zeros_like(mask)
    scores[:, 0] = torch.tensor(found["rewards"])
    index = np.array([row["place"] for row in rows])
    estimate = ppo_utils.AdvantageEstimatorRegistry.get(algorithm.advantage_estimator)
    result = {}
    for name, more in {"": {}, "_trl_epsilon": {"epsilon": 1e-4}}.items():
        advantages, _ = estimate(
            token_level_rewards=scores.clone(),
            response_mask=mask,
            index=index,
            grpo_norm_by_std=algorithm.grpo_norm_by_std,
            **more,
        )
        scaled = ppo_utils.apply_loss_reduction_to_advantages_minibatch(
            advantages, mask, algorithm.loss_reduction, len(rows), None
        )
        policy_loss = ppo_utils.PolicyLossRegistry.get(algorithm.policy_loss_type)
        loss, metrics = policy_loss(logps, old, scaled, config=algorithm, loss_mask=mask)
        kl = torch.zeros(())
        if algorithm.use_kl_loss:
            each = ppo_utils.compute_approx_kl(logps, base, mask, algorithm.kl_estimator_type)
            kl = masked_mean(each, mask, dim=-1).mean() * algorithm.kl_loss_coef
        result[f"advantages{name}"] = (
            advantages.amax(1).where(advantages.amax(1) > 0, advantages.amin(1)).tolist()
        )
        result[f"loss{name}"] = (loss + kl).item()
    return {**result, "kl": kl.item(), "clipped": metrics["clip_ratio"]}


FIELDS = ("mask", "old", "ref")


def selection(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    clip: float,
    tokens: Callable[[list], list],
) -> float:
    """L_CA of the first step's exported prompts, by the formula of arXiv 2606.17053."""
    letters = {letter: tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "AB"}
    terms = []
    for row in map(json.loads, (folder / "selection.jsonl").open()):
        if row["step"] == 0:
            shown = tokens([{"role": "user", "content": row["prompt"]}])
            logits = model(torch.tensor([shown])).logits[0, -1]
            right = row["correct_answer"]
            wrong = "B" if right == "A" else "A"
            margin = logits[letters[right]] - logits[letters[wrong]]
            terms.append(-torch.nn.functional.logsigmoid(margin.clamp(-clip, clip)))
    return torch.stack(terms).mean().item()


if __name__ == "__main__":
    with torch.no_grad():
        main()
