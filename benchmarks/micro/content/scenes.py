"""Small drawn scenes: coloured discs in the cells of a grid, under noise.

A cell is 16 x 16 pixels, one visual token of the embedded model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from benchmarks.micro.content.splits import Split, draw_until, owner

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

COLOURS = {
    "red": (214, 40, 40),
    "green": (50, 160, 60),
    "blue": (45, 85, 210),
    "yellow": (235, 205, 60),
    "purple": (150, 60, 190),
    "orange": (240, 140, 50),
    "cyan": (70, 200, 215),
    "black": (35, 35, 35),
}
SIZES = {"large": 7.0, "small": 4.0}  # radius in pixels
CELL = 16
GROUND = 205
FRAME = 20


@dataclass(frozen=True, slots=True)
class Noise:
    """How hard a scene is to see: standard deviations in grey levels (of 255).

    ``jitter`` shifts the colour of a whole cell, which no averaging over pixels removes; ``pixel``
    is drawn anew for every pixel and channel.
    """

    jitter: float
    pixel: float


NOISE = Noise(jitter=26.0, pixel=30.0)


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """A disc in one cell (row and column count from 0 at the top left)."""

    row: int
    column: int
    colour: str
    size: str

    @property
    def cell(self) -> str:
        """The name of its cell: a letter for the column, a number for the row, both from 1."""
        return cell_name(self.row, self.column)


@dataclass(frozen=True, slots=True)
class Scene:
    """Things in a grid of ``rows`` x ``columns`` cells, at most one in each, in reading order.

    ``framed`` is a cell with a dark frame.  ``seed`` draws the noise: scenes that differ in a thing
    alone have pictures that differ in its cell alone.
    """

    rows: int
    columns: int
    things: tuple[Thing, ...]
    seed: int
    framed: tuple[int, int] | None = None
    noise: Noise = NOISE

    def at(self, cell: str) -> Thing | None:
        """Return the thing in a cell, None where there is none."""
        return next((thing for thing in self.things if thing.cell == cell), None)

    @property
    def empty(self) -> tuple[str, ...]:
        """The names of the cells without a thing."""
        taken = {thing.cell for thing in self.things}
        every = (cell_name(r, c) for r in range(self.rows) for c in range(self.columns))
        return tuple(name for name in every if name not in taken)

    @property
    def content(self) -> str:
        """What decides the split that owns the scene: all but the noise and the frame."""
        return f"{self.rows}x{self.columns} " + " ".join(
            f"{t.cell}:{t.colour}:{t.size}" for t in self.things
        )

    def changed(self, old: Thing, *, colour: str = "", size: str = "") -> Scene:
        """Return the scene with another colour or size of one thing."""
        new = replace(old, colour=colour or old.colour, size=size or old.size)
        return replace(self, things=tuple(new if thing == old else thing for thing in self.things))

    def pixels(self) -> np.ndarray:
        """Return the picture, shape (rows x 16, columns x 16, 3), uint8."""
        import numpy as np

        height, width = self.rows * CELL, self.columns * CELL
        rng = np.random.Generator(np.random.PCG64(self.seed))
        shift = rng.standard_normal((self.rows, self.columns, 1, 1, 3)) * self.noise.jitter
        grain = rng.standard_normal((height, width, 3), dtype=np.float32) * self.noise.pixel
        cells = np.full((self.rows, self.columns, CELL, CELL, 3), GROUND, np.float32)
        for thing in self.things:
            at = thing.row, thing.column
            cells[at][_disc(thing.size)] = np.asarray(COLOURS[thing.colour]) + shift[at]
        if self.framed:
            cell = cells[self.framed]
            cell[[0, -1], :] = cell[:, [0, -1]] = FRAME
        picture = cells.transpose(0, 2, 1, 3, 4).reshape(height, width, 3) + grain
        drawn: np.ndarray = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        return drawn

    def draw(self) -> Image.Image:
        """Return the picture (PIL, RGB)."""
        from PIL import Image

        return Image.fromarray(self.pixels())


@dataclass(frozen=True, slots=True)
class Sheet:
    """A question in signs instead of text: a scene over a key of as many columns.

    A framed cell in the scene asks for its colour; a framed disc in the key asks how many things of
    its colour there are.  The other discs in the key are the options A, B, C ... in reading order.
    """

    picture: Scene
    key: Scene

    @property
    def rows(self) -> int:
        """The rows of cells, those of the key included."""
        return self.picture.rows + self.key.rows

    @property
    def columns(self) -> int:
        """The columns of cells."""
        return self.picture.columns

    @property
    def content(self) -> str:
        """What decides the split: the scene's content."""
        return self.picture.content

    def pixels(self) -> np.ndarray:
        """Return scene over key, shape (16 x all rows, 16 x columns, 3), uint8."""
        import numpy as np

        return np.vstack([self.picture.pixels(), self.key.pixels()])

    def draw(self) -> Image.Image:
        """Return the picture (PIL, RGB)."""
        from PIL import Image

        return Image.fromarray(self.pixels())


