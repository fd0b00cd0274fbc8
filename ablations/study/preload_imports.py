"""Imports what our commands import late, for the fork server of `preloaded.py`.

TRL loads its parts when they are named, so the module that names them is loaded.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal

for _name in ("torch", "transformers", "datasets", "lmms_eval.tasks", "ablations.training.stages"):
    if signal.SIGINT in signal.sigpending():  # blocked here, and our commands are ended by it
        os._exit(130)
    with contextlib.suppress(ImportError):  # the command that needs it says so
        importlib.import_module(_name)
