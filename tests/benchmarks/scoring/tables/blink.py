"""BLINK: two to four options (zeyofu/BLINK_Benchmark, ``eval/test_benchmark.py``).

The official rule takes a response that is a letter, else the only bracketed letter between spaces
of the last paragraph or of all; bold hides a letter from it.  What it does not read a model reads.
"""

from __future__ import annotations

from benchmarks.scoring import Target
from tests.benchmarks.scoring.tables import RIGHT, UNREAD, WRONG, Row

SECOND = Target("choice", "A", choices=("the second image", "the third image"), official="blink")
POINT = Target("choice", "C", choices=tuple(f"Point {one}" for one in "ABCD"), official="blink")
YES = Target("choice", "B", choices=("yes", "no"), official="blink")

ROWS: list[Row] = [
    (SECOND, "A", RIGHT),
    (SECOND, "(A)", RIGHT),
    (SECOND, "(A) the second image", RIGHT),
    (SECOND, "**(A) the second image**", RIGHT),
    (SECOND, "The second image fits.\n\nSo, the answer is:\n\n**(A) the second image**", RIGHT),
    (SECOND, "(A) fits, (B) does not.\n\nSo, the answer is:\n\n(A) the second image", RIGHT),
    (SECOND, "\\boxed{A}", RIGHT),
    (SECOND, "The second image.", RIGHT),
    (SECOND, "Second image", RIGHT),
    (SECOND, "The second.", RIGHT),
    (SECOND, "The image.", UNREAD),
    (SECOND, "The third image (B) is blurred.\n\n**(A) the second image**", WRONG),
    (SECOND, "(B)", WRONG),
    (SECOND, "The third image", WRONG),
    (SECOND, "Both images are similar.", UNREAD),
    (POINT, "C", RIGHT),
    (POINT, "(C) Point C", RIGHT),
    (POINT, "Point C", RIGHT),
    (POINT, "The best match is Point C.", RIGHT),
    (POINT, "The answer is (C), as (A) and (B) are on the handle.", RIGHT),
    (POINT, "Point D", WRONG),
    (POINT, "(C) Point A", UNREAD),
    (POINT, "None of the points corresponds.", UNREAD),
    (YES, "No", RIGHT),
    (YES, "(B) no", RIGHT),
    (YES, "No, the cat is not on the mat.", RIGHT),
    (YES, "Yes", WRONG),
    (YES, "I'm sorry, I can't help with that.", UNREAD),
]
