"""Our wall time over a bare async client's on the same server, and over lmms-eval's vLLM model's.

A random model of more than 100 M parameters that never ends a turn by itself, 64 tokens an
answer, MathVision items with real images where they are at hand.  Start-up is apart: every
contestant is warm before the clock runs.  Prefix and image caches are off, so that no contestant
finds the work of another done.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ablations.selftest.throughput import WithoutNative, bare, bodies, engine
from harness.protocols import build_items

ITEMS = 64
TOKENS = 64
ROUNDS = 5
BATCHES = (1, 16, 64)


def main() -> None:
    """Build everything, time everyone, print the table."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        checkpoint, root = _model(Path(folder)), _data(Path(folder))
        print(f"{ITEMS} items, {TOKENS} tokens each, {ROUNDS} rounds side by side", flush=True)
        engine = _ours(asyncio.run(_on_server(checkpoint, root, Path(folder))))
        lmms = {batch: _lmms(checkpoint, root, batch, engine) for batch in BATCHES}
    best = min(lmms.values())
    print(f"harness over lmms-eval: default {engine / lmms[1]:.3f}, best {engine / best:.3f}")


def _ours(times: dict[str, list[float]]) -> float:
    """Print the median pair of engine and bare client; return the engine's median, in seconds."""
    bare, engine = statistics.median(times["bare"]), statistics.median(times["engine"])
    ratios = [e / b for e, b in zip(times["engine"], times["bare"], strict=True)]
    ratio = f"{statistics.median(ratios):5.3f} x bare ({min(ratios):.3f} to {max(ratios):.3f})"
    print(f"bare async client        {bare:7.1f} s")
    print(f"harness                  {engine:7.1f} s   {ratio}")
    return engine


def _model(folder: Path) -> Path:
    """Write the model; the row of its end-of-turn token is zero, so that it never says it."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    from tests.random_model import BENCH, END_OF_TURN, build

    checkpoint = folder / "model"
    build(checkpoint, shape=BENCH)
    weights = load_file(checkpoint / "model.safetensors")
    token = AutoTokenizer.from_pretrained(checkpoint).convert_tokens_to_ids(END_OF_TURN)
    for name in [
        name for name in weights if name.endswith(("lm_head.weight", "embed_tokens.weight"))
    ]:
        weights[name][token] = 0
    parameters = sum(tensor.numel() for tensor in weights.values())
    print(f"random Qwen3-VL, {parameters / 1e6:.0f} M parameters", flush=True)
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    return checkpoint


def _data(folder: Path) -> Path:
    """Return a data root with MathVision: the real testmini where it is at hand."""
    release = Path(__file__).parents[3] / "shared" / "data" / "mathvision"
    if not release.is_dir():
        from benchmarks.micro.data.datasets import write

        print("no real images at hand: drawn ones", flush=True)
        write(folder / "data", n=ITEMS)
        return folder / "data"
    words = ["data", "import", "mathvision", release, "--data-root", folder / "data"]
    program = "from harness.cli.main import main; main()"
    subprocess.run(
        [sys.executable, "-c", program, *map(str, words)], check=True, capture_output=True
    )
    return folder / "data"


@asynccontextmanager
async def _server(checkpoint: Path, folder: Path) -> AsyncIterator[Path]:
    """Serve the model by the harness's own command with the caches off; yield the socket."""
    from harness.backends import BackendSpec, vllm

    spec = BackendSpec("vllm", checkpoint, model="bench", dtype="float32", max_model_len=4096)
    socket = folder / "server"
    off = ["--no-enable-prefix-caching", "--mm-processor-cache-gb", "0"]
    words = [*vllm.command(spec, socket, cpu=True), *off]
    log = folder / "vllm.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, stdout=output, stderr=output, env=vllm.environment(folder, cpu=True)
        )
        try:
            await vllm.wait_until_healthy(vllm.Server(process, socket, log, 0), print)
            yield socket
        finally:
            process.terminate()
            process.wait()


async def _on_server(checkpoint: Path, root: Path, folder: Path) -> dict[str, list[float]]:
    """Time the bare client and the engine in turns on one server."""
    import aiohttp

    from benchmarks.suites import benchmark
    from harness.backends.http.endpoint import EndpointModel
    from harness.backends.vllm import ADDRESS

    bench = WithoutNative(benchmark("mathvision", root))
    requests = bodies(build_items(bench, ITEMS), "bench", TOKENS, {})
    times: dict[str, list[float]] = {"bare": [], "engine": []}
    async with (
        _server(checkpoint, folder) as socket,
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
    ):
        await bare(session, requests[:4], TOKENS)
        for number in range(ROUNDS):
            times["bare"].append((await bare(session, requests, TOKENS))[0])
            client = EndpointModel(ADDRESS)
            client.socket = socket
            async with client:
                run = folder / f"run{number}"
                times["engine"].append(await engine(bench, client, run, ITEMS, TOKENS))
    return times


def _lmms(checkpoint: Path, root: Path, batch: int, engine: float) -> float:
    """Time lmms-eval's vLLM model in a child, print it, and return the seconds."""
    words = [sys.executable, "-m", "tests.bench.lmms_vllm", *map(str, (checkpoint, root))]
    log = checkpoint.parent / f"lmms-{batch}.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*words, str(ITEMS), str(batch)],
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
        assert child.stdout is not None
        rows = (line for line in child.stdout if line.startswith(b'{"seconds"'))
        row = next(rows, None)
        # At its end it waits for vLLM's engine for ever.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if row is None:
        raise RuntimeError(f"lmms-eval's vLLM model failed:\n{log.read_text()[-2000:]}")
    seconds = float(json.loads(row)["seconds"])
    print(
        f"lmms-eval vllm, batch {batch:<3}{seconds:7.1f} s   harness {engine / seconds:5.3f} x",
        flush=True,
    )
    return seconds
