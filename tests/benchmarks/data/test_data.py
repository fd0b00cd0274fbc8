"""Sources, file names, layouts, counts, fingerprints and reading of local data sets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import data, suites
from benchmarks.data.catalog.parquet_names import _fits, card_patterns, table_files
from benchmarks.data.catalog.sources import Table, source
from benchmarks.data.local.layout import NOTE
from benchmarks.micro.data import datasets as micro
from benchmarks.suites import SUITES
from harness.errors import UsageError

N = 20

# The heads of the cards of Lin-Chen/MMStar (shortened), Hothan/OlympiadBench, Cloudriver/PhyX.
MMSTAR_CARD = """---
configs:
- config_name: val
  data_files:
  - split: val
    path: "mmstar.parquet"
---
# MMStar
"""
OLYMPIAD_CARD = """---
configs:
- config_name: OE_MM_maths_en_COMP
  data_files: OlympiadBench/OE_MM_maths_en_COMP/OE_MM_maths_en_COMP.parquet
- config_name: OE_MM_physics_en_COMP
  data_files: OlympiadBench/OE_MM_physics_en_COMP/OE_MM_physics_en_COMP.parquet
license: apache-2.0
---
"""
PHYX_CARD = """---
configs:
  - config_name: data_for_llms_eval
    data_files:
      - split: phyx_mini_mc
        path: data_llms_eval/PhyX_mini_MC.parquet
      - split: phyx_mini_oe
        path: data_llms_eval/PhyX_mini_OE.parquet
  - config_name: default
    data_files:
      - split: test_mini
        path: dataset_card/test_mini-*
---
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded data sets: every benchmark, as save_to_disk writes them."""
    root = tmp_path_factory.mktemp("saved")
    micro.write(root, n=N, seed=3)
    return root


@pytest.fixture(scope="module")
def parquet(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows as parquet files named as on the hub, two shards each."""
    root = tmp_path_factory.mktemp("parquet")
    for benchmark in SUITES["vqa12"]:
        for table in source(benchmark).tables:
            if table.role == "stand-in":
                continue
            rows = data.load(benchmark, saved)[table.config][table.split]
            folder = root / benchmark / (table.config or "data")
            folder.mkdir(parents=True, exist_ok=True)
            for shard in range(2):
                name = f"{table.split}-{shard:05d}-of-00002.parquet"
                rows.shard(2, shard, contiguous=True).to_parquet(folder / name)
    return root


def vstar(n: int) -> Dataset:
    return Dataset.from_list(
        [
            {
                "image": Image.new("RGB", (9, 7), (i % 256, 0, 0)),
                "text": f"What is {i}?",
                "category": "direct_attributes",
                "label": "A",
                "question_id": str(i),
            }
            for i in range(n)
        ]
    )


def table(benchmark: str, split: str | None = None) -> Table:
    return next(t for t in source(benchmark).tables if split in (None, t.split))


# Sources


def test_blinks_subtasks_add_up_to_the_official_number() -> None:
    assert sum(t.count for t in source("blink").tables) == 1901
    assert len(source("blink").configs) == 14


def test_a_pin_is_a_whole_commit_hash() -> None:
    origins = [source(name) for name in suites.names() if name not in ("niah", "probe")]
    pins = [origin.revision for origin in origins if origin.revision]
    assert len(pins) == 14
    assert all(re.fullmatch(r"[0-9a-f]{40}", pin) for pin in pins)


def test_sources_are_what_the_tasks_of_lmms_eval_read() -> None:
    """Against lmms-eval's own yaml files, read as text: repository, config and split."""
    tasks = Path(sys.prefix, "lib", f"python3.{sys.version_info.minor}", "site-packages")
    tasks = tasks / "lmms_eval" / "tasks"
    files = {
        "mathvista": "mathvista/mathvista_testmini_format.yaml",
        "mathverse": "mathverse/mathverse_testmini.yaml",
        "mathvision": "mathvision/mathvision_test.yaml",
        "mmmu_pro": "mmmu_pro/mmmu_pro_standard.yaml",
        "mmmu": "mmmu/mmmu_val.yaml",
        "scienceqa": "scienceqa/scienceqa_img.yaml",
        "phyx": "phyx/phyx_mini_mc.yaml",
        "olympiadbench_physics": "olympiadbench/olympiadbench_OE_MM_physics_en_COMP.yaml",
        "mme_realworld_lite": "mme_realworld/mme_realworld_lite.yaml",
        "mmstar": "mmstar/mmstar.yaml",
        "vstar": "vstar_bench/vstar_bench.yaml",
        "blink": "blink/blink_art_style.yaml",
    }
    for benchmark, name in files.items():
        path = tasks / name
        text = path.read_text()
        if "include: _default_template_yaml" in text:
            text += "\n" + (path.parent / "_default_template_yaml").read_text()
        said = dict(
            re.findall(
                r"^(dataset_path|dataset_name|test_split): *[\"']?(.*?)[\"']? *$", text, re.M
            )
        )
        first = source(benchmark).tables[0]
        assert said["dataset_path"] == source(benchmark).repository
        assert said.get("dataset_name", "") == first.config
        assert said["test_split"] == first.split


