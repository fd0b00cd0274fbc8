"""The stages of an arm: supervised training, then GRPO or L_CA alone; each saved and resumable.

Importing this module imports torch and TRL.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainingArguments, set_seed
from transformers.utils import logging as transformers_logging

with warnings.catch_warnings():
    # TRL warns about other vLLM versions even if rollouts do not use vLLM.
    warnings.filterwarnings("ignore", message="TRL currently supports vLLM")
    from trl import GRPOConfig

    from ablations.training.steps.trainer import ContextTrainer, SelectionTrainer

from ablations.interrupts import deferred, interrupted, requested
from ablations.settings import Settings
from ablations.training.check import first_process
from ablations.training.ledger import last_complete, read_steps
from ablations.training.plan import TrainingPlan
from ablations.training.prompting import Prompter
from ablations.training.rewards import reward_of
from ablations.training.rollouts import Rollouts, episode_score
from ablations.training.saving import cast, write_checkpoint
from ablations.training.schedule import arm_view, exposures, item, schedule
from ablations.training.steps.callbacks import StepLog, StopBetweenSteps
from ablations.training.steps.own_loss import OwnObjective, load_loss
from ablations.training.steps.term import Objective, SelectionTerm
from harness.backends.checkpoint import load_model
from harness.errors import UsageError
from harness.files.jsonl import rewrite
from harness.install.wandb_settings import refuse_foreign
from harness.protocols import Tools
from harness.records import Sampling
from harness.sandbox import choose

Say = Callable[[str], None]


def run_stages(plan: TrainingPlan, say: Say) -> None:
    """Run an arm's remaining stages and write its checkpoint."""
    start = plan.data.folder
    if {"all", "wandb"} & {*plan.settings.report_to.split(",")}:
        refuse_foreign()
    # In wandb a study's trainings (STUDY/arms/ARM/seed-N) are a group.
    os.environ.setdefault("WANDB_PROJECT", "contextrl")
    if len(plan.out.parents) > 2 and plan.out.parents[1].name == "arms":
        os.environ.setdefault("WANDB_RUN_GROUP", plan.out.parents[2].name)
    if plan.arm.sft:
        taught = plan.out / "sft"
        if not taught.exists():
            Stage(plan, "sft", start, say).run(taught)
        start = taught
    if not plan.checkpoint.exists():
        name = "rl" if plan.arm.grpo else "selection"
        Stage(plan, name, start, say).run(plan.checkpoint)


