"""Questions on micro-world traces, in the schema of LongBench v2's ``data.json``."""

from __future__ import annotations

import hashlib
import random
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import orjson

from benchmarks.micro.content.traces import LETTERS, Trace, trace

# Words a trace; the real ones have up to 32 thousand, up to 128 thousand, and up to two million.
WORDS = {"short": 60, "medium": 240, "long": 960}
# The share of steps that tell nothing: the fewer, the more other keys and values distract.
FILLER = {"easy": 0.8, "hard": 0.1}
_DOMAINS = {
    "read": ("Single-Document QA", "Micro world: files read"),
    "shown": ("Code Repository Understanding", "Micro world: command outputs"),
    "set": ("Long-dialogue History Understanding", "Micro world: tool calls"),
}


def write(directory: Path, n: int = 60, seed: int = 0) -> None:
    """Write ``n`` items of the split "eval" by seed: short, medium, long and easy, hard in turn."""
    rng = random.Random(f"{seed}/longbench_v2")
    rows = [
        _row(trace(rng, WORDS[length], "eval", filler=FILLER[difficulty]), length, difficulty)
        for difficulty, length in islice(cycle(product(FILLER, WORDS)), n)
    ]
    folder = directory / "longbench_v2"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.json").write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))


def _row(shown: Trace, length: str, difficulty: str) -> dict[str, Any]:
    domain, sub_domain = _DOMAINS[shown.kind]
    choices = {f"choice_{LETTERS[i]}": text for i, text in enumerate(shown.options)}
    return {
        "_id": hashlib.sha256(shown.text.encode()).hexdigest()[:24],
        "domain": domain,
        "sub_domain": sub_domain,
        "difficulty": difficulty,
        "length": length,
        "question": shown.question,
        **choices,
        "answer": shown.letter,
        "context": shown.text,
    }
