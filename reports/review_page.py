"""A page for accepting or rejecting pairs; it saves the decisions as a file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablations.pairs.build import read_manifest
from ablations.pairs.review import uncertain
from benchmarks.pairs.file import parse_context
from reports.html import render_template


def render(folder: Path) -> str:
    """Return the page of the pairs awaiting a decision, with their images embedded."""
    rows = [_shown(row, folder) for row in uncertain(folder)]
    return render_template(
        "review", rows=rows, key=read_manifest(folder)["key"][:12], title=folder.resolve().name
    )


def _shown(row: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    judge = row.get("judge") or {}
    return {
        "id": row["id"],
        "query": row["query"],
        "answer": row["answer"],
        "reasons": ", ".join(judge.get("reasons") or ()),
        "explanation": judge.get("explanation") or "",
        "contexts": [
            (title, [_piece(piece) for piece in parse_context(row[name], folder, row["id"])])
            for title, name in (
                ("supports the answer", "context_positive"),
                ("does not", "context_negative"),
            )
        ],
    }


def _piece(piece: Any) -> dict[str, str]:
    if isinstance(piece, str):
        return {"text": piece}
    content = piece.read_bytes() if isinstance(piece, Path) else piece
    return {"image": f"data:image/png;base64,{base64.b64encode(content).decode()}"}
