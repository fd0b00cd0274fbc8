"""OlympiadBench physics: numbers with the official tolerance, expressions, equations, tuples.

Official rules (OpenBMB/OlympiadBench, ``inference/code/math_judger.py``, ``judge.py``): all boxes
joined by commas; lists matched in any order; numbers within the absolute ``error``, else exact;
expressions equal after simplification; equations equal up to a factor; intervals with their
brackets; units are asked for beside the answer and not compared.
"""

from __future__ import annotations

from benchmarks.scoring import Target
from tests.benchmarks.scoring.tables import RIGHT, UNREAD, WRONG, Row

PI = Target("math", "3.14", tolerance=0.1, answer_type="Numerical")
SPEED = Target("math", "$2.65 \\times 10^{5}$", unit="m/s", tolerance=1e4, answer_type="Numerical")
EXACT = Target("math", "$\\frac{3}{7}$", answer_type="Numerical")
HEIGHT = Target("math", "1.06", unit="m", tolerance=0.02, answer_type="Numerical")
FORMULA = Target("math", "$\\frac{m g}{k}\\left(1-e^{-k t / m}\\right)$", answer_type="Expression")
SQUARE = Target("math", "$v_{0}=\\sqrt{2 g h}$", answer_type="Expression")
LAW = Target("math", "$\\omega^{2} L C=1$", answer_type="Equation")
PAIR = Target("math", "$1.5,-0.5$", tolerance=0.01, answer_type="Numerical")
EACH = Target("math", "$10,0.5$", tolerances=(1.0, 0.01), answer_type="Numerical")
TUPLE = Target("math", "$(2, 3)$", answer_type="Tuple")
INTERVAL = Target("math", "$[0, \\pi)$", answer_type="Interval")

ROWS: list[Row] = [
    (PI, "\\boxed{3.1}", RIGHT),
    (PI, "\\boxed{3.14}", RIGHT),
    (PI, "\\boxed{\\pi}", RIGHT),
    (PI, "So the final answer is \\boxed{3.2}.", RIGHT),
    (PI, "So the final answer is $3.05$.", RIGHT),
    (PI, "\\boxed{3.3}", WRONG),
    (PI, "\\boxed{31.4}", WRONG),
    (PI, "\\boxed{314}", WRONG),
    (PI, "\\boxed{-3.14}", WRONG),
    (SPEED, "\\boxed{2.65 \\times 10^5}(m/s)", RIGHT),
    (SPEED, "\\boxed{2.7\\times 10^{5}\\ \\mathrm{m/s}}", RIGHT),
    (SPEED, "\\boxed{265000}", RIGHT),
    (SPEED, "The final speed is 265000 meters per second.", RIGHT),
    (SPEED, "The final speed is 265000 meters per hour.", WRONG),
    (SPEED, "\\boxed{2.6e5}", RIGHT),
    (SPEED, "\\boxed{265 \\text{ km/s}}", RIGHT),
    (SPEED, "\\boxed{2.65 \\times 10^{6}}", WRONG),
    (SPEED, "\\boxed{2.65 \\times 10^{-5}}", WRONG),
    (SPEED, "\\boxed{265 \\text{ m/s}}", WRONG),
    (EXACT, "\\boxed{\\frac{3}{7}}", RIGHT),
    (EXACT, "\\boxed{\\dfrac{6}{14}}", RIGHT),
    (EXACT, "\\boxed{3/7}", RIGHT),
    (EXACT, "\\boxed{0.43}", WRONG),
    (EXACT, "\\boxed{\\frac{7}{3}}", WRONG),
    (HEIGHT, "\\boxed{1.05\\,\\text{m}}", RIGHT),
    (HEIGHT, "\\boxed{106\\ \\mathrm{cm}}", RIGHT),
    (HEIGHT, "\\boxed{106}", WRONG),
    (HEIGHT, "\\boxed{1.06 \\text{ s}}", WRONG),
    (FORMULA, "\\boxed{\\frac{mg}{k}(1-e^{-\\frac{kt}{m}})}", RIGHT),
    (FORMULA, "\\boxed{v(t) = \\frac{mg}{k} - \\frac{mg}{k} e^{-kt/m}}", RIGHT),
    (FORMULA, "\\boxed{\\frac{mg}{k}(1-e^{kt/m})}", WRONG),
    (FORMULA, "\\boxed{\\frac{mg}{k}(1+e^{-kt/m})}", WRONG),
    (FORMULA, "\\boxed{\\frac{m}{k}(1-e^{-kt/m})}", WRONG),
    (SQUARE, "\\boxed{\\sqrt{2gh}}", RIGHT),
    (SQUARE, "\\boxed{v_0 = (2gh)^{1/2}}", RIGHT),
    (SQUARE, "\\boxed{\\sqrt{2}\\sqrt{g h}}", RIGHT),
    (SQUARE, "\\boxed{2\\sqrt{gh}}", WRONG),
    (SQUARE, "\\boxed{\\sqrt{gh}}", WRONG),
    (LAW, "\\boxed{LC\\omega^2 = 1}", RIGHT),
    (LAW, "\\boxed{2 \\omega^2 L C - 2 = 0}", RIGHT),
    (LAW, "\\boxed{\\omega L C = 1}", WRONG),
    (PAIR, "\\boxed{1.5, -0.5}", RIGHT),
    (PAIR, "\\boxed{-0.5, 1.5}", RIGHT),
    (PAIR, "The two roots are \\boxed{1.5} and \\boxed{-0.5}.", RIGHT),
    (PAIR, "\\boxed{1.5}", WRONG),
    (PAIR, "\\boxed{1.5, 0.5}", WRONG),
    (PAIR, "\\boxed{0.5 \\pm 1}", RIGHT),
    (EACH, "\\boxed{10.8, 0.505}", RIGHT),
    (EACH, "\\boxed{10, 0.6}", WRONG),
    (TUPLE, "\\boxed{(2,3)}", RIGHT),
    (TUPLE, "\\boxed{(3,2)}", WRONG),
    (INTERVAL, "\\boxed{[0,\\pi)}", RIGHT),
    (INTERVAL, "\\boxed{[0,\\pi]}", WRONG),
    (INTERVAL, "\\boxed{(0,\\pi)}", WRONG),
    (PI, "The problem gives no numbers.", UNREAD),
    (PI, "", UNREAD),
    (FORMULA, "See the derivation above.", UNREAD),
]
