"""Laws of the scorers: frames keep an answer, wrong letters stay wrong, nothing hangs."""

from __future__ import annotations

from typing import get_args

from hypothesis import assume, example, given
from hypothesis import strategies as st

from benchmarks.scoring import Target, score
from benchmarks.scoring.target import Program
from tests.benchmarks.scoring.pace import is_slow, load, takes_long
from tests.examples import examples

OPTIONS = (
    "Florida",
    "a green kite",
    "It stays at rest.",
    "12 cm",
    "Vincent van Gogh",
    "photosynthesis",
)

# Frames around a letter, as models of several houses and languages write them.
LETTER_FRAMES = (
    "{}",
    "({})",
    "[{}]",
    "{}.",
    "{})",
    "**{}**",
    "`{}`",
    "$\\boxed{{{}}}$",
    "\\boxed{{({})}}",
    "\\boxed{{\\text{{{}}}}}",
    "\\boxed{{\\mathbf{{{}}}}}",
    "\\(\\boxed{{{}}}\\)",
    "Answer: {}",
    "Answer: ({})",
    "**Answer:** {}",
    "**Answer: {}**",
    "The answer is {}.",
    "The answer is: {}",
    "The correct answer is ({}).",
    "The correct option is {}.",
    "Final answer: {}",
    "answer: {}",
    "I would choose option {}.",
    "Therefore, the answer is **{}**.",
    "So the answer is {}",
    "<answer>{}</answer>",
    "### Final Answer\n\n**{}**",
    "The best answer is: {}",
    "Option {}",
    "答案：{}",
    "答案是{}。",
    "正确答案是（{}）。",
    "Ａｎｓｗｅｒ：{}",
    "Réponse : {}",
    "Antwort: {}",
    "{} is the correct answer.",
    "Option {} is correct.",
    "The correct choice is:\n\n({})",
    "<|im_start|>{}<|im_end|>",
    "<s> {}",
    '{{"answer": "{}"}}',
)
BEFORE = (
    "",
    "Let us look at the picture. ",
    "A dog is near a bus.\n\n",
    "Based on the image, ",
    "<think>It could be A, B, C or D. The answer is B? No.</think>",
    "I think about it. ",
    "Both are possible at first sight.\n",
    "Each option is considered in turn.\n\n",
    "Step 1: Count.\nStep 2: Compare.\n\n",
)
AFTER = (
    "",
    "\n",
    "  ",
    "\n\nI hope this helps! Let me know if you have any questions.",
    "<|eot_id|>",
)

# The laws hold whichever official program an accepted answer has to stand.
programs = st.sampled_from((None, *get_args(Program)))
letters = st.integers(0, len(OPTIONS) - 1).map(lambda index: chr(ord("A") + index))


@given(
    letters,
    letters,
    st.sampled_from(LETTER_FRAMES),
    st.sampled_from(BEFORE),
    st.sampled_from(AFTER),
    programs,
)
@examples(1200)
def test_frames_keep_a_letter(
    said: str, right: str, frame: str, before: str, after: str, program: Program | None
) -> None:
    """A framed letter is read, whatever stands around it: right if right, wrong if wrong."""
    sentence_start = not before or before.endswith((".", " ", "\n", ">"))
    text = before + frame.format(said) + after if sentence_start else frame.format(said)
    bare = LETTER_FRAMES.index(frame) < 7 or "<" in frame[:2]
    if before and bare and not before.endswith(("\n", ">")):
        text = before.rstrip(", ") + "\n\n" + frame.format(said) + after
    given_ = score(text, Target("choice", right, choices=OPTIONS, official=program))
    assert (given_.prediction, given_.value) == (said, float(said == right)), text


# Frames around a letter with its option's text.
TEXT_FRAMES = (
    "{}",
    "**{}**",
    "The answer is {}.",
    "The correct answer is: {}",
    "Answer: {}",
    "**Answer:** {}",
    "\\boxed{{{}}}",
    "\\boxed{{\\text{{{}}}}}",
    "Therefore, the answer is {}.",
    "<answer>{}</answer>",
    "答案：{}",
    "The correct option is:\n\n{}",
    "Final answer: **{}**",
)


