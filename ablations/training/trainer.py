"""GRPO + lambda L_CA as a thin subclass of TRL's trainer, and L_CA or SFT alone.

Everything that relies on TRL's private parts is in `SelectionForwardHook` and `ContextTrainer`; the
pinned version and a contract test guard it.  Importing this module imports torch and TRL (seconds).
"""

from __future__ import annotations

import functools
import types
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from accelerate.utils import DistributedType
from transformers import Trainer
from trl import GRPOTrainer
from trl.trainer.utils import FusedCausalLMOutput

from ablations.training.exposures import ArmView, Exposures
from ablations.training.objective import (
    Clip,
    SelectionLoss,
    letter_cross_entropy,
    selection_loss,
)
from ablations.training.prompting import Prompter, SelectionBatch
from benchmarks.pairs.selection import LETTERS
from harness.records import Item

Kind = Literal["selection", "cross-entropy", "answer"]
Name = Literal["ca", "cross_entropy"]
# Positions of a prompt's end whose logits are needed.
_KEPT: Mapping[Kind, int] = {"selection": 1, "cross-entropy": 1, "answer": 3}


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss on selection prompts and its weight lambda.

    ``selection``: L_CA over the two letters' logits.  ``cross-entropy``: of the letter over the
    vocabulary.  ``answer``: of the letter and the end of the turn, as in supervised training.
    """

    kind: Kind = "selection"
    coefficient: float = 1.0
    clip: float | None = 10.0
    form: Clip = "two-sided"

    @property
    def name(self) -> Name:
        """What the loss that is trained on is called in the log."""
        return "ca" if self.kind == "selection" else "cross_entropy"

    def judge(
        self, logits: torch.Tensor, batch: SelectionBatch, letters: tuple[int, int]
    ) -> tuple[torch.Tensor, SelectionLoss]:
        """Return the losses that are trained on, shape (n,), and L_CA of the same prompts.

        Args:
            logits: shape (n, kept positions, vocabulary), the last positions of each prompt.
            batch: the prompts, n of them.
            letters: the tokens of the two option letters.
        """
        first = torch.tensor([letter == LETTERS[0] for letter in batch.letters]).to(logits.device)
        asked = logits[:, -_KEPT[self.kind]]
        found = selection_loss(asked[:, list(letters)], first, clip=self.clip, form=self.form)
        if self.kind == "selection":
            return found.losses, found
        right = torch.where(first, letters[0], letters[1])
        losses = letter_cross_entropy(asked, right)
        if self.kind == "answer":
            end = batch.tensors["input_ids"][:, -1].to(logits.device)
            losses = (losses + letter_cross_entropy(logits[:, -2], end)) / 2
        # What the clip would have taken keeps its gradient here.
        return losses, replace(found, clipped_wrong=torch.zeros_like(found.margins))


@dataclass
class SelectionTerm:
    """The selection term of a training run: which pairs, how they are asked, what they cost.

    ``letters`` are the tokens of the two option letters, checked by the caller.
    """

    view: ArmView
    exposures: Exposures
    prompter: Prompter
    objective: Objective
    letters: tuple[int, int]

    def batch(
        self, step: int, part: int, parts: int, ranks: int
    ) -> tuple[SelectionBatch, float] | None:
        """Return what one of a step's parts shows and its weight in the mean over the step.

        ``ranks`` parts run at a time, one a process.  None where none of those has a pair left;
        where only some have, the others show the step's first pair with weight 0: under FSDP all
        processes must run the same forwards.
        """
        together = self.exposures.at(step)
        if part - part % ranks >= len(together):
            return None
        mine = self.exposures.share(step, part, parts)
        return self._asked(mine or together[:1]), len(mine) / len(together)

    def first(self, step: int) -> SelectionBatch:
        """Return the first pair of a step, which is to have some."""
        return self._asked(self.exposures.at(step)[:1])

    def _asked(self, places: Sequence[int]) -> SelectionBatch:
        pairs = [self.view.pair(index) for index in places]
        answered = self.objective.kind == "answer"
        return self.prompter.answered(pairs) if answered else self.prompter.selection(pairs)


class Tally:
    """Sums over a step's micro-steps and processes, told in `means` and `counts`."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, **values: float) -> None:
        """Add to some sums."""
        for name, value in values.items():
            self._sums[name] += value

    def take(self, accelerator: Any) -> dict[str, float]:
        """Return the sums over all processes by name, and begin anew."""
        names = sorted(_SUMS)
        here = [self._sums[name] for name in names]
        self._sums.clear()
        total = torch.tensor(here, dtype=torch.float64)
        if accelerator.num_processes > 1:
            # float32 suffices where float64 is unknown: every count of one step is below 2^24.
            total = accelerator.reduce(total.float().to(accelerator.device), "sum").double().cpu()
        return dict(zip(names, total.tolist(), strict=True))


