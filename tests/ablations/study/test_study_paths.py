"""Paths and code that files name are those beside the file, whatever lies in the working folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from PIL import Image

from ablations.arms import arm
from ablations.cli.train import train
from ablations.settings import Settings, code_of, read_recipe
from ablations.study.contents import hashed, training_sources
from ablations.study.declared import ArmEntry, Reader, StudyFile, read_study
from ablations.study.plan import Request, plan
from ablations.training.claim import check_claim, claim
from ablations.training.plan import TrainingPlan
from ablations.training.training_data import TrainingData
from benchmarks.cli.run import run
from harness.backends.models.settings import ModelSettings, decisive
from harness.errors import UsageError
from harness.own_code import NamedCode
from harness.references import _FORMS, content, in_full

CODE = """
from dataclasses import replace
from ablations.arms import ARMS
MINE = replace(ARMS["grpo"], name="mine")
"""
# What lies beside a file, by the option that names it: its value, and what that is in full.
VALUES = {
    "suite": ("a.tsv,vqa12,own.py", "{}/a.tsv,vqa12,{}/own.py"),
    "ids": ("@a.tsv", "@{}/a.tsv"),
    "set": ("niah.tokenizer=data", "niah.tokenizer={}/data"),
    "vllm-arg": ("tokenizer=data", "tokenizer={}/data"),
    "backend": ("own.py", "{}/own.py"),
    "reward": ("own:MINE", "{}/own:MINE"),
    "pair-loss": ("package.inner:MINE", "{}/package.inner:MINE"),
    "train": ("own.py:MINE", "{}/own.py:MINE"),
}
OUTPUTS = {"out"}
_DEFAULT = ("data", "{}/data")
_FILE = ("a.yaml", "{}/a.yaml")


def value_of(option: str) -> tuple[str, str]:
    files = ("config", "recipe", "model-settings")
    return VALUES.get(option, _FILE if option in files else _DEFAULT)


def filled(folder: Path, text: str = "") -> Path:
    """Return a folder with a file, a table, a folder, a module and a package."""
    (folder / "data").mkdir(parents=True)
    (folder / "package").mkdir()
    for name in ("a.yaml", "a.tsv", "own.py", "package/__init__.py", "package/inner.py"):
        (folder / name).write_text(CODE + text if name.endswith(".py") else "{}")
    return folder.resolve()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a filled folder beside the working folder, which holds the same names."""
    monkeypatch.chdir(filled(tmp_path / "working"))
    return filled(tmp_path / "studies", "# another\n")


def written(path: Path, **content: Any) -> Path:
    path.write_text(json.dumps(content))  # which is YAML
    return path


def request(path: Path) -> Request:
    return Reader(read_study(path), path.parent, True).request(path.parent / "out", {})


def names_a_place(option: click.Parameter) -> bool:
    """Whether an option's help says that it takes a file, a folder or code."""
    assert isinstance(option, click.Option)
    words = f"{option.metavar} {option.help}"
    markers = ("FILE", "FOLDER", "DIR", "MODULE", "Folder ", "File ", "folder with", "file, folder")
    return isinstance(option.type, click.Path) or any(each in words for each in markers)


@pytest.mark.parametrize("command", [run, train], ids=lambda command: command.name)
def test_every_option_that_takes_a_path_has_its_form(command: click.Command) -> None:
    flags = {option.opts[0][2:] for option in command.params if names_a_place(option)}
    assert len(flags) > 8
    assert flags - OUTPUTS - set(_FORMS) == set()


@pytest.mark.parametrize("option", sorted(_FORMS))
def test_a_name_is_looked_for_beside_the_file_first(option: str, folder: Path) -> None:
    value, expected = value_of(option)
    assert in_full(folder, option, value) == expected.replace("{}", str(folder))
    for other in ("micro", "Qwen/Qwen3-8B", "temperature=0.5", "7", "qwen3_vl_8b", "my:reward", ""):
        assert in_full(folder, option, other) == other
    (folder / "7").mkdir()
    assert in_full(folder, "set", "niah.seed=7") == "niah.seed=7"  # no number is a path


def test_a_text_that_is_too_long_for_a_file_name_is_no_path(folder: Path) -> None:
    long = '{"rope_scaling": "' + "x" * 300 + '"}'
    for option in ("vllm-arg", "set", "suite", "ids", "reward", "probe"):
        for text in (f"hf-overrides={long}", f"@{long}", long, f"{long}:NAME"):
            assert in_full(folder, option, text) == text
            words = (f"--{option}", text)
            assert hashed(words) == list(words)


