"""LiveCodeBench without running a program: data, windows, prompt, extraction, comparison, places.

Expected values are the official ones: lcb_runner's prompts/code_generation.py,
utils/extraction_utils.py and evaluation/testing_util.py.
"""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import pickletools
import struct
import subprocess
import sys
import tracemalloc
import zlib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import suites
from benchmarks.longhorizon.livecodebench import compare, problems
from benchmarks.longhorizon.livecodebench.benchmark import LiveCodeBenchV6, extract, prompt, window
from benchmarks.longhorizon.livecodebench.driver import plain
from benchmarks.longhorizon.livecodebench.grade import Gate, Program, _judge, _reports, gate
from benchmarks.micro.data import programs
from harness.errors import ItemError, UsageError
from harness.protocols import FailedItem, Tools, build_items
from harness.records import Item, Response
from tests.benchmarks.longhorizon.problems import packed, root, row

TESTS = [("1\n", "2\n"), ("2\n", "4\n")]


# Data


def test_public_tests_come_before_private_ones() -> None:
    found = problems.tests(row("a", TESTS[:1], TESTS[1:]))
    assert [(test.given, test.expected) for test in found] == TESTS


def test_private_tests_may_be_plain_json() -> None:
    fields = row("a", TESTS[:1], TESTS[1:])
    fields["private_test_cases"] = json.dumps([{"input": "3", "output": "6", "testtype": "stdin"}])
    assert problems.tests(fields)[1] == problems.Case("3", "6")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_string_pickled_by_any_protocol_is_read(protocol: int) -> None:
    text = "[1, 'é\u2028']" * 300
    data = zlib.compress(pickle.dumps(text, protocol))
    assert problems.unpacked(base64.b64encode(data).decode()) == text


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_payload_in_the_private_tests_is_a_failed_item_and_harmless(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    pickle.loads(pickle.dumps(Payload(trap)))
    assert trap.exists()  # it would work
    trap.unlink()
    bad = row("bad", TESTS, TESTS)
    bad["private_test_cases"] = packed(Payload(trap))
    folder = root(tmp_path, [row("good", TESTS, TESTS), bad])
    good, failed = build_items(LiveCodeBenchV6(folder))
    assert isinstance(good, Item)
    assert isinstance(failed, FailedItem)
    assert failed.id == "bad"
    assert "nothing of it was run" in failed.reason
    assert not trap.exists()


def bomb() -> bytes:
    """A pickle of a few bytes whose memo an unpickler makes room for: 32 GiB of it."""
    return b"\x80\x04\x8c\x01ar" + struct.pack("<I", 0x7FFFFFFF) + b"."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%%%", "do not unpack"),
        (base64.b64encode(b"no zlib").decode(), "do not unpack"),
        (packed("x" * 5000)[:-8], "cut off"),
        (packed(["a", "b"]), "not of a string alone"),
        (packed(1), "not of a string alone"),
        (base64.b64encode(zlib.compress(b"no pickle")).decode(), "no pickle|not of a string"),
        (base64.b64encode(zlib.compress(b"\x80\x04.")).decode(), "of 0 strings"),
        (base64.b64encode(zlib.compress(b"\x80\x04\x8c\x05ab.")).decode(), "no pickle"),
        (packed("x" * 100_001), "larger than 100000 bytes"),
    ],
)
def test_what_is_no_pickled_string_is_refused(text: str, said: str) -> None:
    with pytest.raises(ItemError, match=said):
        problems.unpacked(text, largest=100_000)


