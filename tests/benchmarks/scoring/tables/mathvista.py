"""MathVista: options given as text, integers, decimals and lists (lupantech/MathVista).

Official rules (``evaluation/extract_answer.py``, ``calculate_score.py``): a model extracts the
answer; an integer is cut (``int(float(x))``), a float rounded to ``precision`` decimals; a list is
compared as text; a letter stands for its option.
"""

from __future__ import annotations

from benchmarks.scoring import Target
from tests.benchmarks.scoring.tables import RIGHT, UNREAD, WRONG, Row

YES = Target("choice", "B", choices=("Yes", "No"))
PLACE = Target("choice", "C", choices=("4", "8", "3", "2"))
ANGLE = Target("choice", "B", choices=("40°", "50°", "80°", "100°"))
BAR = Target("choice", "C", choices=("Norway", "Sweden", "Iceland"))
MORE = Target("choice", "C", choices=("more than 5", "less than 5", "exactly 5"))
ORDER = Target("choice", "A", choices=("red followed by blue", "blue followed by red"))
TALLER = Target("choice", "A", choices=("taller than Bob", "shorter than Bob"))
COUNT = Target("number", "5", precision=0, answer_type="integer")
PRICE = Target("number", "1.2", precision=1, answer_type="float")
LIST = Target("math", "[0, 2, 0, 2, 1, 7, 1, 2, 0, 3, 0, 6]", answer_type="list")

ROWS: list[Row] = [
    (COUNT, "There are 3 cars and 2 trucks, so 5 vehicles in total.", RIGHT),
    (COUNT, "There are 5 cars and 3 trucks, so 8 vehicles in total.", WRONG),
    (COUNT, "We start with 5 cars. Take 2 away → 3. Take 1 more → 2 left.", UNREAD),
    (COUNT, "It starts at 5. Then it rises steadily.", RIGHT),
    (COUNT, "a 5 by 7 grid", WRONG),
    (COUNT, "Answer: 5 (wrong)", UNREAD),
    (COUNT, "She has 7 apples and gives away 2, leaving 5.", RIGHT),
    (YES, "B", RIGHT),
    (YES, "(B) No", RIGHT),
    (YES, "No", RIGHT),
    (YES, "No, there are fewer metal cars.", RIGHT),
    (YES, "The answer is no.", RIGHT),
    (YES, "The answer is no because the largest is 9.", RIGHT),
    (YES, "The answer is yes because the largest is 9.", WRONG),
    (BAR, "Iceland tops the chart, followed by Norway.", RIGHT),
    (BAR, "Norway, followed by Iceland.", WRONG),
    (BAR, "Norway is followed by Iceland.", RIGHT),
    (BAR, "Iceland is followed by Norway.", WRONG),
    (BAR, "The opposite of Norway is Iceland.", RIGHT),
    (BAR, "The opposite of Iceland is Norway.", WRONG),
    (BAR, "The painting depicts the myth of Iceland.", RIGHT),
    (BAR, "Anyone who reads the chart would say Iceland.", RIGHT),
    (BAR, "It's Norway that is shown, else it would be Iceland.", WRONG),
    (MORE, "The answer is exactly 5, compared with more than 5.", RIGHT),
    (MORE, "It is more than 5.", WRONG),
    (ORDER, "It is red followed by blue.", RIGHT),
    (ORDER, "It is blue followed by red.", WRONG),
    (TALLER, "He is taller than Bob.", RIGHT),
    (TALLER, "He is shorter than Bob.", WRONG),
    (YES, "Yes", WRONG),
    (YES, "(A)", WRONG),
    (YES, "There are more metal cars in the picture.", UNREAD),
    (PLACE, "C", RIGHT),
    (PLACE, "The answer is (C) 3.", RIGHT),
    (PLACE, "The answer is 3.", RIGHT),
    (PLACE, "\\boxed{3}", RIGHT),
    (PLACE, "3", RIGHT),
    (PLACE, "The answer is 4.", WRONG),
    (PLACE, "(C) 4", UNREAD),
    (ANGLE, "50°", RIGHT),
    (ANGLE, "\\boxed{50^\\circ}", RIGHT),
    (ANGLE, "The angle is 50 degrees, so the answer is B.", RIGHT),
    (ANGLE, "The angle is 80°.", WRONG),
    (COUNT, "5", RIGHT),
    (COUNT, "The answer is 5.", RIGHT),
    (COUNT, "There are five bars in the picture.", RIGHT),
    (COUNT, "5.7", RIGHT),
    (COUNT, "\\boxed{5}", RIGHT),
    (COUNT, "6", WRONG),
    (COUNT, "The answer is 15.", WRONG),
    (COUNT, "I cannot count them.", UNREAD),
    (PRICE, "1.2", RIGHT),
    (PRICE, "The spring is compressed by 1.22 cm.", RIGHT),
    (PRICE, "\\boxed{1.20}", RIGHT),
    (PRICE, "1.31", WRONG),
    (PRICE, "12", WRONG),
    (PRICE, "It is not possible to determine this.", UNREAD),
    (LIST, "[0, 2, 0, 2, 1, 7, 1, 2, 0, 3, 0, 6]", RIGHT),
    (LIST, "The list is [0, 2, 0, 2, 1, 7, 1, 2, 0, 3, 0, 6].", RIGHT),
    (LIST, "[0, 2, 0, 2, 1, 7, 1, 2, 0, 3, 6, 0]", WRONG),
    (LIST, "[0, 2]", WRONG),
]
