"""Small Qwen3-VLs: their sizes, tokenizer, processor and configuration."""

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

TEMPLATE = (Path(__file__).parent / "weights" / "chat_template.jinja").read_text(encoding="utf-8")


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


def byte_level(digits: str = r"\p{N}") -> Tokenizer:
    """Return an untrained byte-level BPE that splits text in Qwen's way, numbers by ``digits``."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE())
    pattern = (
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)| ?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+"
    )
    isolate = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
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
