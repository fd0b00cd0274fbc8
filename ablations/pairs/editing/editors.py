"""Image editors: a server with the OpenAI images API, or a diffusers pipeline in this process."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.pairs.saving import png
from harness.errors import ItemError, UsageError, first_line
from harness.install.extras import need

if TYPE_CHECKING:
    from PIL import Image

Edit = Callable[["Image.Image", str, int], "Image.Image"]
"""Image, instruction, seed -> edited image, of any size.  Raises `ItemError`, `UsageError`."""

TIMEOUT = 600.0
ANSWER_BYTES = 64 * 2**20  # a PNG of 4096 x 4096 pixels has at most 64 MB in base64


def editor(source: str, served: str | None = None, key: str | None = None) -> Edit:
    """Return the editor that a user names: a server's URL, or a diffusers folder or Hub id.

    Raises:
        UsageError: the pipeline cannot be loaded or contains code, or diffusers is not installed.
    """
    if source.startswith(("http://", "https://")):
        return lambda image, text, seed: asyncio.run(_by_endpoint(image, text, source, served, key))
    return _by_pipeline(source)


async def _by_endpoint(
    image: Image.Image, instruction: str, url: str, served: str | None, key: str | None
) -> Image.Image:
    """Request one base64 image from /v1/images/edits (multipart); nothing is downloaded."""
    import aiohttp

    from harness.backends.http.receive import receive
    from harness.backends.http.urls import base_url

    form = aiohttp.FormData()
    form.add_field("image", png(image), filename="image.png", content_type="image/png")
    form.add_field("prompt", instruction)
    form.add_field("response_format", "b64_json")
    if served:
        form.add_field("model", served)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"{base_url(url)}/images/edits"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session,
            session.post(address, data=form, headers=headers, allow_redirects=False) as answer,
        ):
            got = await receive(answer, ANSWER_BYTES, key)
    except TimeoutError:
        raise ItemError(f"{address} did not answer within {TIMEOUT:.0f} seconds") from None
    except aiohttp.ClientConnectionError as error:
        raise UsageError(f"no server answers at {address}: {first_line(error)}") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise ItemError(f"{address}: {first_line(error)}") from error
    if got.status in (401, 403, 404):
        raise UsageError(f"{address} answered {got.status}: give another address or API key")
    return _decoded(got.document, f"{address} answered {got.status}")


def _decoded(document: Any, where: str) -> Image.Image:
    from benchmarks.data.local.images import as_seen, opened, undecodable

    try:
        return as_seen(opened(base64.b64decode(document["data"][0]["b64_json"])))
    except (TypeError, LookupError, *undecodable()) as error:  # type: ignore[misc]
        raise ItemError(f"{where} and gave no image in base64 (data[0].b64_json)") from error


def code_in(folder: str | Path) -> str | None:
    """Return the name of a Python file in a folder, or in one that it links to, if any."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        if code := next((name for name in files if name.endswith(".py")), None):
            return code
        seen.add(os.path.realpath(parent))
        folders[:] = [name for name in folders if os.path.realpath(Path(parent, name)) not in seen]
    return None


def _by_pipeline(source: str) -> Edit:
    import torch

    # diffusers runs it unasked, at least up to 0.36.
    if code := code_in(source):
        raise UsageError(f"{source} holds code ({code}), which is not run: use one without")
    diffusers = need("diffusers", "edit")

    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError) as error:
        raise UsageError(f"{source} cannot be loaded: {first_line(error)}") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)

    def edit(image: Image.Image, instruction: str, seed: int) -> Image.Image:
        generator = torch.Generator(device).manual_seed(seed)
        made: Any = pipeline(prompt=instruction, image=image, generator=generator)
        return made.images[0]  # type: ignore[no-any-return]

    return edit
