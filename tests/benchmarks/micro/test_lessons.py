"""What the embedded model is taught is what the benchmarks ask, and what their scorers read."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.micro.content import prompts
from benchmarks.micro.content.questions import OPTIONS
from benchmarks.micro.model import base, lessons
from benchmarks.micro.model.batches import IGNORED, collate
from benchmarks.micro.model.build import MIX
from benchmarks.micro.model.lessons import Lesson
from benchmarks.scoring import Target, score
from benchmarks.suites import SUITES, benchmark
from harness.protocols import build_items
from harness.reasoning import without_reasoning
from harness.records import Item, TextPart

MAKERS = [maker for maker, _ in MIX]
_ASKED = re.compile(
    r"(?:<image \d> )*(?:<image_1> )?(?:Each mark is .*? )?(?:What|Where|Which|How|Is|Give)\b.*?"
    r"(?:\?|ball\.)(?: Give two decimals\.| Answer with a list\.)?"
)


def _items(name: str, data: Path) -> Iterator[tuple[Item, Target, str]]:
    for item in build_items(benchmark(name, data)):
        assert isinstance(item, Item)
        (message,) = item.messages
        text = "".join(p.text if isinstance(p, TextPart) else "" for p in message.content)
        yield item, item.target, text


def _open(name: str, text: str, target: Target) -> Callable[[str], str]:
    """The prompt of an item without options, as a function of its question."""
    if name == "mathvista":
        hint = {"float": f"float{target.precision}"}.get(target.answer_type or "", "list")
        hint = "integer" if target.answer_type == "integer" else hint
        return lambda asked: prompts.mathvista(asked, (), hint)
    if name == "olympiadbench_physics":
        several = target.answer.count("$") > 2
        kind = target.answer_type or ""
        return lambda asked: prompts.olympiad(asked, kind, several=several)
    forms = {"mathverse": prompts.mathverse, "mathvision": prompts.mathvision, "mmmu": prompts.mmmu}
    return lambda asked: forms[name](asked, ())


@pytest.mark.parametrize("name", SUITES["vqa12"])
def test_the_lessons_prompts_are_those_of_the_adapters(name: str, micro_data: Path) -> None:
    for item, target, text in _items(name, micro_data):
        found = _ASKED.search(text.replace(prompts.VISION_LEAD, ""))
        if "shown in the image" in text:
            assert text == prompts.mathverse("", target.choices, seen=True)
        elif not found:
            assert text == prompts.MMMU_PRO_SEEN
            assert item.parts == ("vision",)
        elif target.choices and text.endswith("A.B.C.D." + prompts.LETTER_END.strip()):
            assert text == prompts.mmmu_pictures(found[0], 4).replace(prompts.PICTURE, "")
        elif target.choices:
            assert text == _chosen(name, found[0], target, text)
        else:
            unit = f" (Unit: {target.unit})" if name == "mathvista" and target.unit else ""
            assert text == _open(name, text, target)(found[0] + unit)


def _chosen(name: str, asked: str, target: Target, text: str) -> str:
    if name == "phyx":
        return prompts.phyx(asked, target.choices)
    options = target.choices
    if name == "mmmu" and text.endswith(prompts.LETTER_END.strip()) and "A.B." in text:
        return prompts.mmmu_pictures(asked, len(options)).replace(prompts.PICTURE, "")
    if name == "mme_realworld_lite":
        options = options[:-1]
    if name == "scienceqa":
        return prompts.scienceqa(asked, options, hint=text.startswith("Context"))
    return prompts.CHOICE[name](asked, options)


@pytest.mark.parametrize("name", SUITES["vqa12"])
def test_answers_of_the_taught_form_are_scored_right(name: str, micro_data: Path) -> None:
    """The gold, written as the lessons write answers, is read and right by the strict rules."""
    for item, target, text in _items(name, micro_data):
        gold = target.answer.replace("$,$", ", ").strip("$")
        said = prompts.boxed(gold) if "boxed" in text else gold
        if name == "olympiadbench_physics":
            said = prompts.olympiad_answer(gold.split(", "))
        if target.choices:
            option = target.choices["ABCDEFGHIJ".index(target.answer)]
            said = without_reasoning(prompts.chosen(name, option, target.answer))
        verdict = score(said, target)
        assert verdict.value == 1.0, (item.id, said, verdict)


def test_options_and_their_letters_are_one_token_each() -> None:
    """The look-up of a letter is one step of attention only if they are."""
    words = base.tokenizer()
    for option in OPTIONS:
        thought = prompts.thought(option, "B")
        assert len(words(thought)["input_ids"]) == 5, thought
        for form in prompts.FORMS:
            assert len(words(form.format(letter="B", text=option))["input_ids"]) == 2, option


def test_a_look_up_starts_as_an_induction_circuit() -> None:
    """The first layer's head sees the token before, the second's the option that is named."""
    model, processor = base.untrained(0)
    words = processor.tokenizer
    listed = words(prompts.lines(("red", "3 m", "b2"), prompts.ROUND))["input_ids"]
    said = words(f"{prompts.THINK}3 m")["input_ids"]
    option = listed.index(words(" 3 m")["input_ids"][0])
    model.set_attn_implementation("eager")
    with torch.no_grad():
        first, second, *_ = model(
            input_ids=torch.tensor([listed + said]), output_attentions=True
        ).attentions
    assert first[0, 0, option].argmax() == option - 1
    to_options = second[0, 0, -1, : len(listed)]
    assert to_options.argmax() == option


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_batches_are_what_the_processor_makes(maker: lessons.Maker) -> None:
    made = [maker(random.Random(seed), "pretrain") for seed in range(4)]
    words = base.tokenizer()
    batch, labels = collate(made, words)
    expected = base.processor(base.BASE, words).apply_chat_template(
        [_chat(one) for one in made],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        padding=True,
        add_generation_prompt=True,
    )
    for row in range(4):
        asked = batch["input_ids"][row][
            (labels[row] == IGNORED) & (batch["attention_mask"][row] > 0)
        ]
        mask = expected["attention_mask"][row] > 0
        assert asked.tolist() == expected["input_ids"][row][mask].tolist()
        answer = labels[row][labels[row] != IGNORED]
        assert words.decode(answer) == f"{made[row].answer}<|im_end|>"
    if made[0].pictures:
        assert torch.equal(batch["image_grid_thw"], expected["image_grid_thw"])
        torch.testing.assert_close(batch["pixel_values"], expected["pixel_values"])
        assert batch["mm_token_type_ids"].sum() == expected["mm_token_type_ids"].sum()


def _chat(lesson: Lesson) -> list[dict[str, object]]:
    text = lesson.text
    if prompts.PICTURE not in text:
        text = prompts.PICTURE * len(lesson.pictures) + text
    pieces = text.split(prompts.PICTURE)
    content: list[dict[str, object]] = [{"type": "text", "text": pieces[0]}]
    for picture, piece in zip(lesson.pictures, pieces[1:], strict=True):
        content += [{"type": "image", "image": picture.draw()}, {"type": "text", "text": piece}]
    return [{"role": "user", "content": content}]


def test_the_selection_prompt_is_not_taught() -> None:
    from benchmarks.pairs.selection import ASK, FIRST

    for maker in MAKERS:
        for seed in range(100):
            text = maker(random.Random(seed), "pretrain").text
            assert FIRST.strip() not in text
            assert ASK.strip() not in text
