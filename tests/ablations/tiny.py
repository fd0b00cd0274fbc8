"""Tiny models of several architectures, and pairs and items for them: seconds on one core."""

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
# The two classes of each, by their names in transformers.
_TEXT_MODELS = {
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM"),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM"),
    "llama": ("LlamaConfig", "LlamaForCausalLM"),
    "gemma3_text": ("Gemma3TextConfig", "Gemma3ForCausalLM"),
}
_SIGLIP_TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 16,
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
    """Write a random checkpoint of one of `KINDS`."""
    import torch
    import transformers as tf

    words = tokenizer()
    torch.manual_seed(seed)
    if kind in _TEXT_MODELS:
        config, model_class = (getattr(tf, name) for name in _TEXT_MODELS[kind])
        shape = {name: size for name, size in _TEXT.items() if hasattr(config(), name)}
        tied = kind != "llama"
        made = config(vocab_size=len(words), tie_word_embeddings=tied, **shape, **_ends(words))
        model: Any = model_class(made)
        processor: Any = words
    elif kind in _SIGLIP:
        model, processor = _SIGLIP[kind]()
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


def _marked(**marks: str) -> tuple[Any, str]:
    """Return a tokenizer with special tokens of its own, and the template with one image mark."""
    import transformers as tf

    words = tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer().backend_tokenizer,
        eos_token=micro.END_OF_TURN,
        pad_token=micro.END_OF_TEXT,
        extra_special_tokens={f"{name}_token": mark for name, mark in marks.items()},
    )
    mark = f"{micro.VISION_START}{micro.IMAGE}{micro.VISION_END}"
    return words, micro.TEMPLATE.replace(mark, marks.get("boi", marks["image"]))


def _gemma3() -> tuple[Any, Any]:
    """Two layers, one of them with a sliding window; an image is four tokens."""
    import transformers as tf

    marks = {"boi": "<start_of_image>", "eoi": "<end_of_image>", "image": "<image_soft_token>"}
    words, template = _marked(**marks)
    layers = ["sliding_attention", "full_attention"]
    text = {**_TEXT, "vocab_size": len(words), "sliding_window": 64, "layer_types": layers}
    config = tf.Gemma3Config(
        text_config={**text, **_ends(words)},
        vision_config=_SIGLIP_TOWER,
        mm_tokens_per_image=4,
        **{f"{name}_token_index": getattr(words, f"{name}_token_id") for name in marks},
    )
    images = tf.Gemma3ImageProcessor(size={"height": 64, "width": 64}, do_pan_and_scan=False)
    made = tf.Gemma3Processor(images, words, chat_template=template, image_seq_length=4)
    return tf.Gemma3ForConditionalGeneration(config), made


def _smolvlm() -> tuple[Any, Any]:
    """An image is one tile of four tokens."""
    import transformers as tf

    names = {"fake_image": "<fake_token_around_image>", "global_image": "<global-img>"}
    marks = {**names, "image": "<image>", "video": "<video>"}
    words, template = _marked(**marks)
    config = tf.SmolVLMConfig(
        text_config={"model_type": "llama", "vocab_size": len(words), **_TEXT, **_ends(words)},
        vision_config=_SIGLIP_TOWER,
        scale_factor=2,
        tie_word_embeddings=True,
        image_token_id=words.image_token_id,
        pad_token_id=words.pad_token_id,
    )
    images = tf.SmolVLMImageProcessor(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 64}, do_image_splitting=False
    )
    videos = tf.SmolVLMVideoProcessor(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 64}
    )
    made = tf.SmolVLMProcessor(images, words, videos, image_seq_len=4, chat_template=template)
    return tf.SmolVLMForConditionalGeneration(config), made


_SIGLIP = {"gemma3": _gemma3, "smolvlm": _smolvlm}
TEXT_KINDS = tuple(_TEXT_MODELS)
KINDS = (*TEXT_KINDS, "qwen2_5_vl", "qwen3_vl", *_SIGLIP)


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
