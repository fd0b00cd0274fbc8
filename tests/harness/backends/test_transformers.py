"""The tiny Qwen3-VL in process: batches, limits, ends, sampling and errors."""

from __future__ import annotations

import asyncio
import json
import math
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import RepetitionPenaltyLogitsProcessor

from harness.backends.transformers import (
    Checkpoint,
    Prompt,
    TokenCount,
    TransformersModel,
    penalised,
    perturbed,
)
from harness.errors import ItemError, UsageError
from harness.records import ImagePart, Message, Response, Sampling, TextPart
from tests.harness.backends.questions import question

Asked = tuple[Sequence[Message], Sampling]


def answers(folder: Path, asked: Sequence[Asked], batch_size: int) -> list[Response]:
    async def run() -> list[Response]:
        async with TransformersModel(folder, dtype="float32", batch_size=batch_size) as model:
            return await asyncio.gather(*(model.chat(*one) for one in asked))

    return asyncio.run(run())


def generated(checkpoint: Checkpoint, prompts: Sequence[Prompt]) -> list[Response]:
    responses: dict[int, Response] = {}
    checkpoint.generate(prompts, responses.__setitem__)
    return [responses[row] for row in range(len(prompts))]


@pytest.fixture(scope="module")
def loaded(micro_model: Path) -> Checkpoint:
    return Checkpoint(micro_model, "float32", "cpu")


