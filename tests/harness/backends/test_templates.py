"""Chat templates that loop end in one line, in whichever thread they are rendered."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.micro.model.build import WEIGHTS
from harness.backends import BackendSpec, vllm
from harness.backends.checkpoint import load_processor, rendered
from harness.backends.http.endpoint import EndpointModel
from harness.backends.vllm import TemplateCheck
from harness.errors import UsageError
from harness.records import Message, Sampling, TextPart
from tests.commands import harness, one_line
from tests.servers import ScriptedServer

NESTED = (
    "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}"
)
MACRO = "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(90) }}"
QUESTION = (Message("user", (TextPart("x"),)),)
CHAT = [{"role": "user", "content": [{"type": "text", "text": "x"}]}]


def looping(folder: Path, template: str) -> Path:
    shutil.copytree(WEIGHTS, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


@pytest.mark.parametrize("template", [NESTED, MACRO])
def test_a_template_that_loops_is_one_line(template: str, tmp_path: Path) -> None:
    processor = load_processor(looping(tmp_path / "model", template))

    def attempt() -> None:
        began = time.thread_time()
        with pytest.raises(UsageError, match=r"the chat template does not end within 0.1 s"):
            rendered(processor, CHAT, seconds=0.1)
        assert time.thread_time() < began + 10  # by itself, not by the test's time limit
        time.sleep(0.01)  # nothing comes after it

    attempt()
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(attempt) for _ in range(2)]:
            done.result(5)


def test_a_template_that_ends_is_not_disturbed() -> None:
    """A thousand renderings, also by several threads, each with a limit of its own."""
    processor = load_processor(WEIGHTS)
    text = rendered(processor, CHAT)
    assert "x" in text
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: rendered(processor, CHAT, seconds=5), range(1000))) == {text}
    assert threading.active_count() < 100


LONG = "{% if messages[0]['content'] | string | length > 400 %}" + NESTED + "{% endif %}ok"


def test_a_conversation_whose_template_loops_is_not_sent_to_vllm(tmp_path: Path) -> None:
    """vLLM renders templates without a limit; most conversations may be fine."""
    check = TemplateCheck(looping(tmp_path / "model", LONG), print, seconds=0.2)

    async def ask(text: str) -> str:
        async with EndpointModel(server.url) as model:
            model.check_prompt = check
            return (await model.chat([Message("user", (TextPart(text),))], Sampling(8))).text

    with ScriptedServer(lambda _: "yes") as server:
        assert asyncio.run(ask("x")) == "yes"
        with pytest.raises(UsageError, match=r"template does not end within 0\.2 s"):
            asyncio.run(ask("x" * 500))
        assert len(server.requests) == 1


@pytest.mark.parametrize("template", ["{{ raise_exception('no') }}", "{{ 1 / 0 }}", "{% if %}"])
def test_what_else_is_wrong_with_a_template_vllm_says(template: str, tmp_path: Path) -> None:
    TemplateCheck(looping(tmp_path / "model", template), print)(QUESTION)


def test_a_checkpoint_that_transformers_does_not_know_goes_to_vllm(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "unheard-of"}')
    said: list[str] = []
    TemplateCheck(tmp_path, said.append)(QUESTION)
    assert "the chat template is not tried before vLLM renders it" in said[0]


def test_a_looping_template_ends_before_vllm_is_started(tmp_path: Path) -> None:
    spec = BackendSpec(checkpoint=looping(tmp_path / "model", NESTED), log_path=tmp_path / "log")

    async def serve() -> None:
        async with vllm.serve(spec, lambda _: None, cpu=True, template_seconds=0.2):
            pass

    with pytest.raises(UsageError, match="the chat template does not end"):
        asyncio.run(serve())
    assert not (tmp_path / "log").exists()


@pytest.mark.slow
def test_a_run_and_a_training_of_such_a_checkpoint_end(tmp_path: Path) -> None:
    model = looping(tmp_path / "model", NESTED)
    run = ["run", "--model", str(model), "--suite", "probe", "--set", "probe.pairs=micro:image"]
    run += ["--limit", "1", "--backend", "transformers", "--out", str(tmp_path / "runs")]
    one_line(harness(*run), "the chat template does not end within 10 s", after_progress=True)
    train = ["train", "--arm", "contextrl", "--model", str(model), "--config", "micro"]
    one_line(harness(*train, "--dry-run"), "the chat template does not end", after_progress=True)
