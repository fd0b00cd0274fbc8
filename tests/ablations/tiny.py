"""Tiny models of the three architectures, and pairs and items for them: seconds on one core."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from benchmarks.micro.model import qwen3vl as micro
from benchmarks.scoring import Target
from harness.records import ImagePart, Item, Message, Pair, TextPart
from tests.random_model import TRAINING_TEXT

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}
_TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
}


def tokenizer() -> Any:
    words = micro.byte_level()
    micro.learn(words, [TRAINING_TEXT], 400)
    made = micro.wrapped(words)
    made.chat_template = micro.TEMPLATE
    return made


def _ends(words: Any) -> dict[str, Any]:
    return {"eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}


def build(kind: str, folder: Path, seed: int = 0) -> Path:
    """Write a random checkpoint of ``qwen3``, ``qwen2_5_vl`` or ``qwen3_vl``."""
    import torch
    import transformers as tf

    words = tokenizer()
    torch.manual_seed(seed)
    if kind == "qwen3":
        config = tf.Qwen3Config(vocab_size=len(words), tie_word_embeddings=True, **_TEXT)
        model: Any = tf.Qwen3ForCausalLM(config)
        processor: Any = words
    else:
        model, processor = _with_images(kind, words)
    model.generation_config = tf.GenerationConfig(**_ends(words))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _with_images(kind: str, words: Any) -> tuple[Any, Any]:
    import transformers as tf

    ids = {
        f"{name}_token_id": words.convert_tokens_to_ids(token)
        for name, token in (
            ("image", micro.IMAGE),
            ("video", micro.VIDEO),
            ("vision_start", micro.VISION_START),
            ("vision_end", micro.VISION_END),
        )
    }
    text = {"vocab_size": len(words), **_TEXT, **_ends(words)}
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    images = tf.Qwen2VLImageProcessor(
        patch_size=16, merge_size=2, temporal_patch_size=2, min_pixels=32 * 32, max_pixels=64 * 64
    )
    if kind == "qwen2_5_vl":
        from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

        text.pop("head_dim")
        config: Any = tf.Qwen2_5_VLConfig(
            text_config={**text, "rope_parameters": rope},
            vision_config={**vision, "fullatt_block_indexes": [1], "window_size": 64},
            tie_word_embeddings=True,
            **ids,
        )
        processor: Any = tf.Qwen2_5_VLProcessor(
            image_processor=images,
            tokenizer=words,
            video_processor=Qwen2VLVideoProcessor(),
            chat_template=micro.TEMPLATE,
        )
        return tf.Qwen2_5_VLForConditionalGeneration(config), processor
    config = tf.Qwen3VLConfig(
        text_config={**text, "rope_parameters": {**rope, "mrope_interleaved": True}},
        vision_config={**vision, "num_position_embeddings": 64, "deepstack_visual_indexes": [1]},
        tie_word_embeddings=True,
        **ids,
    )
    processor = tf.Qwen3VLProcessor(
        image_processor=images,
        tokenizer=words,
        video_processor=tf.Qwen3VLVideoProcessor(),
        chat_template=micro.TEMPLATE,
    )
    return tf.Qwen3VLForConditionalGeneration(config), processor


def image(colour: str, size: tuple[int, int] = (32, 32)) -> Any:
    from PIL import Image

    return Image.new("RGB", size, COLOURS[colour])


def text_pairs(number: int = 6) -> list[Pair]:
    rng = random.Random(1)
    drawn = [rng.sample("0123456789", 2) for _ in range(number)]
    return [
        Pair(
            f"t{place}",
            "trajectory",
            "key",
            one,
            other,
            context_positive=(TextPart(f"key={one}"),),
            context_negative=(TextPart(f"key={other}"),),
            source="test",
        )
        for place, (one, other) in enumerate(drawn)
    ]


def image_pairs(number: int = 6) -> list[Pair]:
    rng = random.Random(2)
    drawn = [rng.sample(list(COLOURS), 2) for _ in range(number)]
    return [
        Pair(
            f"i{place}",
            "image",
            "What colour?",
            one,
            other,
            context_positive=(ImagePart(image(one, (32 + 32 * (place % 2), 32))),),
            context_negative=(ImagePart(image(other, (32 + 32 * (place % 2), 32))),),
            source="test",
        )
        for place, (one, other) in enumerate(drawn)
    ]


def tasks(number: int, *, images: bool) -> list[Item]:
    """Return items; with images every other one has one, so that batches are mixed."""
    made = []
    for place in range(number):
        colour = list(COLOURS)[place % 3]
        shown = (ImagePart(image(colour)),) if images and place % 2 == 0 else ()
        words = TextPart("What colour?" if shown else f"Say {colour}.")
        made.append(
            Item(
                f"q{place}",
                (Message("user", (*shown, words)),),
                Target("text", colour),
                f"q{place}",
            )
        )
    return made


def write(folder: Path, *, images: bool, number: int = 8) -> tuple[Path, Path]:
    """Write pairs and RL items as files and return their paths; with images, both are mixed."""
    import orjson

    folder.mkdir(parents=True, exist_ok=True)
    pairs = text_pairs(number)
    if images:
        pairs = [one for two in zip(image_pairs(number), pairs, strict=True) for one in two][
            :number
        ]

    def parts(context: tuple[Any, ...], name: str) -> list[dict[str, str]]:
        made = []
        for part in context:
            if isinstance(part, ImagePart):
                part.image.save(folder / f"{name}.png")
                made.append({"image": f"{name}.png"})
            else:
                made.append({"text": part.text})
        return made

    rows = [
        {
            "id": pair.id,
            "domain": pair.domain,
            "query": pair.query,
            "answer": pair.answer,
            "answer_negative": pair.answer_negative,
            "context_positive": parts(pair.context_positive, f"{pair.id}-positive"),
            "context_negative": parts(pair.context_negative, f"{pair.id}-negative"),
            "source": pair.source,
        }
        for pair in pairs
    ]
    items = []
    for task in tasks(4 * number, images=images):
        *shown, words = parts(task.messages[0].content, task.id)
        pictures = [piece["image"] for piece in shown]
        items.append(
            {
                "id": task.id,
                "query": words["text"],
                "images": pictures,
                "answer": task.target.answer,
            }
        )
    paths = folder / "pairs.jsonl", folder / "rl.jsonl"
    for path, table in zip(paths, (rows, items), strict=True):
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in table))
    return paths


def callback() -> Any:
    """Return the class of trainer callbacks; it is imported late."""
    from transformers import TrainerCallback

    return TrainerCallback
