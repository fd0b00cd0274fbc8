"""The benchmarks' prompts, exactly as the adapters send them (a test compares them).

The embedded model's tokenizer has one token for each fixed sentence, which keeps prompts short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain

LETTERS = "ABCDEFGHIJ"
# Where a picture stands in a prompt; without any mark the pictures stand first.
PICTURE = "<picture>"


VISTA_HINTS = {
    "text": "Hint: Please answer the question and provide the correct option letter, e.g., A, B, "
    "C, D, at the end.",
    "integer": "Hint: Please answer the question requiring an integer answer and provide the final "
    "value, e.g., 1, 2, 3, at the end.",
    "float1": "Hint: Please answer the question requiring a floating-point number with one decimal "
    "place and provide the final value, e.g., 1.2, 1.3, 1.4, at the end.",
    "float2": "Hint: Please answer the question requiring a floating-point number with two decimal "
    "places and provide the final value, e.g., 1.23, 1.34, 1.45, at the end.",
    "list": "Hint: Please answer the question requiring a Python list as an answer and provide the "
    "final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.",
}
VERSE = "Please directly answer the question"
VERSE_SEEN = f"According to the question shown in the image, {VERSE[0].lower()}{VERSE[1:]}"
VERSE_LETTER = " and provide the correct option letter, e.g., A, B, C, D"
VISION_LEAD = 'Please solve the problem step by step and put your answer in one "\\boxed{}".'
VISION_IMAGE = "\n<image1>"
VISION_END = "\nAnswer the question with the option's letter from the given choices directly."
MMMU_PRO_END = "\n\nAnswer with the option letter from the given choices directly."
MMMU_PRO_SEEN = "Answer with the option letter from the given choices directly."
LETTER_END = "\nAnswer with the option's letter from the given choices directly."
MMMU_OPEN_END = "\n\nAnswer the question using a single word or phrase."
STAR_OPTIONS, PHYX_OPTIONS = "\nOptions: ", "\nOptions:\n"
STAR_END = "\nAnswer with the option's letter from the given choices directly"
BLINK_LEAD = (
    "Note: You only need to respond with {letters} without providing any additional information.\n"
)
BLINK_LEADS = tuple(BLINK_LEAD.format(letters=", ".join(LETTERS[:n])) for n in (2, 3, 4))
BLINK_CHOICES = "\nSelect from the following choices.\n"
SCIENCE_HINT_TEXT = "Columns have letters, rows have numbers from the top."
SCIENCE_HINT = f"Context: {SCIENCE_HINT_TEXT}\n"
REALWORLD_CHOICES = " The choices are listed below:\n"
REALWORLD_NONE = "The image does not feature it."
REALWORLD_END = (
    "\nSelect the best answer to the above multiple-choice question based on the image. "
    "Respond with only the letter (A, B, C, D, or E) of the correct option.\nThe best answer is: "
)
OLYMPIAD_LEAD = "The following is a question from an International Mechanics competition.\n"
OLYMPIAD_KIND = "\nThe answer of the question should be {kind}.\n"
OLYMPIAD_KINDS = "\nThe question has multiple answers, each of them should be {kind}.\n"
_OLYMPIAD_END = (
    "Please calculate the answer according to the given requirements and the information "
    "provided. Please use LaTeX format to represent the variables and formulas used in the "
    "solution process and results. Please end your solution with "
)
OLYMPIAD_END = _OLYMPIAD_END + '"So the final answer is \\boxed{answer}."\n'
OLYMPIAD_END_SEVERAL = (
    _OLYMPIAD_END + "So the final answer is \\boxed{multiple answers connected with commas}.\n"
)

LONGBENCH = (
    "Please read the following text and answer the question below.\n\n<text>\n",
    "\n</text>\n\nWhat is the correct answer to this question: ",
    '\n\nFormat your response as follows: "The correct answer is (insert answer here)".',
)
LONGBENCH_ANSWER = "The correct answer is ("
OLYMPIAD_ANSWER = "So the final answer is "
# How the model thinks before it names a letter, in the form of the Qwen family.
THINK, THOUGHT = "<think>\n", "\n</think>\n\n"

_KINDS = ("Numerical", "Expression", "Equation", "Interval")
_BY_BENCHMARK = (
    (*VISTA_HINTS.values(),),
    (*(f"{lead}{wish}." for lead in (VERSE, VERSE_SEEN) for wish in ("", VERSE_LETTER)),),
    (VISION_LEAD, VISION_IMAGE, VISION_END),
    (MMMU_PRO_END, "\n" + LETTER_END, LETTER_END, LETTER_END.strip(), MMMU_OPEN_END),
    (STAR_OPTIONS, PHYX_OPTIONS, STAR_END, *BLINK_LEADS, BLINK_CHOICES, SCIENCE_HINT),
    (REALWORLD_CHOICES, REALWORLD_NONE, REALWORLD_END),
    (OLYMPIAD_LEAD, OLYMPIAD_END, OLYMPIAD_END_SEVERAL, OLYMPIAD_KINDS.format(kind="Numerical")),
    (*(OLYMPIAD_KIND.format(kind=kind) for kind in _KINDS),),
    (*LONGBENCH, LONGBENCH_ANSWER, MMMU_PRO_SEEN, OLYMPIAD_ANSWER, THINK, THOUGHT),
    (*(f"<image {number}>" for number in range(1, 5)), "<image_1> ", " (Unit: m)"),
    ("Question: ", "\nQuestion: ", "\nChoices:\n", "\nChoices: ", "\\boxed{"),
)
SENTENCES = tuple(chain.from_iterable(_BY_BENCHMARK))
"""The fixed sentences, each one token of the embedded model."""


def lettered(options: Sequence[str], form: str) -> list[str]:
    """Return options with their letters in a form such as ``({letter}) {text}``."""
    return [form.format(letter=LETTERS[i], text=text) for i, text in enumerate(options)]


def lines(options: Sequence[str], form: str) -> str:
    """Return options with their letters, one a line."""
    return "\n".join(lettered(options, form))


FORMS = ("({letter}) {text}", "{letter}. {text}", "{letter}: {text}", "{letter}:{text}")
ROUND, DOT, COLON, TIGHT = FORMS


def mathvista(text: str, options: Sequence[str], hint: str) -> str:
    """MathVista's step-by-step prompt; ``hint`` is a key of `VISTA_HINTS`."""
    choices = f"\nChoices:\n{lines(options, ROUND)}" if options else ""
    return f"Question: {text}{choices}\n{VISTA_HINTS[hint]}"


