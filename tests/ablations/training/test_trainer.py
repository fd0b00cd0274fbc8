"""The trainer against a plain-torch GRPO + L_CA, alone and in two processes, and its draws."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ablations import tiny

os.environ.setdefault("WANDB_DISABLED", "true")
KINDS = ("qwen3", "qwen2_5_vl", "qwen3_vl")
OTHERS = tuple(kind for kind in tiny.KINDS if kind not in KINDS)


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder for each architecture, with a model and data."""
    return {kind: world(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


def world(kind: str, folder: Path) -> Path:
    if kind == "smolvlm":
        pytest.importorskip("num2words", reason="SmolVLM's processor needs it")
    tiny.build(kind, folder / "model")
    tiny.write(folder / "data", images=kind not in tiny.TEXT_KINDS)
    return folder


def reference(folder: Path, **words: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """GRPO + lambda L_CA by its formulas: no padding, no trainer, one sequence at a time.

    GRPO: Shao et al. 2024 (arXiv 2402.03300), the clipped ratio with two bounds and the k3 estimate
    of the KL term, mean over all tokens (DAPO, arXiv 2503.14476).  L_CA: arXiv 2606.17053.
    ``words`` are those of `stored.training`; an arm without a joint loss has GRPO alone, that of
    `da-joint-sft` is the cross-entropy of the right letter.
    """
    import torch
    from torch.nn.functional import cross_entropy, logsigmoid

    from ablations.training.prompting import Prompter
    from benchmarks.pairs.selection import both_orders
    from harness.backends.checkpoint import load_model
    from tests.ablations import stored as s

    run = s.training(folder, **words)
    prompter = Prompter.load(folder / "model", run.settings)
    model = load_model(folder / "model", dtype=run.settings.dtype).train()
    batch = s.stored(prompter, s.drawn(run), model)

    logp = s.log_probabilities(model, batch, range(s.ROWS))
    mask = batch["completion_mask"]
    ratio = (logp - batch["old_per_token_logps"]).exp()
    advantage = batch["advantages"][:, None]
    gain = torch.min(ratio * advantage, ratio.clamp(1 - s.LOW, 1 + s.HIGH) * advantage)
    off = batch["ref_per_token_logps"] - logp
    kl = off.exp() - off - 1
    grpo = ((s.KL * kl - gain) * mask).sum() / mask.sum()

    tokenizer = prompter.tokenizer
    a, b = (tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "AB")
    losses, entropies = [], []
    for pair in run.data.pairs:
        for order in both_orders(pair):
            images = [p.image for p in order.messages[0].content if hasattr(p, "image")]
            given = {"images": [images]} if images else {}
            text = [prompter.text(order.messages)]
            shown = prompter.processor(text=text, return_tensors="pt", **given)
            logits = model(**shown).logits[0, -1]
            margin = logits[a] - logits[b] if order.letter == "A" else logits[b] - logits[a]
            losses.append(-logsigmoid(margin.clamp(-s.CLIP, s.CLIP)))
            entropies.append(cross_entropy(logits, torch.tensor(a if order.letter == "A" else b)))
    ca, entropy = torch.stack(losses).mean(), torch.stack(entropies).mean()
    joint = {"selection": ca, "cross-entropy": entropy, None: torch.zeros(())}[run.arm.joint]
    (grpo + s.COEFFICIENT * joint).backward()
    gradient = {name: weight.grad for name, weight in model.named_parameters()}
    found = {"grpo": grpo, "ca": ca, "cross_entropy": entropy}
    return gradient, {name: loss.item() for name, loss in found.items()}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    import torch

    assert expected.keys() >= found.keys()
    for name, there in expected.items():
        here = found.get(name)
        if here is None:
            assert there is None or not there.any(), name
        else:
            assert torch.allclose(here, there, rtol=0, atol=1e-5), (
                name,
                (here - there).abs().max().item(),
            )
    assert sum(float(grad.abs().sum()) for grad in found.values()) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_plain_torch(kind: str, places: dict[str, Path]) -> None:
    from tests.ablations import stored

    expected, losses = reference(places[kind])
    # Two micro-steps; image rows and text rows are in one of them, so that pixels are sliced.
    found, log = stored.step(places[kind], places[kind], batch_size=4, norms_every=1)
    assert_same(found, expected)
    assert log["ca/loss"] == pytest.approx(losses["ca"], abs=1e-5)
    assert log["grpo/loss"] == pytest.approx(losses["grpo"], abs=1e-5)
    assert log["count/exposures"] == 6
    total = sum(float((grad**2).sum()) for grad in found.values()) ** 0.5
    assert log["grad_norm/grpo"] > 0
    assert abs(log["grad_norm/grpo"] - log["grad_norm/ca"]) <= total + 1e-6
    assert log["grad_norm/grpo"] + log["grad_norm/ca"] >= total - 1e-6


@pytest.mark.parametrize("kind", OTHERS)
def test_the_gradient_of_other_architectures_is_that_of_plain_torch(
    kind: str, tmp_path: Path
) -> None:
    from tests.ablations import stored

    folder = world(kind, tmp_path)
    expected, losses = reference(folder)
    found, log = stored.step(folder, folder, batch_size=4)
    assert_same(found, expected)
    assert log["ca/loss"] == pytest.approx(losses["ca"], abs=1e-5)
    assert log["grpo/loss"] == pytest.approx(losses["grpo"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grpo", "contextrl"])
@pytest.mark.parametrize("kind", [*OTHERS, "qwen2_5_vl"])
def test_other_architectures_train_and_their_checkpoints_load(
    kind: str, name: str, tmp_path: Path
) -> None:
    """The weights of the checkpoint are trained, and read what the start's processor writes."""
    import torch

    from harness.backends.checkpoint import load_model, load_processor
    from tests.ablations.training.test_training import train

    folder = world(kind, tmp_path)
    ledger = train(folder, name, tmp_path / "out")
    assert ledger["optimizer_steps"] > 1
    assert ledger["changed_weights"] > 0.5
    before, after = (load_processor(tmp_path / at) for at in ("model", "out/checkpoint"))
    said = [{"role": "user", "content": [{"type": "text", "text": "What colour?"}]}]
    assert after.apply_chat_template(said) == before.apply_chat_template(said)
    model = load_model(tmp_path / "out/checkpoint")
    assert torch.isfinite(model(input_ids=torch.tensor([[20, 21, 22]])).logits).all()


def test_a_model_that_changes_its_logits_is_refused() -> None:
    """TRL would train on the output layer's; those that it knows (Gemma's cap) are all right."""
    import torch
    import transformers
    from trl.trainer.utils import add_fused_lm_head

    from ablations.training.steps.objective import check_head
    from harness.errors import UsageError

    class Doubled(transformers.LlamaForCausalLM):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            outputs = super().forward(*args, **kwargs)
            outputs.logits = 2 * outputs.logits
            return outputs

    sizes = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 16}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    llama = transformers.LlamaConfig(**sizes, **heads)
    capped = transformers.Gemma2Config(**sizes, **heads, head_dim=8, final_logit_softcapping=2.0)
    ids = torch.tensor([[3, 9, 27]])
    for good in (transformers.LlamaForCausalLM(llama), transformers.Gemma2ForCausalLM(capped)):
        add_fused_lm_head(good, temperature=0.7)
        check_head(good.train(), ids, 0.7)
        assert good.training
    wrong = Doubled(llama)
    add_fused_lm_head(wrong, temperature=0.7)
    with pytest.raises(UsageError, match="Doubled cannot be trained by GRPO: its log-prob"):
        check_head(wrong, ids, 0.7)


@pytest.mark.parametrize("model_type", ["t5", "vit", "blip-2"])
def test_what_has_no_standard_forward_is_refused_by_its_configuration(
    model_type: str, tmp_path: Path
) -> None:
    """An encoder-decoder, no language model, and a forward without ``logits_to_keep``."""
    import transformers

    from ablations.training.prompting import check_forward
    from harness.errors import UsageError

    transformers.AutoConfig.for_model(model_type).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=f"{model_type} is neither|no logits_to_keep"):
        check_forward(tmp_path)


def test_a_blank_goes_before_letters_that_are_tokens_only_with_one() -> None:
    """Merges of ":" with a bare letter: after the template's last sign " A" is a token, A not."""
    import tokenizers
    from tokenizers import models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from ablations.training.prompting import Prompter
    from benchmarks.pairs.selection import selection

    vocabulary = {
        token: number
        for number, token in enumerate([":", "A", "B", ":A", ":B", " A", " B", " ", "$"])
    }
    merges = [(":", "A"), (":", "B"), (" ", "A"), (" ", "B")]
    words = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    words.pre_tokenizer = pre_tokenizers.Split("$", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="$", pad_token="$")
    tokenizer.chat_template = "AB:"
    prompter, pair = Prompter(tokenizer), tiny.text_pairs(1)[0]
    assert prompter.letters(selection(pair, "A").messages) == (
        (vocabulary[" A"],),
        (vocabulary[" B"],),
    )
    taught = prompter.selection([pair], answered=True).tensors["input_ids"][:, -2:].tolist()
    assert taught == [[vocabulary[" A"], vocabulary["$"]], [vocabulary[" B"], vocabulary["$"]]]


@pytest.mark.parametrize(
    "images", [[2, 0, 1, 1], [0, 2, 2, 0], [1, 1, 1, 1], [3, 0, 0, 1], [2] * 4]
)
def test_pixels_padded_to_a_row_per_prompt_stay_with_their_prompt(images: list[int]) -> None:
    """As Idefics and SmolVLM pad them; TRL 1.16 splits rows by images where the numbers agree."""
    import torch
    from trl.trainer.utils import split_pixel_values_by_grid

    from ablations.training.steps.trainer import pixel_rows

    batch: dict[str, Any] = {
        "pixel_values": torch.arange(4)[:, None].expand(4, 3),
        "pixel_attention_mask": torch.ones(4, 3),
        "num_images": images,
    }
    alone = split_pixel_values_by_grid(batch | {"num_images": pixel_rows(batch)})["pixel_values"]
    assert [part.unique().tolist() for part in alone] == [[0], [1], [2], [3]]
    for mask, others in ((None, {}), (batch["pixel_attention_mask"], {"spatial_shapes": 1})):
        assert pixel_rows(batch | {"pixel_attention_mask": mask} | others) == images
    assert pixel_rows({}) is None


def test_a_micro_step_without_a_pair_costs_no_forward(places: dict[str, Path]) -> None:
    """Eight micro-steps and six pairs: six selection forwards, counted as they ran."""
    from tests.ablations import stored

    expected, _ = reference(places["qwen3"])
    found, log = stored.step(places["qwen3"], places["qwen3"], batch_size=1)
    assert_same(found, expected)
    assert log["count/grpo_forwards"] == 8
    assert log["count/selection_forwards"] == 6
    assert log["forwards"] == 8 + 6
    assert log["count/exposures"] == 6


def test_another_loss_on_the_letters_has_a_name_of_its_own(places: dict[str, Path]) -> None:
    """`da-joint-sft` is trained on the cross-entropy over the vocabulary; L_CA is told beside."""
    from tests.ablations import stored

    words: dict[str, Any] = {"name": "da-joint-sft", "norms_every": 1}
    expected, losses = reference(places["qwen3"], name="da-joint-sft")
    found, log = stored.step(places["qwen3"], places["qwen3"], batch_size=4, **words)
    assert_same(found, expected)
    for name, loss in losses.items():
        assert log[f"{name}/loss"] == pytest.approx(loss, abs=1e-5)
    assert losses["cross_entropy"] > losses["ca"] + 1
    assert log["grad_norm/cross_entropy"] > 0
    assert "grad_norm/ca" not in log


@pytest.mark.parametrize("kind", ["qwen3", "qwen3_vl"])
def test_a_step_with_pairs_on_top_is_the_mean_over_all_of_its_tokens(
    kind: str, places: dict[str, Path]
) -> None:
    """Matched by steps: 2 prompts and 2 pairs of `da-rl`, 2 completions each, in four parts."""
    from ablations.training.schedule import schedule
    from tests.ablations import stored

    words: dict[str, Any] = {"name": "da-rl", "matching": "steps", "prompts": 2, "pair_count": 2}
    words["prompts_per_step"] = 2
    kinds = [slot.kind for slot in schedule(stored.training(places[kind], **words))]
    assert sorted(kinds) == ["selection", "selection", "task", "task"]
    expected, losses = reference(places[kind], **words)
    found, log = stored.step(places[kind], places[kind], batch_size=2, **words)
    assert_same(found, expected)
    assert log["grpo/loss"] == pytest.approx(losses["grpo"], abs=1e-5)
    assert log["count/grpo_forwards"] == 4


@pytest.mark.parametrize("kind", ["qwen3", "qwen3_vl"])
def test_recomputed_activations_give_the_same_gradient(kind: str, places: dict[str, Path]) -> None:
    """What every recipe of a large model trains with."""
    from tests.ablations import stored

    expected, losses = reference(places[kind])
    words: dict[str, Any] = {"batch_size": 4, "norms_every": 1, "gradient_checkpointing": True}
    found, log = stored.step(places[kind], places[kind], **words)
    assert_same(found, expected)
    assert log["ca/loss"] == pytest.approx(losses["ca"], abs=1e-5)
    assert log["grad_norm/ca"] > 0


@pytest.mark.slow
def test_two_processes_make_the_step_of_one(places: dict[str, Path]) -> None:
    """DDP over gloo; of the VLM, one process has prompts with images only and one without any."""
    import torch

    from tests.ablations import stored

    kinds = ("qwen3", "qwen3_vl")
    alone = {kind: stored.step(places[kind], places[kind], norms_every=1) for kind in kinds}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    subprocess.run(
        [*command, "-m", "tests.ablations.stored", *(str(places[kind]) for kind in kinds)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    for kind in kinds:
        together = torch.load(places[kind] / "ddp.pt")
        assert_same(together["gradient"], alone[kind][0])
        for name in ("ca/loss", "ca/accuracy", "ca/margin", "grad_norm/ca", "grad_norm/grpo"):
            assert together["log"][name] == pytest.approx(alone[kind][1][name], abs=1e-5)
        for name in ("count/exposures", "count/train_tokens"):
            assert together["log"][name] == alone[kind][1][name]


def test_the_losses_are_those_that_trl_names() -> None:
    """In a help text; of them, luspo alone needs ``importance_sampling_level="sequence"``."""
    import dataclasses
    import re

    from trl import GRPOConfig

    from ablations.settings import LOSSES

    (field,) = (one for one in dataclasses.fields(GRPOConfig) if one.name == "loss_type")
    listed = field.metadata["help"].partition("Supported values are ")[2].partition(". ")[0]
    assert set(re.findall(r"'(\w+)'", listed)) == {*LOSSES, "luspo"}


def test_what_is_known_of_trls_private_parts_holds() -> None:
    """Fails when TRL moves what `SelectionForwardHook` and `ContextTrainer._generate` rely on."""
    import inspect
    from dataclasses import fields
    from importlib.metadata import version

    import torch
    from trl import GRPOTrainer
    from trl.trainer.utils import FusedCausalLMOutput

    from ablations.training.steps.trainer import SelectionForwardHook, WithSelection

    assert version("trl") == "1.16.0", "read the trainer's private parts again, then pin anew"
    assert list(inspect.signature(GRPOTrainer._generate).parameters) == ["self", "prompts"]
    scored = inspect.signature(GRPOTrainer._generate_and_score_completions)
    assert list(scored.parameters) == ["self", "inputs"]
    ending = inspect.getsource(GRPOTrainer._generate).rstrip().splitlines()[-1].strip()
    assert ending == (
        "return prompt_ids, completion_ids, tool_mask, completions, logprobs, extra_fields, "
        "images, tool_images"
    )
    names = [field.name for field in fields(FusedCausalLMOutput)]
    assert {"log_probs", "entropy"} <= set(names)
    whole = WithSelection(log_probs=torch.ones(1), selection_logits=torch.zeros(1))
    assert whole.selection_logits is not None
    with pytest.raises(RuntimeError, match="no fused forward"):
        SelectionForwardHook().taken()