def test_a_pickle_that_asks_for_much_memory_costs_none() -> None:
    assert [code.name for code, *_ in pickletools.genops(bomb())][2] == "LONG_BINPUT"
    assert problems.unpacked(base64.b64encode(zlib.compress(bomb())).decode()) == "a"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("public_test_cases", "no JSON"),
        ("public_test_cases", "[" * 100_000),
        ("public_test_cases", '[{"input": "1"}]'),
        ("public_test_cases", '[{"input": 1, "output": 2}]'),
        ("metadata", "[]"),
        ("metadata", "{"),
    ],
)
def test_a_corrupt_row_is_a_failed_item(tmp_path: Path, field: str, value: str) -> None:
    folder = root(tmp_path, [row("a", TESTS, TESTS) | {field: value}])
    (failed,) = build_items(LiveCodeBenchV6(folder))
    assert isinstance(failed, FailedItem)


def test_an_item_carries_parts_and_its_contest(tmp_path: Path) -> None:
    folder = root(tmp_path, [row("abc387_c", TESTS, TESTS, difficulty="hard")])
    (item,) = build_items(LiveCodeBenchV6(folder))
    assert isinstance(item, Item)
    assert item.parts == ("hard", "atcoder")
    assert item.cluster == "atcoder-abc387"
    assert item.target == {
        "tests": 4,
        "function": None,
        "contest": "abc387",
        "date": "2025-01-04",
    }


# Windows


@pytest.mark.parametrize(
    ("word", "files"),
    [
        ("v6", ("test6",)),
        ("v1", ("test",)),
        ("v4_v6", ("test4", "test5", "test6")),
        ("release_v2", ("test", "test2")),
        ("release_v6", ("test", "test2", "test3", "test4", "test5", "test6")),
    ],
)
def test_windows_have_their_official_names(word: str, files: tuple[str, ...]) -> None:
    assert window(word) == files


@pytest.mark.parametrize(
    ("word", "count"), [("v6", 175), ("release_v6", 1055), ("release_v5", 880), ("v5_v6", 342)]
)
def test_windows_have_their_official_size(word: str, count: int) -> None:
    benchmark = suites.benchmark("livecodebench_v6", options={"window": word})
    assert benchmark.declaration.n_items == count


def test_a_window_reads_the_release_files_beside(tmp_path: Path) -> None:
    root(tmp_path, [row("new", TESTS, TESTS)])
    root(tmp_path, [row("old", TESTS, TESTS), row("older", TESTS, TESTS)], "test5.jsonl")
    one = suites.benchmark("livecodebench_v6", tmp_path)
    two = suites.benchmark("livecodebench_v6", tmp_path, options={"window": "v5_v6"})
    assert [item.id for item in build_items(one)] == ["new"]
    assert two.ids() == ["old", "older", "new"]
    assert [item.id for item in build_items(two)] == ["old", "older", "new"]
    assert (one.count(), two.count()) == (1, 3)
    assert one.fingerprint() != two.fingerprint()
    with pytest.raises(UsageError, match=r"holds no test4\.jsonl, which the window needs"):
        suites.benchmark("livecodebench_v6", tmp_path, options={"window": "v4_v6"}).count()


def test_days_bound_the_contests_at_both_ends(tmp_path: Path) -> None:
    days = ["2025-01-03", "2025-01-04", "2025-02-01", "2025-02-02"]
    rows = [row(day, TESTS, TESTS, contest_date=f"{day}T20:00:00") for day in days]
    root(tmp_path, rows)
    options = {"start": "2025-01-04", "end": "2025-02-01"}
    benchmark = suites.benchmark("livecodebench_v6", tmp_path, options=options)
    assert [item.id for item in build_items(benchmark)] == days[1:3]
    assert benchmark.count() == 2


@pytest.mark.parametrize(
    ("option", "word"),
    [("window", "v7"), ("window", "v6_v5"), ("start", "January"), ("seconds", "0")],
)
def test_a_wrong_option_is_told(option: str, word: str) -> None:
    with pytest.raises(UsageError, match=f"--set livecodebench_v6.{option}={word}: "):
        suites.benchmark("livecodebench_v6", options={option: word})


