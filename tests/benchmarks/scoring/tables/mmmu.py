"""MMMU: options, and open answers (MMMU-Benchmark/MMMU, ``mmmu/utils/eval_utils.py``).

The official program takes the last letter in brackets, else the last one between spaces, else the
last option's text of more than five words; open answers are looked for in the key phrases, numbers
after rounding to two decimals.  Where it would draw a letter nothing is read.
"""

from __future__ import annotations

from benchmarks.scoring import Target
from tests.benchmarks.scoring.tables import RIGHT, UNREAD, WRONG, Row

C = Target(
    "choice",
    "B",
    choices=("aortic dissection", "liver cancer", "liver abscess", "a loss of taste"),
    official="mmmu",
)
VITAMIN = Target("choice", "C", choices=("Vitamin A ", "Vitamin D", "A or D", "K"), official="mmmu")
OPEN = Target("text", "24/7", alternatives=("3.429",), precision=2, answer_type="open")
NAME = Target("text", "Bugs Bunny", precision=2, answer_type="open")

ROWS: list[Row] = [
    (C, "B", RIGHT),
    (C, "(B)", RIGHT),
    (C, "**Answer: B**", RIGHT),
    (C, "\\boxed{B}", RIGHT),
    (C, "B. liver cancer", RIGHT),
    (C, "(B) liver cancer", RIGHT),
    (C, "liver cancer", RIGHT),
    (C, "The correct answer is B, because (C) would look different.", RIGHT),
    (C, "The most likely diagnosis is liver cancer (B).", RIGHT),
    (C, "A scan was made. The diagnosis is liver cancer.", RIGHT),
    (C, "First comes (A) aortic dissection.\n\nLast comes (B) liver cancer.", RIGHT),
    (C, "The most likely diagnosis is liver cancer (B). Less likely is an abscess (C).", WRONG),
    (C, "First comes (B) liver cancer.\n\nLast comes (C) liver abscess.", WRONG),
    (C, "C", WRONG),
    (C, "The answer is (A).", WRONG),
    (C, "A loss of blood can be seen.", UNREAD),
    (C, "It may be (A) or (B).", WRONG),
    (C, "The figure does not give enough information.", UNREAD),
    (VITAMIN, "C", RIGHT),
    (VITAMIN, "(C) A or D", RIGHT),
    (VITAMIN, "C. A or D", WRONG),
    (VITAMIN, "A", WRONG),
    (OPEN, "24/7", RIGHT),
    (OPEN, "3.43", RIGHT),
    (OPEN, "The ratio is 3.429.", RIGHT),
    (OPEN, "7/24", WRONG),
    (OPEN, "The ratio is 3.5.", WRONG),
    (NAME, "It is Bugs Bunny.", RIGHT),
    (NAME, "Daffy Duck", WRONG),
]