def test_an_unknown_benchmark_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean mathvision"):
        data.count("mathvison", tmp_path)


# Names


def test_the_card_decides_where_files_are() -> None:
    assert table_files(["mmstar.parquet"], MMSTAR_CARD, source("mmstar"), table("mmstar")) == (
        "mmstar.parquet",
    )
    folder = "OlympiadBench/OE_MM_physics_en_COMP"
    names = [f"{folder}/OE_MM_physics_en_COMP.parquet", f"{folder}/other.parquet"]
    benchmark = "olympiadbench_physics"
    found = table_files(names, OLYMPIAD_CARD, source(benchmark), table(benchmark))
    assert found == (names[0],)
    names = ["data_llms_eval/PhyX_mini_MC.parquet", "data_llms_eval/PhyX_mini_OE.parquet"]
    for name, split in zip(names, ("phyx_mini_mc", "phyx_mini_oe"), strict=True):
        assert table_files(names, PHYX_CARD, source("phyx"), table("phyx", split)) == (name,)


@pytest.mark.parametrize(
    "card",
    [
        "",
        "no head",
        "---\n: [\n---\n",
        "---\nconfigs: 3\n---\n",
        "---\n- a\n---\n",
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: 3\n---\n",
    ],
)
def test_a_card_that_says_nothing_leaves_it_to_the_names(card: str) -> None:
    names = [f"data/{split}-00000-of-00001-3532b8d3f1b4.parquet" for split in ("test", "testmini")]
    assert card_patterns(card, table("mathvision")) == ()
    found = table_files(names, card, source("mathvision"), table("mathvision", "test"))
    assert found == (names[0],)


def test_a_star_stays_in_its_folder() -> None:
    card = "---\nconfigs:\n- data_files:\n  - split: val\n    path: a/*.parquet\n---\n"
    names = ["a/b/x.parquet", "a/x.parquet"]
    assert table_files(names, card, source("mmstar"), table("mmstar")) == ("a/x.parquet",)
    deep = card.replace("a/*", "a/**/*")
    assert table_files(names, deep, source("mmstar"), table("mmstar")) == tuple(names)


def matched(pattern: str, names: list[str]) -> tuple[str, ...]:
    entry = json.dumps({"split": "val", "path": pattern})
    card = f"---\nconfigs:\n- data_files:\n  - {entry}\n---\n"
    return table_files(names, card, source("mmstar"), table("mmstar"))


@given(
    pattern=st.lists(st.sampled_from(["**/", "**", "*", "?", "a", "b", "/", "."]), max_size=7),
    name=st.text("ab/.", max_size=8),
)
def test_globs_match_what_the_same_regular_expressions_match(pattern: list[str], name: str) -> None:
    wild = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    glob = "".join(pattern).removeprefix("./")
    pieces = re.split(r"(\*\*/?|\*|\?)", glob)
    expression = "".join(wild.get(piece, re.escape(piece)) for piece in pieces)
    expected = re.fullmatch(expression, name, re.DOTALL) is not None
    assert _fits(name, pieces) is expected


@pytest.mark.parametrize("pattern", ["**/" * 300 + "x", "*a" * 300, "**a" * 300, "**/*a" * 100])
def test_no_pattern_of_a_card_takes_long(pattern: str) -> None:
    names = ["a/" * 100 + "a" * 200 + ".parquet", "val.parquet"]
    begun = time.process_time()
    assert matched(pattern, names) == ("val.parquet",)  # by its name: the pattern matches none
    assert time.process_time() - begun < 2


