"""vLLM's OpenAI server on a checkpoint, as a child of this process on a free loopback port.

The server writes to a log that is kept, and it ends with this process, however that ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import aiohttp

from harness.backends import checkpoint, lifeline, wire
from harness.backends.endpoint import EndpointModel
from harness.backends.reasoning_tags import dropped_ids, named_tags
from harness.backends.spec import BackendSpec
from harness.backends.urls import without_keys
from harness.errors import ItemError, UsageError
from harness.reasoning import given_tags
from harness.records import Message, TextPart

START_LIMIT = 3600.0  # seconds; large weights on slow disks
POLL = 0.25
NEWS_EVERY = 15.0
IMAGES_PER_PROMPT = 32  # MMMU has up to 8 in a question
CPU_CACHE_GIB = 4

_DECORATION = re.compile(
    r"\x1b\[[0-9;]*m"  # colour
    r"|^\([\w -]+? pid=\d+\) ?"  # which process
    r"|^(DEBUG|INFO|WARNING|ERROR|CRITICAL) [\d-]+ [\d:]+ \[[^\]]+\] ?"  # level, time, place
)
_ERROR = re.compile(r"^(\w+\.)*\w*(Error|Exception)\b.*: \S|: error: \S")
_CONSEQUENCE = re.compile(r"Engine core initialization failed|Worker failed with error|EngineDead")


def command(spec: BackendSpec, port: int, *, cpu: bool, alias: str | None = None) -> list[str]:
    """Return the command that serves ``spec.checkpoint`` on ``port``; ``alias`` is one more name.

    The checkpoint's own sampling defaults (penalties, top-k) stay out: only what is asked counts.
    """
    options = {
        "--model": str(spec.checkpoint),
        "--host": "127.0.0.1",
        "--port": str(port),
        "--dtype": spec.dtype,
        "--tensor-parallel-size": str(spec.tensor_parallel),
        "--data-parallel-size": str(spec.replicas),
        # As long as the model allows and the memory holds.
        "--max-model-len": str(spec.max_model_len or "auto"),
        "--limit-mm-per-prompt": json.dumps({"image": IMAGES_PER_PROMPT, "video": 0}),
        "--generation-config": "vllm",
        "--uvicorn-log-level": "warning",
    }
    if spec.reasoning_parser:
        options["--reasoning-parser"] = spec.reasoning_parser
    # `vllm serve` is the same server, but it fails with the CPU package.
    args = [sys.executable, "-P", "-m", "vllm.entrypoints.openai.api_server"]
    args += [*chain(*options.items()), "--served-model-name", served_name(spec)]
    return [*args, *filter(None, [alias]), *(["--enforce-eager"] if cpu else [])]


def served_name(spec: BackendSpec) -> str:
    """Return the name to serve: the one that was given, else the checkpoint's folder."""
    if spec.model:
        return spec.model
    return spec.checkpoint.resolve().name if spec.checkpoint else ""


