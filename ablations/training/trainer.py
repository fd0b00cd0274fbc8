"""GRPO + lambda L_CA as a thin subclass of TRL's trainer, and L_CA or SFT alone.

Everything that relies on TRL's private parts is in `SelectionForwardHook` and `ContextTrainer`; the
pinned version and a contract test guard it.  Importing this module imports torch and TRL (seconds).
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from accelerate.utils import DistributedType
from transformers import Trainer
from transformers.integrations import is_deepspeed_zero3_enabled
from trl import GRPOTrainer
from trl.trainer.utils import FusedCausalLMOutput

from ablations.training.objective import (
    Clip,
    SelectionLoss,
    check_head,
    letter_cross_entropy,
    selection_loss,
)
from ablations.training.prompting import LetterTokens, Prompter, SelectionBatch
from ablations.training.schedule import ArmView, Exposures
from benchmarks.pairs.selection import LETTERS
from harness.records import Item

LossKind = Literal["selection", "cross-entropy", "answer"]


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss on selection prompts and its weight lambda (``coefficient``).

    ``selection``: L_CA over the two letters' logits.  ``cross-entropy``: of the letter over the
    vocabulary.  ``answer``: of the letter and the end of the turn, as in supervised training.
    """

    kind: LossKind = "selection"
    coefficient: float = 1.0
    clip: float | None = 10.0
    form: Clip = "two-sided"

    @property
    def name(self) -> str:
        """The name in the log of the loss that is trained on."""
        return "ca" if self.kind == "selection" else "cross_entropy"

    @property
    def kept(self) -> int:
        """The number of positions at a prompt's end whose logits are needed."""
        return 3 if self.kind == "answer" else 1

    def judge(
        self, logits: torch.Tensor, batch: SelectionBatch, letters: LetterTokens
    ) -> tuple[torch.Tensor, SelectionLoss]:
        """Return the losses that are trained on, shape (n,), and L_CA of the same n prompts.

        ``logits``, shape (n, kept, vocabulary), are those of the last positions of each prompt;
        ``letters`` are the tokens of the two option letters; of several forms L_CA takes the
        likelier, and the other losses teach the first.
        """
        first = torch.tensor([letter == LETTERS[0] for letter in batch.letters]).to(logits.device)
        at_letter = logits[:, -self.kept]
        pairs = torch.stack([at_letter[:, list(forms)].amax(dim=1) for forms in letters], dim=1)
        contrast = selection_loss(pairs, first, clip=self.clip, form=self.form)
        if self.kind == "selection":
            return contrast.losses, contrast
        right = torch.where(first, letters[0][0], letters[1][0])
        losses = letter_cross_entropy(at_letter, right)
        if self.kind == "answer":
            end = batch.tensors["input_ids"][:, -1].to(logits.device)
            losses = (losses + letter_cross_entropy(logits[:, -2], end)) / 2
        # These losses have no clip that could take a gradient.
        return losses, replace(contrast, clipped_wrong=torch.zeros_like(contrast.margins))


@dataclass
class SelectionTerm:
    """The selection term of a training run: which pairs, their prompts and their loss.

    ``letters`` are the tokens of the two option letters, checked by the caller.
    """

    view: ArmView
    exposures: Exposures
    prompter: Prompter
    objective: Objective
    letters: LetterTokens

    def batch(
        self, step: int, part: int, parts: int, together: int
    ) -> tuple[SelectionBatch, float] | None:
        """Return what one of a step's parts shows and its weight in the mean over the step.

        None if none of the ``together`` parts that must run the same forwards (under FSDP, those of
        all processes at a time) has a pair left; if only some have, the others show the step's
        first pair with weight 0.
        """
        shown = self.exposures.at(step)
        if part - part % together >= len(shown):
            return None
        mine = self.exposures.share(step, part, parts)
        pairs = [self.view.pair(index) for index in mine or shown[:1]]
        answered = self.objective.kind == "answer"
        prompts = self.prompter.answered(pairs) if answered else self.prompter.selection(pairs)
        return prompts, len(mine) / len(shown)


