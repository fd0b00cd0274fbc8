"""The real vLLM server on the tiny model: one start for all that it must do while it lives."""

from __future__ import annotations

import asyncio
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from harness.backends import BackendSpec, open_model
from harness.backends.http.endpoint import EndpointModel
from harness.backends.tokenizer import LocalTokenizer
from harness.backends.transformers import TransformersModel
from harness.backends.vllm import ADDRESS, cause_of_death, command, environment, served_name
from harness.errors import ItemError, UsageError
from harness.protocols import Model
from harness.records import ImagePart, Message, Response, Sampling, TextPart
from tests.harness.backends.questions import picture, question
from tests.processes import alive_after

REPOSITORY = Path(__file__).parents[3]
GREEDY = Sampling(24)
SOCKET = Path("/private/server")


@dataclass(frozen=True)
class Served:
    """A program of ours that serves the tiny model by vLLM."""

    socket: Path
    name: str
    program: subprocess.Popen[str]
    log: Path

    def client(self) -> EndpointModel:
        """Return a model that asks it."""
        model = EndpointModel(ADDRESS, self.name)
        model.socket = self.socket
        return model


@pytest.fixture(scope="module")
def served(micro_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("vllm", reason="vllm is not installed")
    log = tmp_path_factory.mktemp("run") / "logs" / "vllm.log"
    words = [sys.executable, "-m", "tests.harness.backends.serve_micro", str(micro_model), str(log)]
    with subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        socket = program.stdout.readline().strip()
        try:
            assert socket, log.read_text() if log.exists() else "no log"
            yield Served(Path(socket), micro_model.resolve().name, program, log)
        finally:
            program.kill()


async def ask(model: Model, questions: Sequence[Sequence[Message]]) -> list[Response]:
    return await asyncio.gather(*(model.chat(one, GREEDY) for one in questions))


def by_vllm(served: Served, *questions: Sequence[Message]) -> list[Response]:
    async def run() -> list[Response]:
        async with served.client() as model:
            return await ask(model, questions)

    return asyncio.run(run())


@pytest.mark.slow
def test_its_tokens_are_those_of_the_checkpoint(served: Served, micro_model: Path) -> None:
    async def run(text: str) -> tuple[list[int], str, list[int]]:
        async with served.client() as model:
            ids = await model.tokenizer.encode(text)
            return ids, await model.tokenizer.decode(ids), await local.encode(text)

    local = LocalTokenizer(micro_model)
    text = "a <|im_start|> b  c\n\n  d<|endoftext|>é漢" + " and a long text" * 5000
    ids, again, expected = asyncio.run(run(text))
    assert len(ids) > 8192  # more than the model's context
    assert ids == expected
    assert again == text


@pytest.mark.slow
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


@pytest.mark.slow
def test_eight_images_in_one_question_are_seen(served: Served) -> None:
    parts = tuple(ImagePart(picture(i)) for i in range(8))
    text = TextPart("Which of the pictures is it?")
    eight, one = by_vllm(
        served, (Message("user", (*parts, text)),), (Message("user", (parts[0], text)),)
    )
    assert eight.prompt_tokens is not None
    assert one.prompt_tokens is not None
    assert eight.prompt_tokens > one.prompt_tokens + 7 * 4


@pytest.mark.slow
def test_a_limit_beyond_the_context_takes_what_is_left(served: Served) -> None:
    async def run() -> Response:
        async with served.client() as model:
            return await model.chat(question(0), Sampling(1_000_000))

    response = asyncio.run(run())
    assert response.text
    assert response.prompt_tokens is not None
    assert response.completion_tokens is not None
    assert response.prompt_tokens + response.completion_tokens <= 8192


@pytest.mark.slow
def test_a_prompt_beyond_the_context_is_the_items_error(served: Served) -> None:
    with pytest.raises(ItemError, match="maximum context length is 8192 tokens"):
        by_vllm(served, (Message("user", (TextPart("word " * 20_000),)),))


@pytest.mark.slow
def test_seeded_draws_repeat(served: Served) -> None:
    async def run() -> list[str]:
        async with served.client() as model:
            drawn = [
                await model.chat(question(2), Sampling(16, 1.0, seed=seed)) for seed in (1, 1, 2)
            ]
            return [response.text for response in drawn]

    first, same, other = asyncio.run(run())
    assert first == same
    assert first != other


@pytest.mark.slow
def test_no_other_user_can_ask_the_server_or_stand_in_for_it(served: Served) -> None:
    assert stat.S_ISSOCK(served.socket.stat().st_mode)
    assert stat.S_IMODE(served.socket.parent.stat().st_mode) == 0o700
    family = psutil.Process(served.program.pid).children(recursive=True)
    ports = [
        port.laddr.port
        for process in family
        for port in process.net_connections("tcp")
        if port.status == psutil.CONN_LISTEN
    ]
    for port in ports:  # what the engine's processes use among themselves
        with pytest.raises((HTTPException, OSError)):
            urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2)


@pytest.mark.slow
def test_killing_us_ends_every_process_of_the_server(served: Served) -> None:
    """The last of the tests on this server: it does not live on."""
    family = psutil.Process(served.program.pid).children(recursive=True)
    assert len(family) >= 3, "the guard, the API server and the engine"
    served.program.kill()
    served.program.wait()
    begun = time.monotonic()
    assert not alive_after(20, family)
    assert time.monotonic() - begun < 15


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("given", "level"), [("ERROR", "INFO"), ("DEBUG", "DEBUG"), (None, "INFO")]
)
def test_the_log_is_not_silenced_by_the_environment(
    given: str | None, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if given:
        monkeypatch.setenv("VLLM_LOGGING_LEVEL", given)
    else:
        monkeypatch.delenv("VLLM_LOGGING_LEVEL", raising=False)
    assert environment(tmp_path, cpu=True)["VLLM_LOGGING_LEVEL"] == level


def test_the_command_names_what_was_asked_for(tmp_path: Path) -> None:
    spec = BackendSpec(
        kind="vllm",
        checkpoint=tmp_path,
        dtype="bfloat16",
        tensor_parallel=2,
        replicas=4,
        max_model_len=4096,
    )
    words = command(spec, SOCKET, cpu=False)
    text = " ".join(words)
    assert "--enforce-eager" not in text
    for part in (
        f"--model {tmp_path} ",
        f"--served-model-name {tmp_path.name}",
        "--uds /private/server --dtype bfloat16",
        "--tensor-parallel-size 2 --data-parallel-size 4 --max-model-len 4096",
    ):
        assert part in text
    assert "--reasoning-parser" not in text
    parsed = replace(spec, reasoning_parser="deepseek_r1")
    assert "--reasoning-parser deepseek_r1" in " ".join(command(parsed, SOCKET, cpu=False))
    assert "--enforce-eager" in command(spec, SOCKET, cpu=True)
    assert served_name(BackendSpec(checkpoint=tmp_path, model="mine")) == "mine"


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
