"""Pages, tables and figures of a run, a comparison or a study: HTML, LaTeX, CSV, SVG.

No statistics are computed here: every number comes from the records of the layers below.
"""

from typing import TYPE_CHECKING

from harness import late

if TYPE_CHECKING:
    from reports.output import write

__all__ = ["write"]
__getattr__ = late(__name__, {"write": "reports.output"})
