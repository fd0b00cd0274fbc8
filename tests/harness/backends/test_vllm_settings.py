"""The real vLLM server with every setting at once answers as transformers with the same ones."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backends import BackendSpec, open_model
from harness.backends.models.adapter import read_adapter
from harness.backends.models.settings import ModelSettings
from harness.backends.spec import Setup
from harness.records import Response
from tests.harness.backends.adapters import random_adapter
from tests.harness.backends.questions import question

pytestmark = pytest.mark.slow
YARN = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 4096}
TEMPLATE = """\
{%- for message in messages -%}<|im_start|>{{ message.role }}
{% for part in message.content %}{% if 'text' in part %}{{ part.text }}{% else %}\
<|vision_start|><|image_pad|><|vision_end|>{% endif %}{% endfor %}<|im_end|>
{% endfor %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% endif %}"""


def ask(spec: BackendSpec, seeds: range) -> list[Response]:
    async def run() -> list[Response]:
        sampling = spec.setup.settings.sampling(24, 0)
        async with open_model(spec, print) as model:
            return await asyncio.gather(*(model.chat(question(i), sampling) for i in seeds))

    return asyncio.run(run())


def test_every_setting_reaches_vllm(micro_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vllm is not installed")
    random_adapter(micro_model, tmp_path / "adapter")
    (tmp_path / "short.jinja").write_text(TEMPLATE)
    # For transformers, YaRN is written into the configuration.
    stretched = shutil.copytree(micro_model, tmp_path / "stretched")
    config = json.loads((stretched / "config.json").read_text())
    rope = config["text_config"]["rope_parameters"] | YARN
    config["text_config"]["rope_parameters"] = rope
    (stretched / "config.json").write_text(json.dumps(config))

    settings = ModelSettings(
        system_prompt="Be brief.",
        prompt_suffix="Answer in one word.",
        chat_template=str(tmp_path / "short.jinja"),
        chat_template_kwargs={"enable_thinking": False},
        min_pixels=64 * 64,
        max_pixels=96 * 96,
        repetition_penalty=1.2,
        presence_penalty=0.5,
    )
    overrides = {"text_config": {"rope_parameters": rope}}
    setup = Setup(settings, read_adapter(tmp_path / "adapter"))
    by_vllm = BackendSpec(
        kind="vllm", checkpoint=micro_model, dtype="float32", log_path=tmp_path / "vllm.log",
        setup=replace(setup, settings=ModelSettings(
            **settings.given(), vllm_arg={"hf-overrides": json.dumps(overrides)},
        )),
    )  # fmt: skip
    here = BackendSpec(
        kind="transformers", checkpoint=stretched, dtype="float32", batch_size=4, setup=setup
    )
    plain = replace(here, setup=Setup(settings))

    theirs, ours, without = (ask(spec, range(12)) for spec in (by_vllm, here, plain))
    assert "'rope_type': 'yarn'" in (tmp_path / "vllm.log").read_text()
    assert [answer.prompt_tokens for answer in theirs] == [a.prompt_tokens for a in ours]
    assert [answer.text for answer in theirs] == [answer.text for answer in ours]
    assert [answer.text for answer in ours] != [answer.text for answer in without]
