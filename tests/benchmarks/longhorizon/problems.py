"""Rows in LiveCodeBench's schema for tests, and data roots that hold them."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any


def packed(value: Any) -> str:
    """Pack as the release does: base64 of zlib of a pickle."""
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def row(
    name: str,
    public: list[tuple[str, str]],
    private: list[tuple[str, str]],
    function: str | None = None,
    **other: str,
) -> dict[str, str]:
    kind = "functional" if function else "stdin"
    listed = [
        json.dumps([{"input": i, "output": o, "testtype": kind} for i, o in tests])
        for tests in (public, private)
    ]
    return {
        "question_title": name,
        "question_content": f"Solve {name}.",
        "platform": "leetcode" if function else "atcoder",
        "question_id": name,
        "contest_id": "abc387",
        "contest_date": "2025-01-04T00:00:00",
        "starter_code": f"class Solution:\n    def {function}(self):\n        " if function else "",
        "difficulty": "easy",
        "public_test_cases": listed[0],
        "private_test_cases": packed(listed[1]),
        "metadata": json.dumps({"func_name": function} if function else {}),
        **other,
    }


def root(folder: Path, rows: list[dict[str, str]], file: str = "test6.jsonl") -> Path:
    """Write a release file and return the data root."""
    path = folder / "livecodebench_v6" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(fields) + "\n" for fields in rows))
    return folder
