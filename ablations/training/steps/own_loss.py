"""Custom losses on contrastive pairs, in place of L_CA.

``examples/loss.py`` is a complete one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from ablations.data.check import check_texts
from ablations.settings import CODE
from ablations.training.prompting import Prompter, SelectionBatch
from ablations.training.steps.measures import OWN
from benchmarks.pairs.selection import AnyPair
from harness.errors import UsageError
from harness.own_code import NamedCode, raised
from harness.records import Item, Message, TextPart

Answers = Sequence[tuple[Sequence[Message], str]]


class PairLoss(Protocol):
    """A loss on a pair, from the log-probabilities of answers to conversations."""

    def answers(self, pair: AnyPair) -> Answers:
        """Return conversations, each with an answer's text."""
        ...

    def loss(self, pair: AnyPair, logprobs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the pair's loss, a scalar with a gradient.

        ``logprobs`` are those of each answer's tokens, in nats; float32 of shape (tokens,). The end
        of the turn is not among them.
        """
        ...


@dataclass(frozen=True)
class OwnObjective:
    """A custom loss and its weight lambda (``coefficient``); `Objective` is the built-in one."""

    coefficient: float
    option: str
    own: PairLoss
    name = OWN

    def prompts(self, prompter: Prompter, pairs: Sequence[AnyPair]) -> SelectionBatch:
        """Return the conversations that the loss asks about.

        Raises `UsageError` if the function fails, or returns something else; names the pair.
        """
        asked = [self._asked(pair) for pair in pairs]
        for pair, answers in zip(pairs, asked, strict=True):
            said = [part for messages, _ in answers for each in messages for part in each.content]
            texts = [TextPart(text) for _, text in answers]
            shown = Item(pair.id, (Message("user", (*said, *texts)),), None, pair.id)
            try:
                check_texts([shown], prompter.special_tokens)
            except UsageError as error:
                raise UsageError(f"{self._of(pair)}: {error}") from error
        return replace(prompter.followed(asked), pairs=tuple(pairs))

    def judge(
        self, logits: torch.Tensor, batch: SelectionBatch
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """Return the mean loss over a batch's pairs, a scalar, and its log values; see `losses`."""
        losses = self.losses(logits, batch)
        return losses.mean(), {"loss": losses.sum().item(), "prompts": float(len(losses))}

    def losses(self, logits: torch.Tensor, batch: SelectionBatch) -> torch.Tensor:
        """Return the loss of each pair, shape (pairs,).

        ``logits``, shape (answers, kept, vocabulary), are those of the last positions. Raises
        `UsageError` if the function fails, or does not return a finite scalar with a gradient.
        """
        tokens = batch.tensors["input_ids"].to(logits.device)
        rows = iter(
            row[-length - 1 : -1].float().log_softmax(-1).gather(1, ids[-length:, None])[:, 0]
            for row, ids, length in zip(logits, tokens, batch.answers, strict=True)
        )
        return torch.stack(
            [
                self._loss(pair, [next(rows) for _ in range(number)])
                for pair, number in zip(batch.pairs, batch.orders, strict=True)
            ]
        )

    def _asked(self, pair: AnyPair) -> Answers:
        try:
            answers = [(tuple(messages), text) for messages, text in self.own.answers(pair)]
        except (Exception, SystemExit) as error:  # user code may raise anything
            raise UsageError(f"{self._of(pair)}: {raised(error)}") from error
        right = all(
            isinstance(text, str) and text and all(isinstance(each, Message) for each in messages)
            for messages, text in answers
        )
        if not answers or not right:
            raise UsageError(
                f"{self._of(pair)}: answers() must return messages, each with a text, at least "
                f"one, not {answers!r:.60}"
            )
        return answers

    def _loss(self, pair: AnyPair, logprobs: Sequence[torch.Tensor]) -> torch.Tensor:
        try:
            loss: Any = self.own.loss(pair, logprobs)
        except (Exception, SystemExit) as error:
            raise UsageError(f"{self._of(pair)}: {raised(error)}") from error
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or not loss.requires_grad:
            raise UsageError(
                f"{self._of(pair)}: loss() must return a scalar tensor made of logprobs, not "
                f"{' '.join(repr(loss).split()):.60}"
            )
        if not loss.isfinite():
            raise UsageError(f"{self._of(pair)}: loss() returned {loss.item()}")
        return loss.reshape(())

    def _of(self, pair: AnyPair) -> str:
        return f"--pair-loss {self.option}, pair {pair.id}"


def load_loss(name: str) -> PairLoss:
    """Import and return a loss: FILE.py:NAME, MODULE:NAME, or the name of an installed one.

    Raises `UsageError` if there is none.
    """
    loss: PairLoss = NamedCode("--pair-loss", name, CODE["pair_loss"]).load()
    for method in ("answers", "loss"):
        if not callable(getattr(loss, method, None)):
            raise UsageError(f"--pair-loss {name} has no method {method}()")
    return loss
