"""What the adapters do without lmms-eval: golds, options, MMMU's images, suites, light imports."""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import yaml
from PIL import Image

from benchmarks import suites
from benchmarks.conformance.graded import Graded, target_of
from benchmarks.registry import CLASSES
from benchmarks.scoring import Target, score
from benchmarks.vqa.base.benchmark import LmmsBenchmark
from benchmarks.vqa.base.gold import letter, literal, options_in, unlabelled, wide_enough
from benchmarks.vqa.mathverse import MathVerse
from benchmarks.vqa.mathvision import MathVision
from benchmarks.vqa.mathvista import MathVista
from benchmarks.vqa.mmmu import DISCIPLINES, Mmmu
from benchmarks.vqa.olympiadbench_physics import OlympiadBenchPhysics
from harness.errors import ItemError, UsageError
from harness.protocols import Tools
from harness.records import Item, Message, Response, Sampling, TextPart
from harness.runs.identity import ModelIdentity
from harness.runs.plan import RunPlan, plan_run
from harness.runs.todo import Settings

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data"
HEAVY = ("torch", "datasets", "lmms_eval", "transformers", "PIL", "numpy", "pyarrow", "loguru")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        # one option a line, as in MathVerse
        ("Which?\nChoices:\nA:40°\nB:60°\nC:120°\nD:140°", ("40°", "60°", "120°", "140°")),
        ("True or false?\nChoice:\nA. True\nB. False", ("True", "False")),
        # an empty option keeps its place
        ("Which?\nChoices:\nA:one\nB:\nC:three", ("one", "", "three")),
        # all in one line, as in MMStar, with a comma inside
        ("Q?\nOptions: A: left, B: up, and down, C: x", ("left", "up, and down", "x")),
        # in brackets, an instruction below, as in V*
        ("Colour? (A) red (B) blue\nAnswer with the option's letter.", ("red", "blue")),
        ("Q?\n(A) red\n(B) blue\n(C) pink\n", ("red", "blue", "pink")),
        # quoted, as in PhyX's options field
        ('Q?\nOptions:\nA: "0.12 m", B: "1 m"', ("0.12 m", "1 m")),
        # a letter in the question is no option
        ("See fig. A: what is it?\nOptions: A: hand, B: foot", ("hand", "foot")),
        ("Is point (B) on AB?\n(A) yes\n(B) no", ("yes", "no")),
        # a space before the sign, and Chinese print
        ("…\nA:1\nB:2\nC :3\nD:4", ("1", "2", "3", "4")),
        ("…\nA：1\nB．2\n（C）3", ("1", "2", "3")),
        # an option that mentions another's letter, or its own list's first
        ("Q?\n(A) as in (B)\n(B) blue\n(C) pink", ("as in (B)", "blue", "pink")),
        ("Q?\n(A) x\n(B) same as (A)\n(C) z", ("x", "same as (A)", "z")),
        ("Q?\nOptions: A: left of (B), B: up, C: x", ("left of (B)", "up", "x")),
        ("Q?\nA. red  B. blue\nC. pink  D. teal", ("red", "blue", "pink", "teal")),
        # statements in the question
        ("Given A. x and B. y:\nA. only A\nB. only B\nC. both", ("only A", "only B", "both")),
        # a list that misses a letter tells no texts
        ("Q?\nA: 1\nB: 2\nC 3\nD: 4", ()),
        ("How many are there?", ()),
        ("A. lone", ()),
    ],
)
def test_options_in(text: str, options: tuple[str, ...]) -> None:
    assert options_in(text) == options


@pytest.mark.parametrize("gold", ["B", "(B)", "B.", "blue", " B "])
def test_letter(gold: str) -> None:
    assert letter(gold, ("red", "blue")) == "B"


@pytest.mark.parametrize("name", suites.SUITES["vqa12"])
def test_natively_converted_images_are_another_protocol(name: str, tmp_path: Path) -> None:
    plain, native = (
        suites.benchmark(name, tmp_path, options={"image_conversion": word}).declaration.protocol
        for word in ("white", "native")
    )
    assert {key: native.get(key) for key in plain} == dict(plain)
    assert native != plain


