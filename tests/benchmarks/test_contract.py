"""What every benchmark must keep to, whichever it is: a new one is tested here without a line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import suites
from benchmarks.micro.data import datasets, longbench, programs, repositories
from benchmarks.own.contract import problems
from benchmarks.registry import SUMMARIES
from harness.protocols import Benchmark, build_items
from harness.reasoning import extra_tags
from harness.records import Item

OPTIONS = {"probe": {"pairs": "micro"}}
HEAVY = ("torch", "datasets", "transformers", "lmms_eval", "pandas", "scipy", "PIL", "pyarrow")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contract")
    datasets.write(folder, n=3)
    for write in (longbench.write, programs.write, repositories.write):
        write(folder)
    return folder


@pytest.fixture(params=suites.names())
def benchmark(request: pytest.FixtureRequest, root: Path) -> Benchmark:
    return suites.benchmark(request.param, root, options=OPTIONS.get(request.param, {}))


def test_what_the_list_prints_is_declared(benchmark: Benchmark) -> None:
    declared = suites.benchmark(benchmark.declaration.id).declaration  # by the default options
    expected = (declared.n_items, declared.title, declared.metric)
    assert SUMMARIES.get(declared.id, expected) == expected


def test_ids_are_unique_items_build_and_junk_never_raises(benchmark: Benchmark) -> None:
    assert list(problems(benchmark)) == []
    assert list(benchmark.ids()) == list(benchmark.ids())


def test_the_first_items_are_those_of_the_first_ids(benchmark: Benchmark) -> None:
    items = list(build_items(benchmark, 2))
    assert [item.id for item in items] == list(benchmark.ids()[:2])
    assert all(isinstance(item, Item) and item.cluster and item.messages for item in items)
    again = benchmark.build(items[-1].id)
    assert isinstance(again, Item)
    assert [m.render() for m in again.messages] == [m.render() for m in items[-1].messages]


def test_the_declaration_says_what_it_is_and_how_it_is_scored(benchmark: Benchmark) -> None:
    declared = benchmark.declaration
    assert suites.kind(declared.id) is type(benchmark)
    assert declared.protocol
    assert declared.title
    assert declared.scoring
    assert declared.native_max_tokens > 0
    assert declared.max_tokens > 0
    assert benchmark.fingerprint() == benchmark.fingerprint()


@pytest.fixture(scope="module")
def with_other_reasoning(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the scorers' versions in a copy of the source with other rules on reasoning."""
    copy, root = tmp_path_factory.mktemp("copy"), Path(suites.__file__).parents[1]
    for package in ("harness", "benchmarks"):
        shutil.copytree(root / package, copy / package)
    with (copy / "harness" / "reasoning.py").open("a") as file:
        file.write("#\n")
    program = (
        "import json; from benchmarks import suites\n"
        "print(json.dumps({each.id: each.scoring for each in suites.declarations()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=copy, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(copy)},
    )  # fmt: skip
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def test_the_scorer_s_version_covers_the_rules_on_reasoning(
    benchmark: Benchmark, with_other_reasoning: dict[str, str]
) -> None:
    name = benchmark.declaration.id
    # What scores a patch reads no reasoning.
    same = name in ("swebench_verified", "swebench_lite")
    scoring = benchmark.declaration.scoring
    assert (with_other_reasoning[name] == scoring) is same
    with extra_tags([("<plan>", "</plan>")]):
        assert (benchmark.declaration.scoring == scoring) is same


def test_the_list_imports_no_benchmark() -> None:
    program = (
        "import sys; from harness.cli.main import run_command; run_command(['list'])\n"
        "print([name for name in sys.modules if name.startswith('benchmarks.')], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = ["benchmarks.cli", "benchmarks.cli.own", "benchmarks.registry"]
    assert done.stderr.strip() == str(loaded)


def test_declarations_import_nothing_heavy() -> None:
    program = (
        "import sys; from benchmarks import suites; suites.declarations()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