def mathverse(text: str, options: Sequence[str], *, seen: bool = False) -> str:
    """MathVerse's ``query_wo``; ``seen``: question and options stand in the picture."""
    wish = VERSE_LETTER if options else ""
    if seen:
        return f"{VERSE_SEEN}{wish}."
    choices = f"\nChoices:\n{lines(options, TIGHT)}" if options else ""
    return f"{VERSE}{wish}.\nQuestion: {text}{choices}"


def mathvision(text: str, options: Sequence[str]) -> str:
    """MathVision's prompt."""
    choices = f"\nChoices: {lines(options, DOT)}{VISION_END}" if options else ""
    return f"{VISION_LEAD}{text}{VISION_IMAGE}{choices}"


def mmmu_pro(text: str, options: Sequence[str]) -> str:
    """MMMU-Pro's direct prompt with options."""
    return f"{text}\n{lines(options, DOT)}{MMMU_PRO_END}"


def mmmu(text: str, options: Sequence[str]) -> str:
    """MMMU's prompt, with options or open."""
    if not options:
        return f"{text}{MMMU_OPEN_END}"
    return f"{text}\n{lines(options, DOT)}\n{LETTER_END}"


def mmmu_pictures(text: str, images: int) -> str:
    """MMMU's prompt where the pictures are the options, and stand in their places."""
    listed = "".join(f"{letter}.{PICTURE}" for letter in LETTERS[:images])
    return f"{text}\n{listed}{LETTER_END.strip()}"


