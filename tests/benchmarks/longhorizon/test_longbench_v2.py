"""LongBench v2: the official prompts, extraction and truncation, on embedded data in its schema."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.longhorizon.longbench_v2 import LongBenchV2, _joined, extract
from benchmarks.micro.data import longbench
from harness.backends.http.endpoint import EndpointModel
from harness.backends.tokenizer import LocalTokenizer
from harness.errors import UsageError
from harness.protocols import FailedItem, Tools, build_items
from harness.records import Item, Response, Sampling
from tests.commands import harness
from tests.servers import Reply, Request, ScriptedServer

# The texts of THUDM/LongBench, prompts/0shot.txt, 0shot_cot.txt and 0shot_cot_ans.txt.
CHOICES = "What is the correct answer to this question: $Q$\nChoices:\n(A) $C_A$\n(B) $C_B$\n(C) $C_C$\n(D) $C_D$\n\n"  # fmt: skip # noqa: E501
FORMAT = 'Format your response as follows: "The correct answer is (insert answer here)".'
SHOT = f"Please read the following text and answer the question below.\n\n<text>\n$DOC$\n</text>\n\n{CHOICES}{FORMAT}"  # fmt: skip # noqa: E501
COT = f"Please read the following text and answer the questions below.\n\n<text>\n$DOC$\n</text>\n\n{CHOICES}Let’s think step by step:"  # fmt: skip # noqa: E501
COT_ANSWER = f"Please read the following text and answer the questions below.\n\nThe text is too long and omitted here.\n\n{CHOICES}Let’s think step by step: $COT$\n\nBased on the above, what is the single, most likely answer choice? {FORMAT}"  # fmt: skip # noqa: E501
SIZES = {SHOT: 262, COT: 210, COT_ANSWER: 381}  # characters of the official files


def official(template: str, row: Mapping[str, str], thoughts: str = "") -> str:
    """Fill a template as ``pred.py`` does."""
    assert len(template) == SIZES[template]
    prompt = template.replace("$DOC$", row["context"].strip())
    prompt = prompt.replace("$Q$", row["question"].strip())
    for letter in "ABCD":
        prompt = prompt.replace(f"$C_{letter}$", row[f"choice_{letter}"].strip())
    return prompt.replace("$COT$", thoughts)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("longbench")
    longbench.write(folder)
    return folder


@pytest.fixture(scope="module")
def rows(root: Path) -> list[dict[str, str]]:
    read: list[dict[str, str]] = json.loads((root / "longbench_v2" / "data.json").read_bytes())
    return read


@pytest.fixture(scope="module")
def tokenizer(micro_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(micro_model)


def items_of(benchmark: LongBenchV2) -> list[Item]:
    found = list(build_items(benchmark))
    assert all(isinstance(item, Item) for item in found)
    return [item for item in found if isinstance(item, Item)]


def prompts(benchmark: LongBenchV2) -> list[str]:
    return [item.messages[0].render() for item in items_of(benchmark)]


def test_the_embedded_items_have_the_real_schema(root: Path, rows: list[dict[str, str]]) -> None:
    assert len(rows) == LongBenchV2(root).count() == 60
    items = items_of(LongBenchV2(root))
    assert len({item.id for item in items}) == 60
    parts = Counter(part for item in items for part in item.parts)
    assert [parts[name] for name in ("short", "medium", "long", "easy", "hard")] == [
        20,
        20,
        20,
        30,
        30,
    ]
    assert len({row["answer"] for row in rows}) == 4
    for row in rows:  # the answer is told in the document, and each option once
        options = [row[f"choice_{letter}"] for letter in "ABCD"]
        assert len(set(options)) == 4
        assert row[f"choice_{row['answer']}"] in row["context"]


def test_prompts_are_the_official_ones(root: Path, rows: list[dict[str, str]]) -> None:
    assert prompts(LongBenchV2(root)) == [official(SHOT, row) for row in rows]
    assert prompts(LongBenchV2(root, cot=True)) == [official(COT, row) for row in rows]


def written(folder: Path, rows: list[dict[str, Any]]) -> LongBenchV2:
    (folder / "longbench_v2").mkdir(parents=True)
    (folder / "longbench_v2" / "data.json").write_text(json.dumps(rows), encoding="utf-8")
    return LongBenchV2(folder)


def test_signs_in_a_document_stay_as_they_are(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    """The official script would put the question in for the document's own ``$Q$``."""
    document = "{question} costs $Q$ and {0} %s \\1"
    (prompt,) = prompts(written(tmp_path, [{**rows[0], "context": f"  {document}\n"}]))
    assert f"<text>\n{document}\n</text>" in prompt