def test_limits_and_window_are_protocol() -> None:
    protocol = suites.benchmark("livecodebench_v6").declaration.protocol
    assert protocol["checker"] == "real-stdin"
    assert (protocol["seconds"], protocol["window"]) == (6, ["test6"])
    for option, word in [
        ("seconds", "12"),
        ("memory", "512"),
        ("window", "v5"),
        ("end", "2025-02-01"),
    ]:
        other = suites.benchmark("livecodebench_v6", options={option: word}).declaration.protocol
        assert other != protocol


def test_missing_data_and_double_ids_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="harness data pull livecodebench_v6"):
        LiveCodeBenchV6(tmp_path).fingerprint()
    root(tmp_path, [row("a", TESTS, TESTS), row("a", TESTS, TESTS)])
    with pytest.raises(UsageError, match="row 2 has no question_id of its own"):
        list(build_items(LiveCodeBenchV6(tmp_path)))


def test_declaring_and_counting_import_nothing_heavy(tmp_path: Path) -> None:
    programs.write(tmp_path)
    program = (
        "import sys; from pathlib import Path; from benchmarks import suites;"
        "b = suites.benchmark('livecodebench_v6', Path(sys.argv[1])); b.declaration;"
        "print(b.count(), sorted({'torch', 'datasets', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "24 []\n"


# Prompt and extraction


def test_the_prompt_is_the_official_one() -> None:
    asked = prompt(problems.problem(row("a", TESTS, TESTS)))
    assert [message.role for message in asked] == ["system", "user"]
    assert asked[0].render() == (
        "You are an expert Python programmer. You will be given a question (problem "
        "specification) and will generate a correct Python program that matches the specification "
        "and passes all tests. You will NOT return anything except for the program."
    )
    assert asked[1].render() == (
        "### Question:\nSolve a.\n\n### Format: Read the inputs from stdin solve the problem and "
        "write the answer to stdout (do not directly test on the sample inputs). Enclose your code "
        "within delimiters as follows.\n```python\n# YOUR CODE HERE\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )
    asked = prompt(problems.problem(row("a", TESTS, TESTS, function="f")))
    assert asked[1].render() == (
        "### Question:\nSolve a.\n\n### Format: You will use the following starter code to write "
        "the solution to the problem and enclose your code within delimiters.\n```python\n"
        "class Solution:\n    def f(self):\n        \n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nprint(1)\n```", "print(1)"),
        ("```\nprint(1)\n```", "print(1)"),
        ("First\n```python\nprint(1)\n```\nbetter:\n```python\nprint(2)\n```\nDone.", "print(2)"),
        ("```python\nx = 1\n\nprint(x)\n```", "x = 1\n\nprint(x)"),
        ("  ```py\nprint(1)\n  ```", "print(1)"),
        ("print(1)", None),
        ("```python\nprint(1)", None),
        ("```print(1)```", None),
        ("```python\n\n```", None),
        ("", None),
    ],
)
def test_the_last_fenced_block_is_the_program(text: str, code: str | None) -> None:
    assert extract(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "no program",
        "<think>```python\nprint(1)\n```</think>no program",
        "<think>```\nprint(1)\n```",
    ],
)
def test_no_program_is_unparsable(tmp_path: Path, text: str) -> None:
    benchmark = LiveCodeBenchV6(root(tmp_path, [row("a", TESTS, TESTS)]))
    (item,) = build_items(benchmark)
    assert isinstance(item, Item)
    score = asyncio.run(benchmark.score(item, Response(text), Tools()))
    assert (score.value, score.status) == (0.0, "unparsable")


def test_a_program_without_a_sandbox_is_not_run(tmp_path: Path) -> None:
    benchmark = LiveCodeBenchV6(root(tmp_path, [row("a", TESTS, TESTS)]))
    (item,) = build_items(benchmark)
    assert isinstance(item, Item)
    with pytest.raises(UsageError, match="needs a sandbox"):
        asyncio.run(benchmark.score(item, Response("```\nprint(1)\n```"), Tools()))


