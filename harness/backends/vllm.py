"""vLLM's OpenAI server on a checkpoint, as a child of this process.

It listens on a socket in a private folder, as any user of the machine could use or take a port. Its
log is kept, and it ends with this process, however that ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import aiohttp

from harness.backends import checkpoint, lifeline, wire
from harness.backends.http.endpoint import EndpointModel
from harness.backends.http.urls import without_keys
from harness.backends.models.adapter import Adapter
from harness.backends.models.settings import UNSET, ModelSettings
from harness.backends.reasoning_tags import dropped_ids, named_tags
from harness.backends.spec import BackendSpec
from harness.errors import ItemError, UsageError
from harness.files import plain
from harness.records import Message, TextPart

ADDRESS = "http://localhost"  # of requests, which go to the socket
START_LIMIT = 3600.0  # seconds; large weights on slow disks
POLL = 0.25
NEWS_EVERY = 15.0
IMAGES_PER_PROMPT = 32  # MMMU has up to 8 per question
CPU_CACHE_GIB = 4
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # vLLM's choices for --max-lora-rank

_DECORATION = re.compile(
    r"\x1b\[[0-9;]*m"  # colour
    r"|^\([\w -]+? pid=\d+\) ?"  # which process
    r"|^(DEBUG|INFO|WARNING|ERROR|CRITICAL) [\d-]+ [\d:]+ \[[^\]]+\] ?"  # level, time, place
)
_ERROR = re.compile(r"^(\w+\.)*\w*(Error|Exception)\b.*: \S|: error: \S")
_CONSEQUENCE = re.compile(r"Engine core initialization failed|Worker failed with error|EngineDead")


def command(spec: BackendSpec, socket: Path, *, cpu: bool) -> list[str]:
    """Return the command that serves ``spec.checkpoint`` on a new Unix socket.

    The checkpoint's own sampling defaults (penalties, top-k) are disabled. With an adapter, the
    served name is the adapter's.
    """
    setup, name = spec.setup, served_name(spec)
    options: dict[str, Any] = {
        "--model": str(spec.checkpoint),
        "--uds": str(socket),
        "--dtype": spec.dtype,
        "--tensor-parallel-size": str(spec.tensor_parallel),
        "--data-parallel-size": str(spec.replicas),
        # As long as the model and the memory allow.
        "--max-model-len": str(spec.max_model_len or "auto"),
        "--limit-mm-per-prompt": json.dumps({"image": IMAGES_PER_PROMPT, "video": 0}),
        "--generation-config": "vllm",
        "--uvicorn-log-level": "warning",
    }
    if spec.reasoning_parser:
        options["--reasoning-parser"] = spec.reasoning_parser
    if setup.settings.chat_template is not None:
        options["--chat-template"] = str(Path(setup.settings.chat_template).resolve())
    if limits := setup.settings.pixels():
        options["--mm-processor-kwargs"] = limits
    if setup.adapter is not None:
        options |= _adapter_options(setup.adapter, name)
        name += "-base"
    options |= {f"--{key}": value for key, value in (setup.settings.vllm_arg or {}).items()}
    # `vllm serve` is the same server, but it fails with the CPU package.
    args = [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server"]
    args += [*chain(*map(_argument, options.items())), "--served-model-name", name]
    # The probe may send a chat template; nobody else can reach the server.
    args.append("--trust-request-chat-template")
    return [*args, "--enforce-eager"] if cpu and "--enforce-eager" not in options else args


def _argument(option: tuple[str, Any]) -> list[str]:
    """Return an option as arguments: a lone flag, or a mapping or list as JSON."""
    name, value = option
    if isinstance(value, bool):
        return [name if value else f"--no-{name[2:]}"]
    text = value if isinstance(value, str) else json.dumps(value)
    return [f"{name}={text}"] if text.startswith("-") else [name, text]


def _adapter_options(adapter: Adapter, name: str) -> dict[str, Any]:
    path = str(adapter.folder.resolve())
    return {
        "--enable-lora": True,
        "--lora-modules": {"name": name, "path": path},
        "--max-lora-rank": min((rank for rank in RANKS if rank >= adapter.rank), default=RANKS[-1]),
        **({"--enable-tower-connector-lora": True} if adapter.sees else {}),
    }


def served_name(spec: BackendSpec) -> str:
    """Return the name to serve: the given one, else the checkpoint folder's."""
    return spec.model or (spec.checkpoint.resolve().name if spec.checkpoint else "")


