"""The rows of MathVista, MathVerse, MathVision, PhyX and OlympiadBench on scenes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from benchmarks.data.catalog import schemas
from benchmarks.micro.content import prompts, questions
from benchmarks.micro.content.prompts import COLON, ROUND, TIGHT, lettered, lines
from benchmarks.micro.content.questions import Asked
from benchmarks.micro.data.rows import SPLIT, Row, Tables, ask, base64_png, images, in_turn, recipe


def mathvista(rng: random.Random, index: int) -> Row:
    """Return a row of MathVista."""
    constant = recipe("mathvista")
    turn = index % len(constant["families"])
    if family := constant["families"][turn]:
        asked = questions.ask(rng, SPLIT, family)
    else:
        asked = questions.distance(rng, SPLIT, questions.HALVES if turn == 7 else questions.STEPS)
    question, image = asked.question, asked.scenes[0].draw()
    kind, unit = question.kind, None if family else "m"
    precision = (2.0 if family else 1.0) if kind == "float" else None
    hint = kind if precision is None else f"float{precision:.0f}"
    options = question.options if kind == "text" else ()
    text = question.text + (f" (Unit: {unit})" if unit else "")
    listed = ["Choices:", *lettered(options, ROUND)] if options else []
    return {
        "pid": str(index + 1),
        "question": question.text,
        "image": f"images/{index + 1}.jpg",
        "decoded_image": image,
        "choices": list(options) or None,
        "unit": unit,
        "precision": precision,
        "answer": question.answer,
        "question_type": "multi_choice" if options else "free_form",
        "answer_type": kind,
        "metadata": {
            **constant["metadata"],
            "category": "math-targeted-vqa" if kind != "text" else "general-vqa",
            "img_height": image.height,
            "img_width": image.width,
            "skills": ["arithmetic reasoning"] if kind != "text" else ["numeric commonsense"],
            "task": constant["tasks"][kind],
        },
        # The data set's own query has the hint first.
        "query": "\n".join([prompts.VISTA_HINTS[hint], f"Question: {text}", *listed]),
    }


def mathverse(rng: random.Random, n: int) -> Tables:
    """Return MathVerse: each question in all of its versions."""
    rows: list[Row] = []
    versions = recipe("mathverse")["versions"]
    for index in range(-(-n // len(versions))):
        asked = ask(rng, "mathverse", index, grid=questions.WIDE)
        rows += [_mathverse_row(index, version, asked) for version in versions]
    numbered = [{**row, "sample_index": str(index + 1)} for index, row in enumerate(rows[:n])]
    return {"": {"testmini": numbered}}


def _mathverse_row(index: int, version: str, asked: Asked) -> Row:
    question, constant = asked.question, recipe("mathverse")
    free = index % 2 == 1
    options = () if free else question.options
    full = "\n".join([question.text, *(["Choices:", *lettered(options, TIGHT)] if options else [])])
    seen = version == "Vision Only"
    picture = questions.in_signs(asked, options) if seen else asked.scenes[0]
    query = prompts.mathverse(question.text, options, seen=seen)
    thinking = "first conduct reasoning, and then answer the question"
    return {
        "problem_index": str(index + 1),
        "problem_version": version,
        "question": "" if seen else full,
        "image": picture.draw(),
        "answer": question.answer if free else question.letter,
        "question_type": "free-form" if free else "multi-choice",
        "metadata": {
            **constant["metadata"],
            "subject": in_turn(constant["subjects"], index),
            "subfield": question.family,
        },
        "query_wo": query,
        "query_cot": query.replace("directly answer the question", thinking).replace(
            prompts.VERSE_LETTER, prompts.VERSE_LETTER + ("" if free else ", at the end")
        ),
        "question_for_eval": full,
    }


def mathvision(rng: random.Random, index: int) -> Row:
    """Return a row of MathVision."""
    asked = ask(rng, "mathvision", index, number=5)
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
        "subject": in_turn(recipe("mathvision")["subjects"], index),
    }


def phyx(rng: random.Random, n: int) -> Tables:
    """Return PhyX: the same questions with options and open."""
    pairs = [_phyx_rows(rng, index) for index in range(n)]
    choice, free = ([pair[side] for pair in pairs] for side in (0, 1))
    return {"data_for_llms_eval": {"phyx_mini_mc": choice, "phyx_mini_oe": free}}


def _phyx_rows(rng: random.Random, index: int) -> Sequence[Row]:
    constant = recipe("phyx")
    family = in_turn(constant["families"], index)
    asked = questions.ask(rng, SPLIT, family) if family else questions.distance(rng, SPLIT)
    question, unit = asked.question, "" if family else " m"
    shared = {
        "index": str(index + 1),
        "image": base64_png(asked.scenes[0]),
        "category": in_turn(constant["domains"], index),
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
    made = questions.physics(rng, SPLIT, in_turn(questions.PHYSICS, index))
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
