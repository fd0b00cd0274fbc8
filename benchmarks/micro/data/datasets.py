"""Small seeded data sets in the real hub schemas of the twelve VQA benchmarks.

A folder, a number of items and a seed come in; ``FOLDER/<benchmark id>/`` leaves, written by
``save_to_disk`` with the columns, types, splits and configs that lmms-eval 0.7.3's tasks read, so
that the same loaders, adapters and scorers run on it as on the real data.  All of it is of the
split ``eval``.
"""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data.catalog import schemas
from benchmarks.data.catalog.schemas import Schema, features
from benchmarks.data.local.read import quiet
from benchmarks.micro.content import prompts, questions
from benchmarks.micro.content.prompts import COLON, ROUND, TIGHT, lettered, lines
from benchmarks.micro.content.questions import Asked, Family
from benchmarks.micro.content.scenes import Scene, Sheet, page, strip
from benchmarks.micro.content.splits import Split

Row = dict[str, Any]
Tables = Mapping[str, Mapping[str, list[Row]]]  # config ("" for none) -> split -> rows


def write(directory: Path, n: int = 24, seed: int = 0) -> None:
    """Write the twelve small data sets.

    Args:
        directory: becomes a data root: ``directory/<benchmark id>/`` for each benchmark, and
            ``directory/<benchmark id>/<config>/`` where the hub has several configs.
        n: items a benchmark (a few more where the subtasks or forms do not divide it).
        seed: the same seed gives the same items.
    """
    from datasets import Dataset, DatasetDict

    with quiet():
        for benchmark, (columns, build) in _BENCHMARKS.items():
            tables = build(random.Random(f"{seed}/{benchmark}"), n)
            for config, splits in tables.items():
                types = features(columns.get(config, columns.get("", {})))
                saved = DatasetDict(
                    {
                        split: Dataset.from_list(rows, features=types)
                        for split, rows in splits.items()
                    }
                )
                saved.save_to_disk(directory / benchmark / config)


SPLIT: Split = "eval"


def _ask(
    rng: random.Random,
    families: Sequence[Family],
    place: int,
    number: int = 4,
    grid: tuple[int, int] = (3, 3),
) -> Asked:
    """Ask the ``place``-th family about a scene of its own."""
    return questions.ask(rng, SPLIT, families[place % len(families)], number, grid)


def _images(schema: Schema, pictures: Sequence[Scene]) -> Row:
    """Fill ``image_1``, ``image_2``, ... and leave the rest of the schema's empty."""
    names = [name for name, kind in schema.items() if kind == "image"]
    return {name: pictures[i].draw() if i < len(pictures) else None for i, name in enumerate(names)}


def _base64(picture: Scene | Sheet) -> str:
    stream = io.BytesIO()
    picture.draw().save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")


# --- MathVista ------------------------------------------------------------------------------

