"""The column types of the twelve VQA data sets, from their data set cards on the Hub.

A schema maps a column to "image" or a scalar type's name, to a list of one such, or to a schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Features

Schema = Mapping[str, Any]

STRINGS = ["string"]
MMMU_IMAGES = {f"image_{number}": "image" for number in range(1, 8)}

MATHVISTA: Schema = {
    **dict.fromkeys(("pid", "question", "image"), "string"),
    "decoded_image": "image",
    "choices": STRINGS,
    "unit": "string",
    "precision": "float64",
    **dict.fromkeys(("answer", "question_type", "answer_type"), "string"),
    "metadata": {
        **dict.fromkeys(("category", "context", "grade"), "string"),
        **dict.fromkeys(("img_height", "img_width"), "int64"),
        "language": "string",
        "skills": STRINGS,
        **dict.fromkeys(("source", "split", "task"), "string"),
    },
    "query": "string",
}
MATHVERSE: Schema = {
    **dict.fromkeys(("sample_index", "problem_index", "problem_version", "question"), "string"),
    "image": "image",
    **dict.fromkeys(("answer", "question_type"), "string"),
    "metadata": dict.fromkeys(("split", "source", "subject", "subfield"), "string"),
    **dict.fromkeys(("query_wo", "query_cot", "question_for_eval"), "string"),
}
MATHVISION: Schema = {
    **dict.fromkeys(("id", "question"), "string"),
    "options": STRINGS,
    "image": "string",
    "decoded_image": "image",
    **dict.fromkeys(("answer", "solution"), "string"),
    "level": "int64",
    "subject": "string",
}
MMMU: Schema = {
    **dict.fromkeys(("id", "question", "options", "explanation"), "string"),
    **MMMU_IMAGES,
    **dict.fromkeys(
        ("img_type", "answer", "topic_difficulty", "question_type", "subfield"), "string"
    ),
}
MMMU_PRO_STANDARD: Schema = {
    **dict.fromkeys(("id", "question", "options", "explanation"), "string"),
    **MMMU_IMAGES,
    **dict.fromkeys(("img_type", "answer", "topic_difficulty", "subject"), "string"),
}
MMMU_PRO_VISION: Schema = {
    "id": "string",
    "image": "image",
    **dict.fromkeys(("options", "answer", "subject"), "string"),
}
VSTAR: Schema = {
    "image": "image",
    **dict.fromkeys(("text", "category", "label", "question_id"), "string"),
}
MMSTAR: Schema = {
    "index": "int64",
    "question": "string",
    "image": "image",
    **dict.fromkeys(("answer", "category", "l2_category"), "string"),
    "meta_info": dict.fromkeys(("source", "split", "image_path"), "string"),
}
BLINK: Schema = {
    **dict.fromkeys(("idx", "sub_task", "question"), "string"),
    **{f"image_{number}": "image" for number in range(1, 5)},
    "choices": STRINGS,
    **dict.fromkeys(("answer", "prompt", "explanation"), "string"),
}
SCIENCEQA: Schema = {
    "image": "image",
    "question": "string",
    "choices": STRINGS,
    "answer": "int8",
    **dict.fromkeys(("hint", "task", "grade", "subject", "topic"), "string"),
    **dict.fromkeys(("category", "skill", "lecture", "solution"), "string"),
}
PHYX: Schema = dict.fromkeys(
    ("index", "question", "answer", "image", "category", "subfield", "reasoning_type"), "string"
)
OLYMPIAD: Schema = {
    "id": "int64",
    "question": "string",
    "solution": STRINGS,
    "final_answer": STRINGS,
    "context": "string",
    **{f"image_{number}": "image" for number in range(1, 6)},
    **dict.fromkeys(("modality", "difficulty"), "string"),
    "is_multiple_answer": "bool",
    **dict.fromkeys(("unit", "answer_type", "error", "question_type"), "string"),
    **dict.fromkeys(("subfield", "subject", "language"), "string"),
}
REALWORLD: Schema = {
    "index": "int64",
    **dict.fromkeys(("question", "bytes"), "string"),
    "multi-choice options": STRINGS,
    **dict.fromkeys(("answer", "category", "l2-category"), "string"),
}


def features(schema: Schema) -> Features:
    """Return a schema as ``datasets`` features."""
    from datasets import Features, Image, List, Value

    def feature(kind: Any) -> Any:
        if isinstance(kind, Mapping):
            return {name: feature(inner) for name, inner in kind.items()}
        if isinstance(kind, list):
            return List(feature(kind[0]))
        return Image() if kind == "image" else Value(kind)

    return Features({name: feature(kind) for name, kind in schema.items()})