def test_rows_that_cannot_be_asked_are_failed_items(
    tmp_path: Path, rows: list[dict[str, str]]
) -> None:
    lacking = {name: cell for name, cell in rows[1].items() if name != "choice_C"}
    benchmark = written(
        tmp_path, [{**rows[0], "answer": "E"}, lacking, {**rows[2], "context": None}, rows[3]]
    )
    found = list(build_items(benchmark))
    reasons = [item.reason for item in found if isinstance(item, FailedItem)]
    assert reasons == ["its answer is 'E'", "no text in choice_C", "no text in context"]
    assert isinstance(found[3], Item)


def test_documents_make_the_clusters(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    other = {**rows[1], "context": rows[0]["context"]}
    clusters = [item.cluster for item in items_of(written(tmp_path, [rows[0], other, rows[2]]))]
    assert clusters[0] == clusters[1] != clusters[2]


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("The correct answer is (B)", "B"),
        ("The correct answer is (B) two foxes.", "B"),
        ("The correct answer is C", "C"),
        ("The correct answer is C) three", "C"),
        ("**The correct answer is (D)**", "D"),
        ("The correct answer is **(A)** because", "A"),
        ("The correct answer is *A*", "A"),
        # the first match counts, and brackets come before none
        ("The correct answer is (A). No: The correct answer is (B)", "A"),
        ("The correct answer is A. No: The correct answer is (B)", "B"),
        ("The correct answer is (E)", None),
        ("the correct answer is (B)", None),
        ("The correct answer is: (B)", None),
        ("The correct answer is \\boxed{B}", None),
        ("(B)", None),
        ("B", None),
        ("", None),
    ],
)
def test_the_official_extraction(answer: str, letter: str | None) -> None:
    # pred.py's own function, in its own regular expressions
    plain = answer.replace("*", "")
    found = re.search(r"The correct answer is \(([A-D])\)", plain) or re.search(
        r"The correct answer is ([A-D])", plain
    )
    assert (found[1] if found else None) == letter
    assert extract(answer) == letter


def scored(item: Item, response: Response) -> tuple[float | None, str, str | None]:
    score = asyncio.run(LongBenchV2(Path()).score(item, response, Tools()))
    return score.value, score.status, score.prediction


def test_the_score() -> None:
    item = Item("i", (), {"answer": "B"}, "c")
    assert scored(item, Response("The correct answer is (B)")) == (1.0, "scored", "B")
    assert scored(item, Response("The correct answer is (C)")) == (0.0, "scored", "C")
    thinking = "<think>The correct answer is (C)</think>The correct answer is (B)"
    assert scored(item, Response(thinking)) == (1.0, "scored", "B")
    for empty in ("", "  \n", "<think>The correct answer is (B)"):
        assert scored(item, Response(empty)) == (0.0, "unparsable", None)


@cache
def answers(root: Path) -> dict[str, str]:
    """Return the right letter by question and document."""
    rows = json.loads((root / "longbench_v2" / "data.json").read_bytes())
    return {row["context"]: row["answer"] for row in rows}


def run(server: ScriptedServer, root: Path, out: Path, *words: object) -> Any:
    done = harness("run", "--model", "scripted", "--endpoint", server.url, "--data-root", root,
                   "--suite", "longbench_v2", "--out", out, "--json", *words)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["benchmarks"][0]


def test_empty_answers_count_as_wrong(root: Path, tmp_path: Path) -> None:
    def reader(request: Request) -> str:
        """Read well, but say nothing of every long document."""
        document = request.text.split("<text>\n")[1].split("\n</text>")[0]
        return "" if len(document) > 4000 else f"The correct answer is ({answers(root)[document]})"

    with ScriptedServer(reader) as server:
        row = run(server, root, tmp_path)
    assert (row["n"], row["unparsable"], row["errors"]) == (60, 20, 0)
    assert row["strict"] == 40 / 60
    assert [row["parts"][name] for name in ("short", "medium", "long")] == [1.0, 1.0, 0.0]
    assert row["prompts_truncated"] == 0