def environment(scratch: Path, *, cpu: bool) -> dict[str, str]:
    """Return the server's environment: offline, without telemetry and without keys.

    vLLM's sockets lie in the folder ``scratch``; it does not remove them itself.
    """
    env = {**without_keys(os.environ), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    env |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_RPC_BASE_PATH": str(scratch)}
    if cpu:
        env.setdefault("VLLM_CPU_KVCACHE_SPACE", str(CPU_CACHE_GIB))
    return env


def free_port() -> int:
    """Return a loopback port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plain_lines(log: str) -> list[str]:
    """Return the lines of a vLLM log that say something, without level, time and process."""
    lines = []
    for line in log.splitlines():
        while (shorter := _DECORATION.sub("", line)) != line:
            line = shorter
        if line.strip():
            lines.append(line.rstrip())
    return lines


def cause_of_death(log: str) -> str:
    """Return the line of a dead server's log that tells why it died, at most 300 characters.

    vLLM logs the root cause first and then its consequences in other processes; so the last error
    that is no consequence counts, with the line after it where pydantic puts the reason there.
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
    """One running vLLM server: its process, its port, and its log, which starts at ``log_start``.

    ``alias`` is a name that it alone serves, if it was given one.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    log_start: int
    alias: str | None = None

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    def log_text(self) -> str:
        """Return what this server has written to its log."""
        with self.log.open("rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def obituary(self) -> str | None:
        """Return why the server is dead, in a sentence, or None while it lives."""
        if self.process.poll() is None:
            return None
        return f"vLLM stopped: {cause_of_death(self.log_text())} (log: {self.log})"

    def stop(self) -> None:
        """End the server and all of its processes."""
        self.process.terminate()
        try:
            self.process.wait(lifeline.PATIENCE + 5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def start(spec: BackendSpec, *, cpu: bool) -> Iterator[Server]:
    """Start a server and end it on leaving; it does not answer yet."""
    log = spec.log_path or Path(tempfile.mkdtemp(prefix="vllm-")) / "vllm.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    port = free_port()
    # Another program may take the port before vLLM does: by this name we know our own server.
    alias = f"server-{secrets.token_hex(8)}"
    # The system's own folder for this: the path of a socket may have 107 letters at most.
    scratch = Path(tempfile.mkdtemp(prefix="vllm-"))
    # -P: the folder of that file holds modules named like packages.
    guard = [sys.executable, "-P", lifeline.__file__, str(os.getpid()), str(scratch)]
    with log.open("ab") as file:
        log_start = file.tell()
        process = subprocess.Popen(
            [*guard, *command(spec, port, cpu=cpu, alias=alias)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment(scratch, cpu=cpu),
            start_new_session=True,
        )
    server = Server(process, port, log, log_start, alias)
    try:
        yield server
    finally:
        server.stop()


async def wait_until_healthy(server: Server, on_status: Callable[[str], None]) -> None:
    """Return when the server answers, and not another one that took its port.

    Raises:
        UsageError: it died or did not get ready within `START_LIMIT`.
    """
    begun = last_news = time.monotonic()
    on_status(f"vLLM starts; log: {server.log}")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while not await _is_healthy(session, server) or server.obituary():
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


async def _is_healthy(session: aiohttp.ClientSession, server: Server) -> bool:
    try:
        async with session.get(f"{server.url}/health") as answer:
            if answer.status != 200 or server.alias is None:
                return answer.status == 200
        async with session.get(f"{server.url}/v1/models") as answer:
            body = await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        return False
    return server.alias.encode() in body


class TemplateCheck:
    """Renders conversations with a checkpoint's chat template, for its time limit alone.

    vLLM renders them without one, in the process that answers all requests.  ``special_tags``:
    whether reasoning tags are special tokens, which vLLM leaves out of the text by default.

    Args:
        folder: the checkpoint; nothing is rendered where transformers cannot load its processor.
        on_status: is told so.
        seconds: the limit.
    """

    def __init__(
        self,
        folder: Path,
        on_status: Callable[[str], None],
        seconds: float = checkpoint.TEMPLATE_SECONDS,
    ) -> None:
        self._seconds, self._processor = seconds, None
        self.special_tags = False
        try:
            self._processor = checkpoint.load_processor(folder)
            tokenizer = getattr(self._processor, "tokenizer", self._processor)
            pairs = (*named_tags(folder).pairs, *given_tags())
            _, self.special_tags = dropped_ids(tokenizer, pairs)
            self._images = checkpoint.reads_images(folder)
        except UsageError as error:
            on_status(f"the chat template is not tried before vLLM renders it: {error}")

    def __call__(self, messages: Sequence[Message]) -> None:
        """Raise `UsageError` where the template does not end; vLLM says what else is wrong."""
        if self._processor is None:
            return
        with suppress(ItemError, *checkpoint.unreadable()):
            chat = wire.transformers(messages, images=self._images)
            checkpoint.rendered(self._processor, chat, seconds=self._seconds)


@asynccontextmanager
async def serve(
    spec: BackendSpec,
    on_status: Callable[[str], None],
    *,
    cpu: bool,
    template_seconds: float = checkpoint.TEMPLATE_SECONDS,
) -> AsyncIterator[EndpointModel]:
    """Serve ``spec.checkpoint`` with vLLM for as long as the context lasts.

    Raises:
        UsageError: the server does not start, or the chat template does not end; says why, and
            where the log is.
    """
    assert spec.checkpoint is not None
    check = await asyncio.to_thread(
        TemplateCheck, spec.checkpoint, on_status, seconds=template_seconds
    )
    await asyncio.to_thread(check, [Message("user", (TextPart("What is it?"),))])
    with start(spec, cpu=cpu) as server:
        await wait_until_healthy(server, on_status)
        model = EndpointModel(
            server.url,
            served_name(spec),
            obituary=server.obituary,
            tokenizer=spec.checkpoint,
        )
        model.check_prompt = check
        if check.special_tags and not spec.reasoning_parser:
            model.extra_fields = {"skip_special_tokens": False}
        async with model:
            yield model
