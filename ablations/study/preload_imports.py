"""Preload our commands' late imports, for the fork server of `preloaded.py`.

TRL loads its parts lazily, so the module that names them is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal

for _name in ("torch", "transformers", "datasets", "lmms_eval.tasks", "ablations.training.stages"):
    if signal.SIGINT in signal.sigpending():  # blocked here, but meant to end the command
        os._exit(130)
    with contextlib.suppress(ImportError):  # the command that needs it reports it
        importlib.import_module(_name)
