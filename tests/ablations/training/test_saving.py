"""The checkpoint of an arm: one dtype for every arm, tied weights, generation settings, ledger."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ablations.arms import ARMS
from ablations.training.saving import cast, changed_share, write_checkpoint
from harness.backends.checkpoint import load_model, load_processor, stored_dtypes
from harness.cli.main import cli
from harness.errors import UsageError
from tests.ablations.training.test_training import train, weights
from tests.conftest import Once

# One optimizer step per stage, at the default learning rate.
STEP = {"prompts": 4, "pair_count": 3, "matching": "steps", "learning_rate": 1e-6}


@pytest.fixture
def graded(tmp_path: Path) -> dict[str, Any]:
    """Return `STEP` with a reward that no two completions share, so that a step has a gradient."""
    code = "def rank(completions, **_):\n    return list(range(len(completions)))\n"
    (tmp_path / "ranks.py").write_text(code)
    return {**STEP, "reward": f"{tmp_path / 'ranks.py'}:rank"}


@pytest.fixture(scope="session")
def starts(text_world: Path, once: Once) -> Path:
    """Return a folder with a world per dtype of the start."""

    def build(folder: Path) -> None:
        for dtype in ("float32", "bfloat16"):
            shutil.copytree(text_world, folder / dtype)
            model = load_model(text_world / "model", dtype=getattr(torch, dtype))
            model.save_pretrained(folder / dtype / "model")

    return once("starts", build)


def differing(start: Path, checkpoint: Path) -> float:
    """Return the share of weights that differ, of whole files read at once."""
    before, after = load_file(start / "model.safetensors"), load_file(checkpoint)
    assert before.keys() == after.keys()
    changed = sum(int((before[name].to(new.dtype) != new).sum()) for name, new in after.items())
    return changed / sum(new.numel() for new in after.values())


@pytest.mark.parametrize("start", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ARMS)
def test_every_arm_is_saved_in_one_dtype(
    name: str, start: str, graded: dict[str, Any], starts: Path, tmp_path: Path
) -> None:
    """Whatever the start's; file and configuration agree, and the ledger counts the changes.

    A float32 weight shows an update of 1e-6.  (The two stages of `da-sft` undo each other in half
    of the weights; `ca-only` has no gradient for words that no prompt holds.)  The start ties its
    embeddings, so its file has no output layer; the checkpoint's has none either.
    """
    world = starts / start
    ledger = train(world, name, tmp_path / "t", **graded)
    checkpoint = tmp_path / "t/checkpoint"
    assert stored_dtypes(checkpoint) == {"float32"}
    assert json.loads((checkpoint / "config.json").read_text())["dtype"] == "float32"
    assert json.loads((tmp_path / "t/plan.json").read_text())["settings"]["save_dtype"] == "float32"
    share = differing(world / "model", checkpoint / "model.safetensors")
    assert (ledger["save_dtype"], ledger["changed_weights"]) == ("float32", share)
    assert share > 0.5 if ARMS[name].trains else share == 0
    assert "lm_head.weight" not in load_file(checkpoint / "model.safetensors")


@pytest.mark.parametrize("name", ["base", "da-sft", "contextrl"])
def test_another_dtype_can_be_asked_for(
    name: str, graded: dict[str, Any], starts: Path, tmp_path: Path
) -> None:
    """A step of 1e-6 is below half the spacing of most bfloat16 weights: few of them change."""
    ledger = train(starts / "bfloat16", name, tmp_path / "t", save_dtype="bfloat16", **graded)
    assert stored_dtypes(tmp_path / "t/checkpoint") == {"bfloat16"}
    assert ledger["changed_weights"] < 0.2
    if name == "base":
        assert weights(tmp_path / "t/checkpoint") == weights(starts / "bfloat16/model")


def test_adapters_are_merged_before_they_are_rounded(
    graded: dict[str, Any], starts: Path, tmp_path: Path
) -> None:
    """Of a model that is trained in bfloat16, what LoRA adds is kept in a float32 checkpoint."""
    changes = {**graded, "lora_rank": 2, "dtype": "bfloat16"}
    train(starts / "bfloat16", "grpo", tmp_path / "t", **changes)
    before = load_file(starts / "bfloat16/model/model.safetensors")
    after = load_file(tmp_path / "t/checkpoint/model.safetensors")
    changed = [name for name, new in after.items() if not torch.equal(new, before[name].float())]
    # All linear layers but the output: seven in each of the two blocks.
    assert len(changed) == 14
    assert {new.dtype for new in after.values()} == {torch.float32}


@pytest.mark.parametrize("tied", [True, False])
def test_weights_are_written_once_where_the_start_ties_them(
    tied: bool, text_world: Path, tmp_path: Path
) -> None:
    """Also where the tensors were gathered from several devices, so that none share memory."""
    start = tmp_path / "start"
    shutil.copytree(text_world / "model", start)
    config = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": tied}))
    if not tied:
        model = load_model(text_world / "model")
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        state["lm_head.weight"] += 1
        from safetensors.torch import save_file

        save_file(state, start / "model.safetensors", metadata={"format": "pt"})
    model, processor = load_model(start), load_processor(start)
    gathered = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    write_checkpoint(model, cast(gathered, torch.bfloat16), processor, start, tmp_path / "out")
    saved = load_file(tmp_path / "out/model.safetensors")
    assert ("lm_head.weight" in saved) is not tied
    assert stored_dtypes(tmp_path / "out") == {"bfloat16"}
    assert changed_share(start, tmp_path / "out") == 0


def test_the_parts_of_a_configuration_name_the_dtype_too(image_world: Path, tmp_path: Path) -> None:
    start = image_world / "model"
    model, processor = load_model(start), load_processor(start)
    state = cast(model.state_dict(), torch.bfloat16)
    write_checkpoint(model, state, processor, start, tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    parts = [config, config["text_config"], config["vision_config"]]
    assert [part["dtype"] for part in parts] == ["bfloat16"] * 3


def test_changes_are_counted_whatever_the_start_calls_its_tensors(
    text_world: Path, tmp_path: Path
) -> None:
    """A start in torch's older format, and in several files; one weight of its own is changed."""
    start, many, other = text_world / "model", tmp_path / "many", tmp_path / "other"
    model = load_model(start)
    for folder in (many, other):
        shutil.copytree(start, folder)
        (folder / "model.safetensors").unlink()
    model.save_pretrained(many, max_shard_size="50KB")
    assert len(list(many.glob("*.safetensors"))) > 1
    torch.save(model.state_dict(), other / "pytorch_model.bin")
    with torch.no_grad():
        model.model.norm.weight[0] += 1
    total = sum(tensor.numel() for tensor in load_file(start / "model.safetensors").values())
    model.save_pretrained(tmp_path / "trained")
    for folder in (start, many, other):
        assert changed_share(folder, tmp_path / "trained") == 1 / total


