"""Draws the pictures of docs/micro_world.md: ``python -m tests.benchmarks.micro.gallery docs``."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.micro.content import questions, traces
from benchmarks.micro.content.questions import LARGE, WIDE
from benchmarks.micro.content.scenes import CELL, Scene, Sheet
from benchmarks.micro.data import pairs

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

SCALE = 5
COLUMN, LINE, MARKED = 270, 18, (255, 233, 150)  # of a trace, in pixels; its decisive step's colour
Shown = tuple[Scene | Sheet, str]


def scenes() -> list[Shown]:
    """Return a scene of each kind with a question and its answer."""
    rng = random.Random(7)
    colour = questions.ask(rng, "eval", questions.colour_at)
    large = questions.ask(rng, "eval", questions.count_colour, grid=LARGE)
    scale = questions.distance(rng, "eval")
    wide = questions.ask(rng, "eval", questions.colour_at, grid=WIDE)
    signs = questions.in_signs(wide, wide.question.options)
    asked = (colour, large, scale)
    shown: list[Shown] = [(a.scenes[0], f"{a.question.text} {a.question.answer}") for a in asked]
    return [*shown, (signs, f"(the frame asks, the key lists) {wide.question.letter}")]


def image_pair() -> list[Shown]:
    """Return the two scenes of a contrastive pair with their answers."""
    made = pairs.scene_pair(random.Random(11), "pairs")
    return [
        (made.positive, f"C+  {made.query} {made.answer}"),
        (made.negative, f"C-  {made.query} {made.answer_negative}"),
    ]


def trajectory_pair() -> Image.Image:
    """Return the two traces of a contrastive pair side by side, the decisive step marked."""
    from PIL import Image, ImageDraw, ImageFont

    shown = traces.contrast(random.Random(5), 16, "pairs")
    font = ImageFont.load_default(13)
    height = max(trace.text.count("\n") for trace in shown) + 4
    sheet = Image.new("RGB", (2 * COLUMN, height * LINE), "white")
    pen = ImageDraw.Draw(sheet)
    for left, trace, name in zip((CELL, COLUMN), shown, ("C+", "C-"), strict=False):
        top = LINE // 2
        for place, step in enumerate(trace.steps):
            below = top + LINE * (step.count("\n") + 1)
            if place == trace.place:
                mark = (left - 4, top - 1, left + COLUMN - 2 * CELL, below - 1)
                pen.rectangle(mark, fill=MARKED, outline="black")
            pen.text((left, top), step, fill="black", font=font, spacing=LINE - 13)
            top = below
        caption = f"{name}  {trace.question} {trace.answer}"
        pen.text((left, top + LINE), caption, fill="black", font=font)
    return sheet


def drawn(row: list[Shown]) -> Image.Image:
    """Return pictures side by side, enlarged, each over its caption."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(13)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    large = []
    for shown, caption in row:
        image = shown.draw()
        image = image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.NEAREST)
        large.append((image, _broken(pen, font, caption, image.width)))
    height = max(image.height for image, _ in large)
    width = sum(image.width + CELL for image, _ in large) + CELL
    sheet = Image.new("RGB", (width, height + 4 * CELL), "white")
    pen, left = ImageDraw.Draw(sheet), CELL
    for image, caption in large:
        sheet.paste(image, (left, height - image.height + CELL // 2))
        pen.text((left, height + CELL), caption, fill="black", font=font)
        left += image.width + CELL
    return sheet


def _broken(pen: ImageDraw.ImageDraw, font: object, text: str, width: int) -> str:
    """Return text in lines of at most ``width`` pixels."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, font) <= width:  # type: ignore[arg-type]
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def main() -> None:
    """Write the pictures into the folder that is named."""
    folder = Path(sys.argv[1])
    drawn(scenes()).save(folder / "micro_scenes.png", optimize=True)
    drawn(image_pair()).save(folder / "micro_pair.png", optimize=True)
    trajectory_pair().save(folder / "micro_trajectory_pair.png", optimize=True)


if __name__ == "__main__":
    main()
