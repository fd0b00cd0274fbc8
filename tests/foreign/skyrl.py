"""One step of an exported arm in SkyRL's own code, against our trainer's on the same rollouts."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch

from ablations.arms import arm
from ablations.export.skyrl import Export
from ablations.training.plan import TrainingPlan
from ablations.training.prompting import Prompter
from ablations.training.schedule import item, schedule
from ablations.training.stages import Stage
from ablations.training.steps.trainer import ContextTrainer
from tests.ablations import tiny
from tests.ablations.stored import CLIP, training
from tests.ablations.test_skyrl import passed

PACKAGES = (
    "skyrl==0.4.0 skyrl-gym==0.4.0 torch ray==2.57.0 omegaconf hydra-core==1.3.2 loguru jaxtyping "
    "tensordict pybase64 accelerate aiohttp mpmath msgspec orjson"
)
WORDS: dict[str, Any] = {
    "group": 4,
    "max_tokens": 12,
    "temperature": 0.8,
    "format_pattern": ".*e.*",  # random tokens are never right: this tells them apart
    "accuracy_weight": 0.5,
}
TOLERANCE = 1e-5


class Recorded(ContextTrainer):
    """The trainer; its rollouts are kept, as if an older policy had made them."""

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        batch = super()._generate_and_score_completions(inputs)
        ids, mask = (
            torch.cat([batch[f"prompt_{kind}"], batch[f"completion_{kind}"]], dim=1)
            for kind in ("ids", "mask")
        )
        answers = batch["completion_ids"]
        with torch.no_grad():
            logps, *_ = self._get_per_token_logps_and_entropies(
                self.model, ids, mask, answers.shape[1]
            )
        draw = torch.Generator().manual_seed(5)
        batch["completion_mask"][-3:, -2:] = 0  # responses of several lengths
        batch["num_items_in_batch"] = batch["completion_mask"].sum()
        for name, width in (("old", 0.4), ("ref", 0.1)):
            noise = width * torch.randn(logps.shape, generator=draw)
            batch[f"{name}_per_token_logps"] = logps + noise
        self.rows = [
            {
                "id": task.id,
                "prompt": batch["prompt_ids"][n][batch["prompt_mask"][n].bool()].tolist(),
                "completion": answers[n].tolist(),
                "mask": batch["completion_mask"][n].tolist(),
                "old": batch["old_per_token_logps"][n].tolist(),
                "ref": batch["ref_per_token_logps"][n].tolist(),
                "text": self._answer(answers[n].tolist()),
                "advantage": batch["advantages"][n].item(),
            }
            for n, task in enumerate(self.row_items)
        ]
        return batch


def step(run: TrainingPlan, folder: Path) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Make our trainer's step; return its rollouts and its log."""
    prompter = Prompter.load(folder / "model", run.settings)
    trainer = Recorded(**Stage(run, "rl", folder / "model", lambda _: None).grpo_kwargs(prompter))
    trainer.train()
    places = {item(run, slot).id: place for place, slot in enumerate(schedule(run))}
    return [{**row, "place": places[row["id"]]} for row in trainer.rows], trainer.state.log_history[
        0
    ]


def compared(python: Path, folder: Path, **words: Any) -> list[str]:
    """Return what differs for one loss, and print the figures."""
    name = "-".join(map(str, words.values()))
    run = training(folder, **WORDS, **words)
    rows, log = step(run, folder)
    out = folder / name
    Export(run, out).write()
    # `contextrl` has no run.sh, and its numbers are those of `grpo`.
    Export(dataclasses.replace(run, arm=arm("grpo")), folder / f"{name}-grpo").write()
    options = passed(folder / f"{name}-grpo" / "run.sh", folder / f"{name}-tree")
    options.pop("module")
    given = {"options": [f"{key}={value}" for key, value in options.items()], "rows": rows}
    (folder / "step.json").write_text(json.dumps({**given, "clip": CLIP}))
    found = printed(python, "skyrl_step.py", out, folder / "step.json")
    return [found] if isinstance(found, str) else judged(name, run, rows, log, found)


def printed(python: Path, script: str, *words: Path) -> dict[str, Any] | str:
    """Return the document that a script prints in SkyRL's environment, or why there is none."""
    done = subprocess.run(
        [python, Path(__file__).parent / "scripts" / script, *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return done.stderr.strip()[-2000:]
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def mixed(python: Path, folder: Path) -> list[str]:
    """Return what is wrong with single turns among an agent's tasks."""
    found = printed(python, "skyrl_mixed.py", folder / "model")
    print(f"skyrl mixed: {found}")
    return [found] if isinstance(found, str) else [name for name in found if not found[name]]


def judged(
    name: str,
    run: TrainingPlan,
    rows: list[dict[str, Any]],
    log: dict[str, float],
    there: dict[str, Any],
) -> list[str]:
    """Return what differs between our step and SkyRL's."""
    slots = schedule(run)
    wrong = []
    if len(there["prompts"]) != len(slots):
        wrong.append(f"{len(there['prompts'])} prompts of {len(slots)}")
    if [there["prompts"][row["place"]] for row in rows] != [row["prompt"] for row in rows]:
        wrong.append("prompts have other tokens")
    mean, own = log["reward"], sum(there["rewards"]) / len(rows)
    advantages = [row["advantage"] for row in rows]
    # TRL's KL term is reduced like the policy's, SkyRL's by response.
    same = run.settings.kl == 0 or run.settings.loss_type == "grpo"
    for what, here, other, holds in (
        ("mean reward", [mean], [own], True),
        ("advantages, TRL's epsilon", advantages, there["advantages_trl_epsilon"], True),
        ("advantages, SkyRL's epsilon", advantages, there["advantages"], False),
        ("GRPO loss, TRL's epsilon", [log["grpo/loss"]], [there["loss_trl_epsilon"]], same),
        ("GRPO loss, SkyRL's epsilon", [log["grpo/loss"]], [there["loss"]], False),
        ("L_CA", [log["ca/loss"]], [there["ca"]], True),
    ):
        far = max(abs(x - y) for x, y in zip(here, other, strict=True))
        print(f"skyrl {name}: {what}: {here[0]:.7f}, {other[0]:.7f}; largest difference {far:.1e}")
        if holds and far > TOLERANCE:
            wrong.append(f"{what}: {here} here, {other} in SkyRL")
    print(f"skyrl {name}: {there['clipped']:.2f} of the tokens clipped, KL term {there['kl']:.2e}")
    return wrong


def run(python: Path) -> list[str]:
    """Try both kinds of rows, and compare both losses, with the KL term and without."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tiny.build("qwen3", folder / "model")
        tiny.write(folder / "data", images=False)
        return mixed(python, folder) + [
            text
            for loss_type in ("grpo", "dapo")
            for kl in (0.05, 0.0)
            for text in compared(python, folder, loss_type=loss_type, kl=kl)
        ]
