"""GRPO + lambda L_CA as a thin subclass of TRL's trainer, and L_CA or SFT alone.

`ContextTrainer` and `SelectionForwardHook` rely on private parts of TRL; the pinned version and a
contract test guard them. Importing this module imports torch and TRL (seconds).
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Trainer
from transformers.integrations import is_deepspeed_zero3_enabled
from trl import GRPOTrainer
from trl.trainer.utils import FusedCausalLMOutput

from ablations.training.prompting import SelectionBatch
from ablations.training.steps.measures import Tally, TermNorms
from ablations.training.steps.objective import check_head
from ablations.training.steps.resuming import Resuming
from ablations.training.steps.term import SelectionTerm
from harness.records import Item


@dataclass
class WithSelection(FusedCausalLMOutput):  # type: ignore[misc]
    """TRL's outputs plus our logits, so that DDP finds every parameter that was used."""

    selection_logits: torch.Tensor | None = None


class SelectionForwardHook:
    """Run the selection prompts inside the policy's own forward call.

    DDP looks for unused parameters in the outputs of the last forward: two calls, one with images
    and one without, end in "marked ready twice". One call for both is safe there, under FSDP (the
    weights are gathered once) and under DeepSpeed (one backward).

    Relies on TRL 1.16: ``compute_loss`` calls the model once, with ``fused_lm_head=True``, and
    reads ``log_probs`` and ``entropy`` of a `FusedCausalLMOutput`.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] | None = None
        self.kept = 1
        self.logits: torch.Tensor | None = None

    def attach(self, model: Any) -> None:
        """Hook a model (a PEFT model's base)."""
        forward = model.forward

        # On the class: `generate` checks its arguments against this signature.
        @functools.wraps(type(model).forward)
        def hooked(module: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = forward(*args, **without_empty_images(kwargs))
            if self.tensors is None or not kwargs.get("fused_lm_head"):
                return outputs
            tensors, self.tensors = self.tensors, None
            self.logits = forward(**tensors, logits_to_keep=self.kept, use_cache=False).logits
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


def without_empty_images(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Drop empty pixels, which vision towers reject.

    TRL slices ``pixel_values`` by rows, so text prompts in a mixed batch have zero rows.
    """
    pixels = kwargs.get("pixel_values")
    if pixels is None or pixels.shape[0] > 0:
        return kwargs
    return {k: v for k, v in kwargs.items() if k not in ("pixel_values", "image_grid_thw")}


def pixel_rows(fields: Mapping[str, Any]) -> list[int] | None:
    """Return how many rows of ``pixel_values`` each prompt of a batch has, TRL's ``num_images``.

    Idefics and SmolVLM pad pixels to a row per prompt, with a mask of as many rows. TRL 1.16
    distinguishes this from a row per image only by the number of rows; when the two coincide it
    trains prompts on the pixels of others.
    """
    images: list[int] | None = fields.get("num_images")
    padded = fields.get("pixel_attention_mask") is not None and fields.get("spatial_shapes") is None
    return [1] * len(images) if images is not None and padded else images


class _StepLogging:
    """Per-step bookkeeping of both trainers: pairs, losses and log.

    Precedes a trainer among the bases; `_open` is called once the trainer exists.
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
        Weights over all micro-steps and processes sum to the number of processes, because DDP takes
        the mean over those.
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
        loss, sums = self.term.objective.judge(logits, batch)
        tokens = batch.tensors["attention_mask"].sum().item()
        self.tally.add({"count/train_tokens": tokens, "count/selection_forwards": 1})
        if weight > 0:
            self.tally.add({**sums, "count/exposures": len(batch.orders)})
        return self.term.objective.coefficient * weight * loss

    def _measure(self, **terms: torch.Tensor) -> None:
        if self._norms.measures(self.state.global_step, self.accelerator):
            self._norms.add(self.model.parameters(), **terms)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "train_runtime" not in logs:  # the final summary is not a step
            trained = self.term.objective.name if self.term else "ca"
            logs.update(self.tally.take(self.accelerator, trained))
            logs.update(self._norms.take(self.accelerator))
        super().log(logs, start_time)  # type: ignore[misc]


class ContextTrainer(_StepLogging, Resuming, GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPO with a term on selection prompts; without a term, GRPO with our log.

    ``answer`` turns a completion's tokens into the text that rewards see. ``norms_every`` is the
    number of steps between measurements of each term's gradient norm (0: none); ``options`` are
    those of `trl.GRPOTrainer`.
    """

    def __init__(
        self,
        *,
        answer: Callable[[Sequence[int]], str],
        term: SelectionTerm | None = None,
        norms_every: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._answer = answer
        self._open(term, norms_every)
        if not is_deepspeed_zero3_enabled():  # no process has all weights there
            processor: Any = self.processing_class
            tokenizer = getattr(processor, "tokenizer", processor)
            ids = tokenizer("The answer is A or B.", add_special_tokens=False)["input_ids"]
            shown = torch.tensor([ids], device=self.model.device)
            check_head(self.model, shown, self.args.temperature)
        self._hook = SelectionForwardHook()
        get_base = getattr(self.model, "get_base_model", None)
        self._hook.attach(get_base() if get_base else self.model)
        if self.ref_model is not None:
            self.ref_model.register_forward_pre_hook(
                lambda _, args, kwargs: (args, without_empty_images(kwargs)), with_kwargs=True
            )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        """Keep the items of the rows: TRL passes only their prompts to a rollout function."""
        self.row_items: list[Item] = [row["task"] for row in inputs]
        batch = super()._generate_and_score_completions(inputs)
        return {**batch, **({"num_images": pixel_rows(batch)} if "num_images" in batch else {})}

    def _get_per_token_logps_and_entropies(self, *args: Any, **fields: Any) -> Any:
        fields["num_images"] = pixel_rows(fields)
        return super()._get_per_token_logps_and_entropies(*args, **fields)

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        """Decode completions for the rewards, and count their tokens.

        TRL 1.16 skips special tokens when decoding, which may include reasoning tags. A text prompt
        among prompts with images gets an empty list of images, not None, because TRL passes them on
        to the processor, which takes only lists.
        """
        shown, ids, masks, _, *others, images, tool_images = super()._generate(prompts)
        # The policy generates only part of an episode.
        generated = sum(map(sum, masks)) if masks else sum(map(len, ids))
        self.tally.add({"count/generated_tokens": generated})
        answers = [[{"role": "assistant", "content": self._answer(each)}] for each in ids]
        images = images and [of_prompt or [] for of_prompt in images]
        return (shown, ids, masks, answers, *others, images, tool_images)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return GRPO's loss of a micro-batch, plus lambda times the selection term in training.

        TRL divides GRPO's part by the accumulation steps; the selection terms of all micro-steps
        and processes sum to the mean over the step's pairs.
        """
        if not self.model.training:
            return super().compute_loss(model, inputs, *args, **kwargs)
        drawn = self._draw()
        if drawn:
            self._hook.tensors, self._hook.kept = self._on_device(drawn[0]), drawn[0].kept
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


class SelectionTrainer(_StepLogging, Resuming, Trainer):  # type: ignore[misc]
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
        # DDP reduces gradients in the backward of the last micro-step, so that one needs a forward
        # even if it has no pair left.
        drawn = self._draw(always=True)
        assert self.term is not None
        assert drawn is not None
        tensors, kept = self._on_device(drawn[0]), drawn[0].kept
        logits = model(**tensors, logits_to_keep=kept, use_cache=False).logits
        loss = self._selection(logits, *drawn)
        self._measure(**{self.term.objective.name: loss})
        return loss
