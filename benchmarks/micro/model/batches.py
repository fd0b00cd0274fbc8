"""Conversations as training batches for a Qwen3-VL.

The tensors equal what the processor makes of the same messages (a test compares them), faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.micro.content.prompts import PICTURE
from benchmarks.micro.model.qwen3vl import END_OF_TURN, IMAGE, PATCH, VISION_END, VISION_START

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedTokenizerFast

    from benchmarks.micro.content.scenes import Scene, Sheet
    from benchmarks.micro.model.lessons import Lesson

IGNORED = -100


def conversation(pictures: Sequence[Scene | Sheet], text: str) -> str:
    """Return the rendered chat up to the answer: the pictures at their marks, else before it."""
    if PICTURE not in text:
        text = PICTURE * len(pictures) + text
    for picture in pictures:
        cells = picture.rows * picture.columns
        text = text.replace(PICTURE, f"{VISION_START}{IMAGE * cells}{VISION_END}", 1)
    return f"<|im_start|>user\n{text}{END_OF_TURN}\n<|im_start|>assistant\n"


def patches(picture: Scene | Sheet) -> np.ndarray:
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
    lessons: Sequence[Lesson], tokenizer: PreTrainedTokenizerFast
) -> tuple[dict[str, Any], torch.Tensor]:
    """Return a model's arguments for a batch of lessons, padded on the left, and the labels.

    Labels, shape (lessons, longest), hold the tokens of the answers and of the end of the turn, and
    `IGNORED` elsewhere; ``logits_to_keep`` is among the arguments, so logits are of the last
    columns only.
    """
    import numpy as np
    import torch

    chats = [conversation(lesson.pictures, lesson.text) for lesson in lessons]
    prompts = tokenizer(chats)["input_ids"]
    answers = tokenizer([f"{lesson.answer}{END_OF_TURN}" for lesson in lessons])["input_ids"]
    longest = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    ids = np.full((len(lessons), longest), tokenizer.pad_token_id)
    mask = np.zeros((len(lessons), longest), np.int64)
    labels = np.full((len(lessons), longest), IGNORED)
    for row, (before, answer) in enumerate(zip(prompts, answers, strict=True)):
        whole = [*before, *answer]
        ids[row, longest - len(whole) :] = whole
        mask[row, longest - len(whole) :] = 1
        labels[row, longest - len(answer) :] = answer
    arguments: dict[str, Any] = {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "logits_to_keep": max(map(len, answers)) + 1,
    }
    pictures = [picture for lesson in lessons for picture in lesson.pictures]
    if pictures:
        image = tokenizer.convert_tokens_to_ids(IMAGE)
        arguments["mm_token_type_ids"] = torch.from_numpy((ids == image).astype(np.int32))
        arguments["pixel_values"] = torch.from_numpy(np.concatenate([patches(p) for p in pictures]))
        arguments["image_grid_thw"] = torch.tensor([(1, p.rows, p.columns) for p in pictures])
    return arguments, torch.from_numpy(labels)
