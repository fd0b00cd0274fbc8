"""The rows of MathVista, MathVerse, MathVision, PhyX and OlympiadBench on scenes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from benchmarks.data.catalog import schemas
from benchmarks.micro.content import prompts, questions
from benchmarks.micro.content.prompts import COLON, ROUND, TIGHT, lettered, lines
from benchmarks.micro.content.questions import Asked, Family
from benchmarks.micro.content.scenes import Scene
from benchmarks.micro.data.rows import SPLIT, Row, Tables, ask, base64_png, images

# --- MathVista ------------------------------------------------------------------------------

_VISTA_TASKS = {
    "text": "visual question answering",
    "integer": "figure question answering",
    "float": "math word problem",
    "list": "textbook question answering",
}
_VISTA_FAMILIES: tuple[Family | None, ...] = (  # None: a distance, the second one in tenths
    questions.colour_at,
    questions.count_colour,
    questions.side,
    None,
    questions.where,
    questions.count_all,
    questions.size_at,
    None,
    questions.share,
    questions.colour_at,
    questions.two_counts,
    questions.count_colour,
)


def mathvista(rng: random.Random, index: int) -> Row:
    """Return a row of MathVista."""
    turn = index % len(_VISTA_FAMILIES)
    if family := _VISTA_FAMILIES[turn]:
        asked = questions.ask(rng, SPLIT, family)
        unit, precision = None, 2.0 if asked.question.kind == "float" else None
    else:
        asked = questions.distance(rng, SPLIT, questions.HALVES if turn == 7 else questions.STEPS)
        unit, precision = "m", 1.0 if turn == 7 else None
    question, picture = asked.question, asked.scenes[0]
    options = question.options if question.kind == "text" else ()
    hint = question.kind if question.kind != "float" else f"float{int(precision or 2)}"
    text = question.text + (f" (Unit: {unit})" if unit else "")
    listed = ["Choices:", *lettered(options, ROUND)] if options else []
    return {
        "pid": str(index + 1),
        "question": question.text,
        "image": f"images/{index + 1}.jpg",
        "decoded_image": picture.draw(),
        "choices": list(options) or None,
        "unit": unit,
        "precision": precision,
        "answer": question.answer,
        "question_type": "multi_choice" if options else "free_form",
        "answer_type": question.kind,
        "metadata": _vista_metadata(picture, question.kind),
        # The data set's own query has the hint first.
        "query": "\n".join([prompts.VISTA_HINTS[hint], f"Question: {text}", *listed]),
    }


def _vista_metadata(picture: Scene, kind: str) -> Row:
    image = picture.draw()
    return {
        "category": "math-targeted-vqa" if kind != "text" else "general-vqa",
        "context": "synthetic scene",
        "grade": "elementary school",
        "img_height": image.height,
        "img_width": image.width,
        "language": "english",
        "skills": ["arithmetic reasoning"] if kind != "text" else ["numeric commonsense"],
        "source": "micro world",
        "split": "testmini",
        "task": _VISTA_TASKS[kind],
    }


# --- MathVerse ------------------------------------------------------------------------------

_VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")


def mathverse(rng: random.Random, n: int) -> Tables:
    """Return MathVerse: each question in all of its versions."""
    families = (questions.colour_at, questions.count_colour)
    rows = []
    for index in range(-(-n // len(_VERSIONS))):
        asked = ask(rng, families, index, grid=questions.WIDE)
        rows += [_mathverse_row(index, version, asked) for version in _VERSIONS]
    numbered = [{**row, "sample_index": str(index + 1)} for index, row in enumerate(rows[:n])]
    return {"": {"testmini": numbered}}


def _mathverse_row(index: int, version: str, asked: Asked) -> Row:
    question, picture = asked.question, asked.scenes[0]
    free = index % 2 == 1
    options = () if free else question.options
    full = "\n".join([question.text, *(["Choices:", *lettered(options, TIGHT)] if options else [])])
    seen = version == "Vision Only"
    query = prompts.mathverse(question.text, options, seen=seen)
    thinking = "first conduct reasoning, and then answer the question"
    return {
        "problem_index": str(index + 1),
        "problem_version": version,
        "question": "" if seen else full,
        "image": questions.in_signs(asked, options).draw() if seen else picture.draw(),
        "answer": question.answer if free else question.letter,
        "question_type": "free-form" if free else "multi-choice",
        "metadata": {
            "split": "testmini",
            "source": "micro world",
            "subject": ("Plane Geometry", "Solid Geometry", "Functions")[index % 3],
            "subfield": question.family,
        },
        "query_wo": query,
        "query_cot": query.replace("directly answer the question", thinking).replace(
            prompts.VERSE_LETTER, prompts.VERSE_LETTER + ("" if free else ", at the end")
        ),
        "question_for_eval": full,
    }


# --- MathVision -----------------------------------------------------------------------------

_VISION_FAMILIES = (
    questions.count_colour,
    questions.colour_at,
    questions.count_all,
    questions.where,
    questions.fraction,
    questions.count_colour,
    questions.colour_at,
)
_VISION_SUBJECTS = ("counting", "logic", "arithmetic", "statistics", "analytic geometry")


def mathvision(rng: random.Random, index: int) -> Row:
    """Return a row of MathVision."""
    asked = ask(rng, _VISION_FAMILIES, index, number=5)
    question = asked.question
    choice = question.kind == "text" or index % 2 == 1
    return {
        "id": str(index + 1),
        "question": f"{question.text}{prompts.VISION_IMAGE}",
        "options": list(question.options) if choice else [],
        "image": f"images/{index + 1}.jpg",
        "decoded_image": asked.scenes[0].draw(),
        "answer": question.letter if choice else question.answer,
        "solution": None,
        "level": index % 5 + 1,
        "subject": _VISION_SUBJECTS[index % len(_VISION_SUBJECTS)],
    }


# --- PhyX and OlympiadBench physics ---------------------------------------------------------

# What each of PhyX's domains asks, always with four options; None: a distance in metres.
_PHYX_FAMILIES: Mapping[str, Family | None] = {
    "Mechanics": None,
    "Electromagnetism": questions.count_colour,
    "Thermodynamics": questions.share,
    "Wave/Acoustics": None,
    "Optics": questions.colour_at,
    "Modern Physics": questions.count_all,
}


def phyx(rng: random.Random, n: int) -> Tables:
    """Return PhyX: the same questions with options and open."""
    pairs = [_phyx_rows(rng, index) for index in range(n)]
    choice, free = ([pair[side] for pair in pairs] for side in (0, 1))
    return {"data_for_llms_eval": {"phyx_mini_mc": choice, "phyx_mini_oe": free}}


def _phyx_rows(rng: random.Random, index: int) -> Sequence[Row]:
    domain = tuple(_PHYX_FAMILIES)[index % len(_PHYX_FAMILIES)]
    family = _PHYX_FAMILIES[domain]
    asked = questions.ask(rng, SPLIT, family) if family else questions.distance(rng, SPLIT)
    question, unit = asked.question, "" if family else " m"
    shared = {
        "index": str(index + 1),
        "image": base64_png(asked.scenes[0]),
        "category": domain,
        "subfield": question.family,
        "reasoning_type": "['Physical Model Grounding Reasoning', 'Numerical Reasoning']",
    }
    options = [f"{option}{unit}" for option in question.options]
    listed = f"{question.text}{prompts.PHYX_OPTIONS}{lines(options, COLON)}"
    return (
        {**shared, "question": listed, "answer": question.letter},
        {**shared, "question": question.text, "answer": f"{question.answer}{unit}"},
    )


def olympiad(rng: random.Random, index: int) -> Row:
    """Return a row of OlympiadBench physics."""
    made = questions.physics(rng, SPLIT, questions.PHYSICS[index % len(questions.PHYSICS)])
    return {
        "id": index + 1,
        "question": made.text,
        "solution": [f"The scale reads {made.reading}."],
        "final_answer": [",".join(f"${answer}$" for answer in made.answers)],
        "context": None,
        **images(schemas.OLYMPIAD, [made.picture]),
        "modality": "Multimodal",
        "difficulty": "Competition",
        "is_multiple_answer": len(made.answers) > 1,
        "unit": made.unit,
        "answer_type": made.kind,
        "error": made.error,
        "question_type": "Open-ended",
        "subfield": "Mechanics",
        "subject": "Physics",
        "language": "English",
    }