_SUMS = (
    "examples",
    "exposures",
    "loss",
    "ca_loss",
    "correct",
    "margin",
    "clipped_wrong",
    "grpo_loss",
    "parts",
    "grpo_tokens",
    "selection_tokens",
    "generated_tokens",
    "grpo_forwards",
    "selection_forwards",
)


def report(sums: Mapping[str, float], trained: Name) -> dict[str, float]:
    """Return what a step's sums say, under the names of the log.

    ``ca/*`` are means over the step's selection prompts: of L_CA over the two letters, whatever is
    trained on; where that is another loss, it stands beside it under the name ``trained``.
    ``grpo/loss`` is the mean over the micro-steps; ``count/*`` are sums over those and processes.
    """
    told: dict[str, float] = {}
    if examples := sums["examples"]:
        told[f"{trained}/loss"] = sums["loss"] / examples
        told["ca/loss"] = sums["ca_loss"] / examples
        told["ca/accuracy"] = sums["correct"] / examples
        told["ca/margin"] = sums["margin"] / examples
        told["ca/clipped_wrong"] = sums["clipped_wrong"] / examples
    if parts := sums["parts"]:
        told["grpo/loss"] = sums["grpo_loss"] / parts
    told["count/exposures"] = sums["exposures"]
    told["count/train_tokens"] = sums["grpo_tokens"] + sums["selection_tokens"]
    told["count/generated_tokens"] = sums["generated_tokens"]
    told["count/grpo_forwards"] = sums["grpo_forwards"]
    told["count/selection_forwards"] = sums["selection_forwards"]
    return told


@dataclass
class MicroSteps:
    """Counts the micro-steps of an optimizer step from 0; right after a resume, too."""

    step: int = -1
    micro: int = 0

    def next(self, step: int) -> int:
        """Return the number of this micro-step of ``step``."""
        self.micro = self.micro + 1 if step == self.step else 0
        self.step = step
        return self.micro


@dataclass
class TermNorms:
    """The gradient norm of each loss term, measured every ``every`` steps (0: never).

    It takes a second backward of both terms in the steps that are measured, and one more copy of
    the gradient a term; only where every process holds all weights (one device, DDP).
    """

    every: int
    _sums: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def wanted(self, step: int, accelerator: Any) -> bool:
        """Whether a step is measured."""
        whole = (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)
        return self.every > 0 and step % self.every == 0 and accelerator.distributed_type in whole

    def add(self, parameters: Iterable[torch.Tensor], **losses: torch.Tensor) -> None:
        """Add the gradients of a micro-step's terms, each scaled as it enters the step's loss."""
        weights = [weight for weight in parameters if weight.requires_grad]
        for name, loss in losses.items():
            found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
            grads = [
                torch.zeros_like(weight) if grad is None else grad
                for grad, weight in zip(found, weights, strict=True)
            ]
            before = self._sums.get(name)
            if before is None:
                self._sums[name] = [grad.clone() for grad in grads]
            else:
                torch._foreach_add_(before, grads)

    def take(self, accelerator: Any) -> dict[str, float]:
        """Return the norms of what was added, over all processes, and begin anew."""
        norms = {}
        for name, grads in sorted(self._sums.items()):
            if accelerator.num_processes > 1:
                grads = [accelerator.reduce(grad, "mean") for grad in grads]
            norms[f"grad_norm/{name}"] = float(torch.nn.utils.get_total_norm(grads))
        self._sums.clear()
        return norms


@dataclass
class WithSelection(FusedCausalLMOutput):  # type: ignore[misc]
    """TRL's outputs and ours beside them, so that DDP finds every parameter that was used."""

    selection_logits: torch.Tensor | None = None


