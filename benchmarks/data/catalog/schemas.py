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


def texts(names: str) -> Schema:
    """Return columns of texts by their names, with blanks between."""
    return dict.fromkeys(names.split(), "string")


MMMU_IMAGES = {f"image_{number}": "image" for number in range(1, 8)}

MATHVISTA: Schema = {
    **texts("pid question image"),
    "decoded_image": "image",
    "choices": STRINGS,
    "unit": "string",
    "precision": "float64",
    **texts("answer question_type answer_type"),
    "metadata": {
        **texts("category context grade"),
        **dict.fromkeys(("img_height", "img_width"), "int64"),
        "language": "string",
        "skills": STRINGS,
        **texts("source split task"),
    },
    "query": "string",
}
MATHVERSE: Schema = {
    **texts("sample_index problem_index problem_version question"),
    "image": "image",
    **texts("answer question_type"),
    "metadata": texts("split source subject subfield"),
    **texts("query_wo query_cot question_for_eval"),
}
MATHVISION: Schema = {
    **texts("id question"),
    "options": STRINGS,
    "image": "string",
    "decoded_image": "image",
    **texts("answer solution"),
    "level": "int64",
    "subject": "string",
}
MMMU: Schema = {
    **texts("id question options explanation"),
    **MMMU_IMAGES,
    **texts("img_type answer topic_difficulty question_type subfield"),
}
MMMU_PRO_STANDARD: Schema = {
    **texts("id question options explanation"),
    **MMMU_IMAGES,
    **texts("img_type answer topic_difficulty subject"),
}
MMMU_PRO_VISION: Schema = {"id": "string", "image": "image", **texts("options answer subject")}
VSTAR: Schema = {"image": "image", **texts("text category label question_id")}
MMSTAR: Schema = {
    "index": "int64",
    "question": "string",
    "image": "image",
    **texts("answer category l2_category"),
    "meta_info": texts("source split image_path"),
}
BLINK: Schema = {
    **texts("idx sub_task question"),
    **{f"image_{number}": "image" for number in range(1, 5)},
    "choices": STRINGS,
    **texts("answer prompt explanation"),
}
SCIENCEQA: Schema = {
    "image": "image",
    "question": "string",
    "choices": STRINGS,
    "answer": "int8",
    **texts("hint task grade subject topic category skill lecture solution"),
}
PHYX: Schema = texts("index question answer image category subfield reasoning_type")
OLYMPIAD: Schema = {
    "id": "int64",
    "question": "string",
    "solution": STRINGS,
    "final_answer": STRINGS,
    "context": "string",
    **{f"image_{number}": "image" for number in range(1, 6)},
    **texts("modality difficulty"),
    "is_multiple_answer": "bool",
    **texts("unit answer_type error question_type subfield subject language"),
}
REALWORLD: Schema = {
    "index": "int64",
    **texts("question bytes"),
    "multi-choice options": STRINGS,
    **texts("answer category l2-category"),
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
