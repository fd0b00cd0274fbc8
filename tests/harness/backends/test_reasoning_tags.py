"""Reasoning tags that a checkpoint's own files name, found, recorded and read."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest
import trl
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import suites
from benchmarks.micro.model.build import WEIGHTS
from harness.backends.checkpoint import load_processor
from harness.backends.reasoning_tags import dropped_ids, named_tags
from harness.reasoning import closed, extra_tags, is_known, opening, without_reasoning
from harness.records import Item
from harness.runs.store import read_manifest
from tests.commands import harness
from tests.servers import ScriptedServer

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
THINK = ("<think>", "</think>")
# The templates of real checkpoints, which TRL keeps copies of.
PUBLISHED = {
    "qwen3": {THINK},
    "qwen3_5_think": {THINK},
    "deepseek_r1_distill": {THINK},
    "deepseekv3": {THINK},
    "glm4moe": {THINK},
    "lfm2_2_5": {THINK},
    "nemotron_3_nano": {THINK},
    "gemma4": {("<|channel>", "<channel|>"), ("<|channel>thought", "<channel|>")},
    "gptoss": {
        (f"<|channel|>{name}<|message|>", "<|channel|>final<|message|>")
        for name in ("analysis", "commentary")
    },
}
PLAIN = ("qwen2_5_vl", "qwen3_instruct_2507", "llama3_2", "gemma3", "cohere2", "phi3_5", "smolvlm")
# The tags that the reasoning parsers of vLLM 0.32 look for, as tokens of the tokenizer.
TOKENS = {
    "Magistral": ("[THINK]", "[/THINK]"),
    "Seed-OSS": ("<seed:think>", "</seed:think>"),
    "Seed-OSS, budget": ("<seed:cot_budget_reflect>", "</seed:cot_budget_reflect>"),
    "Command A": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "Kimi-VL": ("◁think▷", "◁/think▷"),
    "MiniMax M3": ("<mm:think>", "</mm:think>"),
    "Hunyuan": ("<think:6124c78e>", "</think:6124c78e>"),
    "OpenThinker": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "PLaMo 3": ("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>"),
    "K2 Horizon": ("<ifm|think_fast>", "</ifm|think_fast>"),
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
}
USUAL = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "[INST]", "[/INST]",
         "<|box_start|>", "<|box_end|>", "<|start_header_id|>", "<|end_header_id|>")  # fmt: skip
OPENS = "{%% if add_generation_prompt %%}{{ '<|im_start|>assistant\\n%s' }}{%% endif %%}"


def folder(where: Path, *tokens: str, template: str = "", **config: object) -> Path:
    decoder = {str(i): {"content": text, "special": True} for i, text in enumerate(tokens)}
    (where / "chat_template.jinja").write_text(template)
    (where / "tokenizer_config.json").write_text(
        json.dumps({"added_tokens_decoder": decoder, **config})
    )
    return where


@pytest.mark.parametrize("name", [*PUBLISHED, *PLAIN])
def test_published_templates_name_their_tags_and_no_others(name: str, tmp_path: Path) -> None:
    shutil.copy(TEMPLATES / f"{name}.jinja", tmp_path / "chat_template.jinja")
    named = named_tags(tmp_path)
    assert set(named.pairs) == PUBLISHED.get(name, set())
    assert (named.tags, named.notes) == ((), ())  # the table knows them


@pytest.mark.parametrize("family", TOKENS)
def test_the_tokens_of_a_family_are_named_known_and_closed(family: str, tmp_path: Path) -> None:
    pair = begin, end = TOKENS[family]
    named = named_tags(folder(tmp_path, *USUAL, *pair))
    assert (named.pairs, named.tags, named.notes) == ((pair,), (), ())
    assert without_reasoning(f"{begin}It is A.{end}\nB") == "B"
    assert without_reasoning(f"It is A.{end}\nB") == "B"
    assert without_reasoning(f"{begin}It is A.") == ""
    assert opening(f"user: x\n{begin}\n") == f"{begin}\n"
    assert closed(f"user: x\n{begin}\n").split() == ["user:", "x", begin, end]


UNKNOWN = ("<ponder>", "</ponder>"), ("<|deliberation_start|>", "<|deliberation_end|>")
UNKNOWN += (("<|BEGIN_PONDER|>", "<|END_PONDER|>"), ("[REFLECT]", "[/REFLECT]"))
UNKNOWN += (("<|muse:thoughts>", "<muse:thoughts|>"), ("◁ponder▷", "◁/ponder▷"))


@pytest.mark.parametrize("pair", UNKNOWN)
def test_tags_that_the_table_does_not_know_are_found_by_their_form(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    assert not is_known(*pair)
    for tokens, template in (
        ((*USUAL, *pair), ""),
        ((), f"{{{{ content.split('{pair[1]}')[-1] }}}}{pair[0]}"),
    ):
        named = named_tags(folder(tmp_path, *tokens, template=template))
        assert (named.tags, named.notes) == ((pair,), ())


@pytest.mark.parametrize(
    ("tokens", "template", "config"),
    [
        # No word says so, but the answer begins there, the template cuts there, or a key says so.
        ((), OPENS % "<muse>\\n" + "<muse>x</muse>", {}),
        (("<muse>",), "{{ content.split('</muse>')[-1] }}", {}),
        ((), "", {"think_begin_token": "<muse>", "think_end_token": "</muse>"}),
        ((), "", {"model_specific_special_tokens": {
            "reasoning_start_token": "<muse>", "reasoning_end_token": {"content": "</muse>"}}}),
    ],
)  # fmt: skip
def test_tags_without_a_word_are_found_by_their_place(
    tokens: tuple[str, ...], template: str, config: dict[str, object], tmp_path: Path
) -> None:
    tagged = "{{ '<muse>' }}" if tokens else ""
    named = named_tags(folder(tmp_path, *tokens, template=tagged + template, **config))
    assert named.tags == (("<muse>", "</muse>"),)


def test_a_key_of_a_megabyte_takes_no_time(tmp_path: Path) -> None:
    begun = time.process_time()
    assert named_tags(folder(tmp_path, **{"think" * 200_000: "<a>"})).pairs == ()
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        (("<|ponder|>",), "no closing tag"),
        (("<|ponder|>", "<|/ponder|>", "</|ponder|>"), r"</\|ponder\|> or <\|/ponder\|>"),
    ],
)
def test_what_is_ambiguous_is_a_note_and_no_guess(
    tokens: tuple[str, ...], found: str, tmp_path: Path
) -> None:
    named = named_tags(folder(tmp_path, *USUAL, *tokens))
    assert named.pairs == ()
    (note,) = named.notes
    assert re.search(rf"^<\|ponder\|> may open .*{found}.* pass --reasoning-tags", note)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b'{"added_tokens_decoder": 5}', b"\xff",
    b'{"added_tokens": [1, null], "chat_template": [3, {"template": 4}]}'])  # fmt: skip
def test_files_that_cannot_be_read_name_nothing(content: bytes, tmp_path: Path) -> None:
    for name in ("tokenizer_config.json", "tokenizer.json", "chat_template.jinja", "tekken.json"):
        (tmp_path / name).write_bytes(content)
    assert named_tags(tmp_path).pairs == ()
    assert named_tags(None).pairs == named_tags(tmp_path / "nowhere").pairs == ()


@given(st.lists(st.sampled_from(USUAL), unique=True), st.randoms())
def test_the_order_of_tokens_decides_nothing(tokens: list[str], random: object) -> None:
    texts = [*tokens, *TOKENS["Magistral"], "<ponder>", "</ponder>"]
    with tempfile.TemporaryDirectory() as where:
        first = named_tags(folder(Path(where), *texts))
        random.shuffle(texts)  # type: ignore[attr-defined]
        assert named_tags(folder(Path(where), *texts)) == first


def test_special_tokens_that_are_tags_are_kept_in_the_text() -> None:
    """Magistral's and gpt-oss's tags are special tokens: without them a thought is the answer."""
    tokenizer = load_processor(WEIGHTS).tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]", "<|end|>"]})
    text = "<|end|>[THINK]The answer is A.[/THINK]The answer is B.<|end|>"
    ids = tokenizer.encode(text, add_special_tokens=False)
    for pairs, answer in (((TOKENS["Magistral"],), "The answer is B."), ((), None)):
        dropped, some = dropped_ids(tokenizer, pairs)
        shown = tokenizer.decode([i for i in ids if i not in dropped], skip_special_tokens=False)
        assert some == bool(pairs)
        if answer is None:
            assert shown == tokenizer.decode(ids, skip_special_tokens=True)
        else:
            assert without_reasoning(shown) == answer


def test_a_run_reads_the_tags_of_its_model_unless_others_are_given(
    micro_data: Path, tmp_path: Path
) -> None:
    (item_id, *_) = suites.benchmark("vstar", micro_data, images=False).ids()
    item = suites.benchmark("vstar", micro_data, images=False).build(item_id)
    assert isinstance(item, Item)
    right = item.target.answer
    wrong = "A" if right != "A" else "B"
    text = f"<ponder>It is {right}.</ponder>The answer is {right}.<ponder>The answer is {wrong}."
    words = tmp_path / "words"
    words.mkdir()
    folder(words, "<ponder>", "</ponder>", "<|musing_thought|>")
    with ScriptedServer(lambda _: text) as server:
        run = ["run", "--model", "scripted", "--endpoint", server.url, "--suite", "vstar"]
        run += ["--data-root", micro_data, "--out", tmp_path, "--limit", "1", "--no-native"]
        ponder, other = [["<ponder>", "</ponder>"]], ["--reasoning-tags", "<x>,</x>"]
        for options, value, used, named in (
            (["--tokenizer", words], 1.0, ponder, ponder),
            (["--tokenizer", words, *other], 0.0, [["<x>", "</x>"]], ponder),
            ([], 0.0, [], None),
        ):
            done = harness(*run, *options, "--json")
            document = json.loads(done.stdout)
            assert document["benchmarks"][0]["strict"] == value
            manifest = read_manifest(Path(document["run"]))
            assert manifest["reasoning_tags"] == used
            assert manifest["named_reasoning_tags"] == named
            assert ("<|musing_thought|> may open" in done.stderr) == (len(options) == 2)


def test_a_thought_opened_by_given_tags_is_closed_by_them() -> None:
    with extra_tags([("<muse>", "</muse>")]):
        assert opening("assistant\n<muse>\n") == "<muse>\n"
        assert closed("assistant\n<muse>\n") == "assistant\n<muse>\n\n</muse>\n\n"
    assert opening("assistant\n<muse>\n") == ""
