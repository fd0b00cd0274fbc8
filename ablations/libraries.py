"""Importing this loads what our commands load late: the fork server of `ablations/preloaded.py`.

TRL loads its parts when they are named, so the module that names them is loaded.
"""

from __future__ import annotations

import contextlib
import importlib

for _name in ("torch", "transformers", "datasets", "lmms_eval.tasks", "ablations.stages"):
    with contextlib.suppress(ImportError):  # the command that needs it says so
        importlib.import_module(_name)
