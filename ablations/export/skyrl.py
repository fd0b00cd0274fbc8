"""An arm for SkyRL, as a folder to take elsewhere (``harness train --export skyrl``).

RL items as parquet in SkyRL's row format, the pairs as the arm sees them, the selection prompts in
both orders, a script with the recipe's numbers and a README.  It follows SkyRL 0.4.0
(github.com/NovaSky-AI/SkyRL) and the authors' extension of it (docs/skyrl.md).
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from ablations.arms import ARMS
from ablations.data.items import is_software, software_task
from ablations.export import ENVIRONMENT
from ablations.training.check import check
from ablations.training.plan import TrainingPlan
from ablations.training.prompting import Prompter
from ablations.training.rewards import reward_payload
from ablations.training.rollouts import AGENT
from ablations.training.schedule import Slot, arm_view, exposures, item, schedule
from benchmarks.pairs.saving import pieces, row_of
from benchmarks.pairs.tables import LazyRows
from harness.backends import wire
from harness.errors import UsageError
from harness.files import atomic
from harness.records import ImagePart, Message

VALIDATION = 128
"""Maximum number of held-out items."""
REQUIREMENTS = "mpmath msgspec orjson regex"
"""What the scorers import, to be installed where SkyRL runs."""
_CHUNK = 256  # rows in memory
_REDUCTIONS = {"dapo": "token_mean", "grpo": "sequence_mean"}  # TRL's loss_type -> SkyRL's
_SINGLE_TURN = "ablations.export.environment"
_AGENT = "examples.train.mini_swe_agent.main_mini_swe"
_MIXED = "ablations.export.mixed"  # in the authors' extension


@dataclass(frozen=True)
class Export:
    """One arm as SkyRL takes it."""

    plan: TrainingPlan
    out: Path

    def write(self) -> dict[str, Any]:
        """Write the folder and return what it holds.

        Raises `UsageError` if SkyRL cannot express the arm or a setting, or the folder is not
        empty.
        """
        self._refuse()
        check(self.plan, elsewhere=True)
        if self.out.exists() and any(self.out.iterdir()):
            raise UsageError(f"{self.out} is not empty: name another folder")
        with atomic.folder(self.out) as beside:
            return self._fill(beside)

    def _fill(self, folder: Path) -> dict[str, Any]:
        plan, slots, held_out = self.plan, schedule(self.plan), self._held_out()
        self._parquet(folder / "train.parquet", slots)
        if held_out:
            self._parquet(folder / "validation.parquet", held_out)
        pairs = prompts = 0
        if plan.arm.uses_pairs or self._selecting:
            view = arm_view(self._selecting or plan)
            rows = (row_of(view.pair(index), folder) for index in range(len(view.pairs)))
            pairs = _write_lines(folder / "pairs.jsonl", rows)
        if self._selecting:
            prompts = _write_lines(folder / "selection.jsonl", self._selection_prompts(folder))
        options = self._options(bool(held_out))
        if self.module:
            self._write_script(folder / "run.sh", options)
        summary = {
            "arm": plan.arm.name,
            "folder": str(self.out),
            "train": len(slots),
            "validation": len(held_out),
            "pairs": pairs,
            "selection_prompts": prompts,
            "runs": self.module,
            "lacking": self.lacking,
            "planned": dataclasses.asdict(plan.amounts),
        }
        (folder / "README.md").write_text(
            _rendered(
                "README.md",
                arm=plan.arm,
                summary=summary,
                options=options,
                requirements=REQUIREMENTS,
            )
        )
        return summary

    def _write_script(self, path: Path, options: Mapping[str, Any]) -> None:
        arguments = [_quoted(name, value) for name, value in options.items()]
        path.write_text(
            _rendered("run.sh", module=self.module, checkout=self.checkout, options=arguments)
        )
        path.chmod(0o755)

    def _parquet(self, path: Path, slots: Sequence[Slot]) -> None:
        """Write the RL items of some slots; images are opened one by one."""
        import pyarrow
        from pyarrow import parquet

        if self.software:
            # A single turn that is made of a pair has no ``instance``.
            made = [
                self._software_row(slot.number) if slot.kind == "task" else self._row(slot)
                for slot in slots
            ]
            columns = dict.fromkeys(name for row in made for name in row)
            full = [{name: row.get(name) for name in columns} for row in made]
            parquet.write_table(pyarrow.Table.from_pylist(full), path)
            return
        schema = _schema(self.plan.data.reads_images)
        with parquet.ParquetWriter(path, schema) as writer:
            for first in range(0, len(slots), _CHUNK):
                rows = [self._row(slot) for slot in slots[first : first + _CHUNK]]
                writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))

    @property
    def software(self) -> bool:
        """Whether the RL items are software tasks, for an agent."""
        return is_software(self.plan.data.items)

    @property
    def module(self) -> str | None:
        """The module that trains the arm, None if no known one can."""
        if self.software:
            return _MIXED if self._selecting else _AGENT
        return None if self.plan.arm.joint else _SINGLE_TURN

    @cached_property
    def _selecting(self) -> TrainingPlan | None:
        """The plan whose selection prompts go along, None if none do.

        On software tasks arms of GRPO alone take those of `contextrl`, with a coefficient of 0,
        which the authors' extension reads as GRPO alone: `grpo` and `contextrl` differ in this
        number only, `da-rl` and `grpo` in their rows.
        """
        if self.plan.arm.joint:
            return self.plan
        if self.software and self.plan.settings.pairs is not None:
            return dataclasses.replace(self.plan, arm=ARMS["contextrl"])
        return None

    @property
    def lacking(self) -> list[str]:
        """The settings for which SkyRL, or the authors' extension of it, has no option."""
        s = self.plan.settings
        found = {
            "freeze_vision": s.freeze_vision,
            "template (an agent's turns are asked without it)": self.software and bool(s.template),
        }
        if self._selecting:
            more = s.selection_template.keys() - {"enable_thinking"}
            found |= {
                "letters bare (it takes the likelier form)": s.letters == "bare",
                "selection_chat_template": s.selection_chat_template is not None,
                f"selection_template ({', '.join(sorted(more))})": bool(more),
            }
        return [name for name, holds in found.items() if holds]

    @property
    def checkout(self) -> str | None:
        """The source tree of ``module``, None if it is installed."""
        return {_AGENT: "SkyRL", _MIXED: "the authors' SkyRL"}.get(self.module or "")

    def _refuse(self) -> None:
        arm, s = self.plan.arm, self.plan.settings
        reasons = {
            "it has no GRPO": not arm.grpo,
            "it begins with supervised training: train that here, export grpo from there": arm.sft,
            "its loss is the cross-entropy over the vocabulary": arm.joint == "cross-entropy",
            "--reward is a function for TRL": s.reward is not None,
            "--pair-loss is a function for our trainer": s.pair_loss is not None
            and bool(arm.joint),
            f"loss_type {s.loss_type} has no counterpart": s.loss_type not in _REDUCTIONS,
            f"the authors' extension does not have clip_form {s.clip_form}": bool(arm.joint)
            and s.clip_form != "two-sided",
            "an agent's tasks are exported from a data set of them, not from agent:...": (
                (s.rl_data or "").startswith(AGENT)
            ),
        }
        for reason, holds in reasons.items():
            if holds:
                raise UsageError(f"{arm.name} cannot be exported to SkyRL: {reason}")

    def _row(self, slot: Slot) -> dict[str, Any]:
        task, kind = item(self.plan, slot), slot.kind
        if self.plan.data.reads_images and not self.software:
            prompt = wire.openai(task.messages, lists=True)
        else:
            prompt = wire.transformers(task.messages, images=False)
        return {
            "data_source": ENVIRONMENT if kind == "task" else f"{ENVIRONMENT}-{kind}",
            "prompt": prompt,
            "env_class": ENVIRONMENT,
            "reward_spec": {"method": "rule", "ground_truth": task.target.answer},
            "extra_info": reward_payload(
                task, kind == "selection", self.plan.settings, self._opening
            ),
        }

    def _software_row(self, index: int) -> dict[str, Any]:
        """Return a software task as SkyRL's mini-swe-agent example reads it."""
        tasks = self.plan.data.items
        assert isinstance(tasks, LazyRows)
        row, where = tasks.undecoded(index)
        task = software_task(row, where)
        origin = str(row.get("data_source") or where.rpartition(", row ")[0])
        where = f"{where} ({task['instance_id']})"
        if not task.get("eval_script"):
            raise UsageError(f"{where}: it has no eval_script, which SkyRL's example grades by")
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

    def _held_out(self) -> list[Slot]:
        """Return items that no arm of this matching trains on."""
        names = ("grpo", "contextrl") if self.plan.data.pairs else ("grpo",)
        plans = (dataclasses.replace(self.plan, arm=ARMS[name]) for name in names)
        used = max(plan.amounts.prompts for plan in plans)
        last = min(used + VALIDATION, len(self.plan.data.items))
        return [Slot("task", index) for index in range(used, last)]

    @cached_property
    def _opening(self) -> str:
        return Prompter.load(self.plan.data.folder, self.plan.settings).opening

    def _longest(self) -> int:
        """Return the tokens of the longest prompt: SkyRL silently drops longer ones."""
        render = Prompter.load(self.plan.data.folder, self.plan.settings)
        slots = {*schedule(self.plan), *self._held_out()}
        longest = max(render.length(item(self.plan, slot).messages) for slot in slots)
        # Of all pairs, so that `grpo` and `da-rl` have the same limit.
        return max([longest, *map(render.longest_selection, self.plan.data.pairs)])

    def _selection_prompts(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Yield the selection prompts in the order of our own steps, all orders of each pair.

        Their images are saved under ``folder``.
        """
        assert self._selecting is not None
        shown, view = exposures(self._selecting), arm_view(self._selecting)
        for step in range(shown.steps):
            for pair in map(view.pair, shown.at(step)):
                for order in self.plan.settings.asking.prompts(pair):
                    yield {
                        "step": step,
                        "pair": pair.id,
                        "prompt": _plain(order.messages, folder),
                        "correct_answer": order.letter,
                    }

    def _options(self, held_out: bool) -> dict[str, Any]:
        """Return SkyRL's options with the recipe's numbers."""
        import yaml

        plan, selecting = self.plan, self._selecting
        text = _rendered(
            "options.yaml",
            s=plan.settings,
            amounts=plan.amounts,
            reduction=_REDUCTIONS[plan.settings.loss_type],
            longest=self._longest(),
            images=plan.data.reads_images,
            software=self.software,
            selecting=selecting and selecting.amounts,
            coefficient=plan.settings.coefficient if plan.arm.joint else 0.0,
            orders=2 - plan.data.one_order / max(len(plan.data.pairs), 1),
            held_out=held_out,
        )
        options: dict[str, Any] = yaml.safe_load(text)
        return options


def _rendered(name: str, **values: Any) -> str:
    """Return a template of this folder with its values filled in."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ablations.export", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{name}.j2").render(**values)


def _schema(images: bool) -> Any:
    """Return the columns of single-turn rows; a text part has a null image."""
    import pyarrow as pa

    text = pa.string()
    part = {"type": text, "text": text, "image_url": pa.struct({"url": text})}
    content = pa.list_(pa.struct(part)) if images else text
    extra = {"id": text, "selection": pa.bool_(), "target": text}
    extra |= {"accuracy_weight": pa.float64(), "format_pattern": text, "opening": text}
    return pa.schema(
        {
            "data_source": text,
            "prompt": pa.list_(pa.struct({"role": text, "content": content})),
            "env_class": text,
            "reward_spec": pa.struct({"method": text, "ground_truth": text}),
            "extra_info": pa.struct(extra),
        }
    )


def _plain(messages: Sequence[Message], folder: Path) -> str | list[dict[str, str]]:
    """Return a selection prompt: a text, or texts and image paths in reading order."""
    parts = [part for message in messages for part in message.content]
    if not any(isinstance(part, ImagePart) for part in parts):
        return "".join(message.render() for message in messages)
    return pieces(parts, folder)


def _write_lines(path: Path, rows: Iterator[Mapping[str, Any]]) -> int:
    """Write rows as JSON lines, one at a time, and return their number."""
    written = 0
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row) + b"\n")
            written += 1
    return written


def _quoted(name: str, value: Any) -> str:
    """Return an option as a word of a shell script, its value as Hydra reads it."""
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, list):
        value = f"[{','.join(map(repr, value))}]"
    argument = f"{name}={value}"
    # The shell expands the folder, and nothing else.
    return '"$HERE"'.join(part and shlex.quote(part) for part in argument.split("$HERE"))