def sheet(
    picture: Scene, *, cell: str = "", colour: str = "", options: Sequence[str] = ()
) -> Sheet:
    """Return a scene with a question in signs: the colour in a cell, or how many of a colour."""
    framed = next(((t.row, t.column) for t in picture.things if t.cell == cell), None)
    discs = (colour, *options) if colour else tuple(options)
    columns = picture.columns
    things = tuple(
        Thing(1 + index // columns, index % columns, name, "large")
        for index, name in enumerate(discs)
    )
    rows = 1 + -(-len(discs) // columns)
    key = Scene(rows, columns, things, picture.seed ^ 1, (1, 0) if colour else None, picture.noise)
    return Sheet(replace(picture, framed=framed), key)


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell, as on a chessboard but from the top: ``b3`` is column 2, row 3."""
    return f"{'abcdefghij'[column]}{row + 1}"


@lru_cache
def _disc(size: str) -> np.ndarray:
    import numpy as np

    middle = (CELL - 1) / 2
    y, x = np.mgrid[:CELL, :CELL]
    disc: np.ndarray = (y - middle) ** 2 + (x - middle) ** 2 <= SIZES[size] ** 2
    return disc


def scene(
    rng: random.Random,
    split: Split,
    grid: tuple[int, int] = (3, 3),
    things: tuple[int, int] = (3, 7),
) -> Scene:
    """Return a scene of ``grid`` rows and columns that ``split`` owns, with a number of things."""

    def draw() -> Scene:
        cells = [(row, column) for row in range(grid[0]) for column in range(grid[1])]
        chosen = sorted(rng.sample(cells, rng.randint(*things)))
        drawn = (Thing(*cell, rng.choice([*COLOURS]), rng.choice([*SIZES])) for cell in chosen)
        return Scene(*grid, tuple(drawn), rng.getrandbits(32))

    return draw_until(draw, lambda drawn: owner(drawn.content) == split)


def scale(rng: random.Random, split: Split) -> Scene:
    """Return three scales, one a row, each of six marks with a ball of its own colour on one."""

    def draw() -> Scene:
        colours = rng.sample(list(COLOURS), 3)
        things = (
            Thing(row, rng.randrange(6), colour, rng.choice(list(SIZES)))
            for row, colour in enumerate(colours)
        )
        return Scene(3, 6, tuple(things), rng.getrandbits(32))

    return draw_until(draw, lambda drawn: owner(drawn.content) == split)


def strip(pictures: Sequence[Scene]) -> Image.Image:
    """Return scenes of equal height side by side (RGB), one empty cell apart."""
    from PIL import Image

    drawn = [picture.draw() for picture in pictures]
    width = sum(image.width + CELL for image in drawn) - CELL
    sheet = Image.new("RGB", (width, max(image.height for image in drawn)), (GROUND,) * 3)
    left = 0
    for image in drawn:
        sheet.paste(image, (left, 0))
        left += image.width + CELL
    return sheet


def page(question: str, options: Sequence[str], picture: Image.Image) -> Image.Image:
    """Return a picture with a question and its options written under it (RGB)."""
    from PIL import Image, ImageDraw, ImageFont

    lines = [question, *(f"{'ABCDEFGHIJ'[i]}. {text}" for i, text in enumerate(options))]
    font = ImageFont.load_default(10)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    width = max([picture.width, *(int(pen.textlength(line, font)) + 8 for line in lines)])
    sheet = Image.new("RGB", (width, picture.height + 14 * len(lines) + 4), "white")
    sheet.paste(picture, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for row, line in enumerate(lines):
        pen.text((4, picture.height + 14 * row), line, fill="black", font=font)
    return sheet
