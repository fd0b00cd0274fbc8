"""What is compared: arms, pairs, objective, trainer, study, statistics.

`compare`, `compare_models` and `analyse` return what runs and studies say, as records.
"""

from typing import TYPE_CHECKING

from harness import late

if TYPE_CHECKING:
    from ablations.results import (
        Comparison,
        ModelsComparison,
        Report,
        analyse,
        compare,
        compare_models,
    )

__all__ = ["Comparison", "ModelsComparison", "Report", "analyse", "compare", "compare_models"]
__getattr__ = late(__name__, dict.fromkeys(__all__, "ablations.results"))
