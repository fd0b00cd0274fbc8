"""Lets ``import torchvision`` work where its compiled library does not fit the installed torch.

`setup_environment.py` copies this file into site-packages, where every Python process loads it, so
its top imports only what the interpreter has loaded already.  It acts only when torchvision is
imported and the library fails.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader

# torchvision 0.28 registers shape functions for nms and roi_align when it is imported, which fails
# unless the operators are declared; no vision-language model calls them.
OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor",
)
_declared: list[object] = []


def library_loads(package: str) -> bool:
    """Return whether the compiled library ``_C`` in the folder ``package`` loads into torch."""
    import torch

    from_here = PathFinder.find_spec("_C", [package])
    if from_here is None or from_here.origin is None:
        return False
    try:
        torch.ops.load_library(from_here.origin)
    except OSError:
        return False
    return True


def declare_operators() -> None:
    """Declare (without an implementation) those of `OPERATORS` that torch does not know yet."""
    import torch

    missing = [o for o in OPERATORS if not hasattr(torch.ops.torchvision, o.partition("(")[0])]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in missing:
        library.define(operator)
    # The declarations live as long as the library object.
    _declared.append(library)


class _Loader(SourceFileLoader):
    """Loads the package torchvision as ever, after a look at its library."""

    def exec_module(self, module: object) -> None:
        if not library_loads(str(self.path).rpartition("/")[0]):
            declare_operators()
        super().exec_module(module)  # type: ignore[arg-type]


class _Finder:
    """Answers for the name torchvision alone; every other import passes by."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Watch for the import of torchvision in this process."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