@given(
    letters,
    letters,
    st.sampled_from(TEXT_FRAMES),
    st.sampled_from(("({}) {}", "{}. {}", "{}: {}", "{}) {}", "{} {}")),
    st.sampled_from(BEFORE),
    st.sampled_from(AFTER),
    programs,
)
@examples(1200)
def test_letter_with_its_text(
    said: str, right: str, frame: str, form: str, before: str, after: str, program: Program | None
) -> None:
    """A letter with its own option's text is that option."""
    stated = frame.format(form.format(said, OPTIONS[ord(said) - ord("A")]))
    text = (f"{before.rstrip(', ')}\n\n" if before else "") + stated + after
    given_ = score(text, Target("choice", right, choices=OPTIONS, official=program))
    assert (given_.prediction, given_.value) == (said, float(said == right)), text


@given(
    letters,
    letters,
    st.sampled_from(("{}", "{}.", "The answer is {}.", "**{}**", "Answer: {}")),
    programs,
)
@examples(400)
def test_option_text_alone(said: str, right: str, frame: str, program: Program | None) -> None:
    option = OPTIONS[ord(said) - ord("A")]
    # MathVision's program credits no value with a unit.
    assume(program != "mathvision" or option != "12 cm")
    text = frame.format(option)
    given_ = score(text, Target("choice", right, choices=OPTIONS, official=program))
    assert (given_.prediction, given_.value) == (said, float(said == right)), text


REASONS = (
    "because option {other} is too small.",
    "since ({other}) does not fit.",
    "\n\nExplanation: {other} looks similar but is wrong.",
    "\n\nThe other options, such as {other}, are less likely.",
)


@given(
    letters,
    letters,
    st.sampled_from(("The answer is {}", "{}")),
    st.booleans(),
    st.sampled_from(REASONS),
    programs,
)
@examples(600)
def test_trailing_reasoning(
    said: str, other: str, frame: str, named: bool, reason: str, program: Program | None
) -> None:
    """What is said of other options behind an answer does not change it."""
    separator = " " if frame != "{}" or reason.startswith("\n") else ", "
    stated = f"({said}) {OPTIONS[ord(said) - ord('A')]}" if named else said
    text = frame.format(stated) + separator + reason.format(other=other)
    given_ = score(text, Target("choice", said, choices=OPTIONS, official=program))
    assert (given_.prediction, given_.value) == (said, 1.0), text


NUMBER_FRAMES = (
    "{}",
    "{}.",
    "**{}**",
    "\\boxed{{{}}}",
    "$\\boxed{{{}}}$",
    "${}$",
    "\\({}\\)",
    "Answer: {}",
    "The answer is {}.",
    "The answer is $\\boxed{{{}}}$.",
    "Therefore, x = {}.",
    "= {}",
    "So the final answer is {}",
    "<answer>{}</answer>",
    "答案是{}。",
    "The result is **{}**.",
    "There are {} of them.",
    "The total is {} units.",
    "We get {}",
    "#### {}",
)


@given(st.integers(-10_000, 10_000), st.integers(-10_000, 10_000), st.sampled_from(NUMBER_FRAMES))
@examples(400)
def test_frames_keep_a_number(said: int, right: int, frame: str) -> None:
    text = frame.format(said)
    given_ = score(text, Target("math", str(right), precision=2, official="mathvision"))
    assert (given_.status, given_.value) == ("scored", float(said == right)), text


@given(
    st.floats(-1000, 1000).map(lambda number: round(number, 2)),
    st.sampled_from(("{:.2f}", "{:.3f}", "{:.4f}0", "{:+.2f}")),
    st.sampled_from(NUMBER_FRAMES),
)
@examples(300)
def test_decimals(number: float, form: str, frame: str) -> None:
    """Trailing zeros and signs do not change a number; another last digit does."""
    target = Target("number", f"{number:.2f}", precision=2, answer_type="float")
    assert score(frame.format(form.format(number)), target).value == 1.0
    assert score(frame.format(form.format(number + 0.02)), target).value == 0.0


