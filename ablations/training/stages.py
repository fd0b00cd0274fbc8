"""The stages of an arm: supervised training, then GRPO or L_CA alone; each saved and resumable.

Importing this module imports torch and TRL.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import torch
from transformers import PrinterCallback, TrainingArguments, set_seed

with warnings.catch_warnings():
    # TRL names the versions of vLLM that it knows; it is imported for rollouts in process as well.
    warnings.filterwarnings("ignore", message="TRL currently supports vLLM")
    from ablations.training.trainer import (
        ContextTrainer,
        Kind,
        Objective,
        SelectionTerm,
        SelectionTrainer,
    )

from ablations.settings import Settings
from ablations.training import checkpoints
from ablations.training.distributed import first_process
from ablations.training.plan import TrainingPlan
from ablations.training.prompting import Prompter
from ablations.training.rewards import reward_of
from ablations.training.rollouts import Rollouts, episode_score
from ablations.training.run_folder import Say, StepLog, keep_lines
from ablations.training.schedule import item, schedule
from benchmarks.pairs.selection import selection
from harness.errors import UsageError


def run_stages(plan: TrainingPlan, say: Say) -> None:
    """Run what is left of an arm's stages and write its checkpoint."""
    start = plan.data.folder
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
    def settings(self) -> Settings:
        """The choices of the run."""
        return self.plan.settings

    @property
    def folder(self) -> Path:
        """Where the stage keeps what it continues from."""
        return self.plan.out / "stages" / self.name

    @property
    def steps(self) -> int:
        """Optimizer steps of the stage."""
        amounts = self.plan.amounts
        return amounts.sft_steps if self.name == "sft" else amounts.steps

    def run(self, target: Path) -> None:
        """Train, or go on training, and save."""
        quiet()
        # Adapters are drawn when the trainer is made.
        set_seed(self.settings.seed)
        prompter = checkpoints.prompter(self.start, self.settings)
        if self.name == "rl":
            trainer: Any = ContextTrainer(**self.grpo_kwargs(prompter))
        else:
            trainer = SelectionTrainer(**self.selection_kwargs(prompter))
        last = last_whole(self.folder)
        done = int(last.name.rpartition("-")[2]) if last else 0
        log = self.plan.out / "training.jsonl"
        trainer.remove_callback(PrinterCallback)  # standard output is for --json
        if first_process():
            keep_lines(log, self.name, done)
            trainer.add_callback(StepLog(log, self.name, self.steps, self.say))
        if last:
            self.say(f"{self.name}: goes on after step {done} of {self.steps}")
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        checkpoints.save(trainer, prompter.processor, self.start, target)

    def _common(self, micro: int, accumulate: int) -> dict[str, Any]:
        s = self.settings
        rate = s.sft_learning_rate if self.name == "sft" else None
        gpu = torch.cuda.is_available()
        return {
            "output_dir": str(self.folder),
            "max_steps": self.steps,
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": accumulate,
            "learning_rate": s.learning_rate if rate is None else rate,
            "weight_decay": s.weight_decay,
            "adam_beta2": s.adam_beta2,
            "warmup_steps": s.warmup_steps,
            "lr_scheduler_type": _schedule_name(s),
            "max_grad_norm": s.max_grad_norm,
            "seed": s.seed,
            "bf16": gpu if s.bf16 is None else s.bf16,
            "use_cpu": not gpu,
            "gradient_checkpointing": s.gradient_checkpointing,
            "save_strategy": "steps",
            "save_steps": s.save_every,
            "save_total_limit": 2,
            "logging_steps": 1,
            "report_to": [] if s.report_to == "none" else s.report_to.split(","),
            "disable_tqdm": True,
            "dataloader_pin_memory": gpu,
            "remove_unused_columns": False,
        }

    def grpo_kwargs(self, prompter: Prompter) -> dict[str, Any]:
        """Return the arguments of the trainer of the GRPO stage."""
        from trl import GRPOConfig

        s = self.settings
        if s.vllm_server and not torch.cuda.is_available():
            # TRL hands the weights to the server over NCCL.
            raise UsageError("--vllm-server needs a GPU here: without it rollouts are in process")
        cpu = not torch.cuda.is_available()
        world = TrainingArguments(output_dir=str(self.folder), use_cpu=cpu)
        together = self.plan.amounts.items_per_step * s.group
        micro = s.batch_size or together // world.world_size
        server = {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": s.vllm_server}
        config = GRPOConfig(
            **self._common(micro, together // (micro * world.world_size)),
            num_generations=s.group,
            max_completion_length=s.max_tokens,
            temperature=s.temperature,
            top_p=s.top_p,
            top_k=0,
            beta=s.kl,
            use_bias_correction_kl=False,  # the plain k3 term; TRL would weigh it by the ratio
            epsilon=s.ratio_low,
            epsilon_high=s.ratio_high,
            loss_type=s.loss_type,
            log_multimodal=False,  # it gathers where this process has images: others may have none
            shuffle_dataset=False,  # the schedule is in its order
            chat_template_kwargs=dict(s.template) or None,
            **(server if s.vllm_server else {}),
        )
        rollouts = self._episodes(prompter)
        reward: Any = episode_score if rollouts and not s.reward else reward_of(s)
        return {
            "rollout_func": rollouts,
            "term": self._term(prompter) if self.plan.arm.joint else None,
            "norms_every": s.norms_every,
            "model": checkpoints.load(self.start, s),
            "reward_funcs": reward,
            "args": config,
            "train_dataset": _rows(self.plan, prompter),
            "processing_class": prompter.processor,
            "peft_config": checkpoints.adapters(s),
        }

    def _episodes(self, prompter: Prompter) -> Rollouts | None:
        """Return what plays an agent's episodes, None where items are answered in one turn."""
        from harness.protocols import Tools
        from harness.records import Sampling
        from harness.sandbox import choose

        benchmark, s = self.plan.data.agent, self.settings
        if benchmark is None:
            return None
        tools = Tools(choose()[0]) if benchmark.declaration.needs_sandbox else Tools()
        sampling = Sampling(s.max_tokens, s.temperature, s.top_p)
        return Rollouts(benchmark, prompter, tools, sampling, s.agent_context)

    def selection_kwargs(self, prompter: Prompter) -> dict[str, Any]:
        """Return the arguments of the trainer of a stage on selection prompts alone."""
        s = self.settings
        model = checkpoints.load(self.start, s)
        lora = checkpoints.adapters(s)
        if lora is not None:
            from peft import get_peft_model

            model = get_peft_model(model, lora)
        # One device takes a step at once unless it is told to take less; a pair is two prompts.
        parts = 1 if s.batch_size is None else -(-s.pairs_per_step // max(s.batch_size // 2, 1))
        return {
            "term": self._term(prompter),
            "norms_every": s.norms_every,
            "model": model,
            "args": TrainingArguments(**self._common(1, parts)),
        }

    def _term(self, prompter: Prompter) -> SelectionTerm:
        plan, s = self.plan, self.settings
        arm, view, sft = plan.arm, plan.view, self.name == "sft"
        kinds: Mapping[str | None, Kind] = {
            "selection": "selection",
            "cross-entropy": "cross-entropy",
        }
        kind: Kind = "answer" if sft else kinds[arm.joint]
        return SelectionTerm(
            view=view,
            exposures=plan.exposures(sft=sft),
            prompter=prompter,
            objective=Objective(
                kind,
                1.0 if sft else s.coefficient,
                None if s.clip_form == "none" else s.clip,
                s.clip_form,
            ),
            letters=prompter.letters(selection(view.pair(0), "A").messages),
        )


def _rows(plan: TrainingPlan, prompter: Prompter) -> Any:
    """Return the RL items as TRL takes them; prompts and images are made when they are needed."""
    from datasets import Dataset

    slots = schedule(plan)

    def columns(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        chosen = [slots[number] for number in batch["slot"]]
        items = [item(plan, slot) for slot in chosen]
        return {
            "prompt": [prompter.chat(each.messages) for each in items],
            "task": items,
            "selection": [slot.kind == "selection" for slot in chosen],
        }

    return Dataset.from_dict({"slot": list(range(len(slots)))}).with_transform(columns)


def _schedule_name(settings: Settings) -> str:
    """Return the learning-rate schedule's name: transformers' "constant" knows no warm-up."""
    constant = settings.schedule == "constant" and settings.warmup_steps
    return "constant_with_warmup" if constant else settings.schedule


def quiet() -> None:
    """Leave out the bars of loading and writing: progress is told by our own lines."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def last_whole(folder: Path) -> Path | None:
    """Return the newest checkpoint of a stage that was written to its end, None where none was.

    transformers writes trainer_state.json last.
    """
    found = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_whole(checkpoint: Path) -> bool:
    try:
        orjson.loads((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    return True
