"""Builds a tiny Qwen3-VL with random weights, a real processor and its own tokenizer.

transformers and vLLM load the checkpoint like any other.  Its answers are arbitrary, but mostly
letters, digits and short words, so that scorers have something to read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLProcessor

CONTEXT = 8192
VOCABULARY = 768
PATCH = 16

END_OF_TEXT, END_OF_TURN = "<|endoftext|>", "<|im_end|>"
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
TOKENS = {
    "image_token": IMAGE,
    "video_token": VIDEO,
    "vision_start_token": VISION_START,
    "vision_end_token": VISION_END,
}
SPECIAL = (END_OF_TEXT, "<|im_start|>", END_OF_TURN, VISION_START, VISION_END, IMAGE, VIDEO)

# The tokens that the random model says, and the spread of their logits; all others are so much
# fainter that even sampled text is made of these.
SAID = {
    **dict.fromkeys((" A", " B", " C", " D", " E"), 6.0),
    **dict.fromkeys("0123456789.", 5.0),
    **dict.fromkeys(("\n", " is", " answer", " the", " of"), 5.0),
    END_OF_TURN: 6.0,
}
UNSAID = 0.5

TEMPLATE = (Path(__file__).parent / "weights" / "chat_template.jinja").read_text(encoding="utf-8")

# What the tokenizer's merges are learned from: the language of the benchmarks' prompts.
TRAINING_TEXT = Path(__file__).with_name("training_text.txt").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Tower:
    """Widths, depth and attention heads of the language model or of the vision tower."""

    hidden: int
    intermediate: int
    layers: int
    heads: int


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a Qwen3-VL.

    The last block of the vision tower also feeds the language model directly (deepstack).
    ``max_pixels`` is the largest image area kept, in pixels; one visual token stands for ``merge``
    x ``merge`` patches of 16 x 16.  ``tied``: the output layer is the transposed embedding.
    """

    language: Tower
    kv_heads: int
    head_dim: int
    vision: Tower
    max_pixels: int
    merge: int = 2
    tied: bool = False


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


def byte_level(digits: str = r"\p{N}") -> Tokenizer:
    """Return an untrained byte-level BPE that splits text in Qwen's way.

    A word takes the blank before it; ``digits`` is the pattern of a number that stays whole.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE())
    words = (
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)| ?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+"
    )
    isolate = pre_tokenizers.Split(Regex(words), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([isolate, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def learn(tokenizer: Tokenizer, texts: Sequence[str], size: int) -> None:
    """Learn the merges of a byte-level BPE of at most ``size`` tokens, special ones included."""
    from tokenizers import pre_tokenizers, trainers

    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)


def wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """Return a tokenizer as transformers uses it, with the special tokens of Qwen3-VL."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens=TOKENS,
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = byte_level()
    # Lower case beside the text as written: options are often named in either.
    learn(tokenizer, [TRAINING_TEXT, TRAINING_TEXT.lower()], VOCABULARY)
    return wrapped(tokenizer)


def processor(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> Qwen3VLProcessor:
    """Return the processor of a shape: images up to its ``max_pixels``, and the chat template."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    patches: Any = {"patch_size": PATCH, "temporal_patch_size": 2, "merge_size": shape.merge}
    scale = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # pixels from -1 to 1
    size = {"shortest_edge": (shape.merge * PATCH) ** 2, "longest_edge": shape.max_pixels}
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size, **scale, **patches),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**scale, **patches),
        chat_template=TEMPLATE,
    )


def config(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    """Return the configuration of a shape with a tokenizer's vocabulary."""
    from transformers import Qwen3VLConfig

    language, vision, half = shape.language, shape.vision, shape.head_dim // 2
    # The rotary frequencies of height and width take 3/8 each, of time the rest, as in Qwen3-VL.
    side = half * 3 // 8
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [half - 2 * side, side, side],
        "mrope_interleaved": True,
    }
    return Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": language.hidden,
            "intermediate_size": language.intermediate,
            "num_hidden_layers": language.layers,
            "num_attention_heads": language.heads,
            "num_key_value_heads": shape.kv_heads,
            "head_dim": shape.head_dim,
            "max_position_embeddings": CONTEXT,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "rope_parameters": rope,
        },
        vision_config={
            "depth": vision.layers,
            "hidden_size": vision.hidden,
            "intermediate_size": vision.intermediate,
            "num_heads": vision.heads,
            "out_hidden_size": language.hidden,
            "patch_size": PATCH,
            "spatial_merge_size": shape.merge,
            "temporal_patch_size": 2,
            "num_position_embeddings": 256,
            "deepstack_visual_indexes": [vision.layers - 1],
        },
        tie_word_embeddings=shape.tied,
        **{f"{name}_id": tokenizer.convert_tokens_to_ids(text) for name, text in TOKENS.items()},
    )


def fan_in_normal(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Draw a weight in place, normal with variance 1 / fan-in."""
    weight.normal_(0.0, 1 / math.sqrt(math.prod(weight.shape[1:])), generator=generator)


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
