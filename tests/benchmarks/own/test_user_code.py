"""Benchmarks in Python of the user's own: found, hashed into key and scorer, or refused."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from benchmarks import suites, user_code
from benchmarks.own import contract
from harness.errors import ItemError, UsageError
from harness.own_code import installed, needs_consent
from harness.protocols import Tools
from harness.records import Item, Response

EXAMPLE = Path(__file__).parents[3] / "examples" / "benchmark.py"
ROW = '{"id": "1", "question": "Q", "image": "a.png", "choices": ["red", "blue"], "answer": "A"}\n'


def written(folder: Path, text: str, name: str = "own.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def example(name: str) -> str:
    """Return the example of the documentation as a benchmark of another id."""
    return EXAMPLE.read_text().replace('"colours"', f'"{name}"')


def data(root: Path, name: str) -> Path:
    from PIL import Image

    folder = root / name
    folder.mkdir(parents=True)
    Image.new("RGB", (4, 4), "red").save(folder / "a.png")
    (folder / "questions.jsonl").write_text(ROW)
    return root


def test_the_source_is_in_the_protocol_and_the_scorer_s_version(tmp_path: Path) -> None:
    declared = []
    for number, more in enumerate(("", "# changed\n")):
        path = written(tmp_path / str(number), example("own_a") + more)
        assert suites.resolve(str(path)) == ("own_a",)
        declared.append(
            suites.benchmark("own_a", data(tmp_path / f"data{number}", "own_a")).declaration
        )
    assert declared[0].protocol["source"] != declared[1].protocol["source"]
    assert declared[0].scoring != declared[1].scoring
    assert declared[0].protocol["style"] == "letter"
    built = suites.benchmark("own_a", tmp_path / "data0", options={"style": "think"})
    assert built.declaration.protocol["style"] == "think"
    assert list(contract.problems(built)) == []


def test_a_package_is_hashed_whole(tmp_path: Path) -> None:
    versions = []
    for number, more in enumerate(("", "X = 1\n")):
        folder = tmp_path / str(number) / "pack"
        written(folder, "from .inner import Colours\n", "__init__.py")
        written(folder, example("own_b"), "inner.py")
        written(folder, more, "helper.py")
        assert suites.resolve(str(folder)) == ("own_b",)
        versions.append(suites.benchmark("own_b", tmp_path).declaration.scoring)
    assert versions[0] != versions[1]


def test_an_entry_point_is_found_by_its_name(tmp_path: Path) -> None:
    """A package as pip leaves it: modules, and entry points in its dist-info."""
    written(tmp_path, example("own_c"), "installed_own.py")
    info = (
        "[contextrl_harness.benchmarks]\nown_c = installed_own:Colours\nown_d = installed_own:No\n"
    )
    written(tmp_path, info, "installed_own-1.dist-info/entry_points.txt")
    written(tmp_path, "Name: installed-own\nVersion: 1\n", "installed_own-1.dist-info/METADATA")
    sys.path.append(str(tmp_path))
    installed.cache_clear()
    try:
        assert "own_c" in suites.names()
        assert suites.resolve("own_c") == ("own_c",)
        assert suites.benchmark("own_c", tmp_path).declaration.protocol["source"]
        with pytest.raises(UsageError, match="own_d"):
            suites.resolve("own_d")
    finally:
        sys.path.remove(str(tmp_path))
        installed.cache_clear()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_that_name\n", "own.py line 1"),
        ("def f(:\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit"),
        ("x = 1\n", "defines no benchmark"),
        ("class Own:\n    declaration = 1\n", "not a dataclass"),
        (
            "from dataclasses import dataclass\n@dataclass\nclass Own:\n    declaration = 1\n",
            "lacks fingerprint, count",
        ),
        (example("vstar"), "name of ours"),
        (example("a/b"), "must be a name without"),
    ],
)
def test_code_that_is_no_benchmark_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=r"own\.py|name of ours") as refusal:
        suites.add_file(written(tmp_path, text))
    assert message in str(refusal.value)


def test_what_the_code_raises_is_one_line_with_its_own(tmp_path: Path) -> None:
    broken = example("own_e").replace("return scoring.score(", "return {}[")
    broken = broken.replace("response.answer, item.target)", "response.answer]")
    path = written(tmp_path, broken)
    suites.add_file(path)
    benchmark = suites.benchmark("own_e", data(tmp_path / "data", "own_e"))
    item = benchmark.build("1")
    assert isinstance(item, Item)
    with pytest.raises(ItemError, match=r"own\.py: score failed \(KeyError: .*own\.py line \d+"):
        asyncio.run(benchmark.score(item, Response("A"), Tools()))
    with pytest.raises(UsageError, match="build failed"):
        benchmark.build("no such id")
    report = contract.verify(benchmark, tmp_path, all_images=False)
    assert "score failed" in report.problems[0]


def test_the_contract_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = example("own_f").replace("return list(self.rows)", "return [*self.rows, *self.rows]")
    wrong = wrong.replace(
        "return scoring.score(response.answer, item.target)", "return Score(2.0, 'scored')"
    )
    suites.add_file(written(tmp_path, wrong))
    found = list(contract.problems(suites.benchmark("own_f", data(tmp_path / "data", "own_f"))))
    assert "1 id given twice" in found[0]
    assert "count says 1" in found[1]
    assert "a value in [0, 1]" in found[2]


def test_a_file_is_imported_once_a_version(tmp_path: Path) -> None:
    path = written(tmp_path, example("own_g"))
    first = user_code.load(path)["own_g"]
    assert user_code.load(path)["own_g"].__module__ == first.__module__


def test_one_argument_of_vllm_as_a_text_is_one_argument() -> None:
    assert needs_consent("vllm-arg", 'limit-mm-per-prompt={"image":2,"video":0}') == ""
    assert needs_consent("vllm-arg", None) == ""
    assert "(worker-cls)" in needs_consent("vllm-arg", "worker-cls=a.B")
