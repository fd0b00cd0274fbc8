"""Render prompts as padded tensors ending at the answer position; tokens of option letters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.settings import Settings
from benchmarks.pairs.selection import LETTERS, AnyPair, Asking, Letter
from harness.backends import wire
from harness.backends.checkpoint import load_processor, model_class, rendered
from harness.backends.reasoning_tags import decoded, dropped_ids, named_tags
from harness.errors import ItemError, UsageError
from harness.reasoning import Tags, closed, opening
from harness.records import ImagePart, Message, TextPart

if TYPE_CHECKING:
    import torch

PLACES = ("image", "video", "audio")

LetterTokens = tuple[tuple[int, ...], tuple[int, ...]]
"""The tokens of the two option letters: of each the forms of which the likelier counts."""


@dataclass(frozen=True)
class SelectionBatch:
    """Selection prompts, all orders of each pair in sequence.

    ``tensors`` are the model's arguments, left-padded. ``letters`` are those of the supporting
    contexts, one per prompt; ``orders`` counts the prompts of each pair. ``kept`` is the number of
    positions at a prompt's end whose logits are needed. If a custom loss reads whole answers,
    ``answers`` are their numbers of tokens, at the ends of the prompts, and ``pairs`` what they are
    about.
    """

    tensors: dict[str, torch.Tensor]
    letters: tuple[Letter, ...]
    orders: tuple[int, ...]
    kept: int = 1
    answers: tuple[int, ...] = ()
    pairs: tuple[AnyPair, ...] = ()

    def mean(self, losses: torch.Tensor) -> torch.Tensor:
        """Return the mean over pairs of the mean over their prompts; shape (n,) to a scalar.

        A pair in one order weighs as much as a pair in both.
        """
        if len(set(self.orders)) == 1:
            return losses.mean()
        shares = [1 / (n * len(self.orders)) for n in self.orders for _ in range(n)]
        return (losses * losses.new_tensor(shares)).sum()


@dataclass(frozen=True)
class Prompter:
    """Render conversations for one model.

    ``processor`` is a processor of images and text, or a tokenizer. ``options`` go to the chat
    template (``enable_thinking``); prompts that ask for a letter also get ``selection_options``.
    ``asking`` says how they ask. ``tags`` are the reasoning tags that the model may write.
    """

    processor: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    selection_options: Mapping[str, Any] = field(default_factory=dict)
    asking: Asking = field(default_factory=Asking)
    tags: Tags = ()

    @classmethod
    def load(cls, folder: Path, settings: Settings) -> Prompter:
        """Return the prompter of a checkpoint.

        Raises `UsageError` if its processor cannot be loaded or has no chat template, or the chat
        template of selection prompts cannot be read.
        """
        # Rollouts are left-padded.
        processor = load_processor(folder, padding_side="left")
        options, tags = selection_options(settings), named_tags(folder).pairs
        return cls(processor, settings.template, options, settings.asking, tags)

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer, or the processor itself if it is one."""
        return getattr(self.processor, "tokenizer", self.processor)

    def chat(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Return messages for transformers' chat templates, images included.

        Raises `UsageError` for an image if the model reads text only.
        """
        try:
            return wire.transformers(messages, images=self.tokenizer is not self.processor)
        except ItemError as error:
            raise UsageError("the data has images, and this model reads text only") from error

    def text(self, messages: Sequence[Message]) -> str:
        """Return a rendered conversation, up to the start of the answer.

        Raises `UsageError` if the template takes too long.
        """
        return rendered(self.processor, self.chat(messages), self.options)

    def choice(self, messages: Sequence[Message]) -> str:
        """Return a rendered conversation to be continued with an option letter.

        A thought opened by the template is closed first, else its first token would be read as the
        letter. The beginning of the answer follows.
        """
        return self._unthinking(messages) + self.asking.prefill

    def _unthinking(self, messages: Sequence[Message]) -> str:
        options = {**self.options, **self.selection_options}
        return closed(rendered(self.processor, self.chat(messages), options))

    @cached_property
    def opening(self) -> str:
        """The reasoning tag that the template writes at the start of the answer, or ""."""
        return opening(self.text([Message("user", (TextPart("x"),))]))

    @cached_property
    def _dropped(self) -> set[int]:
        return dropped_ids(self.tokenizer, self.tags)[0]

    def answer(self, ids: Sequence[int]) -> str:
        """Return the text of generated tokens as an evaluation reads it, reasoning tags included.

        Some models' tags are special tokens: without them a thought would be scored as an answer.
        """
        return decoded(self.tokenizer, ids, self._dropped)

    @cached_property
    def special_tokens(self) -> frozenset[str]:
        """The strings that the tokenizer or the processor does not treat as plain text.

        End-of-turn tokens, and image, video and audio placeholders.
        """
        added = self.tokenizer.added_tokens_decoder.values()
        places = (getattr(self.processor, f"{kind}_token", None) for kind in PLACES)
        named = {str(place) for place in places if place}
        return frozenset(named | {token.content for token in added if token.special})

    def letters(self, messages: Sequence[Message]) -> LetterTokens:
        """Return the tokens of the two option letters at the start of a conversation's answer.

        Raises `UsageError` if a letter is not one token there.
        """
        return self._letters(self.choice(messages))[1]

    def _letters(self, text: str) -> tuple[str, LetterTokens]:
        """Return what precedes a letter after a rendered text (nothing or a blank), and the tokens.

        A blank only if a bare letter is not one token, or the answer has started with a word; both
        if the likelier form counts.
        """
        before, forms = self.ids(text), []
        begun = self.asking.prefill[-1:].strip()
        for blank in (" ", "") if begun else ("", " "):
            first, second = (self.ids(f"{text}{blank}{letter}") for letter in LETTERS)
            if first[:-1] == second[:-1] == before:
                forms.append((blank, first[-1], second[-1]))
        if not forms:
            raise UsageError(
                f"the option letters {LETTERS[0]} and {LETTERS[1]} are not one token each of this "
                "model's tokenizer where the answer begins, with or without a blank before them: "
                "their selection logits are not defined"
            )
        blanks, firsts, seconds = zip(*forms, strict=True)
        kept = len(forms) if self.asking.letters == "likelier" else 1
        return blanks[0], (firsts[:kept], seconds[:kept])

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a rendered text."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def length(self, messages: Sequence[Message]) -> int:
        """Return a conversation's number of tokens, including those of images."""
        return self._length(self.text(messages), messages)

    def longest_selection(self, pair: AnyPair) -> int:
        """Return the number of tokens of a pair's longest selection prompt."""
        prompts = [prompt.messages for prompt in self.asking.prompts(pair)]
        return max(self._length(self.choice(messages), messages) for messages in prompts)

    def _length(self, text: str, messages: Sequence[Message]) -> int:
        return int(self._tensors([text], [_images(messages)])["input_ids"].shape[1])

    def selection(self, pairs: Sequence[AnyPair], *, answered: bool = False) -> SelectionBatch:
        """Return the orders of each pair, in sequence.

        ``answered``: followed by the right letter and the end of the turn, in the last two
        positions: the targets of supervised training.
        """
        asked = [self.asking.prompts(pair) for pair in pairs]
        prompts = [prompt for orders in asked for prompt in orders]
        texts = [self.choice(prompt.messages) for prompt in prompts]
        if answered:
            texts = [
                f"{text}{self._letters(text)[0]}{prompt.letter}{self.tokenizer.eos_token}"
                for text, prompt in zip(texts, prompts, strict=True)
            ]
        tensors = self._tensors(texts, [_images(prompt.messages) for prompt in prompts])
        letters = tuple(prompt.letter for prompt in prompts)
        kept = 3 if answered else 1
        return SelectionBatch(tensors, letters, tuple(map(len, asked)), kept)

    def followed(self, asked: Sequence[Sequence[tuple[Sequence[Message], str]]]) -> SelectionBatch:
        """Return conversations followed by their answers, those of a pair together."""
        pieces = [piece for of_pair in asked for piece in of_pair]
        shown = [self.asking.sized(messages) for messages, _ in pieces]
        begun = [self._unthinking(messages) for messages in shown]
        texts = [text + answer for text, (_, answer) in zip(begun, pieces, strict=True)]
        lengths = tuple(
            len(after) - _shared(before, after)
            for before, after in zip(map(self.ids, begun), map(self.ids, texts), strict=True)
        )
        tensors = self._tensors(texts, list(map(_images, shown)))
        return SelectionBatch(tensors, (), tuple(map(len, asked)), max(lengths) + 1, lengths)

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


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Return at how many positions from the first on two lists are the same."""
    alike = takewhile(lambda both: both[0] == both[1], zip(first, second, strict=False))
    return sum(1 for _ in alike)


def _images(messages: Sequence[Message]) -> list[Any]:
    parts = [part for message in messages for part in message.content]
    return [part.image for part in parts if isinstance(part, ImagePart)]


def selection_options(settings: Settings) -> dict[str, Any]:
    """Return chat template options for selection prompts, on top of the rollouts' options.

    Raises `UsageError` if the chat template of selection prompts cannot be read.
    """
    path = settings.selection_chat_template
    if path is None:
        return settings.selection_template
    try:
        return {**settings.selection_template, "chat_template": Path(path).read_text()}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--selection-chat-template {path} cannot be read: {error}") from error


def check_letters(pair: AnyPair, folder: Path, settings: Settings) -> None:
    """Raise `UsageError` if an option letter in a pair's prompt is not a single token."""
    Prompter.load(folder, settings).letters(settings.asking.prompts(pair)[0].messages)


def check_forward(folder: Path) -> None:
    """Raise `UsageError` if a checkpoint's model has no standard forward: it cannot be trained.

    Selection prompts need the logits of their last positions alone, by ``logits_to_keep``.
    """
    model = model_class(folder)
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        raise UsageError(
            f"{folder} cannot be trained: the forward of {model.__name__} has no logits_to_keep"
        )