@pytest.fixture(scope="module")
def text_model(micro_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text-only checkpoint with tied embeddings, as small instruction models have them."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("text_model")
    tokenizer = AutoTokenizer.from_pretrained(micro_model)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=256,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_answers_do_not_depend_on_the_batch(micro_model: Path) -> None:
    asked = [
        (question(i), Sampling(4 + i % 3 * 8, temperature=float(i % 3 == 1), seed=i, top_p=0.9))
        for i in range(18)
    ]
    alone = answers(micro_model, asked, 1)
    together = answers(micro_model, asked, 7)
    for one, other in zip(alone, together, strict=True):
        assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
        assert one.completion_tokens == other.completion_tokens
        assert one.prompt_tokens == other.prompt_tokens
    assert len({response.text for response in alone}) > 9, "the answers depend on the question"


def test_greedy_text_is_what_generate_of_transformers_gives(micro_model: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    image, words = question(5)[1].content[0], "What is it?"
    assert isinstance(image, ImagePart)
    processor = AutoProcessor.from_pretrained(micro_model)
    model = AutoModelForImageTextToText.from_pretrained(micro_model)
    content = [{"type": "image", "image": image.image}, {"type": "text", "text": words}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    output = model.generate(**inputs, max_new_tokens=20, do_sample=False)
    new = output[0, inputs["input_ids"].shape[1] :]
    expected = processor.tokenizer.decode(new, skip_special_tokens=True)

    messages = (Message("user", (image, TextPart(words))),)
    (response,) = answers(micro_model, [(messages, Sampling(20))], 1)
    assert response.text == expected
    assert response.prompt_tokens == inputs["input_ids"].shape[1]
    assert response.completion_tokens == len(new)


def test_both_reasons_to_finish_occur_and_are_told_apart(loaded: Checkpoint) -> None:
    sampling = Sampling(64, temperature=1.0)
    prompts = [loaded.prepare(question(4 * i), sampling) for i in range(16)]
    responses = generated(loaded, prompts)
    reasons = {response.finish_reason for response in responses}
    assert reasons == {"length", "stop"}
    for response in responses:
        assert (response.completion_tokens == 64) or response.finish_reason == "stop"
        assert "<|" not in response.text


def test_answers_are_delivered_in_the_order_in_which_they_end(loaded: Checkpoint) -> None:
    prompts = [loaded.prepare(question(4 * i), Sampling(64, 1.0, seed=i)) for i in range(16)]
    lengths: list[int] = []
    loaded.generate(prompts, lambda _, response: lengths.append(response.completion_tokens or 0))
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 3


def test_progress_counts_every_token(micro_model: Path) -> None:
    notes: list[str] = []
    count = TokenCount(notes.append, every=0.0)
    checkpoint = Checkpoint(micro_model, "float32", "cpu", count=count)
    prompts = [checkpoint.prepare(question(4 * i), Sampling(8 + i)) for i in range(3)]
    tokens = sum(response.completion_tokens or 0 for response in generated(checkpoint, prompts))
    assert notes[-1].startswith(f"transformers: {tokens} tokens generated")
    assert notes[-1].endswith("3 of 3 responses of this batch done")


def test_the_first_rate_leaves_out_the_start_up() -> None:
    notes: list[str] = []
    count = TokenCount(notes.append, every=0.01)
    time.sleep(0.2)
    begun = time.monotonic()
    count.add(100, left=4, batch_size=4)
    time.sleep(0.02)
    count.add(100, left=4, batch_size=4)
    spent = time.monotonic() - begun
    (note,) = notes
    said = re.search(r"200 tokens generated, ([\d.]+) tokens/s; 0 of 4", note)
    assert said
    assert float(said[1]) > 100 / spent - 0.1, "100 tokens since the first step"


def test_the_same_seed_draws_the_same_answer_and_another_another(loaded: Checkpoint) -> None:
    prompts = [loaded.prepare(question(3), Sampling(16, 1.0, seed=seed)) for seed in (1, 1, 2)]
    first, same, other = (response.text for response in generated(loaded, prompts))
    assert first == same
    assert first != other


def test_draws_follow_the_softmax() -> None:
    """10,000 draws from three logits against exp(logit / T): within four standard errors."""
    import torch

    logits, temperature, n = torch.tensor([0.0, 1.0, 2.0]), 0.7, 10_000
    generator = torch.Generator().manual_seed(0)
    sampling = Sampling(1, temperature=temperature)
    counts = [0, 0, 0]
    for _ in range(n):
        counts[int(perturbed(logits, sampling, generator).argmax())] += 1
    weights = [math.exp(i / temperature) for i in range(3)]
    for count, weight in zip(counts, weights, strict=True):
        p = weight / sum(weights)
        assert abs(count / n - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_top_p_leaves_out_the_unlikely() -> None:
    import torch

    logits = torch.tensor([5.0, 0.0, 0.0])  # the first has 0.987 of the mass
    generator = torch.Generator().manual_seed(0)
    sampling = Sampling(1, temperature=1.0, top_p=0.9)
    assert all(perturbed(logits, sampling, generator).argmax() == 0 for _ in range(500))


def test_what_the_processor_refuses_is_the_items_error(loaded: Checkpoint) -> None:
    sliver = Message("user", (ImagePart(Image.new("RGB", (2000, 1))), TextPart("What?")))
    with pytest.raises(ItemError, match="processor cannot read"):
        loaded.prepare((sliver,), Sampling(8))


def test_an_answer_takes_at_most_what_is_left_of_the_context(micro_model: Path) -> None:
    short = Checkpoint(micro_model, "float32", "cpu", max_model_len=40)
    prompt = short.prepare((Message("user", (TextPart("Which?"),)),), Sampling(1000))
    assert prompt.limit == 40 - prompt.length
    (response,) = generated(short, [prompt])
    assert response.truncated or response.finish_reason == "stop"
    assert response.completion_tokens is not None
    assert response.completion_tokens <= prompt.limit
    with pytest.raises(ItemError, match="tokens, the context holds 40"):
        short.prepare(question(60), Sampling(8))


@given(st.integers(0, 99), st.floats(0.5, 2), st.floats(-2, 2))
def test_penalties_are_those_of_the_references(seed: int, factor: float, presence: float) -> None:
    dice = torch.Generator().manual_seed(seed)
    logits = torch.randn(12, generator=dice)
    prompt, answer = (torch.randint(0, 12, (n,), generator=dice) for n in (5, seed % 4))
    # Repetition: transformers' own.  Presence: OpenAI's formula, logit - [count > 0] * penalty.
    reference = RepetitionPenaltyLogitsProcessor(factor)
    repeated = reference(torch.cat([prompt, answer])[None], logits[None].clone())[0]
    counts = torch.bincount(answer, minlength=12)
    expected = repeated - (counts > 0) * presence
    sampling = Sampling(1, repetition_penalty=factor, presence_penalty=presence)
    assert torch.allclose(penalised(logits.clone(), prompt, answer, sampling), expected, atol=1e-6)


@given(st.integers(0, 99), st.integers(-1, 12), st.floats(0, 1), st.floats(0.05, 1))
def test_a_draw_stays_within_its_limits(seed: int, top_k: int, min_p: float, top_p: float) -> None:
    dice = torch.Generator().manual_seed(seed)
    logits = torch.randn(12, generator=dice) * 3
    sampling = Sampling(1, temperature=0.7, top_p=top_p, top_k=top_k, min_p=min_p)
    drawn = int(perturbed(logits, sampling, dice).argmax())
    shares = (logits / 0.7).softmax(-1)
    assert shares[drawn] >= min_p * shares.max() - 1e-6
    rank = int((shares > shares[drawn]).sum())
    assert top_k <= 0 or rank < top_k
    # Dropping tokens before makes the nucleus smaller, never larger.
    assert shares.sort(descending=True).values[:rank].sum() < top_p + 1e-6 or rank == 0


def test_the_checkpoints_own_sampling_defaults_are_not_used(
    micro_model: Path, tmp_path: Path
) -> None:
    penalised = tmp_path / "penalised"
    shutil.copytree(micro_model, penalised)
    path = penalised / "generation_config.json"
    defaults = json.loads(path.read_text())
    path.write_text(
        json.dumps({**defaults, "repetition_penalty": 5.0, "do_sample": True, "top_k": 3})
    )
    asked = [(question(i), Sampling(24)) for i in range(4)]
    plain, with_defaults = answers(micro_model, asked, 4), answers(penalised, asked, 4)
    assert [r.text for r in plain] == [r.text for r in with_defaults]


def test_a_text_model_answers_text_and_refuses_images(text_model: Path) -> None:
    asked = [(question(4 * i), Sampling(8)) for i in range(5)]
    alone, together = answers(text_model, asked, 1), answers(text_model, asked, 4)
    assert [r.text for r in alone] == [r.text for r in together]
    with pytest.raises(ItemError, match="reads text only"):
        answers(text_model, [(question(1), Sampling(8))], 1)


def test_a_checkpoint_that_cannot_be_loaded_is_one_line(micro_model: Path, tmp_path: Path) -> None:
    unknown = tmp_path / "unknown"
    shutil.copytree(micro_model, unknown)
    (unknown / "config.json").write_text('{"model_type": "no_such_model"}')
    with pytest.raises(UsageError, match="cannot be loaded") as caught:
        Checkpoint(unknown)
    assert "\n" not in str(caught.value)

    torn = tmp_path / "torn"
    shutil.copytree(micro_model, torn)
    weights = (torn / "model.safetensors").read_bytes()
    (torn / "model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(UsageError, match="cannot be loaded") as caught:
        Checkpoint(torn)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_lacks_weights_is_refused(micro_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    holed = tmp_path / "holed"
    shutil.copytree(micro_model, holed)
    weights = load_file(holed / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, holed / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks 1 of the model's weights \(lm_head.weight"):
        Checkpoint(holed)


def test_leaving_ends_a_running_answer(micro_model: Path) -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        async with TransformersModel(micro_model, dtype="float32") as model:
            asked = [
                asyncio.create_task(model.chat(question(3), Sampling(7000, 1.0, seed=s)))
                for s in range(8)
            ]
            await asyncio.sleep(1)
            begun = loop.time()
        await asyncio.gather(*asked, return_exceptions=True)
        return loop.time() - begun

    assert asyncio.run(run()) < 3


def test_a_device_that_is_lost_ends_the_run_in_one_line(micro_model: Path) -> None:
    import torch

    def lose(*_: object) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nmore lines of torch")

    checkpoint = Checkpoint(micro_model, "float32", "cpu")
    checkpoint._model.register_forward_pre_hook(lose)
    prompt = checkpoint.prepare(question(4), Sampling(4))
    with pytest.raises(UsageError, match=r"lost \(CUDA error: unspecified launch failure\); rerun"):
        generated(checkpoint, [prompt])