_MATHVISTA_TASKS = {
    "text": "visual question answering",
    "integer": "figure question answering",
    "float": "math word problem",
    "list": "textbook question answering",
}
_MATHVISTA_FAMILIES: tuple[Family | None, ...] = (  # None: a distance
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


def _mathvista(rng: random.Random, n: int) -> Tables:
    return {"": {"testmini": [_mathvista_row(rng, place) for place in range(n)]}}


def _mathvista_row(rng: random.Random, place: int) -> Row:
    family = _MATHVISTA_FAMILIES[place % len(_MATHVISTA_FAMILIES)]
    if family:
        asked = questions.ask(rng, SPLIT, family)
        unit, precision = None, 2.0 if asked.question.kind == "float" else None
    else:
        tenths = place % len(_MATHVISTA_FAMILIES) == 7
        asked = questions.distance(rng, SPLIT, questions.HALVES if tenths else questions.STEPS)
        unit, precision = "m", 1.0 if tenths else None
    question, picture = asked.question, asked.scenes[0]
    options = question.options if question.kind == "text" else ()
    hint = question.kind if question.kind != "float" else f"float{int(precision or 2)}"
    asks = question.text + (f" (Unit: {unit})" if unit else "")
    return {
        "pid": str(place + 1),
        "question": question.text,
        "image": f"images/{place + 1}.jpg",
        "decoded_image": picture.draw(),
        "choices": list(options) or None,
        "unit": unit,
        "precision": precision,
        "answer": question.answer,
        "question_type": "multi_choice" if options else "free_form",
        "answer_type": question.kind,
        "metadata": _mathvista_metadata(picture, question.kind),
        "query": _mathvista_query(asks, options, hint),
    }


def _mathvista_metadata(picture: Scene, kind: str) -> Row:
    return {
        "category": "math-targeted-vqa" if kind != "text" else "general-vqa",
        "context": "synthetic scene",
        "grade": "elementary school",
        "img_height": picture.draw().height,
        "img_width": picture.draw().width,
        "language": "english",
        "skills": ["arithmetic reasoning"] if kind != "text" else ["numeric commonsense"],
        "source": "micro world",
        "split": "testmini",
        "task": _MATHVISTA_TASKS[kind],
    }


def _mathvista_query(text: str, options: Sequence[str], hint: str) -> str:
    """Return the data set's own query: the hint stands first there."""
    listed = ["Choices:", *lettered(options, ROUND)] if options else []
    return "\n".join([prompts.VISTA_HINTS[hint], f"Question: {text}", *listed])


# --- MathVerse ------------------------------------------------------------------------------

_VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")


def _mathverse(rng: random.Random, n: int) -> Tables:
    families = (questions.colour_at, questions.count_colour)
    rows = [
        _mathverse_row(place, version, asked, free=place % 2 == 1)
        for place in range(-(-n // len(_VERSIONS)))
        for asked in [_ask(rng, families, place, grid=questions.WIDE)]
        for version in _VERSIONS
    ]
    for index, row in enumerate(rows):
        row["sample_index"] = str(index + 1)
    return {"": {"testmini": rows[:n]}}


def _mathverse_row(place: int, version: str, asked: Asked, *, free: bool) -> Row:
    question, picture = asked.question, asked.scenes[0]
    options = () if free else question.options
    full = "\n".join([question.text, *(["Choices:", *lettered(options, TIGHT)] if options else [])])
    seen = version == "Vision Only"
    query = prompts.mathverse(question.text, options, seen=seen)
    thinking = "first conduct reasoning, and then answer the question"
    ending = "" if free else ", at the end"
    return {
        "problem_index": str(place + 1),
        "problem_version": version,
        "question": "" if seen else full,
        "image": questions.in_signs(asked, options).draw() if seen else picture.draw(),
        "answer": question.answer if free else question.letter,
        "question_type": "free-form" if free else "multi-choice",
        "metadata": {
            "split": "testmini",
            "source": "micro world",
            "subject": ("Plane Geometry", "Solid Geometry", "Functions")[place % 3],
            "subfield": question.family,
        },
        "query_wo": query,
        "query_cot": query.replace("directly answer the question", thinking).replace(
            prompts.VERSE_LETTER, f"{prompts.VERSE_LETTER}{ending}"
        ),
        "question_for_eval": full,
    }


# --- MathVision -----------------------------------------------------------------------------


def _mathvision(rng: random.Random, n: int) -> Tables:
    return {"": {"test": [_mathvision_row(rng, place) for place in range(n)]}}


def _mathvision_row(rng: random.Random, place: int) -> Row:
    families = (
        questions.count_colour,
        questions.colour_at,
        questions.count_all,
        questions.where,
        questions.fraction,
        questions.count_colour,
        questions.colour_at,
    )
    asked = _ask(rng, families, place, number=5)
    question = asked.question
    chosen = question.kind == "text" or place % 2 == 1
    subjects = ("counting", "logic", "arithmetic", "statistics", "analytic geometry")
    return {
        "id": str(place + 1),
        "question": f"{question.text}{prompts.VISION_IMAGE}",
        "options": list(question.options) if chosen else [],
        "image": f"images/{place + 1}.jpg",
        "decoded_image": asked.scenes[0].draw(),
        "answer": question.letter if chosen else question.answer,
        "solution": None,
        "level": place % 5 + 1,
        "subject": subjects[place % len(subjects)],
    }


# --- MMMU and MMMU-Pro ----------------------------------------------------------------------

_SUBJECTS = ("Math", "Art", "Physics", "Accounting", "Biology", "History", "Electronics")


def _mmmu(rng: random.Random, n: int) -> Tables:
    rows = []
    for place in range(n):
        if place % 4 == 3:
            asked, options, answer = _open_question(rng, place // 4)
        else:
            asked = _mmmu_question(rng, place, 4)
            options, answer = asked.question.options, asked.question.letter
        subject = _SUBJECTS[place % len(_SUBJECTS)]
        rows.append(
            {
                "id": f"validation_{subject}_{place + 1}",
                "question": asked.question.text,
                "options": str(list(options)),
                "explanation": "",
                **_images(schemas.MMMU_IMAGES, asked.scenes),
                "img_type": "['Diagrams']",
                "answer": answer,
                "topic_difficulty": ("Easy", "Medium", "Hard")[place % 3],
                "question_type": "multiple-choice" if options else "open",
                "subfield": "Synthetic scenes",
            }
        )
    return {"": {"validation": rows}}


def _open_question(rng: random.Random, place: int) -> tuple[Asked, tuple[str, ...], str]:
    """Return what is asked, no options and the gold: several ones as the hub writes them."""
    families = (
        questions.count_colour,
        questions.colour_at,
        questions.share,
        questions.count_all,
        questions.where,
    )
    asked = questions.marked(_ask(rng, families, place))
    answer = asked.question.answer
    if asked.question.kind == "float":
        answer = str([answer, f"{float(answer) * 100:.0f}%"])
    return asked, (), answer


def _mmmu_question(rng: random.Random, place: int, number: int) -> Asked:
    """Return a question on one picture, on several, or with pictures as its options."""
    if place % 4 == 0 or place % 4 == 3:
        return questions.marked(_ask(rng, questions.FAMILIES, place // 2, number))
    if place % 4 == 1:
        family = questions.SEVERAL[place // 4 % len(questions.SEVERAL)]
        return questions.marked(family(rng, SPLIT, 2 + place % 3, number))
    return questions.pictures_as_options(rng, SPLIT, 2 + place % 3)


def _mmmu_pro(rng: random.Random, n: int) -> Tables:
    standard, vision = [], []
    for place in range(-(-n // 2)):
        # Two of three are questions that the vision form puts in signs; the third is written out.
        if place % 3 != 2:
            asked = _ask(rng, (questions.colour_at,), place, 8, questions.WIDE)
            sign = questions.in_signs(asked, asked.question.options).draw()
            asked = questions.marked(asked)
        else:
            asked = _mmmu_question(rng, place // 3, 10)
            options = asked.question.options
            sign = page(asked.question.text, options, strip(asked.scenes))
        question, subject = asked.question, _SUBJECTS[place % len(_SUBJECTS)]
        shared = {
            "id": f"test_{subject}_{place + 1}",
            "options": str(list(question.options)),
            "answer": question.letter,
            "subject": subject,
        }
        standard.append(
            {
                **shared,
                **_images(schemas.MMMU_IMAGES, asked.scenes),
                "question": question.text,
                "explanation": "",
                "img_type": "['Diagrams']",
                "topic_difficulty": ("Easy", "Medium", "Hard")[place % 3],
            }
        )
        vision.append({**shared, "image": sign})
    return {"standard (10 options)": {"test": standard}, "vision": {"test": vision}}


# --- V*, MMStar, BLINK, ScienceQA, MME-RealWorld-Lite ---------------------------------------


def _vstar(rng: random.Random, n: int) -> Tables:
    rows = []
    for place in range(n):
        relative = place % 5 > 2  # as in the benchmark: 115 attributes, 76 positions
        family = questions.side if relative else questions.colour_at
        asked = _ask(rng, (family,), 0, grid=questions.LARGE)
        question = asked.question
        rows.append(
            {
                "image": asked.scenes[0].draw(),
                "text": f"{question.text}\n{lines(question.options, ROUND)}{prompts.LETTER_END}",
                "category": "relative_position" if relative else "direct_attributes",
                "label": question.letter,
                "question_id": str(place),
            }
        )
    return {"": {"test": rows}}


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


def _mmstar(rng: random.Random, n: int) -> Tables:
    families = (
        questions.colour_at,
        questions.count_colour,
        questions.where,
        questions.two_counts,
        questions.share,
        questions.colour_at,
        questions.count_all,
    )
    rows = []
    for place in range(n):
        asked = _ask(rng, families, place)
        question = asked.question
        category, finer = _MMSTAR_CATEGORIES[place % len(_MMSTAR_CATEGORIES)]
        options = ", ".join(lettered(question.options, COLON))
        rows.append(
            {
                "index": place,
                "question": f"{question.text}{prompts.STAR_OPTIONS}{options}",
                "image": asked.scenes[0].draw(),
                "answer": question.letter,
                "category": category,
                "l2_category": finer,
                "meta_info": {
                    "source": "micro world",
                    "split": "val",
                    "image_path": f"images/{place}.jpg",
                },
            }
        )
    return {"": {"val": rows}}


# Subtask -> images a question, as in the benchmark.
_BLINK_SUBTASKS = {
    "Art_Style": 3,
    "Counting": 1,
    "Forensic_Detection": 4,
    "Functional_Correspondence": 2,
    "IQ_Test": 1,
    "Jigsaw": 3,
    "Multi-view_Reasoning": 2,
    "Object_Localization": 1,
    "Relative_Depth": 1,
    "Relative_Reflectance": 1,
    "Semantic_Correspondence": 2,
    "Spatial_Relation": 1,
    "Visual_Correspondence": 2,
    "Visual_Similarity": 3,
}
# What each subtask of one image asks.
_BLINK_FAMILIES: Mapping[str, Family] = {
    "Counting": questions.count_colour,
    "IQ_Test": questions.count_all,
    "Object_Localization": questions.where,
    "Relative_Depth": questions.size_at,
    "Relative_Reflectance": questions.colour_at,
    "Spatial_Relation": questions.side,
}


def _blink(rng: random.Random, n: int) -> Tables:
    each = max(1, -(-n // len(_BLINK_SUBTASKS)))
    return {
        subtask: {"val": [_blink_row(rng, subtask, place) for place in range(each)]}
        for subtask in _BLINK_SUBTASKS
    }


def _blink_row(rng: random.Random, subtask: str, place: int) -> Row:
    number = _BLINK_SUBTASKS[subtask]
    if number == 1:
        asked = _ask(rng, (_BLINK_FAMILIES[subtask],), place)
    elif number == 3:
        asked = questions.same_as_first(rng, SPLIT, 3)
    else:
        asked = questions.SEVERAL[place % len(questions.SEVERAL)](rng, SPLIT, number)
    question = asked.question
    return {
        "idx": f"val_{subtask}_{place + 1}",
        "sub_task": subtask,
        "question": question.text,
        **_images(schemas.BLINK, asked.scenes),
        "choices": list(question.options),
        "answer": f"({question.letter})",
        "prompt": f"{question.text}{prompts.BLINK_CHOICES}{lines(question.options, ROUND)}",
        "explanation": "",
    }


def _scienceqa(rng: random.Random, n: int) -> Tables:
    rows = []
    for place in range(n):
        asked = _ask(rng, questions.FAMILIES, place, number=2 + place % 4)
        question = asked.question
        subject = ("natural science", "social science", "language science")[place % 3]
        rows.append(
            {
                "image": asked.scenes[0].draw(),
                "question": question.text,
                "choices": list(question.options),
                "answer": question.options.index(question.answer),
                "hint": prompts.SCIENCE_HINT_TEXT if place % 2 else "",
                "task": "closed choice",
                "grade": f"grade{place % 8 + 1}",
                "subject": subject,
                "topic": "scenes",
                "category": question.family,
                "skill": f"Read a scene: {question.family}",
                "lecture": "",
                "solution": "",
            }
        )
    return {"ScienceQA-IMG": {"test": rows}}


_REALWORLD_CATEGORIES = (
    ("Perception/OCR with Complex Context", "scene text"),
    ("Reasoning/Monitoring", "intention"),
    ("Perception/Remote Sensing", "count"),
    ("Reasoning/Autonomous_Driving", "relation"),
    ("Perception/Diagram and Table", "diagram"),
    ("Perception/Monitoring", "vehicle/attribute/color"),
    ("Perception/Autonomous_Driving", "identity"),
)


def _realworld(rng: random.Random, n: int) -> Tables:
    families = (
        questions.colour_at,
        questions.count_all,
        questions.where,
        questions.count_colour,
        questions.colour_at,
        questions.colour_at_empty,
    )
    rows = []
    for place in range(n):
        asked = _ask(rng, families, place, grid=questions.LARGE)
        question = asked.question
        category, finer = _REALWORLD_CATEGORIES[place % len(_REALWORLD_CATEGORIES)]
        listed = [option for option in question.options if option != prompts.REALWORLD_NONE]
        rows.append(
            {
                "index": place,
                "question": question.text,
                "bytes": _base64(asked.scenes[0]),
                "multi-choice options": lettered([*listed, prompts.REALWORLD_NONE], ROUND),
                "answer": question.letter,
                "category": category,
                "l2-category": finer,
            }
        )
    return {"": {"train": rows}}


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


def _phyx(rng: random.Random, n: int) -> Tables:
    chosen, written = [], []
    domains = tuple(_PHYX_FAMILIES)
    for place in range(n):
        domain = domains[place % len(domains)]
        family = _PHYX_FAMILIES[domain]
        asked = questions.ask(rng, SPLIT, family) if family else questions.distance(rng, SPLIT)
        question, unit = asked.question, "" if family else " m"
        shared = {
            "index": str(place + 1),
            "image": _base64(asked.scenes[0]),
            "category": domain,
            "subfield": question.family,
            "reasoning_type": "['Physical Model Grounding Reasoning', 'Numerical Reasoning']",
        }
        options = [f"{option}{unit}" for option in question.options]
        listed = f"{question.text}{prompts.PHYX_OPTIONS}{lines(options, COLON)}"
        chosen.append({**shared, "question": listed, "answer": question.letter})
        written.append({**shared, "question": question.text, "answer": f"{question.answer}{unit}"})
    return {"data_for_llms_eval": {"phyx_mini_mc": chosen, "phyx_mini_oe": written}}


def _olympiad(rng: random.Random, n: int) -> Tables:
    rows = []
    for place in range(n):
        made = questions.physics(rng, SPLIT, questions.PHYSICS[place % len(questions.PHYSICS)])
        rows.append(
            {
                "id": place + 1,
                "question": made.text,
                "solution": [f"The scale reads {made.reading}."],
                "final_answer": [",".join(f"${answer}$" for answer in made.answers)],
                "context": None,
                **_images(schemas.OLYMPIAD, [made.picture]),
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
        )
    return {"OE_MM_physics_en_COMP": {"train": rows}}


_Builder = Callable[[random.Random, int], Tables]

# Benchmark id -> schema of each config ("" serves all others), rows.
_BENCHMARKS: dict[str, tuple[Mapping[str, Schema], _Builder]] = {
    "mathvista": ({"": schemas.MATHVISTA}, _mathvista),
    "mathverse": ({"": schemas.MATHVERSE}, _mathverse),
    "mathvision": ({"": schemas.MATHVISION}, _mathvision),
    "mmmu_pro": (
        {"standard (10 options)": schemas.MMMU_PRO_STANDARD, "vision": schemas.MMMU_PRO_VISION},
        _mmmu_pro,
    ),
    "mmmu": ({"": schemas.MMMU}, _mmmu),
    "vstar": ({"": schemas.VSTAR}, _vstar),
    "mmstar": ({"": schemas.MMSTAR}, _mmstar),
    "blink": ({"": schemas.BLINK}, _blink),
    "scienceqa": ({"": schemas.SCIENCEQA}, _scienceqa),
    "phyx": ({"": schemas.PHYX}, _phyx),
    "olympiadbench_physics": ({"": schemas.OLYMPIAD}, _olympiad),
    "mme_realworld_lite": ({"": schemas.REALWORLD}, _realworld),
}