class SelectionForwardHook:
    """Runs the selection prompts inside the policy's own forward call.

    DDP looks for unused parameters in the outputs of the last forward: two calls, one with images
    and one without, end in "marked ready twice".  One call for both is safe there, under FSDP (the
    weights are gathered once) and under DeepSpeed (one backward).

    Relies on TRL 1.16: ``compute_loss`` calls the model once, with ``fused_lm_head=True``, and
    reads ``log_probs`` and ``entropy`` of a `FusedCausalLMOutput`.
    """

    def __init__(self, kept: int) -> None:
        self.tensors: dict[str, torch.Tensor] | None = None
        self.logits: torch.Tensor | None = None
        self._kept = kept

    def attach(self, model: Any) -> None:
        """Put the tap into a model (a PEFT model's base)."""
        forward = model.forward

        # Of the class: `generate` checks its arguments against this signature.
        @functools.wraps(type(model).forward)
        def hooked(module: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = forward(*args, **_without_empty_images(kwargs))
            if self.tensors is None or not kwargs.get("fused_lm_head"):
                return outputs
            tensors, self.tensors = self.tensors, None
            found = forward(**tensors, logits_to_keep=self._kept, use_cache=False)
            self.logits = found.logits
            return WithSelection(**outputs, selection_logits=found.logits)

        model.forward = types.MethodType(hooked, model)

    def taken(self) -> torch.Tensor:
        """Return the logits of the last call, shape (n, kept, vocabulary).

        Raises:
            RuntimeError: no forward took the prompts: TRL has changed.
        """
        logits, self.logits = self.logits, None
        if logits is None:
            raise RuntimeError("TRL's loss made no fused forward call: see SelectionForwardHook")
        return logits


def _without_empty_images(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Drop the pixels of a slice of a mixed batch that holds no image: the vision tower takes none.

    TRL slices ``pixel_values`` by rows, so that a slice of text prompts has zero rows.
    """
    pixels = kwargs.get("pixel_values")
    if pixels is None or pixels.shape[0] > 0:
        return kwargs
    return {k: v for k, v in kwargs.items() if k not in ("pixel_values", "image_grid_thw")}


class _StepLogging:
    """What both trainers keep of a step: its pairs, what they came to, and the log.

    Comes before a trainer among the bases; `_open` is called once the trainer is made.
    """

    term: SelectionTerm | None
    state: Any
    args: Any
    accelerator: Any
    model: Any

    def _open(self, term: SelectionTerm | None, norms_every: int) -> None:
        self.term = term
        self.tally = Tally()
        self._norms = TermNorms(norms_every)
        self._micro = MicroSteps()

    def _draw(self) -> tuple[SelectionBatch, float] | None:
        """Return what this micro-step shows and its weight, None where no process shows a pair.

        The weights of all micro-steps and processes have the sum of the number of processes: DDP
        takes the mean over those.
        """
        step, processes = self.state.global_step, self.accelerator.num_processes
        part = self._micro.next(step) * processes + self.accelerator.process_index
        parts = self.args.gradient_accumulation_steps * processes
        drawn = self.term.batch(step, part, parts, processes) if self.term else None
        return drawn and (drawn[0], drawn[1] * processes)

    def _selection(
        self, logits: torch.Tensor, batch: SelectionBatch, weight: float
    ) -> torch.Tensor:
        """Return lambda times this micro-step's part of the mean over the step's pairs."""
        assert self.term is not None
        losses, found = self.term.objective.judge(logits, batch, self.term.letters)
        self.tally.add(selection_tokens=batch.tokens, selection_forwards=1)
        if weight > 0:
            _tell(self.tally, losses, found, batch)
        return self.term.objective.coefficient * weight * losses.mean()

    def _measure(self, **terms: torch.Tensor) -> None:
        """Measure each term's gradient in the steps where that is wanted."""
        if self._norms.wanted(self.state.global_step, self.accelerator):
            self._norms.add(self.model.parameters(), **terms)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step under the trainer's names and those of `report`."""
        if "train_runtime" not in logs:  # the summary at the end is of no step
            trained = self.term.objective.name if self.term else "ca"
            logs.update(report(self.tally.take(self.accelerator), trained))
            logs.update(self._norms.take(self.accelerator))
        super().log(logs, start_time)  # type: ignore[misc]


class ContextTrainer(_StepLogging, GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPO with a term on selection prompts; without a term it is GRPO with our log.

    Args:
        term: the selection term; None for none.
        norms_every: steps between measurements of each term's gradient norm; 0 for none.
        words: as of `trl.GRPOTrainer`.
    """

    def __init__(
        self, *, term: SelectionTerm | None = None, norms_every: int = 0, **words: Any
    ) -> None:
        super().__init__(**words)
        self._open(term, norms_every)
        self._hook = SelectionForwardHook(_KEPT[term.objective.kind] if term else 1)
        get_base = getattr(self.model, "get_base_model", None)
        self._hook.attach(get_base() if get_base else self.model)
        if self.ref_model is not None:
            self.ref_model.register_forward_pre_hook(
                lambda _, args, kwargs: (args, _without_empty_images(kwargs)), with_kwargs=True
            )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        """Keep the items of the rows: TRL hands a rollout function their prompts alone."""
        self.asked: list[Item] = [row["task"] for row in inputs]
        return super()._generate_and_score_completions(inputs)

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        """Say of a text prompt among prompts with images that it has none, not None.

        TRL 1.16 hands the images on to the processor, which takes lists only.
        """
        *others, images, tool_images = super()._generate(prompts)
        completions, said = others[1], others[2]  # of an agent's episode, the policy said a part
        self.tally.add(generated_tokens=sum(map(sum, said)) if said else sum(map(len, completions)))
        return (*others, images and [shown or [] for shown in images], tool_images)

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Return GRPO's loss of a micro-batch, plus lambda times the selection term in training.

        GRPO's part is divided by the accumulation steps, as TRL does; of the selection term, the
        micro-steps of all processes together make the mean over the step's pairs.
        """
        if not self.model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        drawn = self._draw()
        if drawn:
            device = self.accelerator.device
            self._hook.tensors = {k: v.to(device) for k, v in drawn[0].tensors.items()}
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        terms = {"grpo": loss}
        self.tally.add(
            parts=1,
            grpo_forwards=1,
            grpo_loss=loss.item() * self.current_gradient_accumulation_steps,
            grpo_tokens=_tokens(inputs),
        )
        if drawn:
            assert self.term is not None
            terms[self.term.objective.name] = self._selection(self._hook.taken(), *drawn)
        self._measure(**terms)
        return sum(terms.values())


class SelectionTrainer(_StepLogging, Trainer):  # type: ignore[misc]
    """Training on selection prompts alone: `ca-only`, and the supervised stage of `da-sft`.

    Args:
        term: what is shown in which step.
        words: as of `transformers.Trainer`, without data.
    """

    def __init__(
        self, *, term: SelectionTerm, norms_every: int = 0, args: Any, **words: Any
    ) -> None:
        parts = args.gradient_accumulation_steps * args.world_size
        steps = [{"place": place} for place in range(term.exposures.steps * parts)]
        super().__init__(args=args, train_dataset=steps, data_collator=_as_tensors, **words)
        self._open(term, norms_every)
        # Ours is the mean over the whole step already.
        self.loss_is_scaled_for_ga = True

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Return a micro-step's part of lambda times the mean loss over the step's pairs."""
        assert self.term is not None
        # DDP adds up the gradients of all processes in the last micro-step's backward: where no
        # pair is left for it, the step's first one passes through with weight 0.
        drawn = self._draw() or (self.term.first(self.state.global_step), 0.0)
        tensors = {k: v.to(self.accelerator.device) for k, v in drawn[0].tensors.items()}
        kept = _KEPT[self.term.objective.kind]
        logits = model(**tensors, logits_to_keep=kept, use_cache=False).logits
        loss = self._selection(logits, *drawn)
        self._measure(**{self.term.objective.name: loss})
        return loss


def _tell(tally: Tally, losses: torch.Tensor, found: SelectionLoss, batch: SelectionBatch) -> None:
    tally.add(
        examples=len(found.margins),
        exposures=batch.pairs,
        loss=losses.detach().sum().item(),
        ca_loss=found.losses.detach().sum().item(),
        correct=found.correct.sum().item(),
        margin=found.margins.sum().item(),
        clipped_wrong=found.clipped_wrong.sum().item(),
    )


def _tokens(inputs: Mapping[str, Any]) -> int:
    return int(inputs["prompt_mask"].sum().item() + inputs["completion_mask"].sum().item())


def _as_tensors(rows: list[dict[str, int]]) -> dict[str, torch.Tensor]:
    return {"place": torch.tensor([row["place"] for row in rows])}
