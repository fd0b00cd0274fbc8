"""Messages as JSON: what servers and chat templates are given, and that images survive."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from harness.backends import wire
from harness.errors import ItemError
from harness.records import ImagePart, Message, TextPart

PICTURE = Image.new("RGB", (3, 2), (250, 3, 7))
SYSTEM = Message("system", (TextPart("be brief"),))
SHOWN = Message("user", (ImagePart(PICTURE), TextPart("which colour?"), ImagePart(PICTURE)))


def test_openai_gives_one_text_as_text_and_images_without_loss() -> None:
    system, shown = wire.openai([SYSTEM, SHOWN])
    assert system == {"role": "system", "content": "be brief"}
    kinds = [part["type"] for part in shown["content"]]
    assert kinds == ["image_url", "text", "image_url"]
    head, _, data = shown["content"][0]["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    read = Image.open(io.BytesIO(base64.b64decode(data)))
    assert read.tobytes() == PICTURE.tobytes()


def test_openai_gives_lists_alone_where_they_are_asked_for() -> None:
    (system,) = wire.openai([SYSTEM], lists=True)
    assert system["content"] == [{"type": "text", "text": "be brief"}]


def test_transformers_gives_the_decoded_image_or_a_text_alone() -> None:
    (shown,) = wire.transformers([SHOWN], images=True)
    assert shown["content"][0] == {"type": "image", "image": PICTURE}
    assert wire.transformers([SYSTEM], images=False) == [{"role": "system", "content": "be brief"}]
    with pytest.raises(ItemError, match="reads text only"):
        wire.transformers([SHOWN], images=False)