def test_a_gold_that_is_no_option_is_an_item_error() -> None:
    with pytest.raises(ItemError, match="none of its 2 options"):
        letter("green", ("red", "blue"))
    with pytest.raises(ItemError, match="none of its 2 options"):
        letter("E", ("red", "blue"))


def test_listed_options_hold_the_gold_letter_or_are_blank() -> None:
    assert wide_enough(("red", "blue"), "B") == ("red", "blue")
    assert wide_enough(("red", "blue"), "D") == ("",) * 4
    assert wide_enough(("red", "blue"), "(F)") == ("",) * 6
    assert wide_enough(("red", "blue"), "B C") == ("",) * 4
    assert wide_enough(("red", "blue"), "blue") == ("red", "blue")
    assert wide_enough((), "A", width=5) == ("",) * 5


def test_unlabelled() -> None:
    assert unlabelled(["(A) a (B)", "(B) b", "C. c", "(A) d"]) == ("a (B)", "b", "c", "(A) d")


@pytest.mark.parametrize("name", ["mathverse", "mmstar", "vstar", "phyx", "mme_realworld_lite"])
@pytest.mark.parametrize("listed", ["A:1\nB:2\nC 3\nD:4", "A:1\nB:2", ""])
def test_the_right_letter_scores_however_the_options_parse(name: str, listed: str) -> None:
    doc = {
        **{"question": listed, "text": listed, "question_for_eval": listed},
        **{"answer": "D", "label": "D", "question_type": "multi-choice"},
        "multi-choice options": listed.splitlines(),
    }
    benchmark = suites.benchmark(name, Path())
    assert isinstance(benchmark, LmmsBenchmark)
    assert score("The answer is D.", benchmark.target(doc)).value == 1.0


@pytest.mark.parametrize("name", ["mathvista", "mathvision", "mmmu", "mmmu_pro", "blink"])
def test_a_gold_beyond_the_data_sets_own_options_is_an_item_error(name: str) -> None:
    choices = ["red", "blue"]
    given: Any = str(choices) if name.startswith("mmmu") else choices
    doc = {"options": given, "choices": given, "answer": "E", "answer_type": "text"}
    kind = "multiple-choice" if name == "mmmu" else "multi_choice"
    benchmark = suites.benchmark(name, Path())
    assert isinstance(benchmark, LmmsBenchmark)
    with pytest.raises(ItemError, match="none of its 2 options"):
        benchmark.target({**doc, "question_type": kind})


def test_literal() -> None:
    assert literal("['24/7', '3.429']") == ("24/7", "3.429")
    assert literal("Tampa") == ("Tampa",)
    with pytest.raises(ItemError, match="does not parse"):
        literal("['a', ")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
def test_every_multiple_choice_problem_of_mathverse_has_options_and_a_gold() -> None:
    rows = json.loads((SHARED / "mathverse" / "testmini_text_only.json").read_text())
    adapter = MathVerse(Path())
    rows = [row for row in rows if row["question_type"] == "multi-choice"]
    assert len(rows) == 436
    for row in rows:
        target = adapter.target({**row, "question_for_eval": row["question"]})
        assert len(target.choices) >= 2
        for name in target.answer.split(", "):
            assert ord(name) - ord("A") < len(target.choices)


def test_mathvista_golds_that_are_option_texts() -> None:
    adapter = MathVista(Path())
    doc = {"question_type": "multi_choice", "answer_type": "text", "answer": "5"}
    target = adapter.target({**doc, "choices": ["4", "5", "5"]})
    assert (target.answer, target.alternatives) == ("B", ("C",))


@pytest.mark.parametrize(
    ("error", "kind", "tolerance"),
    [
        ("1e-1", "Numerical", 0.1),
        (None, "Numerical", None),
        ("", "Expression", None),
        ("0.02,0.01", "Numerical", 0.01),
        ("1e-1", "Tuple", None),
    ],
)
def test_olympiadbench_tolerances(error: str | None, kind: str, tolerance: float | None) -> None:
    doc = {"final_answer": ["3.14"], "unit": None, "error": error, "answer_type": kind}
    assert OlympiadBenchPhysics(Path()).target(doc).tolerance == tolerance


