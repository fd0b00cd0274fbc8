"""What runs: command line, engine, run store, backends, fingerprints.

`read_run` opens a stored run.  Nothing heavy is imported here: ``harness --help`` answers at once.
"""

from typing import TYPE_CHECKING

from harness.late import late

if TYPE_CHECKING:
    from harness.reading import Run, read_run

__all__ = ["Run", "read_run"]
__getattr__ = late(__name__, dict.fromkeys(__all__, "harness.reading"))
