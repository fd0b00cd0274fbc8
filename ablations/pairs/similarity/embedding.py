"""Images as unit vectors: by a model, by an endpoint, or without weights (pixels, HOG)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import ItemError, UsageError, first_line, one_failure
from harness.records import ImagePart, Message

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Vectors = NDArray[np.float32]

Embed = Callable[[Sequence["Image.Image"]], "Vectors"]
"""Images -> vectors, shape (images, d), each of length 1."""

PIXELS = 16  # per side
HOG_SIDE, HOG_CELL = 128, 16
CONCURRENCY = 16


@dataclass(frozen=True)
class Embedding:
    """A way to embed images; ``name`` is recorded, ``label`` tells the reader about it."""

    name: str
    label: str
    embed: Embed


def embedding(source: str, served: str | None = None, key: str | None = None) -> Embedding:
    """Return the embedding that a user names.

    Args:
        source: ``pixels``, ``hog``, the URL of an OpenAI-compatible server, or a checkpoint's
            folder or Hub id.
        served: the model at the server; its only one by default.
        key: the server's API key.

    Raises:
        UsageError: a checkpoint cannot be loaded.
    """
    if source in _WITHOUT_WEIGHTS:
        label = f"{source}: no learned embedding; similar layout, not similar meaning"
        return Embedding(source, label, _WITHOUT_WEIGHTS[source])
    if source.startswith(("http://", "https://")):
        return Embedding(f"{served or 'model'} at an endpoint", "",
                         lambda images: _by_endpoint(images, source, served, key))  # fmt: skip
    return _by_checkpoint(source)


def _unit(vectors: Any) -> Vectors:
    made = np.asarray(vectors, np.float32).reshape(len(vectors), -1)
    unit: Vectors = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
    return unit


def _pixels(images: Sequence[Image.Image]) -> Vectors:
    """Return 16 x 16 thumbnails minus their mean colour: the cosine is their correlation."""
    from PIL import Image

    small = [i.convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.BOX) for i in images]
    flat = np.array([np.asarray(image, np.float32) for image in small])
    return _unit(flat - flat.mean((1, 2), keepdims=True))


def _hog(images: Sequence[Image.Image]) -> Vectors:
    """Return histograms of oriented gradients (Dalal and Triggs 2005), by scikit-image."""
    from skimage.feature import hog

    grey = [np.asarray(image.convert("L").resize((HOG_SIDE, HOG_SIDE))) for image in images]
    cell = (HOG_CELL, HOG_CELL)
    return _unit([hog(image, pixels_per_cell=cell, cells_per_block=(2, 2)) for image in grey])


_WITHOUT_WEIGHTS: dict[str, Embed] = {"pixels": _pixels, "hog": _hog}


def _by_checkpoint(source: str) -> Embedding:
    import torch
    import transformers

    errors = (OSError, ValueError, TypeError, LookupError, RuntimeError, ImportError)
    try:
        model = transformers.AutoModel.from_pretrained(source, trust_remote_code=False).eval()
        processor = transformers.AutoProcessor.from_pretrained(source, trust_remote_code=False)
    except errors as error:
        raise UsageError(
            f"{source} cannot be loaded: {first_line(error)} (--embedding takes pixels, hog, a "
            "checkpoint folder, a Hub id or a server's URL)"
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)

    def embed(images: Sequence[Image.Image]) -> Vectors:
        with torch.inference_mode():
            return _unit(_features(model, processor, list(images)).float().cpu().numpy())

    return Embedding(f"{model.config.model_type} {Path(source).name}", "", embed)


def _features(model: Any, processor: Any, images: list[Any]) -> Any:
    """Return one vector per image, depending on the model's type.

    The image features of a two-tower model (CLIP, SigLIP); the pooled output of a vision model, or
    the mean of its patches; the last token's state of a vision-language model, as embedding models
    of that kind are trained (Qwen3-VL-Embedding).
    """
    if getattr(processor, "chat_template", None):
        message = [{"role": "user", "content": [{"type": "image"}]}]
        text = processor.apply_chat_template(message, add_generation_prompt=True)
        processor.tokenizer.padding_side = "left"
        inputs = processor(
            images=[[image] for image in images], text=[text] * len(images), padding=True,
            return_tensors="pt",
        )  # fmt: skip
        return model(**inputs.to(model.device)).last_hidden_state[:, -1]
    inputs = processor(images=images, return_tensors="pt").to(model.device)
    if hasattr(model, "get_image_features"):
        found = model.get_image_features(**inputs)
        return getattr(found, "pooler_output", found)
    output = model(**inputs)
    pooled = getattr(output, "pooler_output", None)
    return output.last_hidden_state.mean(1) if pooled is None else pooled.flatten(1)


def _by_endpoint(
    images: Sequence[Image.Image], url: str, served: str | None, key: str | None
) -> Vectors:
    """Call /v1/embeddings with a chat message, the form in which vLLM accepts images."""
    import asyncio

    from harness.backends import wire
    from harness.backends.http.endpoint import EndpointModel

    async def ask() -> list[Any]:
        async with EndpointModel(url, served, key) as server:
            slots = asyncio.Semaphore(CONCURRENCY)

            async def one_image(image: Image.Image) -> Any:
                async with slots:
                    messages = wire.openai([Message("user", (ImagePart(image),))])
                    body = {"messages": messages, "encoding_format": "float"}
                    return _vector(await server.ask_root("v1/embeddings", body), url)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one_image(image)) for image in images]
            return [task.result() for task in tasks]

    with one_failure():
        vectors = asyncio.run(ask())
    if len(lengths := {len(vector) for vector in vectors}) > 1:
        raise UsageError(f"{url} gives embeddings of different lengths: {sorted(lengths)[:5]}")
    return _unit(vectors)


def _vector(document: Any, url: str) -> list[float]:
    try:
        found = document["data"][0]["embedding"]
        numbers = isinstance(found, list) and all(type(each) in (int, float) for each in found)
        with np.errstate(over="ignore"):
            vector = np.array(found, np.float32).tolist() if numbers else []
    except (TypeError, LookupError, ValueError, OverflowError):
        vector = []
    if not vector or not all(map(math.isfinite, vector)):
        raise ItemError(f"{url} gives no embedding of an image at /v1/embeddings")
    return vector
