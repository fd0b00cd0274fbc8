"""Values as models write them, row by row: a right answer, what equals it, what does not."""

from __future__ import annotations

import pytest

from benchmarks.scoring import Target, score

ROWS = [
    (Target("math", "3.5"), ["$3\\tfrac{1}{2}$", "\\boxed{\\frac72}"], []),
    (Target("math", "-3.5"), ["$-3\\dfrac12$"], []),
    (
        Target("math", "3"),
        [],
        [
            "The answer is negative 3.",
            "We obtain −3.",
            "So the value is -3.",
            "The temperature is minus three degrees.",
        ],
    ),
    (Target("math", "-3"), ["x = –3"], []),
    (Target("math", "30000000000"), ["3 x 10^{10}"], []),
    (Target("math", "0.015"), ["1.5 × 10^-2", "1.5 x 10^(-2)", "1.5e-2", "1.5·10⁻²"], []),
    (Target("math", "150"), [], ["1.5 × 10^-2"]),
    (Target("math", "3\\times10^8"), ["300,000,000", "3 × 10⁸ m/s", "3E8"], ["3 x 10^7"]),
    (
        Target("number", "12", precision=0, answer_type="integer"),
        ["12個", "共12只", "答案是12个。", "图中有12个苹果。"],
        ["负12", "13个"],
    ),
    (
        Target("math", "4186", unit="J/(kg K)", tolerance=10, answer_type="Numerical"),
        [
            "4186 J/kg/K",
            "4186 J kg^{-1} K^{-1}",
            "4.186 kJ/(kg·K)",
            "$4186\\ \\frac{\\mathrm{J}}{\\mathrm{kg\\cdot K}}$",
        ],
        ["4186 J/kg"],
    ),
    (
        Target("math", "9.8", unit="m/s^2", tolerance=0.1, answer_type="Numerical"),
        [
            "9.8 m/s²",
            "9.8\\,\\mathrm{m\\,s^{-2}}",
            "$9.8\\ \\frac{\\text{m}}{\\text{s}^2}$",
            "980 cm/s^2",
        ],
        ["9.8 m/s", "-9.8 m/s^2"],
    ),
    (
        Target("math", "5:00"),
        ["5:00", "05:00", "5:00 PM", "The clock shows 5:00."],
        ["5:30", "4:00"],
    ),
    (Target("number", "7", unit="years"), ["84 months", "7 years"], ["7 months", "7 and 14"]),
    (Target("number", "1970"), ["in 1970"], ["In the 1970s"]),
    (
        Target("number", "144"),
        ['```json\n{"final_answer": "144"}\n```', "final_answer: 144"],
        [
            '{"incorrect_answer": "144"}',
            '{"incorrect_answer": 144}',
            '{"wrong_final_answer": "144"}',
            '{"correct_answer": 12, "incorrect_answer": 144}',
            '{"answer": 12, "incorrect_answer": 144}',
            '{"answer": 12, "incorrect_final_answer": 144}',
            '{"rejected": 144}',
        ],
    ),
    (
        Target("number", "12"),
        [
            '{"correct_answer": 12, "incorrect_answer": 144}',
            '{"incorrect_answer": 144, "answer": 12}',
            "The answer is 12, and 3 of them are red.",
            "There are 12, and 4 are red.",
            "There are 12 and 3 are hidden.",
            "I count 12 and 1 more is cut off.",
            "The answer is **12**, and 12 is a multiple of 4.",
            "So the total is 12 and 12 is even.",
            "I count 12, and 2 of those are partially hidden.",
            "So x is 12, and 12 is my answer.",
            "The answer is 12 (it would have been 13 with the hidden one).",
        ],
        ["The roots are 12 and 14.", "They are 12 and 14 cubes.", "It is 12 und 14."],
    ),
    (
        Target("choice", "D", choices=("One", "Two", "Three", "Four")),
        ["4", "D: 4", "four", "The answer is 4."],
        ["3 or 4", "D: 3"],
    ),
    (
        Target("choice", "A", choices=("One", "Two", "Three", "Four")),
        ["1", "The answer is 1."],
        ["I cannot tell. There is 1 image.", "1. Look at the picture. It is unclear."],
    ),
    (Target("choice", "B", choices=("C > A > B", "A > C > B")), ["A > C > B"], ["B < A < C"]),
    (Target("math", "5:00 pm"), [], ["5:00 am"]),
    (Target("math", "7:45"), ["The time is 7:45."], []),
    (Target("math", "A"), ["\\boxed{\\textbf{A}}", "\\text{Point }A"], ["B", "Point B"]),
    (Target("math", "C"), ["$\\mathrm{C}$"], []),
    (Target("math", "0.5"), [".5 m"], []),
    (
        Target("math", "5"),
        ["|AB| = 5", "S_{\\triangle ABC}=5", "\\angle ABC = 5°", "AB=5\\text{ cm}"],
        ["x=.5"],
    ),
    (Target("math", ".75"), ["\\frac34"], ["75"]),
    (Target("math", "$.5$"), ["0.50"], []),
    (Target("math", "(1,2)"), ["P(1, 2)", "\\left(1, 2\\right)"], ["(2,1)", "x=2, y=1", "[1,2]"]),
    (Target("math", "x>2"), ["(2, \\infty)"], ["[2,\\infty)"]),
    (Target("math", "x \\ge 2"), ["[2, ∞)"], []),
    (Target("math", "x<-1"), ["(-∞, -1)"], []),
    (Target("math", "(2,\\infty)"), ["x > 2"], []),
    (Target("math", "-1<x<3"), ["(-1,3)"], []),
    (
        Target("math", "9"),
        ["9%", "√81", "3^2"],
        ["9\\sqrt{3}", "\\frac{9}{2}", "9x", "±9", "9 or -9", "9 million"],
    ),
    (Target("math", "\\pm 9"), ["9, -9"], []),
    (Target("math", "9000000"), ["9 million"], []),
    (Target("number", "45", precision=0, answer_type="integer"), ["45%"], []),
    (Target("number", "0", precision=0, answer_type="integer"), [], ["3%"]),
    (Target("number", "0.45", precision=2, answer_type="float"), ["45%"], []),
    (
        Target("number", "4", precision=0, answer_type="integer"),
        ["about 4.0", "4.9", "four"],
        ["forty", "minus four"],
    ),
    (Target("number", "14", precision=0, answer_type="integer"), ["fourteen"], []),
    (Target("number", "40", precision=0, answer_type="integer"), ["forty"], []),
    (Target("number", "-4", precision=0, answer_type="integer"), ["minus four"], []),
    (Target("text", "5", precision=2, answer_type="open"), ["5.00"], ["-5"]),
    (Target("text", "-5", precision=2, answer_type="open"), ["−5"], []),
    (Target("text", "$6", precision=2, answer_type="open"), ["6 dollars"], []),
    (
        Target("text", "24/7", alternatives=("3.429",), precision=2, answer_type="open"),
        ["3.43"],
        [],
    ),
    (Target("math", "30^\\circ"), ["30 degrees", "30°", "\\frac{\\pi}{6}"], ["60°"]),
    (Target("math", "\\frac{\\pi}{6}"), ["30°"], []),
    (Target("math", "3:4"), ["3 to 4", "6:8", "0.75"], ["4:3"]),
    (Target("math", "2\\sqrt{3}"), ["2√3", "sqrt(12)", "2\\sqrt{3} cm"], ["3.46"]),
    (Target("math", "12 cm"), ["12", "120 mm", "12cm"], ["12 m"]),
    (Target("math", "$1,250"), ["1250"], []),
    (Target("math", "-$1,250"), ["−$1,250"], ["$1,250"]),
    (Target("math", "$1.25 million"), ["1,250,000"], []),
    (Target("math", "\\frac{1}{900}"), ["1/900"], ["0.00111"]),
    (Target("math", "2^{10}"), ["2^10"], ["2^1"]),
    (Target("math", "1024"), ["2^10"], []),
    (Target("math", "20"), [], ["2^10"]),
    (Target("math", "x^2+2x+1"), ["(x+1)^2"], ["(x-1)^2"]),
    (Target("math", "v_0\\cos\\theta"), ["\\cos\\theta\\,v_0"], []),
    (Target("math", "mg\\sin\\theta"), ["mg sin θ"], ["-mg\\sin\\theta"]),
    (Target("math", "\\frac{mg}{2}", answer_type="Expression"), ["\\frac{1}{2}mg"], []),
    (
        Target("math", "\\frac{mv^2}{r}", answer_type="Expression"),
        ["m v^2 / r", "$F=\\frac{m v^{2}}{r}$"],
        [],
    ),
    (Target("math", "1, 3"), ["3 and 1"], ["1"]),
    (Target("math", "\\{1,3\\}"), ["{1, 3}"], []),
    (
        Target("math", "[0.2, 0.4]", answer_type="list"),
        ["[0.2, 0.4]", "The answer is [.2, .4]."],
        ["[0.4, 0.2]"],
    ),
    (Target("math", "\\ln 2"), ["ln(2)", "\\log_e 2"], []),
    (Target("math", "1,000"), ["1000", "1 000"], ["1"]),
    (Target("math", "1{,}000"), ["1,000"], []),
]


