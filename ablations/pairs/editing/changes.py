"""Measure what an edit changed, without models: where, side effects, and style."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    Array = NDArray[Any]

LEVEL = 24.0
"""Grey levels (of 255), after a 3 x 3 median, from which a pixel has changed in a colour."""
MARGIN = 4
"""Pixels around the change that belong to its region: editors soften edges."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on an edit; see `Change`."""

    least: float = 0.0005
    most: float = 0.35
    outside: float = 0.9
    noise: float = 3.0
    blocks: float = 1.5


@dataclass(frozen=True, slots=True)
class Change:
    """Measures of an edit.

    ``share`` of the image lies in the region, the bounding box of the changed pixels with a margin.
    ``outside`` is the mean SSIM (Wang et al. 2004, 7 x 7, on grey) of the rest, in [-1, 1].
    ``noise`` is the residual of a 3 x 3 median in the edited region over that of the original, the
    larger of the ratio and its inverse.  ``blocks`` is the step between pixels on JPEG's grid over
    the others, edited against original.
    """

    share: float
    outside: float
    noise: float
    blocks: float

    def fault(self, limits: Limits) -> str | None:
        """Return what is wrong with the edit, None if nothing is."""
        if self.share < limits.least:
            return "nothing changed"
        if self.share > limits.most:
            return "more than a region changed"
        if self.blocks > limits.blocks:
            return "visible artefacts (JPEG blocks)"
        if self.outside < limits.outside:
            return "changed outside the region"
        if self.noise > limits.noise:
            return "another style (noise or sharpness)"
        return None

    def record(self) -> dict[str, float]:
        """Return the measures, rounded."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def change(original: Image.Image, edited: Image.Image) -> Change:
    """Measure an edit; both images must have the same size."""
    from scipy import ndimage
    from skimage.metrics import structural_similarity

    before, after = (np.asarray(image.convert("RGB"), float) for image in (original, edited))
    smooth = [ndimage.median_filter(pixels, (3, 3, 1)) for pixels in (before, after)]
    rows, columns = np.nonzero((np.abs(smooth[0] - smooth[1]) >= LEVEL).any(-1))
    if not rows.size:
        return Change(0.0, 1.0, 1.0, 1.0)
    box = (_span(rows, before.shape[0]), _span(columns, before.shape[1]))
    inside = np.zeros(before.shape[:2], bool)
    inside[box] = True
    grey = [pixels.mean(-1) for pixels in (before, after)]
    window = min(7, *grey[0].shape) // 2 * 2 - 1 if min(grey[0].shape) < 7 else 7
    _, ssim = structural_similarity(*grey, data_range=255, win_size=max(3, window), full=True)
    noise = [_noise(pixels[box]) for pixels in grey]
    blocks = [_blocks(pixels) for pixels in grey]
    return Change(
        float(inside.mean()),
        float(ssim[~inside].mean()) if not inside.all() else 1.0,
        max(noise[0] / noise[1], noise[1] / noise[0]),
        blocks[1] / blocks[0],
    )


def _span(where: Array, size: int) -> slice:
    return slice(max(0, int(where.min()) - MARGIN), min(size, int(where.max()) + 1 + MARGIN))


def _noise(grey: Array) -> float:
    """Return the mean residual of a median; half a level is added, so that flat areas compare."""
    from scipy import ndimage

    return float(np.abs(grey - ndimage.median_filter(grey, 3)).mean()) + 0.5


def _blocks(grey: Array) -> float:
    """Return the mean step over the borders of JPEG's 8 x 8 blocks against all other steps."""
    ratios = []
    for pixels in (grey, grey.T):
        steps = np.abs(np.diff(pixels, axis=1)).mean(0)
        border = np.zeros(len(steps), bool)
        border[7::8] = True
        if border.any() and not border.all():
            ratios.append((steps[border].mean() + 0.5) / (steps[~border].mean() + 0.5))
    return float(np.mean(ratios)) if ratios else 1.0