def test_the_middle_of_the_whole_prompt_goes(
    root: Path, rows: list[dict[str, str]], micro_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    """What arrives are the halves that the tokenizer itself gives, for an odd limit too."""
    most = 701
    expected, cut = [], 0
    for row in rows:
        ids = tokenizer.encode(official(SHOT, row), add_special_tokens=False)
        if len(ids) > most:
            ids = ids[: most // 2] + ids[-most // 2 :]  # as pred.py writes it
            cut += 1
        expected.append(tokenizer.decode(ids))
    assert 10 < cut < 50
    options = ("--set", f"longbench_v2.max_prompt_tokens={most}")
    with ScriptedServer(lambda _: "The correct answer is (A)") as server:
        given = run(server, root, tmp_path / "given", *options, "--tokenizer", micro_model)
        assert sorted(request.text for request in server.requests) == sorted(expected)
    assert given["prompts_truncated"] == cut
    with ScriptedServer(lambda _: "The correct answer is (A)", tokenizer=tokenizer) as server:
        served = run(server, root, tmp_path / "served", *options)
        assert sorted(request.text for request in server.requests) == sorted(expected)
    assert served["prompts_truncated"] == cut
    assert served["strict"] == given["strict"]


def test_a_cut_prompt_is_told(root: Path, tokenizer: Any, tmp_path: Path) -> None:
    options = ("--set", "longbench_v2.max_prompt_tokens=300", "--limit", 6)
    words = ("run", "--model", "scripted", "--data-root", root, "--suite", "longbench_v2",
             "--out", tmp_path, *options)  # fmt: skip
    with ScriptedServer(lambda _: "The correct answer is (A)", tokenizer=tokenizer) as server:
        done = harness(*words, "--endpoint", server.url)
    assert "prompts were truncated to the protocol's limit" in done.stdout
    (folder,) = tmp_path.glob("*")
    item = items_of(LongBenchV2(root))[2]
    shown = harness("show", folder, item.id)
    ids = tokenizer.encode(item.messages[0].render(), add_special_tokens=False)
    assert f"{len(ids) - 300} tokens in the middle of the prompt were left out" in shown.stdout


def test_a_run_keeps_the_ends_of_a_long_prompt(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    written(tmp_path / "data", [{**rows[0], "context": "long " * 20_000}])
    with ScriptedServer(lambda _: "The correct answer is (A)") as server:
        run(server, tmp_path / "data", tmp_path / "runs")
        (asked,) = server.requests
    assert len(asked.text) > 100_000
    (folder,) = (tmp_path / "runs").iterdir()
    (line,) = (folder / "samples" / "longbench_v2.jsonl").read_text().splitlines()
    (kept,) = json.loads(line)["prompt"]
    assert len(kept) < 21_000
    assert asked.text.startswith(kept[:9_000])
    assert asked.text.endswith(kept[-9_000:])
    shown = harness("show", folder, rows[0]["_id"]).stdout
    assert f"{len(asked.text) - 20_000} characters are left out here" in shown


def test_without_a_tokenizer_one_line_says_what_to_give(root: Path, tmp_path: Path) -> None:
    words = ("run", "--model", "scripted", "--data-root", root, "--suite", "longbench_v2",
             "--out", tmp_path, "--set", "longbench_v2.max_prompt_tokens=100")  # fmt: skip
    with ScriptedServer(lambda _: "The correct answer is (A)") as server:
        done = harness(*words, "--endpoint", server.url)
        assert done.returncode == 2
        assert "/tokenize: give the model's tokenizer with --tokenizer" in done.stderr
        assert not server.requests
        done = harness(*words, "--endpoint", server.url, "--tokenizer", tmp_path / "none")
        assert done.returncode == 2
        assert "no tokenizer can be loaded from" in done.stderr
    assert "Traceback" not in done.stderr


def test_thinking_in_two_calls(root: Path, rows: list[dict[str, str]], tmp_path: Path) -> None:
    def thinker(request: Request) -> Reply:
        if "Based on the above" in request.text:
            thoughts = request.text.split("step by step: ")[1]
            return Reply(f"The correct answer is ({thoughts[len('so it is ')]})")
        document = request.text.split("<text>\n")[1].split("\n</text>")[0]
        return Reply(f"<think>hm</think> so it is {answers(root)[document]} I think \n")

    with ScriptedServer(thinker) as server:
        row = run(server, root, tmp_path, "--set", "longbench_v2.cot=true", "--max-tokens", 77)
        asked = [request.text for request in server.requests]
        assert {request.body["max_tokens"] for request in server.requests} == {77}
    assert (row["strict"], row["n"], len(asked)) == (1.0, 60, 120)
    thoughts = [official(COT_ANSWER, r, f"so it is {r['answer']} I think") for r in rows]
    assert sorted(asked) == sorted([*thoughts, *(official(COT, r) for r in rows)])
    assert not any(row["context"] in second for row in rows for second in thoughts)
    (path,) = tmp_path.glob("*/samples/longbench_v2.jsonl")
    response = json.loads(path.read_text().splitlines()[0])["response"]
    assert response["reasoning"].startswith("<think>hm</think> so it is")
    assert (response["prompt_tokens"], response["completion_tokens"]) == (6, 4)  # of both calls


def test_thoughts_that_are_empty_or_cut(root: Path) -> None:
    item = items_of(LongBenchV2(root))[0]

    def responses(answer: Any) -> tuple[Response, int]:
        async def ask() -> Response:
            async with EndpointModel(server.url) as model:
                return await LongBenchV2(root, cot=True).solve(item, model, Sampling(5), Tools())

        with ScriptedServer(answer) as server:
            return asyncio.run(ask()), len(server.requests)

    response, calls = responses(lambda _: "<think>too long")
    assert (calls, scored(item, response)) == (1, (0.0, "unparsable", None))

    def cut_first(request: Request) -> Reply:
        reason = "length" if request.number == 0 else "stop"
        return Reply("The correct answer is (A)", finish_reason=reason)

    response, calls = responses(cut_first)
    assert (calls, response.truncated, response.text) == (2, True, "The correct answer is (A)")


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        ("stop", "stop", "stop"),
        ("stop", None, None),
        ("length", "stop", "length"),
        ("length", "content_filter", "content_filter"),
        ("content_filter", "stop", "content_filter"),
    ],
)
def test_how_two_calls_end(first: str, second: str | None, both: str | None) -> None:
    calls = Response("so", finish_reason=first), Response("", finish_reason=second)
    assert _joined(*calls).finish_reason == both


def test_saved_tables_and_parquet_give_the_same_items(
    root: Path, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    from datasets import Dataset, DatasetDict

    table = Dataset.from_list(rows)
    DatasetDict({"train": table}).save_to_disk(tmp_path / "saved" / "longbench_v2")
    (tmp_path / "parquet" / "longbench_v2").mkdir(parents=True)
    table.to_parquet(tmp_path / "parquet" / "longbench_v2" / "train-00000-of-00001.parquet")
    raw = items_of(LongBenchV2(root))
    for form in ("saved", "parquet"):
        benchmark = LongBenchV2(tmp_path / form)
        assert items_of(benchmark) == raw
        assert benchmark.count() == 60


def test_data_commands(root: Path, tmp_path: Path) -> None:
    done = harness("data", "import", "longbench_v2", root / "longbench_v2", "--data-root", tmp_path)
    assert done.returncode == 0, done.stderr
    assert items_of(LongBenchV2(tmp_path)) == items_of(LongBenchV2(root))
    done = harness("data", "verify", "longbench_v2", "--data-root", tmp_path)
    assert done.returncode == 2
    assert "train has 60 rows, the official number is 503" in done.stderr
    with pytest.raises(UsageError, match="harness data pull longbench_v2"):
        LongBenchV2(tmp_path / "nowhere").count()


def test_responses_that_exist_already_are_scored(
    root: Path, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    lines = [
        {"id": row["_id"], "response": f"The correct answer is ({row['answer']})"} for row in rows
    ]
    file = tmp_path / "responses.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    done = harness("score", "longbench_v2", file, "--data-root", root, "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["benchmarks"]
    assert (row["n"], row["strict"], row["native"]) == (60, 1.0, None)


def test_a_local_tokenizer_adds_and_drops_nothing(micro_model: Path, tokenizer: Any) -> None:
    async def both(text: str) -> tuple[list[int], str]:
        local = LocalTokenizer(micro_model)
        ids, _ = await asyncio.gather(local.encode(text), local.encode("another at once"))
        return ids, await local.decode(ids)

    text = "a <|im_start|> b  c\n\n  d<|endoftext|>é漢"
    ids, again = asyncio.run(both(text))
    assert again == text
    assert ids == tokenizer.encode(text, add_special_tokens=False)