def test_missing_shards_are_told() -> None:
    with pytest.raises(UsageError, match="only 1 of 3 parquet files"):
        table_files(["data/val-00001-of-00003.parquet"], None, source("mmstar"), table("mmstar"))


# Layout, count, fingerprint, load


@pytest.mark.parametrize("benchmark", SUITES["vqa12"])
def test_every_benchmark_reads_alike_from_saved_and_parquet(
    saved: Path, parquet: Path, benchmark: str
) -> None:
    assert data.count(benchmark, saved) == data.count(benchmark, parquet) >= N
    one, two = data.load(benchmark, saved), data.load(benchmark, parquet)
    assert set(one) == set(two) == set(source(benchmark).configs)
    for config, splits in one.items():
        for split, rows in splits.items():
            other = two[config][split]
            assert rows.features == other.features
            assert rows.num_rows == other.num_rows
            assert _plain(rows[0]) == _plain(other[0])


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {k: v.tobytes() if isinstance(v, Image.Image) else v for k, v in row.items()}


def test_one_folder_may_hold_one_dataset_alone(tmp_path: Path) -> None:
    vstar(5).save_to_disk(tmp_path / "vstar")
    assert data.count("vstar", tmp_path) == 5
    assert data.load("vstar", tmp_path)[""]["test"][3]["label"] == "A"


