"""A model's settings in process: template and its variables, image sizes, adapters, penalties."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from harness.backends import BackendSpec, open_model
from harness.backends.models.adapter import read_adapter
from harness.backends.models.settings import ModelSettings
from harness.backends.spec import Setup
from harness.backends.transformers import Checkpoint, Prompt
from harness.errors import UsageError
from harness.protocols import PromptForm
from harness.records import ImagePart, Message, Response, Sampling, TextPart
from tests.harness.backends.adapters import random_adapter
from tests.harness.backends.questions import question

ONE = Sampling(1)
THINKING = """\
{%- for message in messages -%}<|im_start|>{{ message.role }}
{% for part in message.content %}{{ part.text }}{% endfor %}<|im_end|>
{% endfor %}<|im_start|>assistant
{% if not enable_thinking %}<think></think>{% endif %}"""


def opened(folder: Path, adapter: Path | None = None, **settings: Any) -> Checkpoint:
    put = None if adapter is None else read_adapter(adapter)
    return Checkpoint(folder, "float32", "cpu", setup=Setup(ModelSettings(**settings), put))


def text(checkpoint: Checkpoint, prompt: Prompt) -> str:
    shown: str = checkpoint._tokenizer.decode(prompt.tensors["input_ids"][0])
    return shown


def asked(folder: Path, setup: Setup, seeds: Sequence[int]) -> list[Response]:
    spec = BackendSpec(
        kind="transformers", checkpoint=folder, dtype="float32", batch_size=3, setup=setup
    )
    sampling = setup.settings.sampling(16, 0)

    async def run() -> list[Response]:
        async with open_model(spec, lambda _: None) as model:
            return await asyncio.gather(*(model.chat(question(i), sampling) for i in seeds))

    return asyncio.run(run())


def test_thinking_off_is_in_the_rendered_prompt(micro_model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text(THINKING)
    settings: dict[str, Any] = {"chat_template": str(tmp_path / "mine.jinja")}
    messages = (Message("user", (TextPart("Which?"),)),)
    for enabled in (False, True):
        settings["chat_template_kwargs"] = {"enable_thinking": enabled}
        model = opened(micro_model, system_prompt="S.", prompt_suffix="F.", **settings)
        tail = "" if enabled else "<think></think>"
        rendered = (
            "<|im_start|>system\nS.<|im_end|>\n<|im_start|>user\nWhich?\nF.<|im_end|>\n"
            f"<|im_start|>assistant\n{tail}"
        )
        assert text(model, model.prepare(messages, ONE)) == rendered
        # The probe's letters are asked for in the same way.
        assert text(model, model.prepare_choice(messages, PromptForm())) == rendered


def test_image_sizes_are_limited_by_area(micro_model: Path) -> None:
    def tokens(**limits: int) -> int:
        messages = (Message("user", (ImagePart(image),)),)
        return opened(micro_model, **limits).prepare(messages, ONE).length

    image = Image.new("RGB", (256, 128))
    # 256 x 128 in cells of 32 x 32 (patches of 16, merged 2 x 2): 8 x 4 tokens.
    frame = tokens() - 32
    assert tokens(max_pixels=128 * 64) == frame + 8
    assert tokens(min_pixels=60_000) - frame > 32  # 65,536 is the largest of this model
    with pytest.raises(UsageError, match=r"--min-pixels 99999 is above --max-pixels 65536"):
        opened(micro_model, min_pixels=99_999)


@pytest.mark.parametrize(
    ("template", "variables", "reason"),
    [
        ("{% if a %}", None, r"--chat-template .*: line 1: "),
        ("{{ messages }}{{ thinking }}", {"thinkin": 1}, "did you mean thinking"),
        (None, {"enable_thinking": False}, "reads no 'enable_thinking', so it has no effect"),
    ],
)
def test_what_has_no_effect_is_refused(
    template: str | None, variables: Any, reason: str, micro_model: Path, tmp_path: Path
) -> None:
    file = None
    if template is not None:
        file = tmp_path / "mine.jinja"
        file.write_text(template)
    with pytest.raises(UsageError, match=reason):
        opened(
            micro_model,
            chat_template=None if file is None else str(file),
            chat_template_kwargs=variables,
        )


def test_an_adapter_changes_answers_and_must_fit(micro_model: Path, tmp_path: Path) -> None:
    random_adapter(micro_model, tmp_path / "adapter", vision=False)
    adapter = read_adapter(tmp_path / "adapter")
    assert (adapter.rank, adapter.sees) == (4, False)
    with_it, without = (asked(micro_model, Setup(adapter=put), range(4)) for put in (adapter, None))
    assert [a.text for a in with_it] != [a.text for a in without]
    config = tmp_path / "adapter" / "adapter_config.json"
    other = re.sub(r"q_proj\|v_proj\|down_proj", "nothing_like_it", config.read_text())
    config.write_text(other)
    with pytest.raises(UsageError, match=r"adapter"):
        opened(micro_model, tmp_path / "adapter")


def test_a_penalty_does_not_depend_on_the_batch(micro_model: Path) -> None:
    setup = Setup(ModelSettings(repetition_penalty=1.3, presence_penalty=0.7))
    together = asked(micro_model, setup, range(6))
    alone = [asked(micro_model, setup, [i])[0] for i in (1, 4)]
    assert [a.text for a in alone] == [together[i].text for i in (1, 4)]
    assert [a.text for a in together] != [a.text for a in asked(micro_model, Setup(), range(6))]
