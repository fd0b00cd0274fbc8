"""One optimizer step on stored completions, by the real training loop, in one process or several.

Tests come in with a model and its data; the step's gradient and log leave in a file.  As a program
(``python -m tests.ablations.stored FOLDER``) it is one process of a DDP group.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from ablations.arms import arm
from ablations.settings import Settings
from ablations.training.plan import TrainingPlan
from ablations.training.prompting import Prompter
from ablations.training.schedule import item, schedule
from ablations.training.stages import Stage
from ablations.training.steps.trainer import ContextTrainer
from ablations.training.training_data import TrainingData
from harness.backends.checkpoint import load_model
from harness.records import ImagePart, Item

ROWS = 8
COMPLETION = 5
TOKEN_KINDS = {"mm_token_type_ids", "token_type_ids"}
PICTURES = {"pixel_values", "pixel_attention_mask", "image_grid_thw"}
COEFFICIENT, CLIP, KL, LOW, HIGH = 0.7, 2.0, 0.05, 0.2, 0.3


def training(folder: Path, name: str = "contextrl", **words: Any) -> TrainingPlan:
    """Return a run whose step has six pairs of ``folder``, by default, and 8 completions."""
    made = Settings(
        **{
            "model": str(folder / "model"),
            "pairs": str(folder / "data" / "pairs.jsonl"),
            "rl_data": str(folder / "data" / "rl.jsonl"),
            "prompts": 4,
            "pair_count": 6,
            "prompts_per_step": 4,
            "group": 2,
            "max_tokens": COMPLETION,
            "coefficient": COEFFICIENT,
            "clip": CLIP,
            "kl": KL,
            "ratio_low": LOW,
            "ratio_high": HIGH,
            "max_grad_norm": 0.0,
            "report_to": "none",
            "bf16": False,
            **words,
        }
    )
    return TrainingPlan(arm(name), TrainingData(made), folder / "run")


def drawn(run: TrainingPlan) -> list[Item]:
    """Return the RL items of the step, twice each: one per completion."""
    items = [item(run, slot) for slot in schedule(run) for _ in range(2)]
    if run.data.reads_images:
        # Images first, so that one process has only images and the other only texts.
        items.sort(key=lambda one: not isinstance(one.messages[0].content[0], ImagePart))
    return items


def stored(prompter: Any, items: list[Any], reference: Any) -> dict[str, Any]:
    """Return completions as TRL keeps them between rollout and loss.

    Tokens, advantages and the probabilities under the rollout's weights are drawn, some of the
    latter so far off that the ratio is clipped; the last completions are shorter.
    """
    draw = torch.Generator().manual_seed(5)
    texts = [prompter.text(item.messages) for item in items]
    images = [
        [part.image for part in item.messages[0].content if hasattr(part, "image")]
        for item in items
    ]
    words: dict[str, Any] = {"images": images} if any(images) else {}
    shown = dict(
        prompter.processor(
            text=texts, return_tensors="pt", padding=True, padding_side="left", **words
        )
    )
    n = len(items)
    batch: dict[str, Any] = {
        "prompt_ids": shown.pop("input_ids"),
        "prompt_mask": shown.pop("attention_mask"),
        "completion_ids": torch.randint(20, 300, (n, COMPLETION), generator=draw),
        "completion_mask": torch.ones(n, COMPLETION, dtype=torch.long),
        "advantages": torch.randn(n, generator=draw),
    }
    batch["completion_mask"][-3:, -2:] = 0
    for name in TOKEN_KINDS & shown.keys():
        shown[name] = torch.cat([shown[name], torch.zeros_like(batch["completion_ids"])], dim=1)
    batch |= shown
    if any(images):
        batch["num_images"] = [len(one) for one in images]
    with torch.no_grad():
        logps = log_probabilities(reference, batch, range(n))
    batch["old_per_token_logps"] = logps + 0.4 * torch.randn(logps.shape, generator=draw)
    batch["ref_per_token_logps"] = logps + 0.1 * torch.randn(logps.shape, generator=draw)
    batch["num_items_in_batch"] = batch["completion_mask"].sum()
    return batch


def log_probabilities(model: Any, batch: dict[str, Any], rows: Any) -> torch.Tensor:
    """Return the completions' token log-probabilities, row by row and without padding."""
    found = []
    for row in rows:
        real = batch["prompt_mask"][row].bool()
        completion = batch["completion_ids"][row]
        words = {"input_ids": torch.cat([batch["prompt_ids"][row][real], completion])[None]}
        inside = torch.cat([real, torch.ones(COMPLETION, dtype=torch.bool)])
        words |= {name: batch[name][row][inside][None] for name in TOKEN_KINDS & batch.keys()}
        if "pixel_values" in batch and batch["num_images"][row]:
            part = rows_of(batch, row, row + 1)
            words |= {name: part[name] for name in PICTURES & batch.keys()}
        logits = model(**words).logits[0, -COMPLETION - 1 : -1]
        found.append(logits.log_softmax(-1).gather(1, completion[:, None])[:, 0])
    return torch.stack(found)