class Echo:
    """A task whose prompt is the question."""

    def doc_to_text(self, doc: Mapping[str, Any]) -> str:
        return str(doc["question"])


def _shown(question: str) -> list[str]:
    images = {f"image_{n}": Image.new("RGB", (n, 1)) for n in (1, 2, 3)}
    (turn,) = Mmmu(Path()).messages(Echo(), {"question": question, **images})
    return [
        part["text"] if part["type"] == "text" else f"[{part['url'].width}]"
        for part in turn["content"]
    ]


def test_mmmu_images_stand_where_they_are_first_mentioned() -> None:
    assert _shown("<image 1> Which?") == ["[1]", "Which?"]
    assert _shown("See <image 2> then <image 1>.") == ["See", "[2]", "then", "[1]", "."]
    # lmms-eval drops "a" and "b" here: it splits at every mention and has one image
    again = _shown("<image 1> a <image 1> b <image 2> c")
    assert again == ["[1]", "a <image 1> b", "[2]", "c"]


def test_mmmu_parts_are_the_disciplines_of_lmms_eval() -> None:
    from importlib.util import find_spec

    spec = find_spec("lmms_eval")
    assert spec is not None
    assert spec.origin is not None
    source = (Path(spec.origin).parent / "tasks" / "mmmu" / "utils.py").read_text()
    start = source.index("{", source.index("DOMAIN_CAT2SUB_CAT = "))
    theirs = ast.literal_eval(source[start : source.index("\n}\n", start) + 3])
    assert {name: list(subjects) for name, subjects in DISCIPLINES.items()} == theirs


def test_suites_resolve() -> None:
    assert len(suites.resolve("vqa12")) == 12
    assert suites.resolve(["blink", "vqa12"])[:2] == ("blink", "mathvista")
    assert suites.chosen(suites.SUITES["vqa12"], ["vstar", " mmmu"]) == ("mmmu", "vstar")
    with pytest.raises(UsageError, match="did you mean mathvision"):
        suites.resolve("mathvison")
    with pytest.raises(UsageError, match="did you mean vqa12"):
        suites.resolve(["vqa_12"])
    with pytest.raises(UsageError, match="did you mean mmstar"):
        suites.benchmark("MMstar", Path())
    with pytest.raises(UsageError, match="did you mean vstar"):
        suites.chosen(("vstar",), ["vstr"])


def test_missing_data_names_the_command_that_gets_it(tmp_path: Path) -> None:
    for name in set(CLASSES) - {"niah", "probe"}:
        benchmark = suites.benchmark(name, tmp_path)
        assert benchmark.declaration.id == name
        for ask in (benchmark.count, benchmark.fingerprint, benchmark.ids):
            with pytest.raises(UsageError, match="harness data pull"):
                ask()


def test_headlines_name_parts_that_the_forms_fill() -> None:
    for name in suites.names():
        benchmark = suites.benchmark(name, Path())
        headline = benchmark.declaration.headline
        if headline:
            assert isinstance(benchmark, LmmsBenchmark)
            assert headline == tuple(form.part for form in benchmark.forms)
    assert suites.benchmark("mmmu_pro", Path()).declaration.headline == ("standard", "vision")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict

    table = Dataset.from_dict({"index": [0], "question": ["?"], "answer": ["A"]})
    DatasetDict(val=table).save_to_disk(str(tmp_path / "mmstar"))
    with pytest.raises(UsageError, match="lacks the column 'image'"):
        suites.benchmark("mmstar", tmp_path).ids()


def test_mathvision_is_the_split_that_is_there(tmp_path: Path) -> None:
    benchmark = suites.benchmark("mathvision", tmp_path)
    assert benchmark.declaration.n_items == 3040
    home = tmp_path / "mathvision"
    (home / "testmini").mkdir(parents=True)
    (home / "dataset_dict.json").write_text('{"splits": ["testmini"]}')
    (home / "testmini" / "state.json").write_text('{"_data_files": []}')
    small = suites.benchmark("mathvision", tmp_path)
    assert isinstance(small, MathVision)
    assert small.forms[0].split == "testmini"
    assert small.declaration.n_items == 304
    assert small.declaration.note == "testmini (304 items) stands in for test (3040)"
    # Data may come after a run began, and a run is found by its protocols.
    assert small.declaration.protocol == benchmark.declaration.protocol


