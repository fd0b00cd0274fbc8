"""Sums for inspect: two epochs of free answers, and choices with an image."""

import base64
import struct
import subprocess
import sys
import zlib

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText
from inspect_ai.scorer import choice, includes
from inspect_ai.solver import generate, multiple_choice, system_message

PAIRS = [(3, 4), (12, 9), (25, 17), (8, 8), (31, 14), (6, 27), (40, 2), (19, 23)]


def png() -> str:
    """Return a red square as a data URL."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checked = name + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = b"".join(b"\0" + bytes((200, 30, 30)) * 8 for _ in range(8))
    size = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode()


@task
def arith() -> Task:
    samples = [
        Sample(id=f"sum-{i}", input=f"What is {a} + {b}?", target=str(a + b))
        for i, (a, b) in enumerate(PAIRS)
    ]
    return Task(
        dataset=samples, solver=[system_message("You add numbers."), generate()], scorer=includes()
    )


@task
def arith_choice() -> Task:
    samples = [
        Sample(
            id=i,
            input=[
                ChatMessageUser(
                    content=[ContentImage(image=png()), ContentText(text=f"What is {a} + {b}?")]
                )
            ],
            choices=[str(a + b + more) for more in (1, 0, 2, 3)],
            target="B",
        )
        for i, (a, b) in enumerate(PAIRS)
    ]
    return Task(dataset=samples, solver=multiple_choice(), scorer=choice())


def main() -> None:
    _, _, model, seed = sys.argv
    common = ["--model", f"openai-api/local/{model}", "--seed", seed, "--display", "none"]
    for name, *more in (
        ("arith", "--temperature", "0.7", "--epochs", "2"),
        ("arith_choice", "--log-format", "json"),
    ):
        command = ["inspect", "eval", f"{__file__}@{name}", *common, "--log-dir", "log", *more]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
