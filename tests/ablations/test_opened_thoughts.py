"""Chat templates that open a thought where the answer begins, as those of thinking models do."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ablations.training.prompting import Prompter
from ablations.training.rewards import AccuracyAndFormat, exported_reward, reward_payload
from benchmarks.micro.data.pairs import pairs as micro_pairs
from benchmarks.pairs.selection import LETTERS, both_orders
from benchmarks.scoring import Target
from harness.backends.endpoint import EndpointModel
from harness.backends.transformers import TransformersModel
from harness.reasoning import closed, opening
from harness.records import Item, Message, TextPart
from tests.ablations import tiny
from tests.servers import Reply, ScriptedServer

QWEN_THINKING = "<|im_start|>assistant\n<think>\n"
# Where Qwen3's own template ends without thinking.
QWEN_PLAIN = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
QUESTION = (Message("user", (TextPart("Which one?"),)),)


def test_it_closes_as_the_models_own_template_does() -> None:
    assert closed(QWEN_THINKING) == QWEN_PLAIN
    assert closed(QWEN_PLAIN) == QWEN_PLAIN


@pytest.mark.parametrize(
    "tag",
    [
        "<think>", "<thinking>", "[THINK]", "◁think▷", "<seed:think>", "<|begin_of_thought|>",
        "<|START_THINKING|>", "<|thinking|>",
    ],
)  # fmt: skip
def test_every_kind_of_tag_is_seen_and_closed(tag: str) -> None:
    from harness.reasoning import without_reasoning

    prompt = f"user: is it [a] or <b>?\nassistant:\n{tag}\n"
    assert opening(prompt) == f"{tag}\n"
    assert without_reasoning(closed(prompt).removeprefix(prompt[: -len(tag) - 1]) + "B") == "B"


@pytest.mark.parametrize(
    "end", ["<|im_start|>assistant\n", "[/INST]", "</think>\n\n", "<b>", "model\n", "<image>"]
)
def test_other_ends_open_nothing(end: str) -> None:
    assert opening(f"user: x{end}") == ""
    assert closed(f"user: <think>{end}") == f"user: <think>{end}"


def prompter(opens: str) -> Prompter:
    words = tiny.tokenizer()
    words.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{{ " + repr("<|im_start|>assistant\n" + opens) + " }}"
    )
    return Prompter(words)


def test_selection_reads_the_letter_and_not_the_first_word_of_a_thought() -> None:
    pair = micro_pairs("pairs", 2)[1]
    thinking, plain = prompter("<think>\n"), prompter("<think>\n\n</think>\n\n")
    assert thinking.opening == "<think>\n"
    assert plain.opening == ""
    for one, other in (
        (thinking.selection([pair]), plain.selection([pair])),
        (thinking.answered([pair]), plain.answered([pair])),
    ):
        assert one.tensors["input_ids"].tolist() == other.tensors["input_ids"].tolist()
    messages = both_orders(pair)[0].messages
    assert thinking.letters(messages) == plain.letters(messages)
    assert thinking.text(messages).endswith("<think>\n")  # rollouts think


FORMAT = r"<think>.+</think>\s*\\boxed\{.+\}"
COMPLETION = "It is two.</think>\n\\boxed{2}"


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (COMPLETION, 1.0),
        (f"<think>\n{COMPLETION}", 1.0),  # written by the model
        ("It is two, \\boxed{2}", 0.0),  # never closed: no answer, no format
    ],
)
def test_a_pattern_may_begin_with_the_tag_that_the_template_wrote(
    completion: str, expected: float
) -> None:
    target = Target("math", "2")
    reward = AccuracyAndFormat(0.5, FORMAT, "<think>\n")
    assert reward.value(completion, target, selection=False) == expected
    item = Item("a", QUESTION, target, cluster="a")
    from ablations.settings import Settings

    settings = dataclasses.replace(Settings(), format_pattern=FORMAT, accuracy_weight=0.5)
    row = reward_payload(item, False, settings, "<think>\n")
    assert exported_reward(row, completion) == expected


def test_a_server_whose_template_opens_a_thought_is_asked_for_an_answer() -> None:
    """The letters' log-probabilities would be those of the first word of a thought."""

    async def ask(opens: str) -> Any:
        server = ScriptedServer(
            lambda _: Reply("A", logprobs={"A": -0.1, "B": -3.0}),
            tokenizer=tiny.tokenizer(),
            opens=opens,
        )
        with server:
            async with EndpointModel(server.url) as model:
                return await model.logprobs(QUESTION, LETTERS)

    assert asyncio.run(ask("<|im_start|>assistant\n<think>\n")) is None
    assert asyncio.run(ask("<|im_start|>assistant\n")) == [-0.1, -3.0]


def test_the_transformers_backend_closes_a_thought(tmp_path: Path) -> None:
    values = {}
    for name, opens in (("thinking", "<think>\n"), ("plain", "<think>\n\n</think>\n\n")):
        folder = tiny.build("qwen3", tmp_path / name)
        words = prompter(opens).processor
        words.save_pretrained(folder)

        async def ask(folder: Path = folder) -> Any:
            async with TransformersModel(folder) as model:
                return await model.logprobs(QUESTION, LETTERS)

        values[name] = asyncio.run(ask())
    assert values["thinking"] == pytest.approx(values["plain"])
    assert None not in values["plain"]
