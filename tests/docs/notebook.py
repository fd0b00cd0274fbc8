"""Runs a notebook's cells as Jupyter would, without Jupyter.

`python -m tests.docs.notebook docs/api.ipynb` records what they print.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def outputs(notebook: Path) -> list[str]:
    """Run all cells of code in order and return what each prints, its last value included."""
    names: dict[str, Any] = {}
    printed = []
    for cell in _code(json.loads(notebook.read_text(encoding="utf-8"))):
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream):
            exec(compile(tree, notebook.name, "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), notebook.name, "eval"), names)
                print(value)
        printed.append(stream.getvalue())
    return printed


def recorded(notebook: Path) -> list[str]:
    """Return what the cells of code printed when the notebook was written."""
    cells = _code(json.loads(notebook.read_text(encoding="utf-8")))
    return ["".join("".join(each["text"]) for each in cell["outputs"]) for cell in cells]


def _code(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in document["cells"] if cell["cell_type"] == "code"]


def record(notebook: Path) -> None:
    """Write what the cells print into the notebook."""
    document = json.loads(notebook.read_text(encoding="utf-8"))
    for number, (cell, text) in enumerate(zip(_code(document), outputs(notebook), strict=True), 1):
        lines = text.splitlines(keepends=True)
        stream = {"name": "stdout", "output_type": "stream", "text": lines}
        cell |= {"execution_count": number, "outputs": [stream] if text else []}
    notebook.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