def environment(scratch: Path, *, cpu: bool) -> dict[str, str]:
    """Return the server's environment: offline, without telemetry and without keys.

    vLLM's sockets are in the folder ``scratch``; it does not remove them itself. Its log is read
    after a failure, so it is not silenced, which importing TRL would do.
    """
    env = {**without_keys(os.environ), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    env["VLLM_LOGGING_LEVEL"] = "DEBUG" if env.get("VLLM_LOGGING_LEVEL") == "DEBUG" else "INFO"
    env |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_RPC_BASE_PATH": str(scratch)}
    if cpu:
        env.setdefault("VLLM_CPU_KVCACHE_SPACE", str(CPU_CACHE_GIB))
    return env


def plain_lines(log: str) -> list[str]:
    """Return the informative lines of a vLLM log, without level, time and process."""
    lines = []
    for line in log.splitlines():
        while (shorter := _DECORATION.sub("", line)) != line:
            line = shorter
        if line.strip():
            lines.append(line.rstrip())
    return lines


def cause_of_death(log: str) -> str:
    """Return the line of a dead server's log with the cause of death, at most 300 characters.

    vLLM logs the root cause first and then its consequences in other processes; so the last error
    that is not a consequence counts, with the next line if pydantic puts the reason there.
    """
    lines = plain_lines(log)
    errors = [i for i, line in enumerate(lines) if _ERROR.search(line)]
    causes = [i for i in errors if not _CONSEQUENCE.search(lines[i])] or errors
    if not causes:
        return lines[-1].strip()[:300] if lines else "it wrote no log"
    last = causes[-1]
    reason = " ".join(lines[last : last + 1 + ("validation error" in lines[last])])
    return " ".join(reason.split())[:300]


@dataclass(frozen=True)
class Server:
    """One running vLLM server: its process, socket and log, which starts at ``log_start``."""

    process: subprocess.Popen[bytes]
    socket: Path
    log: Path
    log_start: int

    def log_text(self) -> str:
        """Return what this server has written to its log."""
        with open(self.log, "rb", opener=plain.opener) as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def obituary(self) -> str | None:
        """Return why the server is dead, in a sentence, or None while it lives."""
        if self.process.poll() is None:
            return None
        return f"vLLM stopped: {cause_of_death(self.log_text())} (log: {self.log})"

    def stop(self) -> None:
        """Stop the server and all of its processes."""
        self.process.terminate()
        try:
            self.process.wait(lifeline.PATIENCE + 5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def start(spec: BackendSpec, *, cpu: bool) -> Iterator[Server]:
    """Start a server and stop it on exit; it does not answer yet."""
    log = spec.log_path or Path(tempfile.mkdtemp(prefix="vllm-")) / "vllm.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab", opener=plain.opener) as file:  # a run's folder may be another user's
        # Private, and in the system's folder: a socket's path may have at most 107 characters.
        scratch = Path(tempfile.mkdtemp(prefix="vllm-"))
        socket = scratch / "server"
        # -P: that file's folder has modules named like packages.
        guard = [sys.executable, "-P", lifeline.__file__, str(os.getpid()), str(scratch)]
        log_start = file.tell()
        process = subprocess.Popen(
            [*guard, *command(spec, socket, cpu=cpu)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment(scratch, cpu=cpu),
            start_new_session=True,
        )
    server = Server(process, socket, log, log_start)
    try:
        yield server
    finally:
        server.stop()


async def wait_until_healthy(server: Server, on_status: Callable[[str], None]) -> None:
    """Return when the server answers.

    Raises `UsageError` if it died or was not ready within `START_LIMIT`.
    """
    begun = last_news = time.monotonic()
    on_status(f"vLLM starts; log: {server.log}")
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(server.socket)), timeout=aiohttp.ClientTimeout(total=5)
    ) as session:
        while not await _is_healthy(session):
            if reason := server.obituary():
                raise UsageError(reason)
            now = time.monotonic()
            if now - begun > START_LIMIT:
                raise UsageError(
                    f"vLLM was not ready after {START_LIMIT:.0f} seconds; see {server.log}."
                )
            if now - last_news > NEWS_EVERY:
                last_news = now
                doing = (plain_lines(server.log_text()) or [""])[-1].strip()[:120]
                on_status(f"vLLM is still starting after {now - begun:.0f} s: {doing}")
            await asyncio.sleep(POLL)
    on_status(f"vLLM is ready after {time.monotonic() - begun:.0f} s")


