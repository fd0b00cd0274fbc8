"""Settings of a model: layers, recommendations, what enters prompts and requests, adapters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.backends import BACKENDS, BASIC, COMMON, BackendSpec, refuse_unknown
from harness.backends.http.endpoint import EndpointModel
from harness.backends.models.adapter import read_adapter
from harness.backends.models.resolve import (
    FOLDER,
    in_force,
    read_recommended,
    suitable,
)
from harness.backends.models.settings import SAMPLING, ModelSettings, decisive, settings_of
from harness.backends.spec import Setup
from harness.backends.vllm import command
from harness.errors import UsageError
from harness.files.hashing import json_hash
from harness.records import ImagePart, Message, TextPart
from harness.runs.identity import identify
from tests.servers import Answer, Reply, Request, ScriptedServer, refuses

TYPED = "command line"
NONE: dict[str, Any] = {"given": {}, "recommended": None, "generation": "ours"}


def layered(checkpoint: Path | None = None, **sources: Any) -> Any:
    return in_force(**{**NONE, **sources}, checkpoint=checkpoint)


def checkpoint(folder: Path, generation: object, model_type: str = "qwen3") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def test_options_win_over_authors_over_the_checkpoint(tmp_path: Path) -> None:
    suggested = {"do_sample": True, "temperature": 0.9, "top_k": 0, "repetition_penalty": 1.1}
    folder = checkpoint(tmp_path / "model", suggested)
    found = layered(
        folder,
        given={"top_p": (0.5, TYPED)},
        recommended="qwen3_8b",
        generation="model",
    )
    settings, origins = found.settings, found.origins
    assert (settings.top_p, settings.temperature, settings.top_k) == (0.5, 0.6, 20)
    assert settings.repetition_penalty == 1.1
    assert origins["top_p"] == TYPED
    assert origins["temperature"].startswith("--model-settings qwen3_8b (huggingface.co/")
    assert origins["repetition_penalty"] == "model/generation_config.json"
    alone = layered(folder, generation="model").settings
    assert alone.given() == {"temperature": 0.9, "top_k": -1, "repetition_penalty": 1.1}
    assert layered(folder).settings == ModelSettings()


def test_a_key_that_no_option_names_is_the_authors() -> None:
    given = {"chat_template_kwargs": ({"add_vision_id": True}, TYPED)}
    found = layered(given=given, recommended="qwen3_8b_no_thinking")
    assert found.settings.chat_template_kwargs == {"enable_thinking": False, "add_vision_id": True}
    assert found.origins["chat_template_kwargs"].startswith(f"{TYPED}, over --model-settings")
    mine = {"chat_template_kwargs": ({"enable_thinking": True}, TYPED)}
    found = layered(given=mine, recommended="qwen3_8b_no_thinking")
    assert found.settings.chat_template_kwargs == {"enable_thinking": True}
    assert found.origins["chat_template_kwargs"] == TYPED


def test_a_checkpoint_that_does_not_sample_is_greedy(tmp_path: Path) -> None:
    # transformers reads temperature and top-p only with do_sample.
    folder = checkpoint(tmp_path / "model", {"temperature": 0.7, "repetition_penalty": 1.05})
    assert layered(folder, generation="model").settings.given() == {"repetition_penalty": 1.05}


def test_a_checkpoint_that_samples_without_a_temperature_has_the_libraries_default(
    tmp_path: Path,
) -> None:
    folder = checkpoint(tmp_path / "model", {"do_sample": True, "top_k": 64, "top_p": 0.95})
    found = layered(folder, generation="model").settings.given()
    assert found == {"temperature": 1.0, "top_k": 64, "top_p": 0.95}


def test_keys_behind_the_dot_of_an_argument_keep_their_underscores() -> None:
    # vLLM, too, reads underscores as dashes before the first dot alone.
    given_ = {"hf_overrides.rope_parameters.factor": 4, "max_num_seqs": 8}
    settings = ModelSettings(vllm_arg=given_)
    assert settings.keyed() == {"vllm_arg": {"hf-overrides.rope_parameters.factor": 4}}


def test_settings_of_the_draw_need_a_temperature() -> None:
    with pytest.raises(UsageError, match="--top-k has no effect under greedy decoding"):
        layered(given={"top_k": (20, TYPED)})
    greedy = layered(given={"temperature": (0.0, TYPED)}, recommended="qwen3_vl_8b").settings
    # What authors recommend for sampling is left out, their penalties are not.
    assert (greedy.top_p, greedy.top_k, greedy.presence_penalty) == (None, None, 1.5)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_recommendations_are_valid_and_each_has_a_source(file: Path) -> None:
    recommended = read_recommended(file.stem)
    assert layered(recommended=file.stem).settings.given()
    assert all(len(each.source) > 10 for each in recommended.settings.values())
    assert any("://" in s or ".co" in s for s in (e.source for e in recommended.settings.values()))


def test_a_file_of_recommendations_gives_no_code_and_no_address(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for name in ("trust-remote-code", "middleware", "log_config_file", "master-addr"):
        value = json.dumps({name: "a.B"})
        file.write_text(f"title: T\nsettings:\n  vllm_arg: {{value: {value}, source: a card}}")
        with pytest.raises(UsageError, match=r"mine.yaml: vllm_arg names code.*command line"):
            layered(recommended=str(file))
    file.write_text("title: T\nsettings:\n  vllm_arg: {value: {seed: 1}, source: a card}")
    assert layered(recommended=str(file)).settings.vllm_arg == {"seed": 1}


def test_recommendations_are_for_one_type_of_model(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", {}, "qwen3_vl")
    assert suitable(folder) == ["qwen3_vl_8b", "qwen3_vl_8b_thinking"]
    with pytest.raises(UsageError, match=r"for models of type qwen3, and .* is of qwen3_vl"):
        layered(folder, recommended="qwen3_8b")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title: a\nsettings: {top_q: {value: 1, source: here}}", "did you mean top_"),
        ("title: a\nsettings: {top_p: {value: 3, source: here}}", "<= 1"),
        ("title: a\nsettings: {top_p: 0.5}", "line 2: settings.top_p: must be a mapping"),
        ("title: a", "settings is missing"),
        ("- a", "not a mapping"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_wrong_file_of_recommendations_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=reason):
        layered(recommended=str(file))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"min_pixels": 9, "max_pixels": 8}, "--min-pixels 9 is above --max-pixels 8"),
        ({"extra_body": {"messages": []}}, "--extra-body: 'messages' is set"),
        ({"vllm_arg": {"port": "1"}}, "--vllm-arg port is set by the harness"),
        ({"vllm_arg": {"dtype": "half"}}, "use --dtype"),
        ({"vllm_arg": {"max_model_len": 8}}, "use --max-model-len"),
        ({"vllm_arg": {"mm_processor_kwargs.max_pixels": 9}, "max_pixels": 8}, "give either"),
        ({"vllm_arg": {"mm-processor-kwargs": "{}"}, "max_pixels": 8}, "give either"),
        ({"temperature": "nan"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"presence_penalty": 3}, "presence_penalty"),
    ],
)
def test_contradictions_are_refused(values: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        settings_of(values, "settings")


def user(*parts: str) -> Message:
    return Message("user", tuple(map(TextPart, parts)))


@given(st.lists(st.sampled_from(["user", "assistant"]), min_size=1), st.booleans())
def test_a_prompt_gains_its_lines_once(roles: Sequence[Any], own: bool) -> None:
    system = [Message("system", (TextPart("Own."),))] if own else []
    messages = [*system, *(Message(role, (TextPart("x"),)) for role in roles)]
    asked = ModelSettings(system_prompt="S.", prompt_suffix="F.").asked(messages)
    assert asked[0].render() == ("S.\n\nOwn." if own else "S.")
    rest = asked[1:]
    assert [message.role for message in rest] == list(roles)
    ended = [i for i, message in enumerate(rest) if message.render() == "x\nF."]
    opening = roles[: roles.index("assistant")] if "assistant" in roles else roles
    assert ended == ([len(opening) - 1] if opening else [])
    assert all(m.render() == "x" for i, m in enumerate(rest) if i not in ended)


def test_a_suffix_follows_an_image_in_a_part_of_its_own() -> None:
    picture = ImagePart(np.zeros(1))  # type: ignore[arg-type]
    (asked,) = ModelSettings(prompt_suffix="F.").asked([Message("user", (picture,))])
    assert asked.content == (picture, TextPart("\nF."))
    (text,) = ModelSettings(prompt_suffix="F.").asked([user("a", "b")])
    assert text.content == (TextPart("ab\nF."),)


def test_each_backend_says_what_it_cannot_do() -> None:
    for name in ModelSettings.__struct_fields__:
        for kind, backend in BACKENDS.items():
            if name in BASIC or name in backend.settings:
                refuse_unknown(name, kind, "as asked")
            else:
                with pytest.raises(UsageError, match=f"no effect with the {kind} backend"):
                    refuse_unknown(name, kind, "as asked")
    assert not SAMPLING - BASIC - set(COMMON)


def test_vllm_gets_its_arguments_as_they_are(tmp_path: Path) -> None:
    settings = ModelSettings(
        chat_template=str(tmp_path / "a.jinja"),
        max_pixels=4096,
        vllm_arg={
            "hf-overrides": '{"rope": 1}',
            "limit-mm-per-prompt": {"image": 2},
            "enable-prefix-caching": True,
            "enable-chunked-prefill": False,
            "seed": "-1",
        },
    )
    spec = BackendSpec(checkpoint=tmp_path, setup=Setup(settings))
    text = " ".join(command(spec, Path("/private/server"), cpu=True))
    for words in (
        '--hf-overrides {"rope": 1}',
        '--mm-processor-kwargs {"max_pixels": 4096}',
        f"--chat-template {tmp_path / 'a.jinja'}",
        '--limit-mm-per-prompt {"image": 2}',
        "--seed=-1",
        " --enable-prefix-caching ",
        "--no-enable-chunked-prefill",
    ):
        assert text.count(words) == 1
    assert text.count("--limit-mm-per-prompt") == 1


def adapter(folder: Path, base: str | None = "base", **changes: Any) -> Path:
    from safetensors.numpy import save_file

    folder.mkdir()
    config = {"peft_type": "LORA", "r": 12, "base_model_name_or_path": base, **changes}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(
        {"model.visual.a.lora_A.weight": np.zeros((12, 2))}, folder / "adapter_model.safetensors"
    )
    return folder


def test_an_adapter_is_part_of_the_model(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"weights")
    folder = adapter(tmp_path / "tuned", str(base))
    alone, given_ = (
        identify(str(folder), None, None),
        identify(str(base), None, None, adapter=folder),
    )
    plain = identify(str(base), None, None)
    assert alone == given_
    assert (alone.name, alone.checkpoint) == ("base+tuned", base)
    assert plain.fingerprint != alone.fingerprint
    moved = adapter(tmp_path / "moved", "elsewhere")  # a place enters no hash
    assert identify(str(base), None, None, adapter=moved).fingerprint == alone.fingerprint
    spec = BackendSpec(checkpoint=base, model="tuned", setup=Setup(adapter=read_adapter(folder)))
    words = command(spec, Path("/private/server"), cpu=True)
    path = json.dumps({"name": "tuned", "path": str(folder)})
    assert f"--enable-lora --lora-modules {path} --max-lora-rank 16" in " ".join(words)
    assert "--enable-tower-connector-lora" in words  # it changes the vision encoder
    assert words[words.index("--served-model-name") + 1] == "tuned-base"


def test_an_adapter_is_neither_put_on_another_nor_trained_from(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"weights")
    folder = adapter(tmp_path / "tuned", str(base))
    again = adapter(tmp_path / "again", str(folder))
    for model, on_it in ((again, None), (folder, again)):
        with pytest.raises(UsageError, match="tuned is an adapter itself"):
            identify(str(model), None, None, adapter=on_it)
    assert identify(str(base), None, None).to_train() == base
    with pytest.raises(UsageError, match="training starts from whole weights"):
        identify(str(folder), None, None).to_train()


def test_what_is_no_lora_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"it has no adapter_config\.json"):
        read_adapter(tmp_path)
    with pytest.raises(UsageError, match="of type IA3"):
        read_adapter(adapter(tmp_path / "ia3", peft_type="IA3"))
    for place, ranks in enumerate(({"r": 10**9}, {"r": 8}, {"r": 0, "rank_pattern": {"a": 5}})):
        with pytest.raises(UsageError, match=r"states the ranks .* holds \[12\]: save"):
            read_adapter(adapter(tmp_path / f"rank{place}", **ranks))
    # 12 rows: rank 3 of four experts that share a matrix.
    assert read_adapter(adapter(tmp_path / "experts", r=3)).rank == 3
    torn = adapter(tmp_path / "torn")
    (torn / "adapter_model.safetensors").write_bytes(b"cut")
    with pytest.raises(UsageError, match="cannot be read"):
        read_adapter(torn)
    (torn / "adapter_model.safetensors").unlink()
    with pytest.raises(UsageError, match="save the adapter as safetensors"):
        read_adapter(torn)
    with pytest.raises(UsageError, match="names no base model"):
        identify(str(adapter(tmp_path / "lost", None)), None, None)


def test_a_template_counts_by_its_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.jinja", tmp_path / "other.jinja"
    one.write_text("{{ messages }}")
    other.write_text("{{ messages }}")
    keys = {json_hash(ModelSettings(chat_template=str(file)).keyed()) for file in (one, other)}
    assert len(keys) == 1
    other.write_text("{{ messages }}!")
    assert json_hash(ModelSettings(chat_template=str(other)).keyed()) not in keys
    other.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="it is not utf-8"):
        layered(given={"chat_template": (str(other), TYPED)})


def chat(settings: ModelSettings, answer: Answer) -> list[Request]:
    """Ask a server one question with these settings; return what it received."""

    async def once(url: str) -> None:
        async with EndpointModel(url) as model:
            model.settings = settings
            await model.chat([user("What is it?")], settings.sampling(16, 3))

    with ScriptedServer(answer) as server:
        asyncio.run(once(server.url))
        return server.requests


def test_a_request_carries_what_was_set_and_nothing_else() -> None:
    settings = ModelSettings(
        temperature=0.7,
        top_k=20,
        presence_penalty=1.5,
        system_prompt="Be brief.",
        chat_template_kwargs={"enable_thinking": False},
        extra_body={"mm_processor_kwargs": {"max_pixels": 99}},
    )
    (request,) = chat(settings, lambda request: "A")
    body = dict(request.body)
    assert [message["role"] for message in body.pop("messages")] == ["system", "user"]
    del body["model"]
    assert body == {
        "max_tokens": 16,
        "temperature": 0.7,
        "top_p": 1.0,
        "seed": 3,
        "top_k": 20,
        "presence_penalty": 1.5,
        "chat_template_kwargs": {"enable_thinking": False},
        "mm_processor_kwargs": {"max_pixels": 99},
    }
    (plain,) = chat(ModelSettings(), lambda request: "A")
    assert plain.body.keys() == {"model", "messages", "max_tokens", "temperature"}


def test_a_server_that_refuses_what_was_asked_ends_the_run() -> None:
    refusal = Reply(status=400, text="Unrecognized request argument supplied: top_k")
    with pytest.raises(UsageError, match="does not take top_k: remove top_k=20"):
        chat(ModelSettings(top_k=20), refuses("top_k", refusal, lambda request: "A"))


@pytest.mark.parametrize("value", [[1], 3, "x", None, {"seed": [1]}])
def test_recorded_settings_of_an_unexpected_type_are_compared_as_they_are(value: object) -> None:
    assert decisive({"vllm_arg": value}) == {"vllm_arg": value}


def test_what_is_only_about_speed_decides_nothing() -> None:
    given = {"vllm_arg": {"gpu-memory-utilization": 0.5}, "top_n": 1}
    assert decisive(given) == {"top_n": 1}