def test_a_module_called_as_the_folder_is_not_what_an_installed_name_means(folder: Path) -> None:
    Path(f"{folder}.py").write_text(CODE)
    for name in ("concise", ":MINE", ".MINE"):
        assert in_full(folder, "reward", name) == name


def test_an_id_that_is_called_as_a_file_is_an_id(folder: Path) -> None:
    Path("7").write_text("1\n2\n")
    assert hashed(("--ids", "7")) == ["--ids", "7"]
    assert hashed(("--ids", "@7")) not in (["--ids", "@7"], ["--ids", "7"])


TOP = [field for field in StudyFile.__struct_fields__ if field.replace("_", "-") in _FORMS]


@pytest.mark.parametrize("field", TOP)
def test_a_key_of_a_study_file_names_what_is_beside_it(field: str, folder: Path) -> None:
    value, expected = value_of(field.replace("_", "-"))
    given: dict[str, Any] = {"suite": "vqa12", "model": "m", field: value}
    given["set"] = [value] if field == "set" else []
    arms = {"plain": {"role": "baseline", "train": "grpo"}}
    made = request(written(folder / "study.yaml", **given, arms=arms))
    full = expected.replace("{}", str(folder))
    places = [str(getattr(made, field, "")), *made.settings, *made.train_args]
    assert full in places


def params(command: click.Command) -> list[str]:
    flags = (option.opts[0][2:] for option in command.params)
    return [flag for flag in flags if flag in _FORMS]


OF_STUDY = {"model", "pairs", "rl-data", "config"}  # a setting of no arm: the study's own


@pytest.mark.parametrize("option", sorted(set(params(train)) - OF_STUDY))
def test_a_setting_of_the_study_or_of_an_arm_names_what_is_beside_it(
    option: str, folder: Path
) -> None:
    value, expected = value_of(option)
    words = (f"--{option}", expected.replace("{}", str(folder)))
    settings = {option.replace("-", "_"): value}
    arms = {"plain": {"role": "baseline", "train": "grpo", "settings": settings}}
    path = written(folder / "study.yaml", suite="vqa12", settings=settings, arms=arms)
    made = request(path)
    assert made.train_args == words
    assert made.trained["plain"].args == words


@pytest.mark.parametrize("option", params(run))
def test_an_option_of_the_evaluations_names_what_is_beside_it(option: str, folder: Path) -> None:
    value, expected = value_of(option)
    arms = {"plain": {"role": "baseline", "train": "grpo"}}
    made = request(written(folder / "s.yaml", suite="vqa12", run={option: value}, arms=arms))
    assert made.run_args == (f"--{option}", expected.replace("{}", str(folder)))


OF_ARM = {"checkpoints": "data", "runs": "data"}
ARM = [f for f in ArmEntry.__struct_fields__ if f.replace("_", "-") in {*_FORMS, *OF_ARM}]


@pytest.mark.parametrize("field", [field for field in ARM if field != "settings"])
def test_a_key_of_an_arm_names_what_is_beside_it(field: str, folder: Path) -> None:
    value, expected = value_of(field.replace("_", "-"))
    entry = {"role": "baseline", field: OF_ARM.get(field, value)}
    entry |= {} if field in OF_ARM else {"train": entry.get("train", "grpo")}
    made = request(written(folder / "study.yaml", suite="vqa12", arms={"plain": entry}))
    recipe = made.trained.get("plain")
    paths = [*made.checkpoints.get("plain", ()), *made.runs.get("plain", ())]
    texts = [*map(str, paths)]
    texts += [recipe.arm, *recipe.args, str(recipe.pairs), str(recipe.rl_data)] if recipe else []
    assert expected.replace("{}", str(folder)) in texts


def test_a_recipe_names_what_is_beside_it(folder: Path) -> None:
    """Whether a study file, ``--train-args`` or ``harness train`` reads it."""
    options = sorted(set(params(train)) - {"config"})
    given = {option.replace("-", "_"): value_of(option)[0] for option in options}
    read = read_recipe(str(written(folder / "recipe.yaml", **given)))
    full = {o.replace("-", "_"): value_of(o)[1].replace("{}", str(folder)) for o in options}
    assert read == full
    for code in code_of(read).values():
        code.check()
    # In the working folder names stay short: a training that was begun with them can go on.
    assert read_recipe(str(written(Path("recipe.yaml"), **given))) == given


