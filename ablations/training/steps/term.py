"""The selection term: which pairs a step shows, their prompts and their loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from ablations.training.prompting import LetterTokens, Prompter, SelectionBatch
from ablations.training.schedule import ArmView, Exposures
from ablations.training.steps.measures import sums_of
from ablations.training.steps.objective import Clip, letter_cross_entropy, selection_loss
from ablations.training.steps.own_loss import OwnObjective
from benchmarks.pairs.selection import LETTERS, AnyPair

LossKind = Literal["selection", "cross-entropy", "answer"]


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss on selection prompts and its weight lambda (``coefficient``).

    ``selection``: L_CA over the two letters' logits. ``cross-entropy``: of the letter over the
    vocabulary. ``answer``: of the letter and the end of the turn, as in supervised training.
    ``letters`` are the tokens of the two option letters; if there are several forms, L_CA takes
    the likelier and the other losses teach the first.
    """

    letters: LetterTokens
    kind: LossKind = "selection"
    coefficient: float = 1.0
    clip: float | None = 10.0
    form: Clip = "two-sided"

    @property
    def name(self) -> str:
        """The log name of the training loss."""
        return "ca" if self.kind == "selection" else "cross_entropy"

    def prompts(self, prompter: Prompter, pairs: Sequence[AnyPair]) -> SelectionBatch:
        """Return the selection prompts of pairs."""
        return prompter.selection(pairs, answered=self.kind == "answer")

    def judge(
        self, logits: torch.Tensor, batch: SelectionBatch
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Return the mean loss over a batch's pairs, a scalar, and its log values.

        ``logits``, shape (n, kept, vocabulary), are those of the last positions of each prompt.
        """
        first = torch.tensor([letter == LETTERS[0] for letter in batch.letters]).to(logits.device)
        at_letter = logits[:, -batch.kept]
        pairs = torch.stack(
            [at_letter[:, list(forms)].amax(dim=1) for forms in self.letters], dim=1
        )
        contrast = selection_loss(pairs, first, clip=self.clip, form=self.form)
        if self.kind == "selection":
            return batch.mean(contrast.losses), sums_of(contrast.losses, contrast)
        right = torch.where(first, self.letters[0][0], self.letters[1][0])
        losses = letter_cross_entropy(at_letter, right)
        if self.kind == "answer":
            end = batch.tensors["input_ids"][:, -1].to(logits.device)
            losses = (losses + letter_cross_entropy(logits[:, -2], end)) / 2
        # These losses are not clipped, so no gradient is lost.
        contrast = replace(contrast, clipped_wrong=torch.zeros_like(contrast.margins))
        return batch.mean(losses), sums_of(losses, contrast)


@dataclass
class SelectionTerm:
    """The selection term of a training run: which pairs, their prompts and their loss."""

    view: ArmView
    exposures: Exposures
    prompter: Prompter
    objective: Objective | OwnObjective

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
        return self.objective.prompts(self.prompter, pairs), len(mine) / len(shown)
