r"""MathVision: options and free answers (mathvision-cuhk/MathVision, ``evaluation/evaluate.py``).

The official program takes the last box, or what follows "the answer is", out of it spaces,
``\text`` and degrees, and compares it with the letter, and with the option as text and as a number
of two decimals.  So it credits few units, and no letter that is set in bold beside its option.
"""

from __future__ import annotations

from benchmarks.scoring import Target
from tests.benchmarks.scoring.tables import RIGHT, UNREAD, WRONG, Row

AREA = Target(
    "choice",
    "C",
    choices=("$24 \\mathrm{~cm}^{2}$", "$36 \\mathrm{~cm}^{2}$", "$72 \\mathrm{~cm}^{2}$", "96"),
    official="mathvision",
)
HALF = Target(
    "choice",
    "B",
    choices=("$\\frac{1}{3}$", "$\\frac{1}{2}$", "$\\sqrt{2}$", "another value", "2"),
    official="mathvision",
)
NUMBER = Target("math", "12", precision=2, official="mathvision")
ROOT = Target("math", "$\\sqrt{2}$", precision=2, official="mathvision")

ROWS: list[Row] = [
    (AREA, "C", RIGHT),
    (AREA, "(C)", RIGHT),
    (AREA, "The answer is (C).", RIGHT),
    (AREA, "\\boxed{C}", RIGHT),
    (AREA, "\\boxed{\\text{(C)}}", RIGHT),
    (AREA, "$\\boxed{\\textbf{(C)}}$", RIGHT),
    (AREA, "(C) $72 \\mathrm{~cm}^{2}$", RIGHT),
    (AREA, "The answer is (C) $72 \\mathrm{~cm}^{2}$.", RIGHT),
    (AREA, "\\boxed{\\text{(C) }72 \\mathrm{~cm}^{2}}", RIGHT),
    (AREA, "\\boxed{72 \\text{ cm}^2}. Hence, the answer is (C).", RIGHT),
    (AREA, "C\n\nThe other areas are too small.", RIGHT),
    (AREA, "\\boxed{\\textbf{(C) } 72 \\text{ cm}^2}", WRONG),
    (AREA, "\\boxed{\\text{(C)}~72 \\mathrm{~cm}^{2}}", WRONG),
    (AREA, "\\boxed{72 \\mathrm{~cm}^2}", WRONG),
    (AREA, "72 cm^2", WRONG),
    (AREA, "\\boxed{B}", WRONG),
    (AREA, "\\boxed{\\textbf{(B) } 36 \\text{ cm}^2}", WRONG),
    (AREA, "(B) $72 \\mathrm{~cm}^{2}$", UNREAD),
    (HALF, "\\boxed{\\frac{1}{2}}", RIGHT),
    (HALF, "\\boxed{0.5}", RIGHT),
    (HALF, "1/2", RIGHT),
    (HALF, "The probability is $\\frac{1}{2}$.", RIGHT),
    (HALF, "\\boxed{\\text{(B)}\\ 1/2}", WRONG),
    (HALF, "\\boxed{\\mathrm{(B)}\\ \\frac{1}{2}}", WRONG),
    (HALF, "another value", WRONG),
    (HALF, "\\boxed{\\sqrt{2}}", WRONG),
    (HALF, "None of this can be seen in the picture.", UNREAD),
    (NUMBER, "\\boxed{12}", RIGHT),
    (NUMBER, "The answer is 12.", RIGHT),
    (NUMBER, "12 units", RIGHT),
    (NUMBER, "\\boxed{12^{\\circ}}", RIGHT),
    (NUMBER, "\\boxed{12.004}", RIGHT),
    (NUMBER, "\\boxed{12 \\text{ cm}}", WRONG),
    (NUMBER, "12 square inches", WRONG),
    (NUMBER, "12%", WRONG),
    (NUMBER, "\\boxed{12.01}", WRONG),
    (ROOT, "\\boxed{\\sqrt{2}}", RIGHT),
    (ROOT, "\\boxed{1.41}", RIGHT),
    (ROOT, "\\boxed{2}", WRONG),
    (ROOT, "I cannot see the figure.", UNREAD),
]
