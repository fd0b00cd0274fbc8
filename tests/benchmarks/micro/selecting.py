"""A plain loop that trains a small model to select contexts by L_CA alone.

``python -m tests.benchmarks.micro.selecting FOLDER MINUTES image`` (or ``trajectory``) prints the
accuracy on the split ``probe``, which no training pair is from, as it goes.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from ablations.training.steps.objective import SelectionLoss, selection_loss
from benchmarks.micro.content.prompts import PICTURE
from benchmarks.micro.data import pairs
from benchmarks.micro.model.batches import collate
from benchmarks.micro.model.qwen3vl import PATCH
from benchmarks.pairs.selection import LETTERS, SelectionPrompt, both_orders
from harness.records import ImagePart, Pair, TextPart

CLIP, RATE = 10.0, 1e-3


@dataclass(frozen=True)
class Photo:
    """An image of whole cells."""

    image: Image.Image

    @property
    def rows(self) -> int:
        return self.image.height // PATCH

    @property
    def columns(self) -> int:
        return self.image.width // PATCH

    def pixels(self) -> np.ndarray:
        return np.asarray(self.image)


@dataclass(frozen=True)
class Prompt:
    """A selection prompt as the batches take it."""

    pictures: tuple[Photo, ...]
    text: str
    answer: str


def prompt(asked: SelectionPrompt) -> Prompt:
    (message,) = asked.messages
    images = tuple(Photo(part.image) for part in message.content if isinstance(part, ImagePart))
    pieces = (p.text if isinstance(p, TextPart) else PICTURE for p in message.content)
    return Prompt(images, "".join(pieces), asked.letter)


def select(model: Any, processor: Any, asked: Sequence[SelectionPrompt]) -> SelectionLoss:
    """Return L_CA of each prompt, from the next-token logits of the two letters."""
    batch, labels = collate([prompt(one) for one in asked], processor.tokenizer)
    # The answer is the letter and the end of the turn: the letter's logits are the third last.
    assert batch["logits_to_keep"] == 3
    logits = model(**batch).logits[:, 0]
    letters = processor.tokenizer.convert_tokens_to_ids(list(LETTERS))
    first = labels[:, -2] == letters[0]
    return selection_loss(logits[:, letters], first, clip=CLIP)


def accuracy(model: Any, processor: Any, held_out: Sequence[Pair]) -> float:
    """Return the share of prompts, both orders of every pair, whose right letter is likelier."""
    model.eval()
    asked = [one for made in held_out for one in both_orders(made)]
    right = 0.0
    with torch.no_grad():
        for start in range(0, len(asked), 50):
            right += float(select(model, processor, asked[start : start + 50]).correct.sum())
    return right / len(asked)


def train(
    model: Any,
    processor: Any,
    seconds: float,
    domain: pairs.Domain = "image",
    after: Callable[[int, float], bool] = lambda step, loss: False,
) -> int:
    """Train on fresh pairs of the split ``pairs``, both orders of each; return the steps.

    Args:
        model: trained in place, 24 pairs a step, AdamW with a constant learning rate.
        processor: of the model.
        seconds: wall time after which no step is begun.
        domain: the kind of pairs.
        after: told the step and its loss; training ends where it says so.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98))
    rng = random.Random("selecting")
    start, step = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        model.train()
        made = [pairs.pair(rng, "pairs", domain, str(place)) for place in range(24)]
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50)
        loss = select(model, processor, [one for two in made for one in both_orders(two)]).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if after(step, float(loss.detach())):
            break
    return step


def main() -> None:
    """Load, train, and print."""
    from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

    folder, minutes = Path(sys.argv[1]), float(sys.argv[2])
    domain = cast("pairs.Domain", sys.argv[3])
    model = Qwen3VLForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    processor = AutoProcessor.from_pretrained(folder)
    held_out = pairs.pairs("probe", 150, domains=(domain,))
    print(f"before: {accuracy(model, processor, held_out):.3f}", flush=True)
    start = time.monotonic()

    def report(step: int, loss: float) -> bool:
        if step % 100 == 0:
            found = accuracy(model, processor, held_out)
            seconds = time.monotonic() - start
            print(
                f"step {step}, {seconds:.0f} s: loss {loss:.3f}, held out {found:.3f}", flush=True
            )
        return False

    train(model, processor, 60 * minutes, domain, report)


if __name__ == "__main__":
    main()
