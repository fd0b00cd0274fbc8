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
from benchmarks.micro.content.questions import Asked, Family
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
    table,
)


def write(directory: Path, n: int = 24, seed: int = 0) -> None:
    """Write the twelve small data sets.

    Args:
        directory: becomes a data root: ``directory/<benchmark id>/`` for each benchmark, and
            ``directory/<benchmark id>/<config>/`` where the Hub has several configs.
        n: items per benchmark (a few more where the subtasks or forms do not divide it).
        seed: the same seed gives the same items.
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


# --- MMMU and MMMU-Pro ----------------------------------------------------------------------

_SUBJECTS = ("Math", "Art", "Physics", "Accounting", "Biology", "History", "Electronics")
_OPEN_FAMILIES = (
    questions.count_colour,
    questions.colour_at,
    questions.share,
    questions.count_all,
    questions.where,
)


def _mmmu(rng: random.Random, index: int) -> Row:
    if index % 4 == 3:
        asked, options, answer = _open_question(rng, index // 4)
    else:
        asked = _mmmu_question(rng, index, 4)
        options, answer = asked.question.options, asked.question.letter
    return {
        "id": f"validation_{_SUBJECTS[index % len(_SUBJECTS)]}_{index + 1}",
        "question": asked.question.text,
        "options": str(list(options)),
        "explanation": "",
        **images(schemas.MMMU_IMAGES, asked.scenes),
        "img_type": "['Diagrams']",
        "answer": answer,
        "topic_difficulty": LEVELS[index % 3],
        "question_type": "multiple-choice" if options else "open",
        "subfield": "Synthetic scenes",
    }


def _open_question(rng: random.Random, index: int) -> tuple[Asked, tuple[str, ...], str]:
    """Return the question, no options and the answer: several answers as the Hub writes them."""
    asked = questions.marked(ask(rng, _OPEN_FAMILIES, index))
    answer = asked.question.answer
    if asked.question.kind == "float":
        answer = str([answer, f"{float(answer) * 100:.0f}%"])
    return asked, (), answer


def _mmmu_question(rng: random.Random, index: int, number: int) -> Asked:
    """Return a question on one picture, on several, or with pictures as its options."""
    if index % 4 in (0, 3):
        return questions.marked(ask(rng, questions.FAMILIES, index // 2, number))
    if index % 4 == 1:
        family = questions.SEVERAL[index // 4 % len(questions.SEVERAL)]
        return questions.marked(family(rng, SPLIT, 2 + index % 3, number))
    return questions.pictures_as_options(rng, SPLIT, 2 + index % 3)


def _mmmu_pro(rng: random.Random, n: int) -> Tables:
    standard, vision = [], []
    for index in range(-(-n // 2)):
        # Two of three are questions that the vision form puts in signs; the third is written out.
        if index % 3 != 2:
            asked = ask(rng, (questions.colour_at,), index, 8, questions.WIDE)
            sign = questions.in_signs(asked, asked.question.options).draw()
            asked = questions.marked(asked)
        else:
            asked = _mmmu_question(rng, index // 3, 10)
            sign = page(asked.question.text, asked.question.options, strip(asked.scenes))
        question, subject = asked.question, _SUBJECTS[index % len(_SUBJECTS)]
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
            "topic_difficulty": LEVELS[index % 3],
        }
        standard.append({**shared, **images(schemas.MMMU_IMAGES, asked.scenes), **text})
        vision.append({**shared, "image": sign})
    return {"standard (10 options)": {"test": standard}, "vision": {"test": vision}}


# --- V*, MMStar, BLINK, ScienceQA, MME-RealWorld-Lite ---------------------------------------


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


_MMSTAR_CATEGORIES = (
    ("coarse perception", "image scene and topic"),
    ("fine-grained perception", "object counting"),
    ("instance reasoning", "single-instance reasoning"),
    ("logical reasoning", "diagram reasoning"),
    ("science & technology", "biology & chemistry & physics"),
    ("math", "statistical reasoning"),
    ("fine-grained perception", "localization"),
    ("math", "numeric commonsense and calculation"),
)
_MMSTAR_FAMILIES = (
    questions.colour_at,
    questions.count_colour,
    questions.where,
    questions.two_counts,
    questions.share,
    questions.colour_at,
    questions.count_all,
)


def _mmstar(rng: random.Random, index: int) -> Row:
    asked = ask(rng, _MMSTAR_FAMILIES, index)
    question = asked.question
    category, finer = _MMSTAR_CATEGORIES[index % len(_MMSTAR_CATEGORIES)]
    path = f"images/{index}.jpg"
    return {
        "index": index,
        "question": f"{question.text}{prompts.STAR_OPTIONS}"
        + ", ".join(lettered(question.options, COLON)),
        "image": asked.scenes[0].draw(),
        "answer": question.letter,
        "category": category,
        "l2_category": finer,
        "meta_info": {"source": "micro world", "split": "val", "image_path": path},
    }


# Subtask -> images per question, as in the benchmark, or what is asked of one image.
_BLINK: Mapping[str, int | Family] = {
    "Art_Style": 3,
    "Counting": questions.count_colour,
    "Forensic_Detection": 4,
    "Functional_Correspondence": 2,
    "IQ_Test": questions.count_all,
    "Jigsaw": 3,
    "Multi-view_Reasoning": 2,
    "Object_Localization": questions.where,
    "Relative_Depth": questions.size_at,
    "Relative_Reflectance": questions.colour_at,
    "Semantic_Correspondence": 2,
    "Spatial_Relation": questions.side,
    "Visual_Correspondence": 2,
    "Visual_Similarity": 3,
}


def _blink(rng: random.Random, n: int) -> Tables:
    each = max(1, -(-n // len(_BLINK)))
    return {
        subtask: {"val": [_blink_row(rng, subtask, index) for index in range(each)]}
        for subtask in _BLINK
    }


def _blink_row(rng: random.Random, subtask: str, index: int) -> Row:
    form = _BLINK[subtask]
    if not isinstance(form, int):
        asked = questions.ask(rng, SPLIT, form)
    elif form == 3:
        asked = questions.same_as_first(rng, SPLIT, 3)
    else:
        asked = questions.SEVERAL[index % len(questions.SEVERAL)](rng, SPLIT, form)
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
    asked = ask(rng, questions.FAMILIES, index, number=2 + index % 4)
    question = asked.question
    return {
        "image": asked.scenes[0].draw(),
        "question": question.text,
        "choices": list(question.options),
        "answer": question.options.index(question.answer),
        "hint": prompts.SCIENCE_HINT_TEXT if index % 2 else "",
        "task": "closed choice",
        "grade": f"grade{index % 8 + 1}",
        "subject": ("natural science", "social science", "language science")[index % 3],
        "topic": "scenes",
        "category": question.family,
        "skill": f"Read a scene: {question.family}",
        "lecture": "",
        "solution": "",
    }


_REALWORLD_CATEGORIES = (
    ("Perception/OCR with Complex Context", "scene text"),
    ("Reasoning/Monitoring", "intention"),
    ("Perception/Remote Sensing", "count"),
    ("Reasoning/Autonomous_Driving", "relation"),
    ("Perception/Diagram and Table", "diagram"),
    ("Perception/Monitoring", "vehicle/attribute/color"),
    ("Perception/Autonomous_Driving", "identity"),
)
_REALWORLD_FAMILIES = (
    questions.colour_at,
    questions.count_all,
    questions.where,
    questions.count_colour,
    questions.colour_at,
    questions.colour_at_empty,
)


def _realworld(rng: random.Random, index: int) -> Row:
    asked = ask(rng, _REALWORLD_FAMILIES, index, grid=questions.LARGE)
    question = asked.question
    category, finer = _REALWORLD_CATEGORIES[index % len(_REALWORLD_CATEGORIES)]
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