@dataclass(frozen=True)
class Stage:
    """One stage: a trainer from a checkpoint to a checkpoint."""

    plan: TrainingPlan
    name: str
    start: Path
    say: Say

    @property
    def folder(self) -> Path:
        """The folder of the checkpoints to resume from."""
        return self.plan.out / "stages" / self.name

    @property
    def steps(self) -> int:
        """Optimizer steps of the stage."""
        amounts = self.plan.amounts
        return amounts.sft_steps if self.name == "sft" else amounts.steps

    @property
    def window(self) -> int:
        """Optimizer steps per batch of rollouts; it can only be resumed between batches."""
        return self.plan.settings.updates_per_rollout if self.name == "rl" else 1

    def run(self, target: Path) -> None:
        """Train, or resume training, and save; `Interrupted` if a signal came before the end."""
        if requested():
            raise interrupted(f"{self.name}: not begun")
        transformers_logging.disable_progress_bar()  # we print progress ourselves
        # Adapters are initialised with the trainer.
        set_seed(self.plan.settings.seed)
        render = Prompter.load(self.start, self.plan.settings)
        trainer = self.trainer(render)
        last = last_complete(self.folder)
        done = int(last.name.rpartition("-")[2]) if last else 0
        trainer.remove_callback(PrinterCallback)  # standard output is for --json
        if first_process():
            self._keep_steps(done)
            trainer.add_callback(StepLog(self.name, self.steps, self.plan.log, self.say))
            if last:
                self.say(f"{self.name}: resuming after step {done} of {self.steps}")
        trainer.add_callback(StopBetweenSteps(self.window))
        with deferred():
            trainer.train(resume_from_checkpoint=str(last) if last else None)
            if (step := trainer.state.global_step) < self.steps:
                raise interrupted(
                    f"{self.name}: checkpoint saved after step {step} of {self.steps}"
                )
            _save(self, trainer, render.processor, target)

    def trainer(self, render: Prompter) -> Any:
        """Return the stage's trainer."""
        if self.name == "rl":
            return ContextTrainer(**self.grpo_kwargs(render))
        return SelectionTrainer(**self.selection_kwargs(render))

    def _keep_steps(self, done: int) -> None:
        kept = [
            orjson.dumps(step).decode()
            for step in read_steps(self.plan.log)
            if step["stage"] != self.name or step["step"] <= done
        ]
        rewrite(self.plan.log, kept)

    def _common(self, micro: int, accumulate: int) -> dict[str, Any]:
        s = self.plan.settings
        rate = s.sft_learning_rate if self.name == "sft" else None
        gpu = torch.cuda.is_available()
        warm = s.schedule == "constant" and s.warmup_steps  # "constant" has no warm-up
        return {
            "output_dir": str(self.folder),
            "max_steps": self.steps,
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": accumulate,
            "learning_rate": s.learning_rate if rate is None else rate,
            "weight_decay": s.weight_decay,
            "adam_beta2": s.adam_beta2,
            "warmup_steps": s.warmup_steps,
            "lr_scheduler_type": "constant_with_warmup" if warm else s.schedule,
            "max_grad_norm": s.max_grad_norm,
            "seed": s.seed,
            "bf16": gpu if s.bf16 is None else s.bf16,
            "use_cpu": not gpu,
            "gradient_checkpointing": s.gradient_checkpointing,
            "save_strategy": "steps",
            "save_steps": -(-s.save_every // self.window) * self.window,
            "save_total_limit": 2,
            "logging_steps": 1,
            "report_to": [] if s.report_to == "none" else s.report_to.split(","),
            "run_name": f"{self.plan.arm.name}-seed-{s.seed}-{self.name}",
            "project": "contextrl",  # trackio's
            "disable_tqdm": True,
            "dataloader_pin_memory": gpu,
            "remove_unused_columns": False,
        }

    def grpo_kwargs(self, render: Prompter) -> dict[str, Any]:
        """Return the arguments of the GRPO trainer."""
        s = self.plan.settings
        rollouts = self._episodes(render)
        reward: Any = episode_score if rollouts and not s.reward else reward_of(s, render.opening)
        return {
            "rollout_func": rollouts,
            "answer": render.answer,
            "term": self._term(render) if self.plan.arm.joint else None,
            "norms_every": s.norms_every,
            "model": _frozen(load_model(self.start, dtype=s.dtype), s),
            "reward_funcs": reward,
            "args": self._grpo_config(),
            "train_dataset": _rows(self.plan, render),
            "processing_class": render.processor,
            "peft_config": _adapters(s),
        }

    def _grpo_config(self) -> Any:
        s, gpu = self.plan.settings, torch.cuda.is_available()
        if s.vllm_server and not gpu:
            # TRL sends the weights to the server over NCCL.
            raise UsageError("--vllm-server needs a GPU here: without it rollouts are in process")
        processes = TrainingArguments(output_dir=str(self.folder), use_cpu=not gpu).world_size
        together = self.plan.amounts.items_per_step * s.group
        micro = s.batch_size or together // processes
        server = {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": s.vllm_server}
        accumulate = together // (micro * processes)
        return GRPOConfig(
            **self._common(micro, accumulate),
            steps_per_generation=accumulate * self.window,
            num_generations=s.group,
            max_completion_length=s.max_tokens,
            temperature=s.temperature,
            top_p=s.top_p,
            top_k=0,
            beta=s.kl,
            use_bias_correction_kl=False,  # plain k3; TRL would weight it by the ratio
            epsilon=s.ratio_low,
            epsilon_high=s.ratio_high,
            loss_type=s.loss_type,
            log_multimodal=False,  # it gathers if this process has images; others may have none
            shuffle_dataset=False,  # the schedule is already ordered
            chat_template_kwargs=dict(s.template) or None,
            **(server if s.vllm_server else {}),
        )

    def _episodes(self, render: Prompter) -> Rollouts | None:
        """Return the player of an agent's episodes, None if items take a single turn."""
        benchmark, s = self.plan.data.agent, self.plan.settings
        if benchmark is None:
            return None
        tools = Tools(choose()[0]) if benchmark.declaration.needs_sandbox else Tools()
        sampling = Sampling(s.max_tokens, s.temperature, s.top_p)
        return Rollouts(benchmark, render, tools, sampling, s.agent_context)

    def selection_kwargs(self, render: Prompter) -> dict[str, Any]:
        """Return the arguments of the trainer for a stage on selection prompts alone."""
        s = self.plan.settings
        model = _frozen(load_model(self.start, dtype=s.dtype), s)
        lora = _adapters(s)
        if lora is not None:
            from peft import get_peft_model

            model = get_peft_model(model, lora)
        # By default a device handles its part of a step in one pass; a pair is two prompts.
        parts = 1 if s.batch_size is None else -(-s.pairs_per_step // max(s.batch_size // 2, 1))
        return {
            "term": self._term(render),
            "norms_every": s.norms_every,
            "model": model,
            "args": TrainingArguments(**self._common(1, parts)),
        }

    def _term(self, render: Prompter) -> SelectionTerm:
        s, sft, view = self.plan.settings, self.name == "sft", arm_view(self.plan)
        joint, shown = self.plan.arm.joint, exposures(self.plan, sft=sft)
        if s.pair_loss and joint == "selection":
            own = OwnObjective(s.coefficient, s.pair_loss, load_loss(s.pair_loss))
            return SelectionTerm(view, shown, render, own)
        objective = Objective(
            render.letters(s.asking.prompts(view.pair(0))[0].messages),
            kind=joint if joint and not sft else "answer",
            coefficient=1.0 if sft else s.coefficient,
            clip=None if s.clip_form == "none" else s.clip,
            form=s.clip_form,
        )
        return SelectionTerm(view, shown, render, objective)


def _rows(plan: TrainingPlan, render: Prompter) -> Any:
    """Return the RL items as TRL rows; prompts and images are made when needed."""
    slots = schedule(plan)

    def columns(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        chosen = [slots[number] for number in batch["slot"]]
        items = [item(plan, slot) for slot in chosen]
        for each in items:  # TRL renders them without a time limit
            render.text(each.messages)
        return {
            "prompt": [render.chat(each.messages) for each in items],
            "task": items,
            "selection": [slot.kind == "selection" for slot in chosen],
        }

    return Dataset.from_dict({"slot": list(range(len(slots)))}).with_transform(columns)


# Names of vision encoders, as in transformers' `get_encoder`.
_VISION = r".*\b(visual|vision_tower|vision_model|vision_encoder|image_tower)\b.*"


def _frozen(model: Any, settings: Settings) -> Any:
    """Return the model with its vision encoder frozen, if requested.

    Raises `UsageError` if the model has none.
    """
    if settings.freeze_vision:
        encoder = model.get_encoder(modality="image")
        if encoder in (model, model.base_model):
            raise UsageError("--freeze-vision: this model has no vision encoder")
        encoder.requires_grad_(False)
    return model


def _adapters(settings: Settings) -> Any:
    """Return a LoRA configuration for all linear layers, None if all weights are trained."""
    if settings.lora_rank == 0:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha or 2 * settings.lora_rank,
        target_modules="all-linear",
        exclude_modules=_VISION if settings.freeze_vision else None,
        task_type="CAUSAL_LM",
    )


def _save(stage: Stage, trainer: Any, processor: Any, target: Path) -> None:
    """Write the trained weights as a complete checkpoint, adapters merged.

    Input to a later stage keeps its training dtype; the arm's own checkpoint has ``--save-dtype``.
    """
    trainer.accelerator.wait_for_everyone()
    model = trainer.accelerator.unwrap_model(trainer.model)
    saved = stage.plan.settings.save_dtype
    dtype = model.dtype if stage.name == "sft" else getattr(torch, saved)
    if hasattr(model, "merge_and_unload"):
        # In 16-bit weights, the adapters' contribution would be rounded away.
        model = model.float().merge_and_unload()
        state = model.state_dict()
    else:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if first_process():
        write_checkpoint(model, cast(state, dtype), processor, stage.start, target)
    trainer.accelerator.wait_for_everyone()
