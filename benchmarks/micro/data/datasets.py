"""Small seeded data sets in the real Hub schemas of the twelve VQA benchmarks.

``FOLDER/<benchmark id>/`` is written by ``save_to_disk`` with the columns, types, splits and
configs that lmms-eval 0.7.3's tasks read, so the adapters run on it as on the real data.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from benchmarks.data.catalog import schemas
from benchmarks.data.catalog.schemas import Schema, features
from benchmarks.data.local.read import quiet
from benchmarks.micro.content import prompts, questions
from benchmarks.micro.content.prompts import COLON, ROUND, lettered, lines
from benchmarks.micro.content.questions import Asked
from benchmarks.micro.content.scenes import page, strip
from benchmarks.micro.data import mathematics
from benchmarks.micro.data.rows import (
    LEVELS,
    SPLIT,
    Builder,
    Row,
    Tables,
    ask,
    base64_png,
    images,
    in_turn,
    recipe,
    table,
)


def write(directory: Path, n: int = 24, seed: int = 0) -> None:
    """Write the twelve small data sets, about ``n`` items each; the same seed gives the same items.

    ``directory`` becomes a data root: ``directory/<benchmark id>/``, and below it ``<config>/``
    where the Hub has several configs.
    """
    from datasets import Dataset, DatasetDict

    with quiet():
        for benchmark, (columns, build) in _BENCHMARKS.items():
            for config, splits in build(random.Random(f"{seed}/{benchmark}"), n).items():
                types = features(columns.get(config, columns.get("", {})))
                tables = {
                    split: Dataset.from_list(rows, features=types) for split, rows in splits.items()
                }
                DatasetDict(tables).save_to_disk(directory / benchmark / config)


def _mmmu(rng: random.Random, index: int) -> Row:
    if index % 4 == 3:
        asked = questions.marked(ask(rng, "mmmu", index // 4))
        options: tuple[str, ...] = ()
        answer = asked.question.answer
        if asked.question.kind == "float":  # several answers, as the Hub writes them
            answer = str([answer, f"{float(answer) * 100:.0f}%"])
    else:
        asked = _mmmu_question(rng, index, 4)
        options, answer = asked.question.options, asked.question.letter
    return {
        "id": f"validation_{in_turn(recipe('mmmu')['subjects'], index)}_{index + 1}",
        "question": asked.question.text,
        "options": str(list(options)),
        "explanation": "",
        **images(schemas.MMMU_IMAGES, asked.scenes),
        "img_type": "['Diagrams']",
        "answer": answer,
        "topic_difficulty": in_turn(LEVELS, index),
        "question_type": "multiple-choice" if options else "open",
        "subfield": "Synthetic scenes",
    }


def _mmmu_question(rng: random.Random, index: int, number: int) -> Asked:
    """Return a question on one picture, on several, or with pictures as its options."""
    if index % 4 in (0, 3):
        family = in_turn(questions.FAMILIES, index // 2)
        return questions.marked(questions.ask(rng, SPLIT, family, number))
    if index % 4 == 1:
        several = in_turn(questions.SEVERAL, index // 4)
        return questions.marked(several(rng, SPLIT, 2 + index % 3, number))
    return questions.pictures_as_options(rng, SPLIT, 2 + index % 3)


def _mmmu_pro(rng: random.Random, n: int) -> Tables:
    standard, vision = [], []
    for index in range(-(-n // 2)):
        # Two of three are questions that the vision form puts in signs; the third is written out.
        if index % 3 != 2:
            asked = questions.ask(rng, SPLIT, questions.colour_at, 8, questions.WIDE)
            sign = questions.in_signs(asked, asked.question.options).draw()
            asked = questions.marked(asked)
        else:
            asked = _mmmu_question(rng, index // 3, 10)
            sign = page(asked.question.text, asked.question.options, strip(asked.scenes))
        question, subject = asked.question, in_turn(recipe("mmmu")["subjects"], index)
        shared = {
            "id": f"test_{subject}_{index + 1}",
            "options": str(list(question.options)),
            "answer": question.letter,
            "subject": subject,
        }
        text = {
            "question": question.text,
            "explanation": "",
            "img_type": "['Diagrams']",
            "topic_difficulty": in_turn(LEVELS, index),
        }
        standard.append({**shared, **images(schemas.MMMU_IMAGES, asked.scenes), **text})
        vision.append({**shared, "image": sign})
    return {"standard (10 options)": {"test": standard}, "vision": {"test": vision}}


def _vstar(rng: random.Random, index: int) -> Row:
    relative = index % 5 > 2  # as in the benchmark: 115 attributes, 76 positions
    family = questions.side if relative else questions.colour_at
    asked = questions.ask(rng, SPLIT, family, grid=questions.LARGE)
    question = asked.question
    return {
        "image": asked.scenes[0].draw(),
        "text": f"{question.text}\n{lines(question.options, ROUND)}{prompts.LETTER_END}",
        "category": "relative_position" if relative else "direct_attributes",
        "label": question.letter,
        "question_id": str(index),
    }


def _mmstar(rng: random.Random, index: int) -> Row:
    asked = ask(rng, "mmstar", index)
    question = asked.question
    category, finer = in_turn(recipe("mmstar")["categories"], index)
    listed = ", ".join(lettered(question.options, COLON))
    path = f"images/{index}.jpg"
    return {
        "index": index,
        "question": f"{question.text}{prompts.STAR_OPTIONS}{listed}",
        "image": asked.scenes[0].draw(),
        "answer": question.letter,
        "category": category,
        "l2_category": finer,
        "meta_info": {"source": "micro world", "split": "val", "image_path": path},
    }


def _blink(rng: random.Random, n: int) -> Tables:
    subtasks = recipe("blink")["subtasks"]
    each = max(1, -(-n // len(subtasks)))
    return {
        name: {"val": [_blink_row(rng, name, form, index) for index in range(each)]}
        for name, form in subtasks.items()
    }


def _blink_row(rng: random.Random, subtask: str, form: str | int, index: int) -> Row:
    if isinstance(form, str):
        asked = questions.ask(rng, SPLIT, getattr(questions, form))
    elif form == 3:
        asked = questions.same_as_first(rng, SPLIT, 3)
    else:
        asked = in_turn(questions.SEVERAL, index)(rng, SPLIT, form)
    question = asked.question
    return {
        "idx": f"val_{subtask}_{index + 1}",
        "sub_task": subtask,
        "question": question.text,
        **images(schemas.BLINK, asked.scenes),
        "choices": list(question.options),
        "answer": f"({question.letter})",
        "prompt": f"{question.text}{prompts.BLINK_CHOICES}{lines(question.options, ROUND)}",
        "explanation": "",
    }


def _scienceqa(rng: random.Random, index: int) -> Row:
    asked = ask(rng, "scienceqa", index, number=2 + index % 4)
    question = asked.question
    return {
        "image": asked.scenes[0].draw(),
        "question": question.text,
        "choices": list(question.options),
        "answer": question.options.index(question.answer),
        "hint": prompts.SCIENCE_HINT_TEXT if index % 2 else "",
        "task": "closed choice",
        "grade": f"grade{index % 8 + 1}",
        "subject": in_turn(recipe("scienceqa")["subjects"], index),
        "topic": "scenes",
        "category": question.family,
        "skill": f"Read a scene: {question.family}",
        "lecture": "",
        "solution": "",
    }


def _realworld(rng: random.Random, index: int) -> Row:
    asked = ask(rng, "mme_realworld_lite", index, grid=questions.LARGE)
    question = asked.question
    category, finer = in_turn(recipe("mme_realworld_lite")["categories"], index)
    listed = [option for option in question.options if option != prompts.REALWORLD_NONE]
    return {
        "index": index,
        "question": question.text,
        "bytes": base64_png(asked.scenes[0]),
        "multi-choice options": lettered([*listed, prompts.REALWORLD_NONE], ROUND),
        "answer": question.letter,
        "category": category,
        "l2-category": finer,
    }


_MMMU_PRO = {
    "standard (10 options)": schemas.MMMU_PRO_STANDARD,
    "vision": schemas.MMMU_PRO_VISION,
}
# Benchmark id -> schema of each config ("" serves all others), builder.
_BENCHMARKS: dict[str, tuple[Mapping[str, Schema], Builder]] = {
    "mathvista": ({"": schemas.MATHVISTA}, table("testmini", mathematics.mathvista)),
    "mathverse": ({"": schemas.MATHVERSE}, mathematics.mathverse),
    "mathvision": ({"": schemas.MATHVISION}, table("test", mathematics.mathvision)),
    "mmmu_pro": (_MMMU_PRO, _mmmu_pro),
    "mmmu": ({"": schemas.MMMU}, table("validation", _mmmu)),
    "vstar": ({"": schemas.VSTAR}, table("test", _vstar)),
    "mmstar": ({"": schemas.MMSTAR}, table("val", _mmstar)),
    "blink": ({"": schemas.BLINK}, _blink),
    "scienceqa": ({"": schemas.SCIENCEQA}, table("test", _scienceqa, "ScienceQA-IMG")),
    "phyx": ({"": schemas.PHYX}, mathematics.phyx),
    "olympiadbench_physics": (
        {"": schemas.OLYMPIAD},
        table("train", mathematics.olympiad, "OE_MM_physics_en_COMP"),
    ),
    "mme_realworld_lite": ({"": schemas.REALWORLD}, table("train", _realworld)),
}