# Comparison


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("5\n", "5\n", True),
        ("5", "5\n", True),
        ("\n\n 5 \t\n\n", "5", True),
        ("1 2\n3 4\n", "1 2 \n 3 4", True),
        ("1  2\n", "1 2", True),  # the same two numbers
        ("a  b\n", "a b", False),  # words are compared as they stand
        ("Yes\n", "YES\n", False),
        ("5\r\n6\r\n", "5\n6\n", True),
        ("5\n6\n", "5\n", False),
        ("5\n", "5\n6\n", False),
        ("5\n\n6\n", "5\n6\n", False),
        ("", "5\n", False),
        ("", "\n", True),
        ("2.50\n", "2.5\n", True),
        ("1e2\n", "100\n", True),
        ("1_000\n", "1000\n", True),  # Decimal reads it so
        ("0.333\n", "0.3333\n", False),
        ("50000000000000001\n", "50000000000000000\n", False),
        ("nan\n", "nan\n", True),  # the same text
        ("nan 1\n", "nan 1.0\n", False),
        ("sNaN\n", "1\n", False),
        ("1 2\n", "1\n", False),
        ("é\n", "é\n", True),
    ],
)
def test_printed_answers(answer: str, expected: str, right: bool) -> None:
    assert (compare.printed(answer.encode(), expected) == "") is right


def test_output_that_is_no_text_is_wrong() -> None:
    assert compare.printed(b"\xff\xfe5", "5") != ""


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("[1, 2]", "[1, 2]", True),
        ("[2, 1]", "[1, 2]", False),
        ("1.0", "1", True),
        ("true", "true", True),
        ("1", "true", True),  # == says so
        ('"1"', "1", False),
        ("null", "null", True),
        ('{"int": "0x10000000000000000"}', "18446744073709551616", True),
        ('{"dict": [["a", 1]]}', '{"a": 1}', True),
        ('{"dict": [[1, 1]]}', '{"1": 1}', False),
        ('{"other": "set"}', "[]", False),
        ('[{"other": "tuple"}]', "[[]]", False),
        ("NaN", "NaN", False),
        ("0.1", "0.30000000000000004", False),
        ("", "null", False),
        ("[1, 2", "[1, 2]", False),
        ('{"int": 5}', "5", False),
        ('{"dict": [[[], 1]]}', "{}", False),
        ("[" * 100_000, "[]", False),
    ],
)
def test_returned_answers(answer: str, expected: str, right: bool) -> None:
    assert (compare.returned(answer.encode(), expected) == "") is right


# Places


def test_so_many_at_once_and_one_alone() -> None:
    seen: list[tuple[str, int]] = []
    inside = 0

    async def work(place: Gate, kind: str) -> None:
        nonlocal inside
        async with place.alone() if kind == "alone" else place.shared():
            inside += 1
            seen.append((kind, inside))
            try:
                await asyncio.sleep(0.002)
            finally:
                inside -= 1

    async def all_of_them() -> None:
        place = Gate(3)
        kinds = ["alone" if number in (4, 11) else "shared" for number in range(20)]
        cancelled = asyncio.ensure_future(work(place, "alone"))
        workers = [asyncio.ensure_future(work(place, kind)) for kind in kinds]
        await asyncio.sleep(0.001)
        cancelled.cancel()
        await asyncio.gather(*workers)
        assert gate() is gate()

    asyncio.run(all_of_them())
    assert max(number for _, number in seen) == 3
    alone = [number for kind, number in seen if kind == "alone"]
    assert alone[-2:] == [1, 1]
    assert len([kind for kind, _ in seen if kind == "shared"]) == 18


