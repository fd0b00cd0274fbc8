"""``python -m ablations.selftest PART NAME FOLDER GPUS OUT``: one trial, its finding in OUT."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from math import isfinite
from pathlib import Path

from harness.errors import UsageError, first_failure, first_line
from harness.files.atomic import write_json


def main(part: str, name: str, folder: Path, gpus: int, out: Path) -> None:
    """Run one trial and write its status, reason and figures."""
    try:
        measured = import_module(f"ablations.selftest.{part}").run(name, folder, gpus)
    except Exception as error:
        traceback.print_exc()
        error = first_failure(error)  # type: ignore[assignment]  # an Exception, too
        kind = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
        write_json(out, {"status": "failed", "reason": f"{kind}{first_line(error)}"})
        return
    figures = {
        label: {"value": value if isfinite(value) else None, "unit": unit}
        for label, (value, unit) in measured.figures.items()
    }
    status = "failed" if measured.wrong else "passed"
    write_json(out, {"status": status, "reason": "; ".join(measured.wrong), "figures": figures})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