@pytest.mark.parametrize(("target", "right", "wrong"), ROWS)
def test_values(target: Target, right: list[str], wrong: list[str]) -> None:
    for answer in right:
        assert score(answer, target).value == 1.0, (answer, score(answer, target))
    for answer in wrong:
        assert score(answer, target).value == 0.0, (answer, score(answer, target))


@pytest.mark.parametrize(
    "denial", ["The answer is not {}.", "It isn't {}.", "Not {}.", "It is definitely not {}."]
)
@pytest.mark.parametrize("value", ["5", "-3", "0.25", "1,000"])
def test_a_denied_value_is_never_credited(denial: str, value: str) -> None:
    target = Target("number", value)
    assert score(denial.format(value), target).value == 0.0
    assert score(f"{denial.format('7')} It is {value}.", target).value == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "Anything but 5.",
        "They are 5 and 14 years old.",
        "5 and a half",
        "5 short of a dozen",
        "5 is too few.",
        "up to 5",
        "beyond 5",
        "There are more than just 5.",
        "from 5 up to 9",
        "\\boxed{9} (not \\boxed{5})",
        "It is definitely not going to be 5.",
        '{"answer": null, "tries": 5}',
        "The answer is 5. On re-reading the question, it asks for the double: 10.",
        "The answer is 5.\n\nUpdate: after recounting there are 6.",
        "<|python_tag|>count_objects(image, n=5)",
    ],
)
def test_a_value_that_is_denied_revised_or_passed_to_a_tool_is_wrong(text: str) -> None:
    assert score(text, Target("number", "5")).value == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "I am not sure; it might be Norway's, but Sweden seems the better guess.",
        'The caption says "Norway", which is a misprint for Finland.',
        "Hardly Norway.",
        "Norway. Or rather, Sweden.",
        "They confuse it with Norway; the country is Sweden.",
        "It lacks the features of Norway.",
        'country != "Norway"',
        '{"country": "Sweden", "previous_guess": "Norway"}',
        "Norway is only one of many options.",
        "Norway -- sorry, Sweden",
        "It is less Norway than Sweden.",
        '<function_call>search(query="Norway")</function_call>',
    ],
)
def test_a_name_that_is_doubted_or_passed_to_a_tool_is_wrong(text: str) -> None:
    assert score(text, Target("text", "Norway")).value == 0.0