_MANY = 1 << 21  # bytes of each answer
LONG = {
    "numbers in a line": (compare.printed, b"1 ", "3"),
    "numbers after the right one": (compare.printed, b"3 ", "3 3"),
    "lines": (compare.printed, b"1\n", "3\n4"),
    "empty lines": (compare.printed, b"x\n\n\n\n\n\n\n", "3"),
    "one number": (compare.printed, b"1", "3"),
    "bytes that are no text": (compare.printed, b"\xff", "3"),
    "returned numbers": (compare.returned, b"1,", "[1]"),
    "returned empty lists": (compare.returned, b"[],", "[[]]"),
    "returned empty objects": (compare.returned, b"{},", "[{}]"),
    "nested lists": (compare.returned, b"[" * 90 + b"]" * 90 + b",", "[[]]"),
    "as many commas": (compare.returned, b"[[[[[]]]]]", "[" + "1, " * 9 + "1]"),
    "objects in objects": (compare.returned, b'{"":{"":{"":{"":{"":{}}}}}}', "[1, 2]"),
}


@pytest.mark.parametrize(("right", "part", "expected"), LONG.values(), ids=LONG)
def test_a_long_answer_costs_little(right: Any, part: bytes, expected: str) -> None:
    """Not a hundred times its size: the text, four times it at most, and copies."""
    text = part * (_MANY // len(part))
    answer = b"[" + text[:-1] + b"]" if right is compare.returned else text
    tracemalloc.start()
    try:
        assert right(answer, expected).startswith("wrong answer")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * _MANY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_an_equal_value_has_as_many_parts(value: Any, as_floats: bool) -> None:
    def other(part: Any) -> Any:
        if isinstance(part, list):
            return [other(inner) for inner in part]
        if isinstance(part, dict):
            return {key: other(part[key]) for key in reversed(part)}
        if isinstance(part, float) and part.is_integer():
            return int(part)
        if isinstance(part, int) and as_floats and abs(part) < 1 << 50:
            return float(part)
        return part

    answer = json.dumps(plain(other(value))).encode()
    assert compare.as_many_parts(answer, value)
    assert compare.returned(answer, json.dumps(value)) == ""


@given(
    st.lists(st.sampled_from(["1", "1.0", "2", "x", "NaN", "sNaN", "1e400", "  "]), max_size=4),
    st.lists(st.sampled_from(["1", "1.0", "2", "x", "NaN", "sNaN", "1e400", "  "]), max_size=4),
)
def test_lines_compare_as_officially(mine: list[str], theirs: list[str]) -> None:
    """`grade_stdio`: equal as stripped text, else all words are exact decimals and equal."""

    def decimals(line: str) -> list[Decimal]:
        return [Decimal(word) for word in line.split()]

    line, other = " ".join(mine).strip(), " ".join(theirs).strip()
    try:
        right = line == other or decimals(line) == decimals(other)
    except InvalidOperation:
        right = False
    assert (compare.printed(line.encode(), other) == "") is right


# Reports


REPORT = {"status": "ended", "code": 0, "seconds": 0.1, "stderr": "", "size": 2}
REPORT |= {"more": True, "token": "ours"}
TOKENS = ["ours", "next", "after that", "last"]


@pytest.mark.parametrize(
    ("spoilt", "n"),
    [
        ({}, 1),
        ({"size": 3}, 0),
        ({"size": -1}, 0),
        ({"size": "many"}, 0),
        ({"code": None}, 0),
        ({"seconds": 10**400}, 0),
        ({"stderr": [1]}, 1),
        ({"status": {}}, 0),
        ({"token": "next"}, 0),
        ({"token": None}, 0),
        ({"token": "öurs"}, 0),
    ],
)
def test_reports_that_a_program_spoilt_break_nothing(spoilt: dict[str, object], n: int) -> None:
    data = json.dumps(REPORT | spoilt).encode() + b"\n5\n"
    reports = list(_reports(data, TOKENS))
    assert len(reports) == n
    passed, _, wrong, _ = _judge(Program("", None), [problems.Case("", "5")], reports)
    assert (passed, wrong) == (n, "")
    assert list(_reports(b"[" * 20_000, TOKENS)) == list(_reports(b"\n", TOKENS)) == []
