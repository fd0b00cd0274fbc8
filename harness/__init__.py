"""What runs: command line, engine, run store, backends, fingerprints.

`read_run` opens a stored run.  Nothing heavy is imported here: ``harness --help`` answers at once.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.reading import Run, read_run


def late(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__`` (PEP 562) for names by the modules that define them.

    They are imported when they are first used: a package's public face stays light.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    return get


__all__ = ["Run", "read_run"]
__getattr__ = late(__name__, dict.fromkeys(__all__, "harness.reading"))