def vstar(text: str, options: Sequence[str]) -> str:
    """V*'s prompt, which says its last line twice."""
    return f"{text}\n{lines(options, DOT)}{LETTER_END}{LETTER_END}"


def mmstar(text: str, options: Sequence[str]) -> str:
    """MMStar's prompt."""
    return f"{text}{STAR_OPTIONS}{', '.join(lettered(options, COLON))}{STAR_END}"


def blink(text: str, options: Sequence[str]) -> str:
    """BLINK's prompt."""
    lead = BLINK_LEAD.format(letters=", ".join(LETTERS[: len(options)]))
    return f"{lead}{text}{BLINK_CHOICES}{lines(options, ROUND)}"


def scienceqa(text: str, options: Sequence[str], *, hint: bool = False) -> str:
    """ScienceQA's prompt."""
    return f"{SCIENCE_HINT if hint else ''}{text}\n{lines(options, DOT)}{LETTER_END}"


def phyx(text: str, options: Sequence[str]) -> str:
    """PhyX's question, which lists its options."""
    return f"{text}{PHYX_OPTIONS}{lines(options, COLON)}"


def olympiad(text: str, kind: str, *, several: bool = False) -> str:
    """OlympiadBench's official instruction around a question of an answer type."""
    form, end = OLYMPIAD_KIND, OLYMPIAD_END
    if several:
        form, end = OLYMPIAD_KINDS, OLYMPIAD_END_SEVERAL
    return f"{OLYMPIAD_LEAD}{text}{form.format(kind=kind)}{end}"


def realworld(text: str, options: Sequence[str]) -> str:
    """MME-RealWorld's prompt; a fifth option, that none fits, is added."""
    listed = lines([*options, REALWORLD_NONE], ROUND)
    return f"{text}{REALWORLD_CHOICES}{listed}{REALWORLD_END}"


def longbench(trace: str, text: str, options: Sequence[str]) -> str:
    """LongBench v2's official zero-shot prompt."""
    listed = lines(options, ROUND)
    return f"{LONGBENCH[0]}{trace}{LONGBENCH[1]}{text}\nChoices:\n{listed}{LONGBENCH[2]}"


def longbench_answer(letter: str) -> str:
    """The answer in the form that LongBench v2 asks for."""
    return f"{LONGBENCH_ANSWER}{letter})"


def olympiad_answer(answers: Sequence[str]) -> str:
    """The answer in the form that OlympiadBench asks for."""
    return f"{OLYMPIAD_ANSWER}{boxed(', '.join(answers))}."


def boxed(answer: str) -> str:
    """An answer in a box."""
    return f"\\boxed{{{answer}}}"


def thought(option: str, letter: str, answer: str | None = None) -> str:
    """The right option and its letter as a thought, then the answer (by default the letter)."""
    return f"{THINK}{option} {letter}{THOUGHT}{answer or letter}"


def chosen(benchmark: str, option: str, letter: str) -> str:
    """The answer to a question with options: in a box where the benchmark asks for one."""
    return thought(option, letter, boxed(letter) if benchmark == "mathvision" else None)


CHOICE: dict[str, Callable[[str, Sequence[str]], str]] = {
    "mathvista": partial(mathvista, hint="text"),
    "mathverse": mathverse,
    "mathvision": mathvision,
    "mmmu_pro": mmmu_pro,
    "mmmu": mmmu,
    "vstar": vstar,
    "mmstar": mmstar,
    "blink": blink,
    "scienceqa": scienceqa,
    "mme_realworld_lite": realworld,
}
"""How each benchmark with options asks a question (text, options) that the scene shows."""