# What a checkpoint may suggest: fields of transformers' GenerationConfig, and one of nobody's.
SUGGESTED: list[dict[str, Any]] = [
    {"temperature": 0.6},
    {"top_p": 0.8},
    {"top_k": 20},
    {"temperature": 0.6, "top_p": 0.8, "top_k": 20},
    {"do_sample": False, "temperature": 0.01},
    {"do_sample": True, "temperature": 0.6},
    {"min_p": 0.9},
    {"top_h": 0.4},
    {"typical_p": 0.1},
    {"epsilon_cutoff": 0.1},
    {"eta_cutoff": 0.1},
    {"num_beams": 3},
    {"length_penalty": 2.0},
    {"repetition_penalty": 5.0},
    {"no_repeat_ngram_size": 1},
    {"suppress_tokens": [5, 6, 7]},
    {"begin_suppress_tokens": [5]},
    {"bad_words_ids": [[4]]},
    {"sequence_bias": [[[4], 100.0]]},
    {"forced_eos_token_id": 2},
    {"exponential_decay_length_penalty": [1, 9.0]},
    {"guidance_scale": 2.0},
    {"stop_strings": ["a"]},
    {"max_time": 1e-9},
    {"watermarking_config": {"bias": 9.0}},
    {"penalty_alpha": 0.6, "top_k": 4},
    {"use_cache": False},
    {"custom": [1]},
    {"num_return_sequences": 4},  # transformers refuses to load a model for it
    {"eos_token_id": "x"},
]


