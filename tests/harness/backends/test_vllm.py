"""The real vLLM server on the tiny model: one start for all that it must do while it lives."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from harness.backends import BackendSpec, open_model
from harness.backends.endpoint import EndpointModel
from harness.backends.tokenizer import LocalTokenizer
from harness.backends.transformers import TransformersModel
from harness.backends.vllm import Server, cause_of_death, command, served_name, wait_until_healthy
from harness.errors import ItemError, UsageError
from harness.protocols import Model
from harness.records import ImagePart, Message, Response, Sampling, TextPart
from tests.harness.backends.questions import picture, question

REPOSITORY = Path(__file__).parents[3]
GREEDY = Sampling(24)


@dataclass(frozen=True)
class Served:
    """A program of ours that serves the tiny model by vLLM."""

    url: str
    name: str
    program: subprocess.Popen[str]
    log: Path


@pytest.fixture(scope="module")
def served(micro_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("vllm", reason="vllm is not installed")
    log = tmp_path_factory.mktemp("run") / "logs" / "vllm.log"
    words = [sys.executable, "-m", "tests.harness.backends.serve_micro", str(micro_model), str(log)]
    with subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        try:
            assert url, log.read_text() if log.exists() else "no log"
            yield Served(url, micro_model.resolve().name, program, log)
        finally:
            program.kill()


async def ask(model: Model, questions: Sequence[Sequence[Message]]) -> list[Response]:
    return await asyncio.gather(*(model.chat(one, GREEDY) for one in questions))


def by_vllm(served: Served, *questions: Sequence[Message]) -> list[Response]:
    async def run() -> list[Response]:
        async with EndpointModel(served.url, served.name) as model:
            return await ask(model, questions)

    return asyncio.run(run())


def test_its_tokens_are_those_of_the_checkpoint(served: Served, micro_model: Path) -> None:
    async def run(text: str) -> tuple[list[int], str, list[int]]:
        async with EndpointModel(served.url, served.name) as model:
            ids = await model.tokenizer.encode(text)
            return ids, await model.tokenizer.decode(ids), await local.encode(text)

    local = LocalTokenizer(micro_model)
    text = "a <|im_start|> b  c\n\n  d<|endoftext|>é漢" + " and a long text" * 5000
    ids, again, expected = asyncio.run(run(text))
    assert len(ids) > 8192  # more than the model's context
    assert ids == expected
    assert again == text


def test_greedy_answers_are_those_of_transformers(served: Served, micro_model: Path) -> None:
    async def by_transformers() -> list[Response]:
        async with TransformersModel(micro_model, dtype="float32") as model:
            return await ask(model, questions)

    questions = [question(i) for i in range(24)]
    theirs, ours = by_vllm(served, *questions), asyncio.run(by_transformers())
    for one, other in zip(theirs, ours, strict=True):
        assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
        assert one.prompt_tokens == other.prompt_tokens
        assert one.completion_tokens == other.completion_tokens


def test_eight_images_in_one_question_are_seen(served: Served) -> None:
    parts = tuple(ImagePart(picture(i)) for i in range(8))
    text = TextPart("Which of the pictures is it?")
    eight, one = by_vllm(
        served, (Message("user", (*parts, text)),), (Message("user", (parts[0], text)),)
    )
    assert eight.prompt_tokens is not None
    assert one.prompt_tokens is not None
    assert eight.prompt_tokens > one.prompt_tokens + 7 * 4


def test_a_limit_beyond_the_context_takes_what_is_left(served: Served) -> None:
    async def run() -> Response:
        async with EndpointModel(served.url, served.name) as model:
            return await model.chat(question(0), Sampling(1_000_000))

    response = asyncio.run(run())
    assert response.text
    assert response.prompt_tokens is not None
    assert response.completion_tokens is not None
    assert response.prompt_tokens + response.completion_tokens <= 8192


def test_a_prompt_beyond_the_context_is_the_items_error(served: Served) -> None:
    with pytest.raises(ItemError, match="maximum context length is 8192 tokens"):
        by_vllm(served, (Message("user", (TextPart("word " * 20_000),)),))


def test_seeded_draws_repeat(served: Served) -> None:
    async def run() -> list[str]:
        async with EndpointModel(served.url, served.name) as model:
            drawn = [
                await model.chat(question(2), Sampling(16, 1.0, seed=seed)) for seed in (1, 1, 2)
            ]
            return [response.text for response in drawn]

    first, same, other = asyncio.run(run())
    assert first == same
    assert first != other


def test_killing_us_ends_every_process_of_the_server(served: Served) -> None:
    """The last of the tests on this server: it does not live on."""
    family = psutil.Process(served.program.pid).children(recursive=True)
    assert len(family) >= 3, "the guard, the API server and the engine"
    served.program.kill()
    served.program.wait()
    begun = time.monotonic()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert time.monotonic() - begun < 15


def test_a_server_that_cannot_start_says_why_in_one_line(micro_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vllm is not installed")
    unknown = tmp_path / "unknown"
    shutil.copytree(micro_model, unknown)
    (unknown / "config.json").write_text('{"model_type": "no_such_model"}')
    log = tmp_path / "vllm.log"

    async def run() -> None:
        spec = BackendSpec(kind="vllm", checkpoint=unknown, log_path=log)
        async with open_model(spec, lambda _: None):
            pass

    with pytest.raises(UsageError, match=r"vLLM stopped: .*no_such_model") as caught:
        asyncio.run(run())
    assert "\n" not in str(caught.value)
    assert str(log) in str(caught.value)


def test_the_command_names_what_was_asked_for(tmp_path: Path) -> None:
    spec = BackendSpec(
        kind="vllm",
        checkpoint=tmp_path,
        dtype="bfloat16",
        tensor_parallel=2,
        replicas=4,
        max_model_len=4096,
    )
    words = command(spec, 1234, cpu=False)
    text = " ".join(words)
    assert "--enforce-eager" not in text
    for part in (
        f"--model {tmp_path} ",
        f"--served-model-name {tmp_path.name}",
        "--host 127.0.0.1 --port 1234 --dtype bfloat16",
        "--tensor-parallel-size 2 --data-parallel-size 4 --max-model-len 4096",
    ):
        assert part in text
    assert "--reasoning-parser" not in text
    parsed = replace(spec, reasoning_parser="deepseek_r1")
    assert "--reasoning-parser deepseek_r1" in " ".join(command(parsed, 1234, cpu=False))
    assert "--enforce-eager" in command(spec, 1234, cpu=True)
    assert served_name(BackendSpec(checkpoint=tmp_path, model="mine")) == "mine"


class Healthy(BaseHTTPRequestHandler):
    """Answers every GET as a healthy vLLM that serves ``names`` does."""

    names: ClassVar[tuple[str, ...]] = ()

    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": name} for name in self.names]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def wait_for(names: tuple[str, ...], program: str, tmp_path: Path) -> None:
    """Wait for a server called "ours" whose process runs ``program``; its port serves ``names``."""
    handler = type("Handler", (Healthy,), {"names": names})
    log = tmp_path / "vllm.log"
    with HTTPServer(("127.0.0.1", 0), handler) as http, log.open("wb") as file:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        with subprocess.Popen([sys.executable, "-c", program], stderr=file) as process:
            server = Server(process, http.server_port, log, 0, "ours")
            try:
                asyncio.run(wait_until_healthy(server, lambda _: None))
            finally:
                process.kill()
                http.shutdown()


def test_another_server_on_our_port_is_not_taken_for_ours(tmp_path: Path) -> None:
    late = "import sys, time; time.sleep(1); sys.exit('OSError: [Errno 98] address in use')"
    with pytest.raises(UsageError, match=r"vLLM stopped: OSError.*address in use"):
        wait_for(("model", "theirs"), late, tmp_path)


def test_our_server_is_known_by_the_name_that_it_alone_serves(tmp_path: Path) -> None:
    begun = time.monotonic()
    wait_for(("model", "ours"), "import time; time.sleep(60)", tmp_path)
    assert time.monotonic() - begun < 30


# Shortened from logs of vLLM 0.32.
ENGINE_FAILED = """\
(APIServer pid=9) INFO 11-23 16:57:10 [model.py:655] Resolved architecture: Qwen3VL
(EngineCore pid=8) ERROR 11-23 16:57:51 [core.py:1136] EngineCore failed to start.
(EngineCore pid=8) ERROR 11-23 16:57:51 [core.py:1136] Traceback (most recent call last):
(EngineCore pid=8) ERROR 11-23 16:57:51 [core.py:1136] ValueError: To serve at least one request
(APIServer pid=9) RuntimeError: Engine core initialization failed. See root cause above.
"""
PYDANTIC = """\
(APIServer pid=9) pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
(APIServer pid=9)   Value error, The checkpoint is of an unknown type [type=value_error]
(APIServer pid=9)     For further information visit https://errors.pydantic.dev
"""


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (ENGINE_FAILED, "ValueError: To serve at least one request"),
        (PYDANTIC, "Value error, The checkpoint is of an unknown type"),
        ("api_server.py: error: argument --dtype: invalid choice", "invalid choice"),
        ("one\ntwo\n\n", "two"),
        ("", "it wrote no log"),
    ],
)
def test_the_root_cause_is_found_in_the_log(log: str, cause: str) -> None:
    assert cause in cause_of_death(log)
