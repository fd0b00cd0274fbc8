"""What denies an answer in which language, and what gives none: cases, ranks, quoted formats."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.scoring import Target, score
from benchmarks.scoring.claims.denials import DENIALS, Denial
from tests.examples import examples

OPTIONS = ("red", "blue", "green", "black")
BLUE = Target("choice", "B", choices=OPTIONS)
# Letters of Latin script, as the rows of `DENIALS` are about B.
letters = st.sampled_from("BCD")


@pytest.mark.parametrize("row", DENIALS, ids=[row.language for row in DENIALS])
def test_every_language_denies_and_affirms(row: Denial) -> None:
    assert score(row.denied, BLUE).value == 0.0
    assert score(row.affirmed, BLUE).value == 1.0


@given(st.sampled_from(DENIALS), letters, letters)
@examples(200)
def test_a_denied_letter_changes_no_verdict_in_any_language(
    row: Denial, claimed: str, other: str
) -> None:
    assume(claimed != other)
    denial = row.denied.replace("B", other)
    for text in (f"{denial}\n\nAnswer: {claimed}", f"{denial} The answer is {claimed}."):
        given_ = score(text, Target("choice", claimed, choices=OPTIONS))
        assert (given_.prediction, given_.value) == (claimed, 1.0), text


@given(st.sampled_from(DENIALS), letters)
@examples(100)
def test_a_denied_letter_alone_is_no_answer_in_any_language(row: Denial, letter: str) -> None:
    """The reason names the denial that was passed over."""
    denial = row.denied.replace("B", letter)
    given_ = score(denial, Target("choice", letter, choices=OPTIONS))
    assert given_.status == "unparsable"
    assert "(passed over: " in given_.why


# Each kind: responses that choose B (blue), and responses that choose nothing or something else.
RIGHT = {
    "elimination": (
        "A and C are wrong. That leaves B.",
        "A, C and D are wrong. That leaves us with option B.",
        "A is too dark, C too pale, and D isn't there. So B it is.",
        "Only B remains.",
        "We are left with (B).",
        "The only option left is B.",
        "All but B can be excluded.",
        "Everything except B can be ruled out.",
        "The options A, C and D can be eliminated, leaving B.",
        "Since A, C and D are impossible, B must be correct.",
        "Not A, not C, not D: B.",
        "So it's B then.",
    ),
    "languages": (
        "Por lo tanto, la opción correcta es la **b)**.",
        "La respuesta no es A, es B.",
        "A resposta correta é a letra B.",
        "A alternativa correta é a B.",
        "L'opzione corretta è B.",
        "Die richtige Option ist B.",
        "Правильный вариант — B.",
        "答えはAではなくBです。",
        "정답은 A가 아니라 B입니다.",
        "正确的是B。",
    ),
    "brackets": ("Answer: B (blue)", "Answer: B = blue", "**B: blue**", "(B), i.e. blue."),
    "condition": (
        "If we look at the legend, the answer is B.",
        "If it were dark, it would be C; but it is blue, so the answer is B.",
    ),
    "marks": ("~~C~~ B", "A ❌\nB ✅\nC ❌\nD ❌"),
    "reasons": (
        "La respuesta es B porque no es roja.",
        "Die Antwort ist B, weil A nicht passt.",
        "C'est B, car A n'est pas bleu.",
        "B,因为A不是蓝色。",
        "Bです。Aではありません。",
        "C looks tempting, but it is too dark, so B.",
        "If I had to choose, B.",
        "Ich wähle B.",
    ),
    "first thought": (
        "My first answer was C. Having recounted, B it is.",
        "My earlier pick, C, overlooked the paint. Final: B",
        "My first answer was B, and after checking again I still say B.",
        "Option C is a decoy; the car is not green. B.",
    ),
    "announced": ("Chosen: B\nRunner-up: C", "**Final Decision:** B", "Decision: B"),
    "no refusal": ("I cannot see the legend well, e.g. its title, but the answer is B.",),
    "cut off": ("B\n\nThe car is not red, and the", "The answer is B. It is the only one that is"),
}
WRONG = {
    "elimination": ("That leaves B and C.", "A and B are wrong, so it must be C."),
    "least": (
        "B is the least likely answer.",
        "B is the worst choice.",
        "B is hardly plausible.",
        "B is anything but right.",
        "B is far from correct.",
        "Option B would be a poor answer.",
        "B is the odd one out, so not the answer.",
        "B is close, but D is closer to the truth.",
    ),
    "brackets": ("Final answer: B (green)", "Answer: B [green]", "Answer: B = red"),
    "condition": (
        "If the lamp is on the left, the answer is B; if it is on the right, the answer is C.",
        "The answer is B if it was taken in summer, otherwise C.",
        "If x > 0, the answer is B. Otherwise, the answer is C.",
        "In case the light is off, B; in case it is on, C.",
    ),
    "trap": (
        "The answer B is a trap.",
        "Option B is a red herring.",
        "B contradicts the picture, and so do A and D.",
        "Die Antwort B klingt verlockend, richtig ist jedoch A.",
    ),
    "first thought": (
        "My first answer was B. Having recounted, C it is.",
        "(B) was my initial guess. After zooming in, the correct one is (A).",
    ),
    "doubt": ("It is hard to say if the ball is blue.", "Its colour is less likely to be blue."),
    "quoted format": (
        'I can\'t view the image. I can reply in the format you asked for, e.g. "Answer: B".',
        "Please provide the picture (a reply would look like this: Answer: B).",
        "Sorry, I can't assist with that. A typical answer might be \\boxed{B}.",
    ),
    "rank": ("1. D\n2. B", "From most to least likely:\n1. C\n2. B\n3. A"),
    "list": ("(E) blue sky\n(F) light blue", "The answer is (A) red or (B) blue."),
    "cut off": (
        "The car is blue. Next we compare it with option B which",
        "The sky is blue. Now let us see the car. Therefore,",
        "A: It is not red.\nB: The car is",
    ),
    "marks": ("~~B~~ C", "B ❌\nC ✅"),
    "second": (
        "B is second best; the best is A.",
        "C > B > A > D in likelihood.",
        "Between B and C, I choose C.",
        "The answer key says B, but the picture shows green, so C.",
        '{"answer": null, "candidates": ["B"]}',
    ),
    "tool": ('<tool_call>\n{"name": "zoom", "arguments": {"label": "B"}}\n</tool_call>',),
}


@pytest.mark.parametrize("text", [text for texts in RIGHT.values() for text in texts])
def test_responses_that_choose(text: str) -> None:
    given_ = score(text, BLUE)
    assert (given_.prediction, given_.value) == ("B", 1.0), given_


@pytest.mark.parametrize("text", [text for texts in WRONG.values() for text in texts])
def test_responses_that_do_not_choose(text: str) -> None:
    assert score(text, BLUE).value == 0.0


TALLER = ("A is taller", "B is taller")
CARDS = ("the red card", "the blue card", "the green card", "the white card")
WAYS = ("north", "south")


@pytest.mark.parametrize(
    ("text", "choices", "letter"),
    [
        ("Going by the shadows, post A appears taller than post B.", TALLER, "A"),
        ("Post B, which stands by the gate, seems to be taller.", TALLER, "B"),
        ("I believe card A with the seal is most likely genuine.", CARDS, "A"),
        ("The red card is odd.\n\nOverall, the white card seems most likely genuine.", CARDS, "D"),
        ("It moves south past the pier. One can tell by the north wall.", WAYS, "B"),
        ("The red card (A) and the green card (C) are most likely genuine.", CARDS, "A, C"),
        ("The red card (A) is the least likely to be genuine.", CARDS, None),
        ('The post with tag "A" seems higher than the post labeled "B".', TALLER, "A, B"),
    ],
)
def test_an_option_named_by_its_content(
    text: str, choices: tuple[str, ...], letter: str | None
) -> None:
    assert score(text, Target("choice", "A", choices=choices)).prediction == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("There are 4 corners, so picture 6.", None),
        ("There are 4 corners, thus image 6.", None),
        ("There are 4 corners in picture 6.", "B"),
        ("4 minus 2 hidden ones.", "A"),
        ("6 minus 2 gives 4.", "B"),
        ("4 or more", None),
    ],
)
def test_a_count_on_the_way_to_a_numbered_option_chooses_none(
    text: str, letter: str | None
) -> None:
    assert score(text, Target("choice", "B", choices=("2", "4", "6", "8"))).prediction == letter


FIVE, NORWAY = Target("number", "5"), Target("text", "Norway")


@pytest.mark.parametrize(
    ("text", "target", "value"),
    [
        ("| Item | Count |\n|---|---|\n| cars | 3 |\n| vans | 2 |\n| **Total** | **5** |", FIVE, 1),
        ("It is 5, not 6.", FIVE, 1),
        ("It is not 6. It is 5.", FIVE, 1),
        ("Approximately 3.1416, i.e. 3.14.", Target("number", "3.14", precision=2), 1),
        ("The share is 0.25%.", Target("number", "0.25"), 0),
        ("The share is 25%.", Target("number", "0.25"), 1),
        ("\\begin{aligned}2x&=8\\\\x&=4\\end{aligned}", Target("math", "4"), 1),
        ("$$\\begin{align*}2x&=8\\\\x&=4\\end{align*}$$", Target("math", "8"), 0),
        ("5 (not 6)", FIVE, 1),
        ("The probability is 0.5 or 50%.", Target("number", "0.5"), 1),
        ("There are 5 cars, not counting the bus.", FIVE, 1),
        ("If there were 5, it would be full.", FIVE, 0),
        ("It is 5 or 6.", FIVE, 0),
        (">= 5", FIVE, 0),
        ("≥ 5", FIVE, 0),
        ("5 is wrong.", FIVE, 0),
        ("No son 5.", FIVE, 0),
        ("Ce n'est pas 5.", FIVE, 0),
        ("不是5。", FIVE, 0),
        ("I doubt that it is 5.", FIVE, 0),
        ("The answer is 5 if the shop is open, else 7.", FIVE, 0),
        ("Each side is 5, so the area is 5 \\cdot", FIVE, 0),
        ("x >= 5", Target("math", "x \\ge 5"), 1),
        ("half of 5", FIVE, 0),
        ("5 squared", FIVE, 0),
        ("5 squared", Target("number", "25"), 1),
        ("Half of 10 is 5.", FIVE, 1),
        ("yes and no", Target("text", "yes"), 0),
        ("It is Sweden, which borders Norway.", NORWAY, 0),
        ("The flag of Sweden looks like that of Norway.", NORWAY, 0),
        ("It is Norway, which borders Sweden.", NORWAY, 1),
        ("It is Norway, not Sweden.", NORWAY, 1),
        ("This is the flag of Norway 🇳🇴.", NORWAY, 1),
        ("The answer is Sweden. Wait, it is Norway.", NORWAY, 1),
        ("The answer is Norway. Wait, it is Sweden.", NORWAY, 0),
        ("The flag could be that of Norway, Denmark or Iceland.", NORWAY, 0),
        ("Norway, Sweden, Iceland", NORWAY, 0),
        ("It is not the flag of Norway.", NORWAY, 0),
        ("The sign says STOP AHEAD.", Target("text", "STOP"), 0),
        ('The sign says "STOP".', Target("text", "STOP"), 1),
        ("New York Times", Target("text", "New York"), 0),
        ("It is the New York skyline.", Target("text", "New York"), 1),
        ("Não é um gato, é um cachorro.", Target("text", "gato"), 0),
        ("Es un gato, no un perro.", Target("text", "gato"), 1),
        ("It was taken on 4 July 1999.", Target("text", "July 4, 1999"), 1),
        ("July 5th, 1999", Target("text", "July 4, 1999"), 0),
    ],
)
def test_values_and_words(text: str, target: Target, value: int) -> None:
    given_ = score(text, target)
    assert given_.value == value, given_


DENYING = (
    "The answer is not {}.",
    "The answer isn't {}.",
    "The answer is neither {} nor another.",
    "The answer is no longer {}.",
    "The answer is definitely not going to be {}.",
    "The final answer is certainly not the obvious {}.",
    "I would not say the answer is {}.",
    "I cannot conclude that the answer is {}.",
    "The correct answer cannot be {}.",
    "Although {} is close, no.",
    "While {} is possible, nothing is sure.",
)


@pytest.mark.parametrize("frame", DENYING)
@pytest.mark.parametrize("gold", ["5", "2x", "\\sqrt{3}", "2\\pi", "x^2 + 1"])
def test_a_denied_expression_is_no_answer(frame: str, gold: str) -> None:
    target = Target("math", gold)
    for written in (gold, f"${gold}$"):
        text = frame.format(written)
        given_ = score(text, target)
        assert given_.value == 0.0, (text, given_.why)
        assert score(f"{text} The answer is ${gold}$.", target).value == 1.0


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("It is not 2x but 3x.", "3x"),
        ("While the total is 12, 7 are red, so 5 remain.", "5"),
        ("Although the figure is not to scale, x = 5.", "5"),
        ("I do not think it is 4; it is 5.", "5"),
        ("It is not clear, but I would say 5.", "5"),
        ("The area is not 2\\pi r but \\pi r^2.", "\\pi r^2"),
    ],
)
def test_what_stands_beside_a_denial_is_read(text: str, gold: str) -> None:
    assert score(text, Target("math", gold)).value == 1.0


@given(
    st.sampled_from((("5", "number"), ("7", "math"), ("Norway", "text"))),
    st.sampled_from(("6", "Sweden")),
    st.sampled_from(("It is not {}.", "Not {}.", "It isn't {}.", "No es {}.", "不是{}。")),
)
@examples(60)
def test_a_denied_value_changes_no_verdict(gold: tuple[str, str], other: str, denial: str) -> None:
    """Of numbers, expressions and words, too; the reason names what was passed over."""
    answer, kind = gold
    target = Target(kind, answer)  # type: ignore[arg-type]
    assert score(f"{denial.format(other)} The answer is {answer}.", target).value == 1.0
    alone = score(denial.format(answer), target)
    assert (alone.value, denial.format(answer)[:-1] in alone.why) == (0.0, True)
