"""MMMU-Pro: ten options, in the text or in the picture (MMMU-Benchmark, ``mmmu-pro/evaluate.py``).

The official program takes the only capital behind "Answer:"; else the last letter in brackets, else
a letter before a space, else one before a full stop.  So of "D. PIERRE-AUGUSTE RENOIR" it takes the
E before the space.
"""

from __future__ import annotations

from benchmarks.scoring import Target
from tests.benchmarks.scoring.tables import RIGHT, UNREAD, WRONG, Row

PAINTERS = (
    "CLAUDE MONET",
    "EDGAR DEGAS",
    "A self-portrait",
    "PIERRE-AUGUSTE RENOIR",
    "Sample B",
    "2.86 A",
    "Berthe Morisot",
    "a dealer",
    "TRUE",
    "none",
)
D = Target("choice", "D", choices=PAINTERS, official="mmmu_pro")
C = Target("choice", "C", choices=PAINTERS, official="mmmu_pro")
G = Target("choice", "G", choices=PAINTERS, official="mmmu_pro")
TWICE = Target("choice", "B", choices=("$3", "$5", "$5", "$7"), official="mmmu_pro")
PICTURE = Target("choice", "H", choices=("",) * 10, official="mmmu_pro")

ROWS: list[Row] = [
    (D, "D", RIGHT),
    (D, "D.", RIGHT),
    (D, "(D)", RIGHT),
    (D, "Answer: D", RIGHT),
    (D, "**Answer: D**", RIGHT),
    (D, "(D) PIERRE-AUGUSTE RENOIR", RIGHT),
    (D, "The answer is (D) PIERRE-AUGUSTE RENOIR.", RIGHT),
    (D, "D. PIERRE-AUGUSTE RENOIR", WRONG),
    (D, "The answer is:\n\nD. PIERRE-AUGUSTE RENOIR", WRONG),
    (D, "A. CLAUDE MONET", WRONG),
    (C, "C", RIGHT),
    (C, "A self-portrait is shown. The answer is C.", RIGHT),
    (C, "C. A self-portrait", WRONG),
    (G, "G. Berthe Morisot", RIGHT),
    (G, "A woman painted it.\n\n**G. Berthe Morisot**", RIGHT),
    (G, "G\n\nExplanation: D looks similar.", RIGHT),
    (G, "G. Berthe Morisot\n\nExplanation: D looks similar.", RIGHT),
    (G, "Sample B does not fit.\n\n**G. Berthe Morisot**", WRONG),
    (G, "Berthe Morisot", RIGHT),
    (G, "Answer: Berthe Morisot", RIGHT),
    (G, "Answer: D, G", WRONG),
    (G, "H. a dealer", WRONG),
    (TWICE, "B. $5", RIGHT),
    (TWICE, "C. $5", WRONG),
    (PICTURE, "H", RIGHT),
    (PICTURE, "H.", RIGHT),
    (PICTURE, "\\boxed{H}", RIGHT),
    (PICTURE, "Answer: H", RIGHT),
    (PICTURE, "A lens is shown. Answer: **H**", RIGHT),
    (PICTURE, "Answer: I", WRONG),
    (PICTURE, "I don't know who this is.", UNREAD),
    (PICTURE, "Answer: none of these", UNREAD),
]
