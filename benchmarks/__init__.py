"""What is measured: benchmarks, their prompts and their scorers.

`import_log` makes runs of another tool's log.
"""

from typing import TYPE_CHECKING

from harness import late

if TYPE_CHECKING:
    from benchmarks.imports.log_runs import import_log

__all__ = ["import_log"]
__getattr__ = late(__name__, {"import_log": "benchmarks.imports.log_runs"})
