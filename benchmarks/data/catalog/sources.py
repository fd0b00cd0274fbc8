"""Each benchmark's Hub repository, pinned revision, tables, row counts and columns.

A VQA benchmark declares them in the ``source`` of its class; the others are listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from benchmarks import registry
from harness.errors import UsageError, unknown

Role = Literal["required", "stand-in", "optional", "apart"]


@dataclass(frozen=True, slots=True)
class Table:
    """One config and split of a data set on the Hub.

    ``config`` is "" for a repository without named configs. ``count`` is the official number of
    rows, 0 if unknown. ``columns`` are those that the wrapped task reads; ``images`` are those of
    them (or further ones that may be absent) that hold images: PIL images, or base64 text if the
    data set has them so. ``required`` tables together are the benchmark; a ``stand-in`` replaces
    all of them if they are missing; ``optional`` ones may be read beside them, as may those that
    are ``apart``, which `pull` skips (they are large). ``file`` is the raw release file (``.jsonl``
    or ``.json``) with the table, if the Hub has no parquet of it.
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
    """A data set on the Hub: repository, pinned commit (40 hex digits, or None), tables.

    If ``revision`` is None, no published pin was found: `pull` resolves the branch's head to its
    commit, uses exactly that one and records it beside the data. ``hashes`` are the sha256 of files
    at that commit, as quoted from the Hub by public code that checks them.
    """

    repository: str
    revision: str | None
    tables: tuple[Table, ...]
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def configs(self) -> tuple[str, ...]:
        """The config names in order, without repeats ("" if the repository names none)."""
        return tuple(dict.fromkeys(table.config for table in self.tables))


_SWEBENCH_COLUMNS = tuple(
    "instance_id repo version base_commit problem_statement patch FAIL_TO_PASS PASS_TO_PASS "
    "image eval_script log_parser eval_type".split()
)

# Fields: lcb_runner/benchmarks/code_generation.py of LiveCodeBench.
_LIVECODEBENCH_COLUMNS = tuple(
    "question_title question_content platform question_id contest_id contest_date starter_code "
    "difficulty public_test_cases private_test_cases metadata".split()
)
# Rows added by each release: release_v1 has 400 problems, v2 511, v3 612, v4 713, v5 880, v6 1055
# (the data set's card).
_LIVECODEBENCH_FILES = {"test": 400, "test2": 111, "test3": 101, "test4": 101, "test5": 167}
_LIVECODEBENCH_HASHES = {
    "test.jsonl": "2bd02b38beb48e8c46b5b9987095d999ff38cd8efc255ea5d58974317c48f63f",
    "test2.jsonl": "095df7c5daf15f882c51a9deb84085cff1e073495a5dbcf95015a564d485f3a3",
    "test3.jsonl": "28ed26cc83363ce3f1fe2d5fad9f8393077beb1907b167a31bd3b32f80801b79",
    "test4.jsonl": "d711138ddaebfcf5f8ec6a4283ee677298c0f5c5d374a235af92aaf0584510da",
    "test5.jsonl": "7f77571c2a6df0c2a72a3277650309f67e01e0008e18117e624633df53f81214",
    "test6.jsonl": "bb4c364f71921c4495a6ad15abe1a927350b720009f4933e2e71f8af0f6fd1f5",
}
_PARQUET = "data/test-00000-of-00001.parquet"
_LONGBENCH_COLUMNS = tuple(
    "_id domain sub_domain difficulty length question choice_A choice_B choice_C choice_D answer "
    "context".split()
)

# Each pin has its source beside it. They were found in public code, not queried from the Hub: for a
# pin unknown to the Hub, `pull` says so, and `--revision` takes another.
SOURCES: dict[str, Source] = {
    "swebench_verified": Source(
        "SWE-bench/SWE-bench_Verified",
        # public evaluation code for swebench 5, which checks the file's sha256: the data set with
        # the columns that swebench 5 grades by
        "78f471bf655a3137b2e8a75af1501690ec009ec3",
        (Table("", "test", 500, _SWEBENCH_COLUMNS, (), file="test.jsonl"),),
        # four public evaluations
        {_PARQUET: "030cfd7f2a704c4c0226e7f104c725a3b41230b1d3517f9c915ad7ea5be3fa25"},
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
        # test6: two public evaluations; the others: one of these, of the hub's answer
        _LIVECODEBENCH_HASHES,
    ),
    "longbench_v2": Source(
        "zai-org/LongBench-v2",
        # several public evaluations pin it, one of them with the checksum of data.json
        "2b48e494f2c7a2f0af81aae178e05c7e1dde0fe9",
        (Table("", "train", 503, _LONGBENCH_COLUMNS, (), file="data.json"),),
        # two public evaluations
        {"data.json": "15d61c22d92c96900b3c4948b6aeea218d3214b676a65df48e7b8555604c7fe2"},
    ),
}


# Benchmarks whose items come from a seeded generator.
GENERATED = frozenset({"niah"})


def has_source(benchmark_id: str) -> bool:
    """Whether a benchmark has a data set on the Hub."""
    return benchmark_id in SOURCES or hasattr(registry.kind(benchmark_id), "source")


def source(benchmark_id: str) -> Source:
    """Return where a benchmark's data comes from; UsageError where there is none here."""
    if benchmark_id in SOURCES:
        return SOURCES[benchmark_id]
    if registry.is_known(benchmark_id) and hasattr(registry.kind(benchmark_id), "source"):
        return cast("Source", registry.kind(benchmark_id).source)
    if benchmark_id in GENERATED:
        raise UsageError(f"{benchmark_id} generates its items from a seed: no data needed")
    if registry.is_known(benchmark_id):
        raise UsageError(f"{benchmark_id} names no data set to download: put its data in place")
    raise unknown("data set for a benchmark", benchmark_id, registry.names())
