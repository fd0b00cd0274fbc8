"""Write ``expected/`` from the installed code: done once, at commit 0bbc2f3, before the change.

``python -m tests.golden.record`` from the repository's root.  Not to be run again to make a test
pass: what it writes is what the old code said.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.golden import cases


def main(names: list[str]) -> None:
    """Record what the commands of these names say, or all."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data-root"
        cases.write_data(data)
        for name in names or cases.COMMANDS:
            folder = Path(place).resolve() / name
            folder.mkdir()
            cases.world(folder, data)
            os.chdir(folder)
            (cases.EXPECTED / f"{name}.json").write_text(text(cases.called(name)) + "\n")
            print(name)


def text(said: Any) -> str:
    """Return a document as JSON, with every list of objects one object a line."""
    if isinstance(said, dict):
        inside = ",\n".join(f"{json.dumps(key)}: {text(value)}" for key, value in said.items())
        return f"{{{inside}}}" if len(inside) > 1500 else json.dumps(said, ensure_ascii=False)
    if isinstance(said, list) and any(isinstance(one, dict) for one in said):
        return "[\n" + ",\n".join(map(text, said)) + "]"
    return json.dumps(said, ensure_ascii=False)


if __name__ == "__main__":
    main(sys.argv[1:])
