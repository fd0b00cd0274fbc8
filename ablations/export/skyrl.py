"""An arm for SkyRL, as a folder to take elsewhere (``harness train --export skyrl``).

RL items as parquet in SkyRL's row format, the pairs as the arm sees them, the selection prompts in
both orders, a script with the recipe's numbers and a README.  It follows SkyRL 0.4.0
(github.com/NovaSky-AI/SkyRL) and the authors' extension of it (docs/training.md).
"""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ablations.arms import ARMS
from ablations.data.software import is_software, software_task
from ablations.export import ENVIRONMENT
from ablations.export.readme import readme
from ablations.training.plan import TrainingPlan, check
from ablations.training.prompting import Prompter
from ablations.training.rewards import reward_payload
from ablations.training.rollouts import AGENT
from ablations.training.schedule import Slot, arm_view, exposures, item, schedule
from benchmarks.pairs.rows import LazyRows
from benchmarks.pairs.selection import both_orders
from harness.backends import wire
from harness.errors import UsageError
from harness.records import ImagePart, Message, Pair, Part, TextPart

VALIDATION = 128
"""Most items that are held out."""
_TOGETHER = 256  # rows in memory
_REDUCTIONS = {"dapo": "token_mean", "grpo": "sequence_mean"}  # TRL's loss_type -> SkyRL's
_AGENT = "examples.train.mini_swe_agent.main_mini_swe"
# The module of the authors' extension, and the options that SkyRL 0.4.0 has no more.
_WITH_SELECTION = "examples.train.mini_swe_agent.main_mini_swe_ct"
_OLDER = {
    "generator.inference_engine.enable_http_endpoint": True,
    "generator.inference_engine.http_endpoint_host": "127.0.0.1",
    "generator.inference_engine.http_endpoint_port": 8001,
}