async def _is_healthy(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get(f"{ADDRESS}/health") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


class TemplateCheck:
    """Render conversations with a checkpoint's chat template, within a limit of ``seconds``.

    vLLM renders them without one, in the process that answers all requests. If transformers cannot
    load the processor, nothing is rendered, and ``on_status`` is told. ``special_tags``: whether
    reasoning tags are special tokens, which vLLM omits from the text by default.
    """

    def __init__(
        self,
        folder: Path,
        on_status: Callable[[str], None],
        settings: ModelSettings = UNSET,
        seconds: float = checkpoint.TEMPLATE_SECONDS,
    ) -> None:
        self._seconds, self._processor = seconds, None
        self._variables = settings.chat_template_kwargs or {}
        self.special_tags = False
        try:
            processor = checkpoint.load_processor(folder)
            self._images = checkpoint.reads_images(folder)
        except UsageError as error:
            on_status(f"the chat template is not tried before vLLM renders it: {error}")
            return
        checkpoint.set_up(processor, settings)
        pairs = named_tags(folder, settings.template_text()).pairs
        tokenizer = getattr(processor, "tokenizer", processor)
        _, self.special_tags = dropped_ids(tokenizer, pairs)
        self._processor = processor

    def __call__(self, messages: Sequence[Message]) -> None:
        """Raise `UsageError` if the template exceeds its limit; other errors are left to vLLM."""
        if self._processor is None:
            return
        with suppress(ItemError, *checkpoint.unreadable()):
            chat = wire.transformers(messages, images=self._images)
            checkpoint.rendered(self._processor, chat, self._variables, self._seconds)


@asynccontextmanager
async def serve(
    spec: BackendSpec,
    on_status: Callable[[str], None],
    *,
    cpu: bool,
    template_seconds: float = checkpoint.TEMPLATE_SECONDS,
) -> AsyncIterator[EndpointModel]:
    """Serve ``spec.checkpoint`` with vLLM for as long as the context lasts.

    Raises `UsageError` if the server does not start, a setting has no effect, or the chat template
    is too slow; says why, and where the log is.
    """
    assert spec.checkpoint is not None
    settings = spec.setup.settings
    check = await asyncio.to_thread(
        TemplateCheck, spec.checkpoint, on_status, settings, seconds=template_seconds
    )
    await asyncio.to_thread(check, [Message("user", (TextPart("What is it?"),))])
    with start(spec, cpu=cpu) as server:
        await wait_until_healthy(server, on_status)
        model = EndpointModel(
            ADDRESS, served_name(spec), obituary=server.obituary, tokenizer=spec.checkpoint
        )
        model.socket, model.check_prompt, model.settings = server.socket, check, settings
        if check.special_tags and not spec.reasoning_parser:
            model.extra_fields = {"skip_special_tokens": False}
        async with model:
            yield model
