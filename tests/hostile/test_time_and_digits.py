"""Texts of others cost a bounded time, and numbers of thousands of digits are no crash."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ablations.pairs.judging import read_judgement
from ablations.pairs.trajectories.patches import read_patch
from ablations.pairs.trajectories.reading import issue_of, task_of
from ablations.pairs.trajectories.tokens import Secret, mask_diffs
from benchmarks.scoring import Target, score
from harness.backends.http.answers import Answer
from harness.files.typed_yaml import parse_yaml
from tests.commands import harness

DIGITS = "1" * 5000  # Python refuses to read more than 4300 as a number


@pytest.mark.parametrize(
    "word", ["max_tokens ", "prompt (", "input length (1", "max_completion_tokens "]
)
def test_a_servers_long_message_is_read_in_a_second(word: str) -> None:
    body = json.dumps({"error": {"message": word * (8 * 2**20 // len(word))}}).encode()
    begin = time.thread_time()
    answer = Answer(400, body)
    assert not answer.is_overflow
    assert not answer.is_passing
    assert answer.refused_parameter(["top_k", "seed"]) is None
    assert time.thread_time() - begin < 3  # 0.3 where nothing else runs; without a limit hours


@pytest.mark.parametrize(
    "tag", ["!!bool maybe", "!!timestamp x", "!!int x", "!!float x", "!!binary a"]
)
def test_a_value_that_is_not_of_its_tags_type_is_a_value_error(tag: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_yaml(f"name: {tag}\n")


def test_a_hunk_of_endless_length_is_no_hunk() -> None:
    secret = Secret(files=frozenset({"a.py"}), added=frozenset())
    text = f"--- a/a.py\n+++ b/a.py\n@@ -1,{DIGITS} +1 @@\n-a\n+b"
    assert mask_diffs(text, secret) == text


def test_a_part_named_by_endless_digits_is_no_cell_of_a_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"question": "Which?", "choices": ["red", "blue"], "answer": "A"}
    rows = [{**row, "id": "a", "category": f"{DIGITS}/5"}, {**row, "id": "b", "category": "1/2"}]
    Path("own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    answers = [{"id": name, "response": "(A)"} for name in ("a", "b")]
    Path("answers.jsonl").write_text("\n".join(map(json.dumps, answers)))
    done = harness("score", "own.jsonl", "answers.jsonl", "--out", "runs")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("right", ["*", "$", "(", "[", "?", "..."])
def test_an_answer_of_signs_alone_is_that_sign_and_no_other(right: str) -> None:
    target = Target("text", right)
    for sign in "*$([&?":
        for text in (sign, f"The answer is {sign}", f"**Answer:** `{sign}`", f"{sign} or &", "No."):
            given = score(text, target)
            assert given.value == 0.0 or right == sign, (right, text)
    assert score(f"The answer is {right}", target).value == 1.0


def test_long_lines_and_hunks_of_a_patch_are_read_in_seconds() -> None:
    wide = "function a(" * 30_000
    begin = time.thread_time()
    patch = read_patch(f"--- a/a.js\n+++ b/a.js\n@@ -1 +1 @@ {wide}\n-{wide}\n+{wide}b\n")
    assert patch is not None
    lines = "".join(f"+x{n} = 1\n" for n in range(30_000))
    patch = read_patch(f"--- a/a.py\n+++ b/a.py\n@@ -1 +1,30001 @@\n a\n{lines}")
    assert patch is not None
    assert patch.unknown == {"a.py"}  # as of what no heading names
    assert time.thread_time() - begin < 10  # without limits minutes


def test_a_judges_reply_of_megabytes_is_no_verdict() -> None:
    assert read_judgement("I think the pair is VALID.") is not None
    begin = time.thread_time()
    assert read_judgement("It is VALID. " * 600_000) is None
    assert time.thread_time() - begin < 5  # without a limit hours


def test_an_issue_is_found_among_tags_that_never_close() -> None:
    text = "<task>" * 100_000 + "<issue> It fails. </issue>"
    begin = time.thread_time()
    assert issue_of([{"role": "user", "content": text}]) == "It fails."
    assert task_of({"instance_id": "a__" * 100_000}, []).repository is None
    assert time.thread_time() - begin < 2  # without limits many minutes
