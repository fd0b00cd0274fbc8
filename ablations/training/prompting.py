"""Prompts as padded tensors whose last position answers, and the option letters' tokens."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.settings import Settings
from benchmarks.pairs.selection import LETTERS, Letter, both_orders, selection
from harness.backends import wire
from harness.backends.checkpoint import load_processor, model_class, rendered
from harness.errors import ItemError, UsageError
from harness.reasoning import closed, opening
from harness.records import ImagePart, Message, Pair, TextPart

if TYPE_CHECKING:
    import torch

PLACES = ("image", "video", "audio")


@dataclass(frozen=True)
class SelectionBatch:
    """Selection prompts, both orders of each pair.

    ``tensors`` are the model's arguments, padded on the left.  ``letters`` are those of the
    supporting contexts, one per prompt.
    """

    tensors: dict[str, torch.Tensor]
    letters: tuple[Letter, ...]


@dataclass(frozen=True)
class Prompter:
    """Renders conversations for one model.

    ``processor`` is a processor of images and text, or a tokenizer.  ``options`` go to the chat
    template (``enable_thinking``).
    """

    processor: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, settings: Settings) -> Prompter:
        """Return the prompter of a checkpoint.

        Raises `UsageError` if its processor cannot be loaded, or has no chat template.
        """
        # Rollouts are padded on the left.
        return cls(load_processor(folder, padding_side="left"), settings.template)

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer, or the processor itself if it is one."""
        return getattr(self.processor, "tokenizer", self.processor)

    def chat(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Return messages in the form of transformers' chat templates, images inside.

        Raises `UsageError` if there is an image, and the model reads text only.
        """
        try:
            return wire.transformers(messages, images=self.tokenizer is not self.processor)
        except ItemError as error:
            raise UsageError("the data has images, and this model reads text only") from error

    def text(self, messages: Sequence[Message]) -> str:
        """Return a conversation as the template writes it, up to where the answer begins.

        Raises `UsageError` if the template does not end in time.
        """
        return rendered(self.processor, self.chat(messages), self.options)

    def choice(self, messages: Sequence[Message]) -> str:
        """Return a rendered conversation whose answer begins with an option letter.

        A thought that the template has opened is closed: its first token would be read otherwise.
        """
        return closed(self.text(messages))

    @cached_property
    def opening(self) -> str:
        """The reasoning tag that the template writes where the answer begins, or ""."""
        return opening(self.text([Message("user", (TextPart("x"),))]))

    @cached_property
    def special_tokens(self) -> frozenset[str]:
        """The texts that the tokenizer or the processor read as something else than text.

        Ends of turns, and the places of images, videos and sounds.
        """
        added = self.tokenizer.added_tokens_decoder.values()
        places = (getattr(self.processor, f"{kind}_token", None) for kind in PLACES)
        named = {str(place) for place in places if place}
        return frozenset(named | {token.content for token in added if token.special})

    def letters(self, messages: Sequence[Message]) -> tuple[int, int]:
        """Return the tokens of the two option letters where a conversation's answer begins.

        Raises `UsageError` if a letter is not one token there.
        """
        return self._letters(self.choice(messages))[1]

    def _letters(self, text: str) -> tuple[str, tuple[int, int]]:
        """Return what precedes a letter after a rendered text, nothing or a blank, and the tokens.

        A blank only where a bare letter is not one token.
        """
        before = self.ids(text)
        for blank in ("", " "):
            first, second = (self.ids(f"{text}{blank}{letter}") for letter in LETTERS)
            if first[:-1] == second[:-1] == before:
                return blank, (first[-1], second[-1])
        raise UsageError(
            f"the option letters {LETTERS[0]} and {LETTERS[1]} are not one token each of this "
            "model's tokenizer where the answer begins, with or without a blank before them: "
            "their selection logits are not defined"
        )

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a rendered text."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def length(self, messages: Sequence[Message]) -> int:
        """Return a conversation's number of tokens, including those of images."""
        tensors = self._tensors([self.text(messages)], [_images(messages)])
        return int(tensors["input_ids"].shape[1])

    def selection(self, pairs: Sequence[Pair]) -> SelectionBatch:
        """Return both orders of each pair, one after the other."""
        return self._batch(pairs, answered=False)

    def answered(self, pairs: Sequence[Pair]) -> SelectionBatch:
        """Return both orders of each pair, followed by the right letter and the end of the turn.

        The last two positions hold the letter and the end: what supervised training teaches.
        """
        return self._batch(pairs, answered=True)

    def _batch(self, pairs: Sequence[Pair], *, answered: bool) -> SelectionBatch:
        prompts = [order for pair in pairs for order in both_orders(pair)]
        texts = [self.choice(prompt.messages) for prompt in prompts]
        if answered:
            texts = [
                f"{text}{self._letters(text)[0]}{prompt.letter}{self.tokenizer.eos_token}"
                for text, prompt in zip(texts, prompts, strict=True)
            ]
        tensors = self._tensors(texts, [_images(prompt.messages) for prompt in prompts])
        return SelectionBatch(tensors, letters=tuple(prompt.letter for prompt in prompts))

    def _tensors(self, texts: Sequence[str], images: Sequence[list[Any]]) -> dict[str, Any]:
        return dict(
            self.processor(
                text=list(texts),
                **({"images": list(images)} if any(images) else {}),
                return_tensors="pt",
                padding=True,
                padding_side="left",
                add_special_tokens=False,
            )
        )


def _images(messages: Sequence[Message]) -> list[Any]:
    parts = [part for message in messages for part in message.content]
    return [part.image for part in parts if isinstance(part, ImagePart)]


def check_letters(pair: Pair, folder: Path, settings: Settings) -> None:
    """Raise `UsageError` if an option letter in a pair's prompt is not a checkpoint's token."""
    Prompter.load(folder, settings).letters(selection(pair, "A").messages)


def check_forward(folder: Path) -> None:
    """Raise `UsageError` if a checkpoint's model has no standard forward: it cannot be trained.

    Selection prompts need the logits of their last positions alone, by ``logits_to_keep``.
    """
    model = model_class(folder)
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        raise UsageError(
            f"{folder} cannot be trained: the forward of {model.__name__} has no logits_to_keep"
        )