FRAGMENTS = (
    "\\boxed{",
    "}",
    "{",
    "(",
    ")",
    "[",
    "]",
    "$",
    "\\(",
    "\\)",
    "**",
    "answer is ",
    "Answer: ",
    "A",
    "B",
    "(C)",
    "I",
    "a ",
    "not ",
    "or ",
    "and ",
    "12",
    "3.5",
    "-",
    "+",
    "*",
    "/",
    "^",
    "_",
    "\\frac",
    "\\sqrt",
    "\\sin",
    "\\pm",
    "=",
    "<",
    "\\leq",
    ",",
    ".",
    "\n",
    "\n\n",
    " ",
    "\t",
    "!",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "```",
    "|",
    "π",
    "√",
    "°",
    "％",
    "（",
    "：",
    "²",
    "ten ",
    "is ",
    "the ",
    "option ",
    "e5",
    "10^",
    "\\text{",
    "cm",
    "\x00",
    "\u200b",
    "𝐁",
    "Ⓒ",
)
TARGETS = (
    Target("choice", "B", choices=OPTIONS),
    Target("choice", "J", choices=("",) * 10),
    Target("choice", "D", choices=OPTIONS, official="mathvision"),
    Target("choice", "C", choices=OPTIONS, official="mmmu"),
    Target("choice", "A", choices=OPTIONS, official="mmmu_pro"),
    Target("choice", "B", choices=OPTIONS, official="blink"),
    Target("math", "\\frac{\\sqrt{3}}{2}", precision=2, official="mathvision"),
    Target("math", "y=2x+1"),
    Target("math", "[0, 2)", answer_type="Interval"),
    Target("math", "1, -1", tolerance=0.1),
    Target("number", "5", precision=0, answer_type="integer"),
    Target("number", "46.3", unit="kN"),
    Target("text", "Bugs Bunny", alternatives=("24/7",)),
)


def soup() -> st.SearchStrategy[str]:
    """Texts made of the pieces that scorers look for, some repeated many times."""
    piece = st.tuples(st.sampled_from(FRAGMENTS), st.sampled_from((1, 1, 1, 2, 40, 3000)))
    pieces = st.lists(piece, max_size=25)
    return pieces.map(lambda parts: "".join(text * times for text, times in parts))


@given(st.one_of(soup(), st.text(max_size=300)), st.sampled_from(TARGETS))
@examples(1500)
@example("\\boxed{" * 5000, TARGETS[0])
@example("answer is " * 5000, TARGETS[0])
@example("<think>" * 50_000, TARGETS[0])
@example("\\boxed{" + "10^{" * 60 + "10" + "}" * 61, TARGETS[6])
@example("I" * 40 + "A $(x+1)^2+(y+3)^2=36$", TARGETS[0])
@example("\\boxed{" + "(" * 300 + ")" * 300 + "}", TARGETS[8])
@example("\\boxed{" + "1 \\pm " * 60 + "1}", TARGETS[9])
@example("\\boxed{" + "9" * 390 + "!}", TARGETS[6])
@example("Rows (A) a || (B) b.\nThe image is dark.\nThe sky is dark.", TARGETS[3])
def test_any_text_gives_a_score_in_time(text: str, target: Target) -> None:
    """No text crashes a scorer, makes it wait or gets anything but 0 or 1."""
    score("", target)
    assert not takes_long(text, target)
    given_ = score(text, target)
    assert given_.status in {"scored", "unparsable"}
    assert given_.value in {0.0, 1.0}
    assert given_.status == "scored" or given_.value == 0.0
    assert given_.why


def test_what_is_slow_is_seen() -> None:
    assert is_slow(lambda: [load() for _ in range(40)])
    assert not is_slow(load)
