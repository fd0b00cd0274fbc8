"""Conversations as training batches for a Qwen3-VL.

The tensors equal what the processor makes of the same messages (a test compares them), faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.micro.content.prompts import PICTURE
from benchmarks.micro.model.qwen3vl import END_OF_TURN, IMAGE, PATCH, VISION_END, VISION_START

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedTokenizerFast

IGNORED = -100


class Picture(Protocol):
    """A picture of whole cells: a scene, a sheet, or any other with these."""

    @property
    def rows(self) -> int:
        """The rows of cells."""
        ...

    @property
    def columns(self) -> int:
        """The columns of cells."""
        ...

    def pixels(self) -> np.ndarray:
        """Return the picture, shape (16 x rows, 16 x columns, 3), uint8."""
        ...


class Conversation(Protocol):
    """What is asked about pictures, and the answer: see `benchmarks.micro.model.lessons.Lesson`."""

    @property
    def pictures(self) -> Sequence[Picture]:
        """The pictures in order."""
        ...

    @property
    def text(self) -> str:
        """The text after, or around, the pictures."""
        ...

    @property
    def answer(self) -> str:
        """The answer."""
        ...


def conversation(pictures: Sequence[Picture], text: str) -> str:
    """Return the rendered chat up to the answer: the pictures at their marks, else before it."""
    if PICTURE not in text:
        text = PICTURE * len(pictures) + text
    for picture in pictures:
        cells = picture.rows * picture.columns
        text = text.replace(PICTURE, f"{VISION_START}{IMAGE * cells}{VISION_END}", 1)
    return f"<|im_start|>user\n{text}{END_OF_TURN}\n<|im_start|>assistant\n"


def patches(picture: Picture) -> np.ndarray:
    """Return a picture as the processor does: shape (cells, 3 x 2 x 16 x 16), from -1 to 1.

    Channels first, then the two equal frames that a picture counts as, then rows and columns.
    """
    import numpy as np

    pixels = picture.pixels().astype(np.float32) / 127.5 - 1
    rows, columns = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
    cells = pixels.reshape(rows, PATCH, columns, PATCH, 3).transpose(0, 2, 4, 1, 3)
    flat = cells.reshape(rows * columns, 3, 1, PATCH * PATCH)
    return np.repeat(flat, 2, axis=2).reshape(rows * columns, -1)


def collate(
    lessons: Sequence[Conversation], tokenizer: PreTrainedTokenizerFast
) -> tuple[dict[str, Any], torch.Tensor]:
    """Return a model's arguments for a batch of lessons, padded on the left, and the labels.

    Labels, shape (lessons, longest), hold the tokens of the answers and of the end of the turn, and
    `IGNORED` elsewhere; ``logits_to_keep`` is among the arguments, so logits are of the last
    columns only.
    """
    import numpy as np
    import torch

    asked = tokenizer([conversation(one.pictures, one.text) for one in lessons])["input_ids"]
    said = tokenizer([f"{one.answer}{END_OF_TURN}" for one in lessons])["input_ids"]
    longest = max(len(a) + len(s) for a, s in zip(asked, said, strict=True))
    ids = np.full((len(lessons), longest), tokenizer.pad_token_id)
    mask = np.zeros((len(lessons), longest), np.int64)
    labels = np.full((len(lessons), longest), IGNORED)
    for row, (before, answer) in enumerate(zip(asked, said, strict=True)):
        whole = [*before, *answer]
        ids[row, longest - len(whole) :] = whole
        mask[row, longest - len(whole) :] = 1
        labels[row, longest - len(answer) :] = answer
    arguments: dict[str, Any] = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "logits_to_keep": max(map(len, said)) + 1,
    }
    pictures = [picture for one in lessons for picture in one.pictures]
    if pictures:
        image = tokenizer.convert_tokens_to_ids(IMAGE)
        arguments["mm_token_type_ids"] = torch.from_numpy((ids == image).astype(np.int32))
        arguments["pixel_values"] = torch.from_numpy(np.concatenate([patches(p) for p in pictures]))
        arguments["image_grid_thw"] = torch.tensor([(1, p.rows, p.columns) for p in pictures])
    return arguments, torch.from_numpy(labels)