@pytest.mark.parametrize("option", ["chat-template", "tokenizer", "ids", "adapter", "set"])
def test_a_file_of_options_names_what_is_beside_it(option: str, folder: Path) -> None:
    value, expected = value_of(option)
    path = written(folder / "run.yaml", **{option: value})
    context = run.make_context("run", ["--model", "m", "--suite", "niah", "--config", str(path)])
    name = {"set": "settings"}.get(option, option.replace("-", "_"))
    found = context.params[name]
    text = found[0] if isinstance(found, tuple) else str(found)
    assert text == expected.replace("{}", str(folder))


@pytest.mark.parametrize("name", ["own:MINE", "own.MINE", "own.py:MINE", "package.inner:MINE"])
def test_code_beside_the_file_is_what_is_loaded_and_hashed(name: str, folder: Path) -> None:
    full = in_full(folder, "reward", name)
    here, there = (NamedCode("--reward", each, "no.group") for each in (name, full))
    there.check()
    assert there.source() != here.source()  # the working folder has another of that name
    assert hashed(("--reward", full)) == hashed(("--reward", name))  # folders are no content
    assert training_sources(("--reward", full)) == {"reward": there.source()}


def test_a_package_beside_the_file_imports_its_neighbours(tmp_path: Path) -> None:
    package = tmp_path / "left_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "number.py").write_text("NUMBER = 7\n")
    (package / "rewards.py").write_text("from .number import NUMBER\n")
    name = in_full(tmp_path, "reward", "left_package.rewards:NUMBER")
    assert NamedCode("--reward", name, "no.group").load() == 7


def test_a_module_of_the_same_name_elsewhere_is_not_taken_for_it(tmp_path: Path) -> None:
    names = []
    for number in (1, 2):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "twice_named.py").write_text(f"NUMBER = {number}\n")
        names.append(in_full(place, "reward", "twice_named:NUMBER"))
    first, second = (NamedCode("--reward", name, "no.group") for name in names)
    assert first.load() == first.load() == 1
    with pytest.raises(UsageError, match=r"1/twice_named\.py has the same name and is in use"):
        second.load()


def test_a_study_that_is_moved_has_the_same_arguments_in_its_plan(tmp_path: Path) -> None:
    words = ("--ids", "--vllm-arg", "--pair-loss")
    plans = []
    for name in ("one", "two"):
        place = filled(tmp_path / name)
        named = ("@a.tsv", "chat-template=a.yaml", "own:MINE")
        pairs = zip(words, named, strict=True)
        args = [each for word, value in pairs for each in (word, in_full(place, word[2:], value))]
        plans.append(hashed(args))
    assert plans[0] == plans[1]
    assert not [word for word in plans[0] if "/" in word]


def test_no_key_of_a_study_file_is_forgotten() -> None:
    """A key with a text is in the table, or one of those that hold no path."""
    no_paths = {"title", "note", "matching", "variance", "inference", "spending", "role"}
    elsewhere = {"checkpoints", "runs"}  # always folders
    for record in (StudyFile, ArmEntry):
        for field in msgspec.structs.fields(record):
            if "str" in str(field.type) and "dict" not in str(field.type):
                known = field.name.replace("_", "-") in _FORMS
                assert known or field.name in no_paths | elsewhere | {"benchmarks", "contrasts"}


COVERED = {"image-root", "data-root"}  # folders that the hash of the data covers


@pytest.mark.parametrize("option", sorted(set(_FORMS) - {"suite"}))
def test_what_an_option_names_counts_by_content_wherever_it_lies(
    option: str, tmp_path: Path
) -> None:
    value = value_of(option)[0].split(",")[0]
    one, two = filled(tmp_path / "one"), filled(tmp_path / "two")
    contents = [content(option, in_full(place, option, value)) for place in (one, two)]
    assert contents[0] == contents[1]
    assert str(tmp_path) not in contents[0]
    for file in two.rglob("*"):
        if file.is_file():
            file.write_text("changed")
    (two / "data" / "more").write_text("")
    after = content(option, in_full(two, option, value))
    covered = option in {*COVERED, "set"} or option in ("reward", "pair-loss", "train")
    assert (after == contents[0]) == covered


def test_a_word_that_is_called_as_a_folder_is_a_word(folder: Path) -> None:
    (Path("fp8")).mkdir()
    assert content("vllm-arg", "quantization=fp8") == "quantization=fp8"
    assert content("set", "a.kind=fp8") == "a.kind=fp8"
    assert content("backend", "fp8") == "fp8"
    settings = [ModelSettings(vllm_arg={"quantization": "fp8"}).keyed()]
    (Path("fp8") / "x").write_text("")
    assert ModelSettings(vllm_arg={"quantization": "fp8"}).keyed() == settings[0]