@dataclass(frozen=True)
class Export:
    """One arm as SkyRL takes it.

    Raises:
        UsageError: on writing: SkyRL has no way to express the arm or a setting.
    """

    plan: TrainingPlan
    out: Path

    def write(self) -> dict[str, Any]:
        """Write the folder and return what it holds.

        Raises:
            UsageError: as above, or the folder holds something already.
        """
        self._refuse()
        check(self.plan, elsewhere=True)
        if self.out.exists() and any(self.out.iterdir()):
            raise UsageError(f"{self.out} is not empty: name another folder")
        beside = self.out.with_name(f".{self.out.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        try:
            found = self._fill(beside)
        except BaseException:
            shutil.rmtree(beside)
            raise
        shutil.rmtree(self.out, ignore_errors=True)
        beside.rename(self.out)
        return found

    def _fill(self, folder: Path) -> dict[str, Any]:
        slots, held_out = schedule(self.plan), self._held_out()
        self._parquet(folder / "train.parquet", slots)
        if held_out:
            self._parquet(folder / "validation.parquet", held_out)
        pairs = prompts = 0
        if self.plan.arm.uses_pairs:
            view = arm_view(self.plan)
            rows = (_pair_row(view.pair(index), folder) for index in range(len(view.pairs)))
            pairs = _write_lines(folder / "pairs.jsonl", rows)
        if self.plan.arm.joint:
            prompts = _write_lines(folder / "selection.jsonl", self._selection_prompts())
        options = {**self._options(), **_validation(bool(held_out))}
        if self.module:
            script = folder / "run.sh"
            script.write_text(_script(self.module, self.checkout, options))
            script.chmod(0o755)
        found = {
            "arm": self.plan.arm.name,
            "folder": str(self.out),
            "train": len(slots),
            "validation": len(held_out),
            "pairs": pairs,
            "selection_prompts": prompts,
            "runs": self.module,
            "planned": dataclasses.asdict(self.plan.amounts),
        }
        (folder / "README.md").write_text(readme(self.plan.arm, found, options))
        return found

    def _parquet(self, path: Path, slots: Sequence[Slot]) -> None:
        """Write the RL items of some slots; images are opened one by one."""
        import pyarrow
        from pyarrow import parquet

        if self.software:
            rows = [self._software_row(slot.number) for slot in slots]
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
            return
        schema = _schema(self.reads_images)
        with parquet.ParquetWriter(path, schema) as writer:
            for first in range(0, len(slots), _TOGETHER):
                rows = [self._row(slot) for slot in slots[first : first + _TOGETHER]]
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))

    @property
    def software(self) -> bool:
        """Whether the RL items are software tasks, for an agent."""
        return is_software(self.plan.data.items)

    @property
    def reads_images(self) -> bool:
        """Whether the model is a vision-language model."""
        return self.plan.data.reads_images

    @property
    def module(self) -> str | None:
        """The module that trains the arm, None where none is known that can."""
        if self.plan.arm.joint:
            return _WITH_SELECTION if self.software else None
        return _AGENT if self.software else "ablations.export.environment"

    @property
    def checkout(self) -> str | None:
        """The source tree that ``module`` is in, None where it is installed."""
        if not self.software:
            return None
        return "the authors' SkyRL" if self.plan.arm.joint else "SkyRL"

    def _refuse(self) -> None:
        arm, s = self.plan.arm, self.plan.settings
        reasons = {
            f"{arm.name} has no GRPO": not arm.grpo,
            "it begins with supervised training: train that here, export grpo from there": arm.sft,
            "its loss is the cross-entropy over the vocabulary": arm.joint == "cross-entropy",
            "--reward is a function of TRL's form": s.reward is not None,
            f"loss_type {s.loss_type} has no counterpart": s.loss_type not in _REDUCTIONS,
            f"clip_form {s.clip_form} is none of the authors' extension": bool(arm.joint)
            and s.clip_form != "two-sided",
            "an agent's tasks are exported from a data set of them, not from agent:...": (
                (s.rl_data or "").startswith(AGENT)
            ),
            f"{arm.name} mixes single turns with an agent's episodes": bool(arm.extra)
            and self.software,
        }
        for reason, holds in reasons.items():
            if holds:
                raise UsageError(f"{arm.name} cannot be exported to SkyRL: {reason}")

    def _row(self, slot: Slot) -> dict[str, Any]:
        task, kind = item(self.plan, slot), slot.kind
        return {
            "data_source": ENVIRONMENT if kind == "task" else f"{ENVIRONMENT}-{kind}",
            "prompt": self._prompt(task.messages),
            "env_class": ENVIRONMENT,
            "reward_spec": {"method": "rule", "ground_truth": task.target.answer},
            "extra_info": reward_payload(task, kind == "selection", self.plan.settings),
        }

    def _software_row(self, index: int) -> dict[str, Any]:
        """Return a software task as SkyRL's mini-swe-agent example reads it.

        Raises:
            UsageError: it lacks what that example grades by.
        """
        tasks = self.plan.data.items
        assert isinstance(tasks, LazyRows)
        row, where = tasks.undecoded(index)
        task = software_task(row, where)
        origin = str(row.get("data_source") or where.rpartition(", row ")[0])
        where = f"{where} ({task['instance_id']})"
        if not task.get("eval_script"):
            raise UsageError(f"{where}: it has no eval_script, by which SkyRL's example grades")
        known = any(name in origin.lower() for name in ("swe-gym", "swe-bench"))
        if not known and not task.get("image_name"):
            raise UsageError(
                f"{where}: it has no image_name, and SkyRL finds images by a data_source of "
                f"SWE-Gym or SWE-bench, not {origin}"
            )
        return {
            "data_source": origin,
            "prompt": [{"role": "user", "content": task["problem_statement"]}],
            "env_class": "null",
            "instance": task,
        }

    def _prompt(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        if self.reads_images:
            return wire.openai(messages, lists=True)
        return [{"role": message.role, "content": message.render()} for message in messages]

    def _held_out(self) -> list[Slot]:
        """Return items that no arm of this matching trains on."""
        names = ("grpo", "contextrl") if self.plan.data.pairs else ("grpo",)
        plans = (dataclasses.replace(self.plan, arm=ARMS[name]) for name in names)
        used = max(plan.amounts.prompts for plan in plans)
        last = min(used + VALIDATION, len(self.plan.data.items))
        return [Slot("task", index) for index in range(used, last)]

    def _longest(self) -> int:
        """Return the most tokens of a prompt: SkyRL drops longer ones silently."""
        render = Prompter.load(self.plan.data.folder, self.plan.settings)
        slots = {*schedule(self.plan), *self._held_out()}
        return max(render.length(item(self.plan, slot).messages) for slot in slots)

    def _selection_prompts(self) -> Iterator[dict[str, Any]]:
        """Yield the selection prompts in the order of our own steps, both orders of each pair."""
        shown, view = exposures(self.plan), arm_view(self.plan)
        for step in range(shown.steps):
            for pair in map(view.pair, shown.at(step)):
                for order in both_orders(pair):
                    yield {
                        "step": step,
                        "pair": pair.id,
                        "prompt": _plain(order.messages),
                        "correct_answer": order.letter,
                    }

    def _options(self) -> dict[str, Any]:
        s, amounts = self.plan.settings, self.plan.amounts
        options: dict[str, Any] = {
            "data.train_data": ["$HERE/train.parquet"],
            "trainer.policy.model.path": s.model,
            "trainer.seed": s.seed,
            "trainer.epochs": 1,
            "trainer.update_epochs_per_batch": 1,
            "trainer.train_batch_size": amounts.items_per_step,
            "trainer.policy_mini_batch_size": amounts.items_per_step,
            "trainer.max_prompt_length": self._longest(),
            "trainer.gradient_checkpointing": s.gradient_checkpointing,
            "trainer.policy.optimizer_config.lr": s.learning_rate,
            "trainer.policy.optimizer_config.weight_decay": s.weight_decay,
            "trainer.policy.optimizer_config.adam_betas": [0.9, s.adam_beta2],
            "trainer.policy.optimizer_config.max_grad_norm": s.max_grad_norm,
            "trainer.policy.optimizer_config.num_warmup_steps": s.warmup_steps,
            "trainer.policy.optimizer_config.scheduler": (
                "constant_with_warmup" if s.schedule == "constant" else s.schedule
            ),
            "trainer.algorithm.advantage_estimator": "grpo",
            "trainer.algorithm.grpo_norm_by_std": True,
            "trainer.algorithm.policy_loss_type": "regular",
            "trainer.algorithm.loss_reduction": _REDUCTIONS[s.loss_type],
            "trainer.algorithm.eps_clip_low": s.ratio_low,
            "trainer.algorithm.eps_clip_high": s.ratio_high,
            "trainer.algorithm.use_kl_loss": s.kl > 0,
            "generator.n_samples_per_prompt": s.group,
            "generator.sampling_params.temperature": s.temperature,
            "generator.sampling_params.top_p": s.top_p,
            "generator.sampling_params.max_generate_length": s.max_tokens,
        }
        if s.kl > 0:
            options["trainer.algorithm.kl_loss_coef"] = s.kl
            options["trainer.algorithm.kl_estimator_type"] = "k3"
        if s.lora_rank:
            options["trainer.policy.model.lora.rank"] = s.lora_rank
            options["trainer.policy.model.lora.alpha"] = s.lora_alpha or 2 * s.lora_rank
        options |= {f"generator.chat_template_kwargs.{k}": v for k, v in s.template.items()}
        if self.reads_images:
            options["generator.vision_language_generator"] = True
            options["trainer.remove_microbatch_padding"] = False
        if self.software:
            options |= self._agent_options()
        if self.module != _WITH_SELECTION:
            options["trainer.max_training_steps"] = amounts.rl_steps
        return options

    def _agent_options(self) -> dict[str, Any]:
        s, amounts = self.plan.settings, self.plan.amounts
        options = {
            "generator.max_turns": s.agent_steps,
            "generator.max_input_length": s.agent_context - s.max_tokens,
            "generator.miniswe_config_path": "examples/train/mini_swe_agent/swebench.yaml",
            "generator.miniswe_traj_dir": "$HERE/trajectories",
        }
        if not self.plan.arm.joint:
            return {**options, "generator.step_wise_trajectories": True, "generator.batched": False}
        return {
            **options,
            **_OLDER,
            "generator.batched": True,
            "data.choose_trajectory_data": ["$HERE/selection.jsonl"],
            "data.choose_trajectory_batch_size": round(2 * amounts.exposures / amounts.steps),
            "trainer.algorithm.choose_trajectory_coef": s.coefficient,
            "trainer.algorithm.choose_trajectory_clip": s.clip,
            "trainer.algorithm.choose_trajectory_prefill": '""',
            "trainer.algorithm.choose_trajectory_enable_thinking": bool(
                s.template.get("enable_thinking", False)
            ),
        }


def _validation(any_held_out: bool) -> dict[str, Any]:
    if any_held_out:
        return {"data.val_data": ["$HERE/validation.parquet"]}
    return {
        "data.val_data": [],
        "trainer.eval_before_train": False,
        "trainer.eval_interval": -1,
    }


def _schema(images: bool) -> Any:
    """Return the columns of single-turn rows; a part without an image has a null in its place."""
    import pyarrow as pa

    text = pa.string()
    part = {"type": text, "text": text, "image_url": pa.struct({"url": text})}
    content = pa.list_(pa.struct(part)) if images else text
    extra = {"id": text, "selection": pa.bool_(), "target": text}
    extra |= {"accuracy_weight": pa.float64(), "format_pattern": text}
    return pa.schema(
        {
            "data_source": text,
            "prompt": pa.list_(pa.struct({"role": text, "content": content})),
            "env_class": text,
            "reward_spec": pa.struct({"method": text, "ground_truth": text}),
            "extra_info": pa.struct(extra),
        }
    )


def _plain(messages: Sequence[Message]) -> str | list[dict[str, str]]:
    """Return a selection prompt: a text, or texts and image paths in reading order."""
    (message,) = messages
    if not any(isinstance(part, ImagePart) for part in message.content):
        return message.render()
    return list(_pieces(message.content))


def _pieces(parts: Sequence[Part]) -> Iterator[dict[str, str]]:
    for part in parts:
        if isinstance(part, TextPart):
            yield {"text": part.text}
        else:
            yield {"image": f"images/{_file_name(part)}"}


def _file_name(part: ImagePart) -> str:
    return hashlib.sha256(part.image.tobytes()).hexdigest()[:20] + ".png"


def _pair_row(pair: Pair, folder: Path) -> dict[str, Any]:
    contexts = {
        "context_positive": pair.context_positive,
        "context_negative": pair.context_negative,
    }
    for part in (part for context in contexts.values() for part in context):
        if isinstance(part, ImagePart):
            path = folder / "images" / _file_name(part)
            path.parent.mkdir(exist_ok=True)
            part.image.save(path)
    plain = {name: getattr(pair, name) for name in ("id", "domain", "query", "answer")}
    more = {"answer_negative": pair.answer_negative, "source": pair.source}
    pieces = {name: list(_pieces(context)) for name, context in contexts.items()}
    return {**plain, **more, **pieces}


def _write_lines(path: Path, rows: Iterator[Mapping[str, Any]]) -> int:
    written = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row) + b"\n")
            written += 1
    return written


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        inside = ",".join(f"'{one}'" if isinstance(one, str) else str(one) for one in value)
        return f"[{inside}]"
    return str(value)


def _quoted(name: str, value: Any) -> str:
    word = f"{name}={_word(value)}"
    # Double quotes where the shell is to put in the folder.
    return f'"{word}"' if "$HERE" in word else shlex.quote(word)


def _script(module: str, checkout: str | None, options: Mapping[str, Any]) -> str:
    place = (
        f'cd "${{SKYRL:?the folder of a checkout of {checkout}}}"\n' if checkout is not None else ""
    )
    lines = " \\\n  ".join(_quoted(name, value) for name, value in options.items())
    return (
        "#!/bin/sh\n"
        "# The recipe's numbers. What depends on your machines (GPUs, engines, micro-batches,\n"
        "# logger, checkpoints) goes behind: sh run.sh trainer.logger=console ...\n"
        "set -eu\n"
        'HERE=$(cd "$(dirname "$0")" && pwd)\n'
        f"{place}"
        f'exec "${{PYTHON:-python}}" -m {module} \\\n  {lines} \\\n  "$@"\n'
    )
