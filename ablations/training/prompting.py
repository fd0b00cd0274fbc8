"""Prompts as tensors: the selection prompts of pairs, and the option letters' tokens.

The trainers come in with pairs and a processor (or a tokenizer); padded batches leave, whose last
position is the one that answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.pairs.selection import LETTERS, Letter, SelectionPrompt, both_orders
from harness.errors import UsageError
from harness.records import ImagePart, Message, Pair, TextPart

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SelectionBatch:
    """Selection prompts, both orders of each pair.

    ``tensors`` are the model's arguments, padded on the left.  ``letters`` are those of the
    supporting contexts, one per prompt.  ``tokens`` counts prompt tokens.
    """

    tensors: dict[str, torch.Tensor]
    letters: tuple[Letter, ...]
    pairs: int
    tokens: int


@dataclass(frozen=True)
class Prompter:
    """Renders conversations for one model.

    ``processor`` is a processor of images and text, or a tokenizer.  ``options`` go to the chat
    template (``enable_thinking``).
    """

    processor: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the processor, or the processor where it is one."""
        return getattr(self.processor, "tokenizer", self.processor)

    @property
    def reads_images(self) -> bool:
        """Whether the model takes images."""
        return self.tokenizer is not self.processor

    def chat(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Return messages in the form of transformers' chat templates, images inside.

        Raises:
            UsageError: there is an image, and the model reads text only.
        """
        if self.reads_images:
            return [{"role": m.role, "content": [_wire(p) for p in m.content]} for m in messages]
        if any(isinstance(part, ImagePart) for message in messages for part in message.content):
            raise UsageError("the data has images, and this model reads text only")
        return [{"role": message.role, "content": message.render()} for message in messages]

    def text(self, messages: Sequence[Message]) -> str:
        """Return a conversation as the template writes it, up to where the answer begins."""
        rendered: str = self.processor.apply_chat_template(
            self.chat(messages), tokenize=False, add_generation_prompt=True, **self.options
        )
        return rendered

    def letters(self, messages: Sequence[Message]) -> tuple[int, int]:
        """Return the tokens of the two option letters where a conversation's answer begins.

        Raises:
            UsageError: a letter is not one token there.
        """
        found = []
        text = self.text(messages)
        before = self._ids(text)
        for letter in LETTERS:
            after = self._ids(text + letter)
            if after[:-1] != before:
                raise UsageError(
                    f"the option letter {letter} is not one token of this model's tokenizer "
                    f"where the answer begins ({len(after) - len(before)} more tokens): "
                    "its selection logits are not defined"
                )
            found.append(int(after[-1]))
        return found[0], found[1]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def length(self, messages: Sequence[Message]) -> int:
        """Return a conversation's number of tokens, those of images included."""
        tensors = self._tensors([self.text(messages)], [_images(messages)])
        return int(tensors["input_ids"].shape[1])

    def selection(self, pairs: Sequence[Pair]) -> SelectionBatch:
        """Return both orders of each pair, one after the other."""
        prompts = [order for pair in pairs for order in both_orders(pair)]
        return self._batch(prompts, [self.text(prompt.messages) for prompt in prompts])

    def answered(self, pairs: Sequence[Pair]) -> SelectionBatch:
        """Return both orders of each pair, followed by the right letter and the end of the turn.

        The last two positions hold the letter and the end: what supervised training teaches.
        """
        prompts = [order for pair in pairs for order in both_orders(pair)]
        end = self.tokenizer.eos_token
        texts = [f"{self.text(prompt.messages)}{prompt.letter}{end}" for prompt in prompts]
        return self._batch(prompts, texts)

    def _batch(self, prompts: Sequence[SelectionPrompt], texts: Sequence[str]) -> SelectionBatch:
        tensors = self._tensors(texts, [_images(prompt.messages) for prompt in prompts])
        return SelectionBatch(
            tensors=tensors,
            letters=tuple(prompt.letter for prompt in prompts),
            pairs=len(prompts) // 2,
            tokens=int(tensors["attention_mask"].sum().item()),
        )

    def _tensors(self, texts: Sequence[str], images: Sequence[list[Any]]) -> dict[str, Any]:
        words: dict[str, Any] = {"text": list(texts), "return_tensors": "pt", "padding": True}
        if any(images):
            words["images"] = list(images)
        return dict(self.processor(**words, padding_side="left", add_special_tokens=False))


def _wire(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image", "image": part.image}


def _images(messages: Sequence[Message]) -> list[Any]:
    parts = [part for message in messages for part in message.content]
    return [part.image for part in parts if isinstance(part, ImagePart)]