def test_a_runs_key_holds_no_path(tmp_path: Path) -> None:
    places = [filled(tmp_path / name) / "data" for name in ("one", "two")]
    keys = [ModelSettings(vllm_arg={"tokenizer": str(place)}).keyed() for place in places]
    assert keys[0] == keys[1]
    (places[1] / "tokenizer.json").write_text("{}")
    assert ModelSettings(vllm_arg={"tokenizer": str(places[1])}).keyed() != keys[0]


def test_runs_that_differ_in_names_and_speed_alone_are_asked_alike() -> None:
    """`compare` goes by what is in the run's key."""
    recorded = {
        "chat_template": {"file": "a.jinja", "sha256": "1"},
        "vllm_arg": {"gpu-memory-utilization": "0.5", "quantization": "fp8"},
    }
    other = {
        "chat_template": {"file": "b.jinja", "sha256": "1"},
        "vllm_arg": {"max-num-seqs": "4", "quantization": "fp8"},
    }
    assert decisive(recorded) == decisive(other)
    assert decisive({"vllm_arg": {"max-num-seqs": "4"}}) == decisive({}) == {}
    other["vllm_arg"] = {"quantization": "awq"}
    assert decisive(recorded) != decisive(other)


IMAGE_TABLE = "index\timage_path\tquestion\tanswer\n1\tred.png\tHow many?\t1\n"


def with_a_study(folder: Path, colour: str = "red") -> Path:
    """Return a study file with a model, a table whose images lie apart, and an adapter."""
    (folder / "pictures").mkdir(parents=True)
    Image.new("RGB", (9, 9), colour).save(folder / "pictures" / "red.png")
    (folder / "colours.tsv").write_text(IMAGE_TABLE)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({"model_type": name}))
        (folder / name / "model.safetensors").write_bytes(name.encode())
    arms = {"a": {"role": "baseline", "checkpoints": "a"}, "b": {"role": "method"}}
    arms["b"]["checkpoints"] = "b"
    return written(
        folder / "study.yaml",
        suite="colours.tsv",
        set=["colours.image_root=pictures"],
        run={"adapter": "adapter", "backend": "transformers"},
        arms=arms,
    )


def test_a_study_whose_folder_is_moved_has_the_same_plan(tmp_path: Path) -> None:
    """The folders that it names count by what the study reads of them."""
    paths = [with_a_study(tmp_path / "one"), with_a_study(tmp_path / "two")]
    paths.append(with_a_study(tmp_path / "three", "blue"))
    hashes = []
    for path in paths:
        plans = [plan(request(path)).hash]
        (path.parent / "pictures" / "unused.png").write_bytes(b"more")
        plans.append(plan(request(path)).hash)
        assert len(set(plans)) == 1  # a folder of images may grow
        hashes.append(plans[0])
    assert hashes[0] == hashes[1] != hashes[2]
    (tmp_path / "two" / "adapter" / "adapter_config.json").write_text('{"r": 2}')
    assert plan(request(paths[1])).hash != hashes[0]


def test_a_training_whose_data_is_moved_goes_on(tmp_path: Path) -> None:
    plans = []
    for name in ("one", "two", "three"):
        folder = tmp_path / name
        (folder / "pictures").mkdir(parents=True)
        (folder / "pictures" / "red.png").write_bytes(b"red" if name != "three" else b"blue")
        items = [{"problem": "?", "answer": "1", "images": ["red.png"]}]
        (folder / "items.jsonl").write_text("\n".join(map(json.dumps, items)))
        for code in ("rewards.py", "own.py"):
            (folder / code).write_text("def short(): ...\ndef long(): ...\n")
        named = Settings(
            rl_data=str(folder / "items.jsonl"),
            image_root=str(folder / "pictures"),
            reward=f"{folder}/rewards.py:short",
            prompts_per_step=1,
        )
        plans.append(TrainingPlan(arm("grpo"), TrainingData(named), tmp_path / "out"))
    claim(plans[0])
    check_claim(plans[1])
    with pytest.raises(UsageError, match="image_root, rl_data"):
        check_claim(plans[2])
    longer = replace(plans[1].settings, reward=f"{tmp_path}/two/rewards.py:long")
    with pytest.raises(UsageError, match=r"other settings \(reward\)"):
        check_claim(replace(plans[1], data=TrainingData(longer)))
