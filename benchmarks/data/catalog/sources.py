"""Where each benchmark's data comes from and what must be in it.

A benchmark id comes in; its hub repository, pinned revision, tables, counts and columns leave.
Repositories, configs, splits and columns are those that lmms-eval 0.7.3's tasks read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError, unknown

Role = Literal["required", "stand-in", "optional", "apart"]


@dataclass(frozen=True, slots=True)
class Table:
    """One config and split of a data set on the hub.

    ``config`` is "" for a repository without named configs.  ``count`` is the official number of
    rows.  ``columns`` are those that the wrapped task reads; ``images`` are those of them (or
    further ones that may be absent) that hold images: PIL images, or base64 text where the data
    set has them so.  ``required`` tables together are the benchmark; a ``stand-in`` takes the
    place of all of them where they are not there; ``optional`` ones may be read beside them, and
    so may those that lie ``apart``, which `pull` leaves (they are large).  ``file`` is the raw
    release file (``.jsonl`` or ``.json``) that is the table, where the hub has no parquet of it.
    """

    config: str
    split: str
    count: int
    columns: tuple[str, ...]
    images: tuple[str, ...]
    role: Role = "required"
    file: str = ""

    @property
    def label(self) -> str:
        """Config and split in one word, for messages."""
        return f"{self.config}/{self.split}" if self.config else self.split


@dataclass(frozen=True, slots=True)
class Source:
    """A data set on the hub: repository, pinned commit (40 hex digits, or None), tables.

    Where ``revision`` is None no published pin was found: `pull` resolves the branch's head to
    its commit, takes exactly that one and records it beside the data.
    """

    repository: str
    revision: str | None
    tables: tuple[Table, ...]

    @property
    def configs(self) -> tuple[str, ...]:
        """The config names in order, each once ("" where the repository names none)."""
        return tuple(dict.fromkeys(table.config for table in self.tables))


_MMMU_IMAGES = tuple(f"image_{number}" for number in range(1, 8))
_BLINK_IMAGES = tuple(f"image_{number}" for number in range(1, 5))
_OLYMPIAD_IMAGES = tuple(f"image_{number}" for number in range(1, 6))

# Rows of the validation split of each of BLINK's fourteen subtasks; they add up to 1901.
_BLINK_COUNTS = {
    "Art_Style": 117,
    "Counting": 120,
    "Forensic_Detection": 132,
    "Functional_Correspondence": 130,
    "IQ_Test": 150,
    "Jigsaw": 150,
    "Multi-view_Reasoning": 133,
    "Object_Localization": 122,
    "Relative_Depth": 124,
    "Relative_Reflectance": 134,
    "Semantic_Correspondence": 139,
    "Spatial_Relation": 143,
    "Visual_Correspondence": 172,
    "Visual_Similarity": 135,
}

_MATHVISION_COLUMNS = ("id", "question", "options", "answer", "level", "subject", "decoded_image")
_MATHVISTA_COLUMNS = (
    "pid",
    "question",
    "decoded_image",
    "choices",
    "unit",
    "precision",
    "answer",
    "question_type",
    "answer_type",
    "metadata",
    "query",
)
_MATHVERSE_COLUMNS = (
    "sample_index",
    "problem_index",
    "problem_version",
    "question",
    "image",
    "answer",
    "question_type",
    "metadata",
    "query_wo",
    "query_cot",
    "question_for_eval",
)
_MMMU_COLUMNS = ("id", "question", "options", "answer", "question_type", "image_1")
_BLINK_COLUMNS = ("idx", "sub_task", "question", "prompt", "choices", "answer", "image_1")
_PHYX_COLUMNS = ("index", "question", "answer", "category", "image")
_REALWORLD_COLUMNS = (
    "index",
    "question",
    "multi-choice options",
    "answer",
    "category",
    "l2-category",
    "bytes",
)

_MMMU_PRO_COLUMNS = ("id", "question", "options", "answer", "subject", "image_1")
_MMMU_PRO_VISION_COLUMNS = ("id", "image", "options", "answer", "subject")
_VSTAR_COLUMNS = ("image", "text", "category", "label", "question_id")
_MMSTAR_COLUMNS = ("index", "question", "image", "answer", "category", "l2_category")
_SWEBENCH_COLUMNS = (
    "instance_id",
    "repo",
    "version",
    "base_commit",
    "problem_statement",
    "patch",
    "FAIL_TO_PASS",
    "PASS_TO_PASS",
    "image",
    "eval_script",
    "log_parser",
    "eval_type",
)
_SCIENCEQA_COLUMNS = ("image", "question", "choices", "answer", "hint")
_OLYMPIAD_COLUMNS = (
    "id",
    "question",
    "final_answer",
    "is_multiple_answer",
    "answer_type",
    "subfield",
    "unit",
    "error",
    "image_1",
)

# Fields: lcb_runner/benchmarks/code_generation.py of LiveCodeBench.
_LIVECODEBENCH_COLUMNS = (
    "question_title",
    "question_content",
    "platform",
    "question_id",
    "contest_id",
    "contest_date",
    "starter_code",
    "difficulty",
    "public_test_cases",
    "private_test_cases",
    "metadata",
)
# The rows that each release added: release_v1 has 400 problems, v2 511, v3 612, v4 713, v5 880,
# v6 1055 (the data set's card).
_LIVECODEBENCH_FILES = {"test": 400, "test2": 111, "test3": 101, "test4": 101, "test5": 167}
_LONGBENCH_COLUMNS = (
    "_id",
    "domain",
    "sub_domain",
    "difficulty",
    "length",
    "question",
    "choice_A",
    "choice_B",
    "choice_C",
    "choice_D",
    "answer",
    "context",
)

# Each pin has its source beside it.  They were read in public code, not asked of the hub: a pin
# that the hub does not know makes `pull` say so, and `--revision` takes another.
SOURCES: dict[str, Source] = {
    "mathvista": Source(
        "AI4Math/MathVista",
        # allenai/OLMo-core, src/olmo_core/eval/vision_alignment_ssmax_downstream.py
        "2b6ad69445fbb5695c9b165475e8decdbeb97747",
        (Table("", "testmini", 1000, _MATHVISTA_COLUMNS, ("decoded_image",)),),
    ),
    "mathverse": Source(
        "CaraJ/MathVerse-lmmseval",
        # the hub's own pages: the head of main, 19 commits
        "8479d5e87785a3274da612e169d942c3d972b7fe",
        (Table("testmini", "testmini", 3940, _MATHVERSE_COLUMNS, ("image",)),),
    ),
    "mathvision": Source(
        "MathLLMs/MathVision",
        # the hub's own answer of 2026-06-10, as three public manifests quote it
        "2837ddb3f13abaf6b3997c12d80753e5470bd46a",
        (
            Table("", "test", 3040, _MATHVISION_COLUMNS, ("decoded_image",)),
            Table("", "testmini", 304, _MATHVISION_COLUMNS, ("decoded_image",), "stand-in"),
        ),
    ),
    "mmmu_pro": Source(
        "MMMU/MMMU_Pro",
        # jmagly/matric-eval, src/matric_eval/tasks/mmmu_pro.py
        "563f3e84bb3b90893083a1f039cfa13077f2302b",
        (
            Table("standard (10 options)", "test", 1730, _MMMU_PRO_COLUMNS, _MMMU_IMAGES),
            Table("vision", "test", 1730, _MMMU_PRO_VISION_COLUMNS, ("image",)),
        ),
    ),
    "mmmu": Source(
        "lmms-lab-encoder/MMMU",
        # the hub's own page of lmms-lab/MMMU, of which this is the new name
        "364f2e2eb107b36e07ff4c5a15f5947a759cef47",
        (Table("", "validation", 900, _MMMU_COLUMNS, _MMMU_IMAGES),),
    ),
    "vstar": Source(
        "lmms-lab-encoder/vstar-bench",
        # public evaluation code that pins lmms-lab/vstar-bench (renamed; same history assumed)
        "b44023b4dca749ed8a76b85eb576627d05a1c174",
        (Table("", "test", 191, _VSTAR_COLUMNS, ("image",)),),
    ),
    "mmstar": Source(
        "Lin-Chen/MMStar",
        # public evaluation code; also the hub viewer's own addresses
        "bc98d668301da7b14f648724866e57302778ab27",
        (Table("", "val", 1500, _MMSTAR_COLUMNS, ("image",)),),
    ),
    "blink": Source(
        "BLINK-Benchmark/BLINK",
        # allenai/OLMo-core, src/olmo_core/eval/vision_alignment_ssmax_downstream.py
        "a3666eb249237ba3d5eca8db21176cc47967e040",
        tuple(
            Table(config, "val", count, _BLINK_COLUMNS, _BLINK_IMAGES)
            for config, count in _BLINK_COUNTS.items()
        ),
    ),
    "scienceqa": Source(
        "lmms-lab-encoder/ScienceQA",
        # public evaluation code that pins lmms-lab/ScienceQA (renamed; same history assumed)
        "69dd4d6b67373d38f96a5badd5d24d0eb5bcdc50",
        (Table("ScienceQA-IMG", "test", 2017, _SCIENCEQA_COLUMNS, ("image",)),),
    ),
    "phyx": Source(
        "Cloudriver/PhyX",
        None,  # no published pin was found
        (
            Table("data_for_llms_eval", "phyx_mini_mc", 1000, _PHYX_COLUMNS, ("image",)),
            Table(
                "data_for_llms_eval", "phyx_mini_oe", 1000, _PHYX_COLUMNS, ("image",), "optional"
            ),
        ),
    ),
    "olympiadbench_physics": Source(
        "Hothan/OlympiadBench",
        None,  # no published pin was found
        (Table("OE_MM_physics_en_COMP", "train", 456, _OLYMPIAD_COLUMNS, _OLYMPIAD_IMAGES),),
    ),
    "mme_realworld_lite": Source(
        "yifanzhang114/MME-RealWorld-lite-lmms-eval",
        # public evaluation code that checks its 1919 rows
        "f6b0dc81ba4d3c39bd9b4e544578198d365ac084",
        (Table("", "train", 1919, _REALWORLD_COLUMNS, ("bytes",)),),
    ),
    "swebench_verified": Source(
        "SWE-bench/SWE-bench_Verified",
        # public evaluation code for swebench 5, which checks the file's sha256: the data set with
        # the columns that swebench 5 grades by
        "78f471bf655a3137b2e8a75af1501690ec009ec3",
        (Table("", "test", 500, _SWEBENCH_COLUMNS, (), file="test.jsonl"),),
    ),
    "swebench_lite": Source(
        "SWE-bench/SWE-bench_Lite",
        # likewise
        "b0dde1093fe417d83b7184254edf8199c1f0dff5",
        (Table("", "test", 300, _SWEBENCH_COLUMNS, (), file="test.jsonl"),),
    ),
    "livecodebench_v6": Source(
        "livecodebench/code_generation_lite",
        # several public evaluations pin it, one of them with the checksum of test6.jsonl
        "0fe84c3912ea0c4d4a78037083943e8f0c4dd505",
        (
            Table("", "test6", 175, _LIVECODEBENCH_COLUMNS, (), file="test6.jsonl"),
            *(
                Table("", name, n, _LIVECODEBENCH_COLUMNS, (), "apart", f"{name}.jsonl")
                for name, n in _LIVECODEBENCH_FILES.items()
            ),
        ),
    ),
    "longbench_v2": Source(
        "zai-org/LongBench-v2",
        # several public evaluations pin it, one of them with the checksum of data.json
        "2b48e494f2c7a2f0af81aae178e05c7e1dde0fe9",
        (Table("", "train", 503, _LONGBENCH_COLUMNS, (), file="data.json"),),
    ),
}


# Benchmarks whose items a seeded generator makes.
GENERATED = frozenset({"niah"})


def source(benchmark_id: str) -> Source:
    """Return where a benchmark's data comes from.

    Raises:
        UsageError: no benchmark of that name has a data set here; names the nearest.
    """
    if benchmark_id in SOURCES:
        return SOURCES[benchmark_id]
    if benchmark_id in GENERATED:
        raise UsageError(f"{benchmark_id} makes its items from a seed: it needs no data")
    raise unknown("data set for a benchmark", benchmark_id, SOURCES)
