"""Serves a checkpoint with vLLM until killed: CHECKPOINT LOG as arguments; prints its socket."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from harness.backends import BackendSpec, open_model
from harness.backends.http.endpoint import EndpointModel


async def serve(checkpoint: Path, log: Path) -> None:
    """Start the server, print its socket, and stay."""
    spec = BackendSpec(kind="vllm", checkpoint=checkpoint, dtype="float32", log_path=log)
    async with open_model(spec, lambda text: print(text, file=sys.stderr, flush=True)) as model:
        assert isinstance(model, EndpointModel)
        print(model.socket, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
