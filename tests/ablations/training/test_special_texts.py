"""Texts of the data that a model's tokenizer would read as something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ablations.data.check import check_texts
from ablations.data.items import open_items
from benchmarks.pair_sources import open_pairs
from harness.errors import UsageError
from tests.ablations import tiny
from tests.commands import harness, one_line

TOKENS = {"<|image_pad|>", "<|im_end|>", "<image>"}
PAIR = {
    "id": "p", "query": "Which?", "answer": "red",
    "context_positive": [{"text": "It is red."}], "context_negative": "It is blue.",
}  # fmt: skip
ITEM = {"id": "i", "query": "What is 1 + 1?", "answer": "2"}


def written(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("token", sorted(TOKENS))
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("query", "Which {}?"), ("answer", "{}"), ("context_negative", "x {}"),
        ("context_positive", [{"text": "a"}, {"text": "b{}"}]), ("answer_negative", "{}c"),
    ],
)  # fmt: skip
def test_a_special_token_in_any_text_of_a_pair_is_named(
    tmp_path: Path, token: str, field: str, value: object
) -> None:
    wrong = json.loads(json.dumps({**PAIR, "id": "q", field: value}).replace("{}", token))
    pairs = open_pairs(str(written(tmp_path / "pairs.jsonl", PAIR, wrong)))
    with pytest.raises(UsageError, match=r"line 2: its text holds '.*', a special token"):
        check_texts(pairs, TOKENS)
    with pytest.raises(UsageError, match=r"pair q: its text holds"):
        check_texts(list(pairs), TOKENS)
    check_texts(pairs[:1], TOKENS)


def test_a_mark_of_an_image_is_no_token(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    marked = {**ITEM, "query": "<image>What is it?", "images": ["a.png"]}
    items = open_items(str(written(tmp_path / "items.jsonl", ITEM, marked)))
    check_texts(items, TOKENS)
    check_texts(list(items), TOKENS)
    bare = open_items(
        str(written(tmp_path / "bare.jsonl", {**ITEM, "query": "<image>What is it?"}))
    )
    with pytest.raises(UsageError, match="line 1: its text holds '<image>'"):
        check_texts(bare, TOKENS)


@pytest.mark.parametrize("token", ["<|image_pad|>", "<|video_pad|>", "<|im_end|>"])
def test_train_and_pairs_check_refuse_before_anything_is_trained(
    tmp_path: Path, token: str
) -> None:
    model = tiny.build("qwen3_vl", tmp_path / "model")
    pairs = written(tmp_path / "pairs.jsonl", PAIR, {**PAIR, "id": "q", "query": f"a {token}"})
    items = written(tmp_path / "items.jsonl", {**ITEM, "query": f"a {token}"}, *[ITEM] * 40)
    for command in (
        ["pairs", "check", pairs, "--model", model],
        ["train", "--arm", "ca-only", "--model", model, "--pairs", pairs, "--dry-run"],
        ["train", "--arm", "grpo", "--model", model, "--rl-data", items, "--dry-run"],
    ):
        done = (
            harness(*command, "--out", tmp_path / "out")
            if "train" in command
            else harness(*command)
        )
        assert done.returncode == 2, done.stdout
        assert f"its text holds '{token}', a special token of this model" in done.stderr


OWN = """
from PIL import Image
from ablations.arms import Arm
from benchmarks.scoring import Target
from harness.records import ImagePart, Item, Message, TextPart

def items(pair, letter):
    parts = (TextPart(pair.query + SAID), *SHOWN)
    return Item(pair.id, (Message("user", parts),), Target("text", pair.answer), pair.id)

OWN = Arm("own", "mine", extra="own", items=items)
"""


@pytest.mark.parametrize(
    ("said", "shown", "message"),
    [
        ("'<|im_end|>'", "()", "item t0: its text holds '<|im_end|>', a special token"),
        ("''", "(ImagePart(Image.new('RGB', (8, 8))),)", "the data has images, and"),
    ],
)
def test_items_that_an_arm_of_ones_own_makes_are_looked_at(
    tmp_path: Path, text_world: Path, said: str, shown: str, message: str
) -> None:
    (tmp_path / "own.py").write_text(f"{OWN}\nSAID, SHOWN = {said}, {shown}\n")
    data = text_world / "data"
    words = ["train", "--arm", f"{tmp_path / 'own.py'}:OWN", "--model", text_world / "model"]
    words += ["--pairs", data / "pairs.jsonl", "--rl-data", data / "rl.jsonl", "--dry-run"]
    assert message in one_line(harness(*words, "--group", 2, "--prompts-per-step", 2))