# Of a step, summed over its micro-steps and processes: means over its selection prompts by their
# name in the log, and counts.
_MEANS = ("loss", "ca/loss", "ca/accuracy", "ca/margin", "ca/clipped_wrong")
_COUNTS = (
    "count/exposures",
    "count/train_tokens",
    "count/generated_tokens",
    "count/grpo_forwards",
    "count/selection_forwards",
)
_SUMS = (*_MEANS, *_COUNTS, "prompts", "grpo/loss", "micro_steps")


class Tally:
    """Sums over a step's micro-steps and processes, by the names in `_SUMS`."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(_SUMS, 0.0)

    def add(self, values: Mapping[str, float]) -> None:
        """Add to some sums."""
        for name, value in values.items():
            self._sums[name] += value

    def take(self, accelerator: Any, trained: str) -> dict[str, float]:
        """Return the log of the step over all processes, and reset the sums.

        ``ca/*`` are means over the step's selection prompts, of L_CA over the two letters whatever
        loss is trained on; that one is named ``trained``.  ``grpo/loss`` is the mean over the
        micro-steps; ``count/*`` are sums.
        """
        total = torch.tensor([self._sums[name] for name in _SUMS], dtype=torch.float64)
        self._sums = dict.fromkeys(_SUMS, 0.0)
        if accelerator.num_processes > 1:
            # Devices may lack float64; float32 is exact: every count of a step is below 2^24.
            total = accelerator.reduce(total.float().to(accelerator.device), "sum").double().cpu()
        sums = dict(zip(_SUMS, total.tolist(), strict=True))
        log = {}
        if sums["prompts"]:
            log = {name: sums[name] / sums["prompts"] for name in _MEANS}
            log[f"{trained}/loss"] = log.pop("loss")
        if sums["micro_steps"]:
            log["grpo/loss"] = sums["grpo/loss"] / sums["micro_steps"]
        return log | {name: sums[name] for name in _COUNTS}


@dataclass
class TermNorms:
    """The gradient norm of each loss term, measured every ``every`` steps (0: never).

    A measured step runs a second backward of each term and keeps a copy of its gradient; only where
    every process holds all weights (one device, DDP).
    """

    every: int
    _sums: dict[str, list[torch.Tensor]] = field(default_factory=dict)

    def measures(self, step: int, accelerator: Any) -> bool:
        """Whether a step is measured."""
        whole = (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)
        return self.every > 0 and step % self.every == 0 and accelerator.distributed_type in whole

    def add(self, parameters: Iterable[torch.Tensor], **losses: torch.Tensor) -> None:
        """Add the gradients of a micro-step's terms, each scaled as it enters the step's loss."""
        weights = [weight for weight in parameters if weight.requires_grad]
        for name, loss in losses.items():
            grads = torch.autograd.grad(
                loss, weights, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            if name in self._sums:
                torch._foreach_add_(self._sums[name], grads)
            else:
                self._sums[name] = [grad.clone() for grad in grads]

    def take(self, accelerator: Any) -> dict[str, float]:
        """Return the norms over all processes, and reset the sums."""
        norms = {}
        for name, grads in sorted(self._sums.items()):
            if accelerator.num_processes > 1:
                grads = [accelerator.reduce(grad, "mean") for grad in grads]
            norms[f"grad_norm/{name}"] = float(torch.nn.utils.get_total_norm(grads))
        self._sums.clear()
        return norms


@dataclass
class WithSelection(FusedCausalLMOutput):  # type: ignore[misc]
    """TRL's outputs and our logits, so that DDP finds every parameter that was used."""

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
        """Hook a model (a PEFT model's base)."""
        forward = model.forward

        # Of the class: `generate` checks its arguments against this signature.
        @functools.wraps(type(model).forward)
        def hooked(module: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = forward(*args, **_without_empty_images(kwargs))
            if self.tensors is None or not kwargs.get("fused_lm_head"):
                return outputs
            tensors, self.tensors = self.tensors, None
            self.logits = forward(**tensors, logits_to_keep=self._kept, use_cache=False).logits
            return WithSelection(**outputs, selection_logits=self.logits)

        model.forward = types.MethodType(hooked, model)

    def taken(self) -> torch.Tensor:
        """Return the logits of the last call, shape (n, kept, vocabulary).

        Raises `RuntimeError` if no forward took the prompts, because TRL has changed.
        """
        logits, self.logits = self.logits, None
        if logits is None:
            raise RuntimeError("TRL's loss made no fused forward call: see SelectionForwardHook")
        return logits


def _without_empty_images(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Drop empty pixels, which the vision tower refuses.

    TRL slices ``pixel_values`` by rows, so that text prompts in a mixed batch have zero rows.
    """
    pixels = kwargs.get("pixel_values")
    if pixels is None or pixels.shape[0] > 0:
        return kwargs
    return {k: v for k, v in kwargs.items() if k not in ("pixel_values", "image_grid_thw")}


def pixel_rows(fields: Mapping[str, Any]) -> list[int] | None:
    """Return how many rows of ``pixel_values`` each prompt has, as TRL's ``num_images``.

    Idefics and SmolVLM pad pixels to a row per prompt, and have a mask of as many rows.  TRL 1.16
    tells these from a row per image by their number alone, which may be the same by chance: it
    then trains prompts on the pixels of others.

    Args:
        fields: what TRL keeps of a batch, or passes on of it.
    """
    images: list[int] | None = fields.get("num_images")
    padded = fields.get("pixel_attention_mask") is not None and fields.get("spatial_shapes") is None
    return [1] * len(images) if images is not None and padded else images


class _StepLogging:
    """What both trainers keep of a step: its pairs, their losses, and the log.

    Precedes a trainer among the bases; `_open` is called once the trainer is made.
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
        # The current optimizer step and its micro-step, from 0; also right after a resume.
        self.micro_step = (-1, 0)

    def _draw(self, *, always: bool = False) -> tuple[SelectionBatch, float] | None:
        """Return what this micro-step shows and its weight.

        None if no process shows a pair, unless ``always``: then one passes through with weight 0.
        The weights of all micro-steps and processes sum to the number of processes, because DDP
        takes the mean over those.
        """
        step, processes = self.state.global_step, self.accelerator.num_processes
        before, micro = self.micro_step
        self.micro_step = step, micro + 1 if step == before else 0
        part = self.micro_step[1] * processes + self.accelerator.process_index
        parts = self.args.gradient_accumulation_steps * processes
        together = parts if always else processes
        drawn = self.term.batch(step, part, parts, together) if self.term else None
        return drawn and (drawn[0], drawn[1] * processes)

    def _on_device(self, batch: SelectionBatch) -> dict[str, torch.Tensor]:
        return {name: part.to(self.accelerator.device) for name, part in batch.tensors.items()}

    def _selection(
        self, logits: torch.Tensor, batch: SelectionBatch, weight: float
    ) -> torch.Tensor:
        """Return lambda times this micro-step's part of the mean over the step's pairs."""
        assert self.term is not None
        losses, contrast = self.term.objective.judge(logits, batch, self.term.letters)
        tokens = batch.tensors["attention_mask"].sum().item()
        self.tally.add({"count/train_tokens": tokens, "count/selection_forwards": 1})
        if weight > 0:
            self.tally.add(_sums_of(losses, contrast, len(batch.orders)))
        return self.term.objective.coefficient * weight * batch.mean(losses)

    def _measure(self, **terms: torch.Tensor) -> None:
        """Add to the gradient norm of each term, if the step is measured."""
        if self._norms.measures(self.state.global_step, self.accelerator):
            self._norms.add(self.model.parameters(), **terms)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step with our sums and norms."""
        if "train_runtime" not in logs:  # the summary at the end is not a step
            trained = self.term.objective.name if self.term else "ca"
            logs.update(self.tally.take(self.accelerator, trained))
            logs.update(self._norms.take(self.accelerator))
        super().log(logs, start_time)  # type: ignore[misc]


def _sums_of(losses: torch.Tensor, contrast: SelectionLoss, pairs: int) -> dict[str, float]:
    sums = {
        "loss": losses.detach(),
        "ca/loss": contrast.losses.detach(),
        "ca/accuracy": contrast.correct,
        "ca/margin": contrast.margins,
        "ca/clipped_wrong": contrast.clipped_wrong,
    }
    totals = {name: values.sum().item() for name, values in sums.items()}
    return {**totals, "prompts": len(losses), "count/exposures": pairs}


class ContextTrainer(_StepLogging, GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPO with a term on selection prompts; without a term it is GRPO with our log.

    ``norms_every`` is the number of steps between measurements of each term's gradient norm (0:
    none); ``options`` are those of `trl.GRPOTrainer`.
    """

    def __init__(
        self, *, term: SelectionTerm | None = None, norms_every: int = 0, **options: Any
    ) -> None:
        super().__init__(**options)
        self._open(term, norms_every)
        if not is_deepspeed_zero3_enabled():  # no process has all weights there
            processor: Any = self.processing_class
            tokenizer = getattr(processor, "tokenizer", processor)
            ids = tokenizer("The answer is A or B.", add_special_tokens=False)["input_ids"]
            shown = torch.tensor([ids], device=self.model.device)
            check_head(self.model, shown, self.args.temperature)
        self._hook = SelectionForwardHook(term.objective.kept if term else 1)
        get_base = getattr(self.model, "get_base_model", None)
        self._hook.attach(get_base() if get_base else self.model)
        if self.ref_model is not None:
            self.ref_model.register_forward_pre_hook(
                lambda _, args, kwargs: (args, _without_empty_images(kwargs)), with_kwargs=True
            )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        """Keep the items of the rows: TRL passes only their prompts to a rollout function."""
        self.row_items: list[Item] = [row["task"] for row in inputs]
        batch = super()._generate_and_score_completions(inputs)
        return {**batch, **({"num_images": pixel_rows(batch)} if "num_images" in batch else {})}

    def _get_per_token_logps_and_entropies(self, *args: Any, **fields: Any) -> Any:
        """Slice pixels as `pixel_rows` says."""
        fields["num_images"] = pixel_rows(fields)
        return super()._get_per_token_logps_and_entropies(*args, **fields)

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        """Give a text prompt among prompts with images an empty list of images, not None.

        TRL 1.16 passes the images on to the processor, which takes only lists.
        """
        *others, images, tool_images = super()._generate(prompts)
        completions, masks = others[1], others[2]  # the policy generated a part of an episode
        generated = sum(map(sum, masks)) if masks else sum(map(len, completions))
        self.tally.add({"count/generated_tokens": generated})
        return (*others, images and [shown or [] for shown in images], tool_images)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return GRPO's loss of a micro-batch, plus lambda times the selection term in training.

        TRL divides GRPO's part by the accumulation steps; the selection terms of all micro-steps
        and processes add up to the mean over the step's pairs.
        """
        if not self.model.training:
            return super().compute_loss(model, inputs, *args, **kwargs)
        drawn = self._draw()
        if drawn:
            self._hook.tensors = self._on_device(drawn[0])
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        terms = {"grpo": loss}
        tokens = inputs["prompt_mask"].sum() + inputs["completion_mask"].sum()
        self.tally.add(
            {
                "micro_steps": 1,
                "grpo/loss": loss.item() * self.current_gradient_accumulation_steps,
                "count/grpo_forwards": 1,
                "count/train_tokens": tokens.item(),
            }
        )
        if drawn:
            assert self.term is not None
            terms[self.term.objective.name] = self._selection(self._hook.taken(), *drawn)
        self._measure(**terms)
        return sum(terms.values())


class SelectionTrainer(_StepLogging, Trainer):  # type: ignore[misc]
    """Training on selection prompts alone: `ca-only`, and the supervised stage of `da-sft`.

    ``args`` and ``options`` are those of `transformers.Trainer`, without data.
    """

    def __init__(
        self, *, term: SelectionTerm, norms_every: int = 0, args: Any, **options: Any
    ) -> None:
        # A row per micro-step and process: `_draw` knows what each shows.
        number = term.exposures.steps * args.gradient_accumulation_steps * args.world_size
        rows = [{"row": row} for row in range(number)]
        super().__init__(args=args, train_dataset=rows, **options)
        self._open(term, norms_every)
        # Ours is already the mean over the whole step.
        self.loss_is_scaled_for_ga = True

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return a micro-step's part of lambda times the mean loss over the step's pairs."""
        # DDP sums the gradients of all processes in the last micro-step's backward, so that one
        # needs a forward even if no pair is left for it.
        drawn = self._draw(always=True)
        assert self.term is not None
        assert drawn is not None
        kept = self.term.objective.kept
        tensors = self._on_device(drawn[0])
        logits = model(**tensors, logits_to_keep=kept, use_cache=False).logits
        loss = self._selection(logits, *drawn)
        self._measure(**{self.term.objective.name: loss})
        return loss
