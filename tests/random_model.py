"""Builds a tiny Qwen3-VL with random weights, a real processor and its own tokenizer.

transformers and vLLM load the checkpoint like any other.  Its answers are arbitrary, but mostly
letters, digits and short words, so that scorers have something to read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.micro.model.qwen3vl import (
    END_OF_TURN,
    Shape,
    Tower,
    byte_level,
    config,
    fan_in_normal,
    learn,
    processor,
    wrapped,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 768

# The tokens that the random model says, and the spread of their logits; all others are so much
# fainter that even sampled text is made of these.
SAID = {
    **dict.fromkeys((" A", " B", " C", " D", " E"), 6.0),
    **dict.fromkeys("0123456789.", 5.0),
    **dict.fromkeys(("\n", " is", " answer", " the", " of"), 5.0),
    END_OF_TURN: 6.0,
}
UNSAID = 0.5

# What the tokenizer's merges are learned from: the language of the benchmarks' prompts.
TRAINING_TEXT = Path(__file__).with_name("training_text.txt").read_text(encoding="utf-8")


TINY = Shape(
    Tower(hidden=128, intermediate=256, layers=3, heads=4),
    kv_heads=2,
    head_dim=32,
    vision=Tower(hidden=64, intermediate=128, layers=2, heads=4),
    max_pixels=256 * 256,
)
"""About a million parameters: for demonstrations and tests."""

BENCH = Shape(
    Tower(hidden=768, intermediate=2304, layers=12, heads=12),
    kv_heads=4,
    head_dim=64,
    vision=Tower(hidden=384, intermediate=1536, layers=12, heads=6),
    max_pixels=384 * 384,
)
"""More than a hundred million parameters: for measuring speed."""


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = byte_level()
    # Lower case beside the text as written: options are often named in either.
    learn(tokenizer, [TRAINING_TEXT, TRAINING_TEXT.lower()], VOCABULARY)
    return wrapped(tokenizer)


def _initialise(name: str, weight: torch.Tensor, generator: torch.Generator) -> None:
    """Fill one parameter in place: variance-preserving, so that answers differ between prompts."""
    if name.endswith("bias"):
        weight.zero_()
    elif name.endswith(("q_norm.weight", "k_norm.weight")):
        # Sharp attention: with flat attention a long prompt averages out, and all answers agree.
        weight.fill_(2.0)
    elif weight.ndim == 1:
        weight.fill_(1.0)
    elif "embed_tokens" in name or "pos_embed" in name:
        weight.normal_(0.0, 1.0, generator=generator)
    else:
        fan_in_normal(weight, generator)


def _loudness(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """Return the factor of every row of the output layer, shape (`VOCABULARY`, 1)."""
    import torch

    factors = torch.full((VOCABULARY, 1), UNSAID)
    for token, factor in SAID.items():
        # The vocabulary is written in the byte-level alphabet, where blanks are letters.
        piece = token.replace(" ", "\u0120").replace("\n", "\u010a")
        factors[tokenizer.convert_tokens_to_ids(piece)] = factor
    return factors


def build(directory: Path, seed: int = 0, shape: Shape = TINY) -> None:
    """Write a random Qwen3-VL checkpoint of ``shape`` into ``directory`` (made if absent).

    The same arguments give the same weights, float32.  The context is `CONTEXT` tokens.
    """
    import torch
    from transformers import GenerationConfig, Qwen3VLForConditionalGeneration
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = _tokenizer()
    # Making the model draws numbers that are thrown away; they leave no trace in the caller.
    with torch.random.fork_rng(devices=[]):
        model = Qwen3VLForConditionalGeneration(config(shape, tokenizer))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            _initialise(name, weight, generator)
        model.lm_head.weight.mul_(_loudness(tokenizer))
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
    )
    directory.mkdir(parents=True, exist_ok=True)
    processor(shape, tokenizer).save_pretrained(directory)
    model.save_pretrained(directory)