def rows_of(batch: dict[str, Any], first: int, last: int) -> dict[str, Any]:
    """Return some rows of a stored batch, as TRL slices it."""
    cut = {}
    sizes = batch["image_grid_thw"].prod(dim=1).tolist() if "image_grid_thw" in batch else []
    images = batch.get("num_images", [])
    start, end = sum(images[:first]), sum(images[:last])
    for name, value in batch.items():
        if name == "image_grid_thw" or (not sizes and name in PICTURES and len(value) < ROWS):
            cut[name] = value[start:end]  # a row per image, elsewhere a row per prompt
        elif sizes and name == "pixel_values":
            cut[name] = value[sum(sizes[:start]) : sum(sizes[:end])]
        elif name == "num_items_in_batch":
            cut[name] = value
        else:
            cut[name] = value[first:last]
    return cut


class Stored(ContextTrainer):
    """The trainer, with rollouts that were made before."""

    stored: dict[str, Any]

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        parts = self.args.gradient_accumulation_steps * self.accelerator.num_processes
        size = ROWS // parts
        micro = self.micro_step[1] + 1 if self.micro_step[0] == self.state.global_step else 0
        part = micro * self.accelerator.num_processes + self.accelerator.process_index
        return rows_of(self.stored, part * size, (part + 1) * size)


class Keep(TrainerCallback):
    """Keeps the gradient of the step, which nothing clips, and counts the model's forwards."""

    def __init__(self) -> None:
        self.gradient: dict[str, torch.Tensor] = {}
        self.forwards = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **words: Any) -> None:
        def count(*_: Any) -> None:
            self.forwards += torch.is_grad_enabled()

        words["model"].get_input_embeddings().register_forward_hook(count)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **words: Any) -> None:
        for name, weight in words["model"].named_parameters():
            if weight.grad is not None:
                self.gradient[name.removeprefix("module.")] = weight.grad.detach().clone()


def step(folder: Path, out: Path, **words: Any) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Make one optimizer step and return its gradient by parameter and its log."""
    run = training(folder, **words)
    stage = Stage(run, "rl", folder / "model", lambda _: None)
    prompter = Prompter.load(folder / "model", run.settings)
    trainer = Stored(**{**stage.grpo_kwargs(prompter)})
    items = drawn(run)
    trainer.stored = stored(prompter, items, load_model(folder / "model", dtype=run.settings.dtype))
    keep = Keep()
    trainer.add_callback(keep)
    trainer.train()
    return keep.gradient, {**trainer.state.log_history[0], "forwards": keep.forwards}


def main(folders: list[str]) -> None:
    torch.set_num_threads(1)
    for name in folders:
        folder = Path(name)
        gradient, log = step(folder, folder, norms_every=1, batch_size=4)
        if os.environ.get("RANK", "0") == "0":
            torch.save({"gradient": gradient, "log": log}, folder / "ddp.pt")


if __name__ == "__main__":
    main(sys.argv[1:])