def test_lmms_eval_asks_the_same_on_both_splits_of_mathvision() -> None:
    spec = find_spec("lmms_eval")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "tasks" / "mathvision"
    names = ("task", "tag", "test_split")
    test, testmini = (
        yaml.load((folder / f"mathvision_{split}.yaml").read_text(), yaml.BaseLoader)
        for split in ("test", "testmini")
    )
    assert "doc_to_text" in test
    assert {key: value for key, value in test.items() if key not in names} == {
        key: value for key, value in testmini.items() if key not in names
    }


def test_mathvision_that_comes_later_continues_the_run(tmp_path: Path, micro_data: Path) -> None:
    from datasets import DatasetDict, load_from_disk

    def plan() -> RunPlan:
        members = [suites.benchmark(name, tmp_path) for name in ("vstar", "mathvision")]
        identity = ModelIdentity("m", "fingerprint", verified=True)
        return plan_run(identity, "two", members, members[:1], Settings(), tmp_path / "runs")

    (tmp_path / "vstar").symlink_to(micro_data / "vstar")
    first = plan()
    table = load_from_disk(str(micro_data / "mathvision"))["test"]
    DatasetDict(testmini=table).save_to_disk(str(tmp_path / "mathvision"))
    later = plan()
    assert first.data["mathvision"] is None
    assert later.data["mathvision"] is not None
    assert later.base == first.base


class Parrot:
    """A model that answers with the last text it was shown."""

    name = "parrot"

    def __init__(self) -> None:
        self.asked: list[Sampling] = []

    async def chat(self, messages: Sequence[Message], sampling: Sampling) -> Response:
        self.asked.append(sampling)
        return Response(text=f"<think>A? B?</think> {messages[-1].render()}")


def test_solve_is_one_call_and_score_reads_the_answer_without_thinking() -> None:
    benchmark = suites.benchmark("vstar", Path())
    target = Target("choice", "C", choices=("red", "blue", "green"))
    item = Item("0", (Message("user", (TextPart("The answer is C."),)),), target, "0")
    model, sampling = Parrot(), Sampling(max_tokens=7)
    response = asyncio.run(benchmark.solve(item, model, sampling, Tools()))
    assert model.asked == [sampling]
    verdict = asyncio.run(benchmark.score(item, response, Tools()))
    assert (verdict.value, verdict.status, verdict.prediction) == (1.0, "scored", "C")


def test_declarations_import_nothing_heavy() -> None:
    program = (
        "import sys; from benchmarks import suites; n = len(suites.declarations());"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules];"
        "print(n, heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"{len(CLASSES)} []"


def _graded(benchmark_id: str) -> list[dict[str, Any]]:
    """Return the lines of one model: every item of the benchmark once."""
    lines = (SHARED / "conformance" / f"{benchmark_id}.jsonl").read_text().splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [row for row in rows if row["model"] == rows[0]["model"]]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not here")
@pytest.mark.parametrize(
    ("benchmark_id", "count"), [("mathvista", 1000), ("mathvision", 3040), ("mmmu", 900)]
)
def test_targets_of_real_items_are_those_that_the_scorer_was_checked_with(
    benchmark_id: str, count: int
) -> None:
    adapter = cast("LmmsBenchmark", suites.benchmark(benchmark_id, Path()))
    rows = _graded(benchmark_id)
    assert len(rows) == count
    for row in rows:
        choices = row["choices"] or []
        doc = {**row, "choices": choices, "options": choices}
        if benchmark_id == "mmmu":  # which stores lists as text
            answer = row["answer"]
            doc |= {
                "options": repr(choices),
                "answer": answer if isinstance(answer, str) else repr(answer),
            }
        ours, checked = adapter.target(doc), target_of(msgspec.convert(row, Graded))
        if ours.kind == "choice":
            ours = replace(ours, alternatives=())  # options that stand there twice
        assert replace(ours, answer_type=checked.answer_type) == checked