def test_images_of_files_that_other_tools_wrote_are_images(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    (tmp_path / "vstar").mkdir()
    vstar(2).to_parquet(tmp_path / "vstar" / "test.parquet")
    path = tmp_path / "vstar" / "test.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    assert data.load("vstar", tmp_path)[""]["test"][1]["image"].size == (9, 7)


def test_the_fingerprint_is_of_content_and_relative_names(saved: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(saved / "vstar", copy / "vstar")
    assert data.fingerprint("vstar", copy) == data.fingerprint("vstar", saved)
    (copy / "vstar" / "source.json").write_text("{}")
    (copy / "vstar" / NOTE).write_text("these are\n not real\n")
    assert data.note("vstar", copy) == "these are not real"
    assert data.note("vstar", saved) == ""
    assert data.fingerprint("vstar", copy) == data.fingerprint("vstar", saved)
    path = next((copy / "vstar").rglob("*.arrow"))
    path.write_bytes(path.read_bytes() + b"x")
    assert data.fingerprint("vstar", copy) != data.fingerprint("vstar", saved)


def test_counting_and_fingerprints_import_neither_torch_nor_datasets(saved: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from benchmarks import data;"
        "root = Path(sys.argv[1]);"
        "print(data.count('blink', root), data.fingerprint('blink', root));"
        "print(sorted({'torch', 'datasets', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(saved)], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert out[0] == f"{data.count('blink', saved)} {data.fingerprint('blink', saved)}"
    assert out[1] == "[]"


def test_reading_writes_nothing_below_the_data_root(parquet: Path, saved: Path) -> None:
    for root in (parquet, saved):
        before = sorted(root.rglob("*"))
        for benchmark in ("vstar", "phyx", "mmmu_pro"):
            data.load(benchmark, root)
            data.fingerprint(benchmark, root)
        assert sorted(root.rglob("*")) == before


def test_the_data_root_is_given_or_in_the_environment_or_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    assert data.data_root() == tmp_path / "cache" / "harness" / "data"
    monkeypatch.setenv("HARNESS_DATA", os.fspath(tmp_path))
    assert data.data_root() == tmp_path
    assert data.data_root(Path("here")) == Path("here")


def test_test_stands_before_its_stand_in(tmp_path: Path, saved: Path) -> None:
    rows = data.load("mathvision", saved)[""]["test"]
    DatasetDict({"testmini": rows.select(range(4))}).save_to_disk(tmp_path / "a" / "mathvision")
    both = DatasetDict({"test": rows, "testmini": rows.select(range(4))})
    both.save_to_disk(tmp_path / "b" / "mathvision")
    assert [t.table.split for t in data.tables("mathvision", tmp_path / "a")] == ["testmini"]
    assert data.count("mathvision", tmp_path / "a") == 4
    assert [t.table.split for t in data.tables("mathvision", tmp_path / "b")] == ["test"]
    assert set(data.load("mathvision", tmp_path / "b")[""]) == {"test", "testmini"}


# What goes wrong


def test_missing_data_names_the_command_that_gets_it(tmp_path: Path) -> None:
    command = re.escape(f"harness data pull mmstar --data-root {tmp_path}")
    for ask in (data.count, data.fingerprint, data.load):
        with pytest.raises(UsageError, match=command):
            ask("mmstar", tmp_path)


def test_a_missing_config_is_named(tmp_path: Path, saved: Path) -> None:
    shutil.copytree(saved / "blink", tmp_path / "blink")
    shutil.rmtree(tmp_path / "blink" / "Jigsaw")
    with pytest.raises(UsageError, match="lacks Jigsaw/val"):
        data.count("blink", tmp_path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _arrow(folder: Path) -> Path:
    return next(folder.rglob("*.arrow"))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "index": lambda folder: (folder / "dataset_dict.json").write_text("{"),
    "splits are a number": lambda folder: (folder / "dataset_dict.json").write_text(
        '{"splits": 5}'
    ),
    "splits are a word": lambda folder: (folder / "dataset_dict.json").write_text(
        '{"splits": "test"}'
    ),
    "index without end": lambda folder: (folder / "dataset_dict.json").write_text("[" * 100_000),
    "index is a list": lambda folder: (folder / "dataset_dict.json").write_text("[]"),
    "no state": lambda folder: (folder / "test" / "state.json").unlink(),
    "corrupt state": lambda folder: (folder / "test" / "state.json").write_text('{"a": 1}'),
    "no arrow": lambda folder: _arrow(folder).unlink(),
    "cut arrow": lambda folder: _cut(_arrow(folder)),
    "arrow is text": lambda folder: _arrow(folder).write_text("no arrow at all"),
    "empty arrow": lambda folder: _arrow(folder).write_text(""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_saved_data_set_is_one_sentence(tmp_path: Path, damage: str) -> None:
    DatasetDict({"test": vstar(6)}).save_to_disk(tmp_path / "vstar")
    DAMAGE[damage](tmp_path / "vstar")
    for ask in (data.count, data.load):
        with pytest.raises(UsageError, match="again") as caught:
            ask("vstar", tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("info", ["[]", "{", '{"features": 5}', '{"features": {"a": 1}}'])
def test_a_damaged_description_of_a_saved_data_set_is_one_sentence(
    tmp_path: Path, info: str
) -> None:
    DatasetDict({"test": vstar(6)}).save_to_disk(tmp_path / "vstar")
    (tmp_path / "vstar" / "test" / "dataset_info.json").write_text(info)
    with pytest.raises(UsageError, match="again") as caught:
        data.load("vstar", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_cut_parquet_file_is_one_sentence(tmp_path: Path, cut: int) -> None:
    (tmp_path / "vstar").mkdir()
    path = tmp_path / "vstar" / "test-00000-of-00001.parquet"
    vstar(6).to_parquet(path)
    path.write_bytes(path.read_bytes()[: -cut or 0] if cut else b"")
    for ask in (data.count, data.load):
        with pytest.raises(UsageError, match="again") as caught:
            ask("vstar", tmp_path)
        assert "\n" not in str(caught.value)


def test_a_folder_of_other_things_is_missing_data(tmp_path: Path) -> None:
    (tmp_path / "mmmu_pro").mkdir()
    (tmp_path / "mmmu_pro" / "test-00000-of-00001.parquet").write_text("not of any config")
    (tmp_path / "mmmu_pro" / "notes.json").write_text(json.dumps({}))
    with pytest.raises(UsageError, match="no data for mmmu_pro"):
        data.count("mmmu_pro", tmp_path)


def test_a_data_set_without_rows_counts_none(tmp_path: Path) -> None:
    empty = concatenate_datasets([vstar(2)]).select([])
    DatasetDict({"test": empty}).save_to_disk(tmp_path / "vstar")
    assert data.count("vstar", tmp_path) == 0


def test_a_lone_file_of_another_config_is_not_taken() -> None:
    benchmark = "olympiadbench_physics"
    names = ["OE_TO_maths_en_COMP/train-00000-of-00001.parquet", "other.parquet"]
    for few in (names, names[:1], names[1:]):
        assert table_files(few, None, source(benchmark), table(benchmark)) == ()
    both = [
        "OE_MM_physics_en_COMP/train-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
    ]
    assert table_files(both, None, source(benchmark), table(benchmark)) == (both[0],)