@pytest.mark.parametrize("fields", SUGGESTED, ids=lambda fields: "+".join(fields))
def test_of_suggested_generation_settings_only_the_tokens_are_used(
    fields: dict[str, Any], text_world: Path, tmp_path: Path
) -> None:
    """And the file is copied as it is, also where transformers refuses to write it."""
    import transformers

    start, tokens = tmp_path / "start", {"eos_token_id": [2, 3], "pad_token_id": 0}
    shutil.copytree(text_world / "model", start)
    (start / "generation_config.json").write_text(json.dumps({**tokens, **fields}))
    model = load_model(start)
    if "eos_token_id" in fields:
        del tokens["eos_token_id"]
    assert model.generation_config == transformers.GenerationConfig(**tokens)
    write_checkpoint(model, model.state_dict(), load_processor(start), start, tmp_path / "out")
    copies = [folder / "generation_config.json" for folder in (start, tmp_path / "out")]
    assert copies[0].read_bytes() == copies[1].read_bytes()


@pytest.mark.parametrize("fields", [{"num_return_sequences": 4}, {"max_new_tokens": "x"}])
def test_what_keeps_a_reference_model_from_loading_is_told_before_training(
    fields: dict[str, Any], text_world: Path, tmp_path: Path
) -> None:
    world = tmp_path / "world"
    shutil.copytree(text_world, world)
    path = world / "model/generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    with pytest.raises(UsageError, match="the reference model of the KL term from loading"):
        train(world, "grpo", tmp_path / "out", **STEP, kl=0.01)
    assert not (tmp_path / "out").exists()


def test_suggested_settings_change_no_rollout(text_world: Path, tmp_path: Path) -> None:
    """All of them at once, in both files that may hold them: the same bits are trained."""
    world = tmp_path / "world"
    shutil.copytree(text_world, world)
    path = world / "model/generation_config.json"
    settings = json.loads(path.read_text())
    for fields in SUGGESTED[:-1]:
        if "watermarking_config" not in fields:
            settings |= fields
    path.write_text(json.dumps({**settings, "num_beams": 1}))
    config = json.loads((world / "model/config.json").read_text())
    (world / "model/config.json").write_text(json.dumps({**config, "temperature": 0.1}))
    changes = {**STEP, "save_every": 1}
    for name, where in (("plain", text_world), ("suggested", world)):
        train(where, "grpo", tmp_path / name, **changes)
    assert weights(tmp_path / "plain/checkpoint") == weights(tmp_path / "suggested/checkpoint")
    assert (
        path.read_bytes() == (tmp_path / "suggested/checkpoint/generation_config.json").read_bytes()
    )


def test_without_generation_settings_none_are_written(text_world: Path, tmp_path: Path) -> None:
    start = tmp_path / "start"
    shutil.copytree(text_world / "model", start)
    (start / "generation_config.json").unlink()
    model = load_model(start)
    write_checkpoint(model, model.state_dict(), load_processor(start), start, tmp_path / "out")
    assert not (tmp_path / "out/generation_config.json").exists()


def test_a_plan_from_before_a_setting_was_added_is_still_read(
    text_world: Path, tmp_path: Path
) -> None:
    ledger = train(text_world, "base", tmp_path)
    path = tmp_path / "plan.json"
    stored = json.loads(path.read_text())
    del stored["settings"]["save_dtype"]
    path.write_text(json.dumps(stored))
    assert train(text_world, "base", tmp_path) == ledger
    with pytest.raises(UsageError, match=r"other settings \(save_dtype\)"):
        train(text_world, "base", tmp_path, save_dtype="bfloat16")


def test_a_corrupt_index_of_weights_is_one_line(text_world: Path, tmp_path: Path) -> None:
    shutil.copytree(text_world / "model", tmp_path / "model")
    for index in ("{", "[]", '{"weight_map": 5}', '{"weight_map": {"a": "gone.safetensors"}}'):
        (tmp_path / "model/model.safetensors.index.json").write_text(index)
        with pytest.raises(UsageError):
            stored_dtypes(tmp_path / "model")


def test_the_dtype_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["train", "--help"], standalone_mode=False)
    assert "--save-dtype" in capsys.readouterr().out
