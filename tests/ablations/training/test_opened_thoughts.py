"""Chat templates that open a thought where the answer begins, as those of thinking models do."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ablations.training.prompting import Prompter
from ablations.training.rewards import AccuracyAndFormat, exported_reward, reward_payload
from ablations.training.training_data import TrainingData
from benchmarks.micro.data.pairs import pairs as micro_pairs
from benchmarks.pairs.selection import LETTERS, both_orders
from benchmarks.scoring import Target
from harness.backends.http.endpoint import EndpointModel
from harness.backends.models.settings import ModelSettings
from harness.backends.transformers import TransformersModel
from harness.reasoning import closed, opening
from harness.records import Item, Message, Sampling, TextPart
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
        (thinking.selection([pair], answered=True), plain.selection([pair], answered=True)),
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

    async def ask(opens: str, **extra: str) -> Any:
        server = ScriptedServer(
            lambda _: Reply("A", logprobs={"A": -0.1, "B": -3.0}),
            tokenizer=tiny.tokenizer(),
            opens=opens,
        )
        with server:
            async with EndpointModel(server.url) as model:
                model.settings = ModelSettings(extra_body=extra)
                return await model.logprobs(QUESTION, LETTERS)

    thinks, plain = "<|im_start|>assistant\n<think>\n", "<|im_start|>assistant\n"
    assert asyncio.run(ask(thinks)) is None
    assert asyncio.run(ask(plain)) == [-0.1, -3.0]
    # The template that a request brings is the one that counts.
    assert asyncio.run(ask(plain, chat_template=thinks)) is None
    assert asyncio.run(ask(thinks, chat_template=plain)) == [-0.1, -3.0]


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


# A right answer after a wrong thought, and the other way round, in tags that are special tokens:
# Magistral's, and gpt-oss's channels.
SPECIAL = ["[THINK]", "[/THINK]", "<|channel|>", "<|message|>", "<|end|>", "<|start|>"]
FAMILIES = (
    "[THINK]It is \\boxed{{{}}}.[/THINK]\\boxed{{{}}}",
    "<|channel|>analysis<|message|>It is \\boxed{{{}}}.<|end|><|start|>assistant<|channel|>final"
    "<|message|>\\boxed{{{}}}",
)


def test_rewards_see_the_tags_that_are_special_tokens(text_world: Path, tmp_path: Path) -> None:
    """TRL decodes completions without them; a thought would then be scored as the answer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ablations.arms import arm
    from ablations.settings import Settings
    from ablations.training.plan import TrainingPlan
    from ablations.training.rewards import reward_of
    from ablations.training.rollouts import Policy
    from ablations.training.stages import Stage
    from ablations.training.steps.trainer import ContextTrainer

    words = AutoTokenizer.from_pretrained(text_world / "model")
    words.add_special_tokens({"additional_special_tokens": SPECIAL})
    words.chat_template += "{# <|channel|>analysis<|message|> <|channel|>final<|message|> #}"
    model = AutoModelForCausalLM.from_pretrained(text_world / "model")
    model.resize_token_embeddings(len(words))
    for part in (words, model):
        part.save_pretrained(tmp_path / "model")
    (tmp_path / "rl.jsonl").write_text('{"id": "sum", "query": "1 + 1?", "answer": "2"}\n')
    settings = Settings(
        model=str(tmp_path / "model"), rl_data=str(tmp_path / "rl.jsonl"), prompts_per_step=1,
        group=4, max_tokens=64, report_to="none", accuracy_weight=0.75,
        format_pattern=r"(\[THINK\]|<\|channel\|>).+\\boxed\{\d\}",
    )  # fmt: skip
    plan = TrainingPlan(arm("grpo"), TrainingData(settings), tmp_path / "run")
    stage = Stage(plan, "rl", tmp_path / "model", lambda _: None)
    prompter = Prompter.load(stage.start, settings)
    texts = [form.format(*both) for form in FAMILIES for both in (("3", "2"), ("2", "3"))]
    ids = [prompter.ids(f"{text}<|im_end|>") for text in texts]
    assert set(SPECIAL) <= set(prompter.special_tokens)

    def rollouts(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        return {"prompt_ids": [prompter.ids("1 + 1?")] * 4, "completion_ids": ids, "logprobs": None}

    seen: list[list[float | None]] = []

    def reward(**columns: Any) -> list[float | None]:
        seen.append(reward_of(settings, prompter.opening)(**columns))
        return seen[-1]

    kwargs = {**stage.grpo_kwargs(prompter), "rollout_func": rollouts, "reward_funcs": reward}
    ContextTrainer(**kwargs).train()
    assert seen == [[1.0, 0.25, 1.0, 0.25]]

    policy = Policy(lambda *_: ids[0], prompter, 512)
    said = asyncio.run(policy.chat(QUESTION, Sampling(64, 1.0, 1.0)))
    assert said.text == texts[0]
