"""How the paper's authors ask: pixels, several updates per batch of rollouts, alike everywhere."""

from __future__ import annotations

import base64
import io
import json
import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ablations.arms import arm
from ablations.export.skyrl import Export
from ablations.interrupts import Interrupted, listening
from ablations.settings import RECIPES, Settings, read_recipe, settings
from ablations.training.check import check
from ablations.training.ledger import read_steps
from ablations.training.matching import Sizes, amounts
from ablations.training.plan import TrainingPlan
from ablations.training.prompting import Prompter
from ablations.training.run import train
from ablations.training.schedule import item, schedule
from ablations.training.training_data import TrainingData
from benchmarks.pairs.pixels import sized
from benchmarks.probe import Probe
from benchmarks.suites import benchmark
from harness.cli.main import cli
from harness.errors import TooLongError, UsageError
from harness.protocols import PromptForm
from harness.records import ImagePart, Message, TextPart
from tests.ablations import tiny
from tests.ablations.test_skyrl import rows_of
from tests.servers import Reply, Request, ScriptedServer

side = st.integers(1, 120)


def sizes_of(messages: Any) -> list[tuple[int, int]]:
    parts = [part for message in messages for part in message.content]
    return [part.image.size for part in parts if isinstance(part, ImagePart)]


@given(side, side, st.integers(1, 40_000) | st.none(), st.integers(1, 40_000) | st.none())
def test_pixels_are_limited_as_easyr1_does(
    width: int, height: int, least: int | None, most: int | None
) -> None:
    """Of its ``process_image`` (hiyouga/EasyR1, verl/utils/dataset.py); a side keeps one pixel."""
    if least is not None and most is not None and least > most:
        return
    shown = Message("user", (ImagePart(Image.new("RGB", (width, height))),))
    ((found_width, found_height),) = sizes_of(sized([shown], least, most))
    for bound, wrong in ((most, 1), (least, -1)):
        if bound is not None and (width * height - bound) * wrong > 0:
            factor = math.sqrt(bound / (width * height))
            width, height = max(int(width * factor), 1), max(int(height * factor), 1)
    assert (found_width, found_height) == (width, height)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of images, and written pairs and RL items with images of 96 x 48."""
    folder = tmp_path_factory.mktemp("asking")
    tiny.build("qwen3_vl", folder / "model")
    for colour in tiny.COLOURS:
        tiny.image(colour, (96, 48)).save(folder / f"{colour}.png")
    names = list(tiny.COLOURS)
    rows: list[dict[str, Any]] = [
        {
            "id": f"p{n}",
            "problem": f"<image><image>Which is {names[n % 3]}?",
            "answer": "AB"[n % 2],
            "images": [f"{names[(n + n % 2) % 3]}.png", f"{names[(n + 1 - n % 2) % 3]}.png"],
        }
        for n in range(4)
    ]
    rows += [
        {
            "id": f"q{n}",
            "problem": "<image>Colour?",
            "answer": names[n % 3],
            "images": [f"{names[n % 3]}.png"],
        }
        for n in range(20)
    ]
    (folder / "both.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


SMALL = {"prompts": 8, "prompts_per_step": 2, "group": 2, "max_tokens": 4, "report_to": "none"}


def planned(world: Path, name: str, out: Path, **changes: Any) -> TrainingPlan:
    source = str(world / "both.jsonl")
    words = {"model": str(world / "model"), "pairs": source, "rl_data": source, **SMALL, **changes}
    return TrainingPlan(arm(name), TrainingData(settings({}, words)), out)


ASKED = {
    "orders": "written",
    "selection_suffix": "Output A or B directly.",
    "min_pixels": 100,
    "max_pixels": 32 * 64,
}


def test_trainer_probe_and_export_ask_alike(world: Path, tmp_path: Path) -> None:
    """The same words, orders and pixels in L_CA, `da-rl`, rollouts, the probe and the export."""
    expected = (64, 32)  # 96 x 48, times sqrt(2048 / 4608)
    plan = planned(world, "da-rl", tmp_path / "unused", **ASKED)
    for slot in schedule(plan):
        assert set(sizes_of(item(plan, slot).messages)) == {expected}
    prompter = Prompter.load(world / "model", plan.settings)
    batch = prompter.selection(plan.data.pairs)
    # Patches of 16 x 16, two images a prompt, one order a pair.
    assert batch.tensors["image_grid_thw"].tolist() == [[1, 2, 4]] * 2 * 4
    options = {"pairs": str(world / "both.jsonl"), "orders": "written", "min_pixels": "100"}
    options |= {"suffix": "Output A or B directly.", "max_pixels": "2048"}
    probe = benchmark("probe", tmp_path, options=options)
    assert [*probe.ids()] == [f"p{n}/{'AB'[n % 2]}" for n in range(4)]
    for name, pair in zip(probe.ids(), plan.data.pairs, strict=True):
        (asked,) = plan.settings.asking.prompts(pair)
        assert probe.build(name).messages == asked.messages  # type: ignore[union-attr]
    joint = replace(plan, arm=arm("contextrl"))
    Export(joint, tmp_path / "out").write()
    lines = (tmp_path / "out/selection.jsonl").read_text().splitlines()
    assert len(lines) == 4
    for line in map(json.loads, lines):
        first, second, *texts = line["prompt"]
        shown = "".join(piece["text"] for piece in texts)
        assert shown.endswith("?\nOutput A or B directly.")
        for piece in (first, second):
            assert Image.open(tmp_path / "out" / piece["image"]).size == expected
    for row in rows_of(tmp_path / "out/train.parquet"):
        url = row["prompt"][0]["content"][0]["image_url"]["url"]
        assert Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).size == expected


def test_limits_are_of_the_training_and_not_of_older_ones(world: Path, tmp_path: Path) -> None:
    plain = planned(world, "grpo", tmp_path)
    for name, value in {"min_pixels": 5, "max_pixels": 5, "updates_per_rollout": 2}.items():
        assert planned(world, "grpo", tmp_path, **{name: value}).key != plain.key
    assert planned(world, "grpo", tmp_path, min_pixels=None, updates_per_rollout=1).key == plain.key
    with pytest.raises(UsageError, match="min_pixels 9 is above max_pixels 8"):
        Settings(min_pixels=9, max_pixels=8)
    with pytest.raises(UsageError, match="rl_passes 2 has no effect beside prompts 8: give one"):
        Settings(prompts=8, rl_passes=2)
    of_micro = {"pairs": "micro", "rl_data": "micro:image", "columns": {"query": "q"}}
    with pytest.raises(UsageError, match="--columns has no effect"):
        check(planned(world, "grpo", tmp_path, **of_micro))
    declared = Probe(tmp_path, pairs="micro", suffix="x").declaration.protocol["asked"]
    assert declared == {"orders": "both", "suffix": "x", "prefill": "", "letters": "bare"}


THINKING = tiny.micro.TEMPLATE + (
    "{% if not enable_thinking is defined or enable_thinking %}<think>\n{% endif %}"
)
PLAIN = tiny.micro.TEMPLATE.replace("assistant", "Assistant")
FORMS: list[dict[str, Any]] = [
    {"template": THINKING},
    {"template": THINKING, "variables": {"enable_thinking": False}},
    {"template": PLAIN},
]


@pytest.mark.parametrize("form", FORMS)
def test_the_probe_reads_the_logits_that_the_trainer_trains(
    form: dict[str, Any], world: Path, tmp_path: Path
) -> None:
    """The same tokens and log-probabilities, with a prefill, another template and its variables.

    The same pairs are too long, images included.
    """
    import torch

    from harness.backends.checkpoint import load_model
    from harness.backends.transformers import Checkpoint

    template = tmp_path / "selection.jinja"
    template.write_text(form["template"])
    plan = planned(
        world,
        "contextrl",
        tmp_path / "unused",
        prefill="The correct option is",
        selection_chat_template=str(template),
        selection_template=form.get("variables", {}),
    )
    prompter = Prompter.load(world / "model", plan.settings)
    batch = prompter.selection(plan.data.pairs[:1])
    with torch.no_grad():
        model = load_model(world / "model", dtype="float32").eval()
        logs = model(**batch.tensors, logits_to_keep=1).logits[:, -1].log_softmax(-1)
    checkpoint = Checkpoint(world / "model", "float32", "cpu")
    begun = Message("assistant", (TextPart("The correct option is"),))
    asked = [
        [*prompt.messages, begun]
        for pair in plan.data.pairs
        for prompt in plan.settings.asking.prompts(pair)
    ]
    shown = PromptForm(form["template"], form.get("variables", {}))
    prompts = [checkpoint.prepare_choice(messages, shown) for messages in asked]
    found: dict[int, Any] = {}
    checkpoint.first_tokens(prompts[:2], found.__setitem__)
    assert torch.allclose(torch.stack([found[0], found[1]]), logs, atol=1e-5)
    longest = [prompter.longest_selection(pair) for pair in plan.data.pairs]
    assert longest == [
        max(one.length, other.length)
        for one, other in zip(prompts[::2], prompts[1::2], strict=True)
    ]
    limit = max(longest) - 1
    short = planned(world, "contextrl", tmp_path, **_limited(plan, limit))
    assert short.data.too_long == sum(length > limit for length in longest) > 0
    assert f"{short.data.too_long} pairs left out: longer than {limit} tokens" in short.data.notes()
    at = max(range(len(asked)), key=lambda index: prompts[index].length)
    with pytest.raises(TooLongError, match=f"at most {limit} count"):
        checkpoint.prepare_choice(asked[at], replace(shown, longest=limit))


def _limited(plan: TrainingPlan, limit: int) -> dict[str, Any]:
    names = ("prefill", "selection_chat_template", "selection_template")
    return {"max_selection_tokens": limit} | {name: getattr(plan.settings, name) for name in names}


def test_a_server_is_asked_to_go_on_with_the_prefill(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """vLLM's fields of a chat request; prompts of too many tokens are counted, not scored."""
    template = tmp_path / "selection.jinja"
    template.write_text(PLAIN)
    bodies = []

    def answer(request: Request) -> Reply:
        bodies.append(request.body)
        usage = {"prompt_tokens": 50 + request.number, "completion_tokens": 1}
        return Reply("A", usage=usage, logprobs={" A": -0.1, "A": -3.0, " B": -2.0, "B": -2.0})

    given_ = {
        "pairs": world / "both.jsonl", "orders": "written", "prefill": "The correct option is",
        "letters": "likelier", "template": template, "variables": "enable_thinking=false,n=x",
        "max_selection_tokens": 51,
    }  # fmt: skip
    words = [word for name, value in given_.items() for word in ("--set", f"probe.{name}={value}")]
    with ScriptedServer(answer) as server:
        words += ["--model", "scripted", "--endpoint", server.url, "--out", str(tmp_path / "runs")]
        words += ["--concurrency", "1", "--data-root", str(tmp_path)]
        cli.main(["run", "--suite", "probe", "--json", *words], standalone_mode=False)
    (row,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert (row["n"], row["unscored"], row["errors"]) == (4, 2, 0)
    assert row["strict"] == 0.5  # of p0/A and p1/B; the server always likes " A"
    (samples,) = (tmp_path / "runs").glob("*/samples/probe.jsonl")
    for line in samples.read_text().splitlines():
        assert json.loads(line)["prompt"][-1] == "The correct option is"
    for body in bodies:
        assert body["messages"][-1] == {"role": "assistant", "content": "The correct option is"}
        assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
        assert body["chat_template"] == PLAIN
        assert body["chat_template_kwargs"] == {"enable_thinking": False, "n": "x"}


def test_a_prefill_that_a_server_cannot_begin_from_is_one_line(world: Path, tmp_path: Path) -> None:
    words = ["run", "--suite", "probe", "--set", f"probe.pairs={world / 'both.jsonl'}"]
    words += ["--set", "probe.prefill=The correct option is", "--model", "scripted"]
    words += ["--out", str(tmp_path), "--data-root", str(tmp_path)]
    match = r"no log-probabilities of the letters: leave out probe\.prefill"
    with ScriptedServer(lambda _: "A") as server, pytest.raises(UsageError, match=match):
        cli.main([*words, "--endpoint", server.url], standalone_mode=False)


@given(
    st.integers(1, 400), st.integers(0, 60), st.integers(1, 9), st.integers(1, 5),
    st.sampled_from(["grpo", "contextrl", "da-rl"]),
)  # fmt: skip
def test_only_whole_batches_of_rollouts_are_planned(
    prompts: int, pairs: int, per_step: int, updates: int, name: str
) -> None:
    sizes = Sizes(prompts, pairs, per_step, 2, 4, updates=updates)
    try:
        row = amounts(arm(name), "instances", sizes)
    except UsageError:
        assert prompts < per_step * updates + pairs
        return
    assert row.rl_steps % updates == 0
    assert row.prompts + row.extra == row.rl_steps * per_step
    one = amounts(arm(name), "instances", replace(sizes, updates=1))
    assert row.rl_steps == one.rl_steps // updates * updates


def test_recipes_say_how_the_authors_ask() -> None:
    """config.yaml, qwen_V3.sh, dataset.py and run_mini_swe_*.sh of their code, Training/."""
    images = {
        "min_pixels": 784, "max_pixels": 1003520, "updates_per_rollout": 256 // 64,
        "selection_suffix": "Output A or B directly.", "max_selection_tokens": 16384,
        "freeze_vision": True, "orders": "written",
    }  # fmt: skip
    agents = {"updates_per_rollout": 16 // 8, "max_selection_tokens": 32768, "letters": "likelier"}
    for path in RECIPES.glob("*.yaml"):
        made = settings(read_recipe(path.stem), {})
        expected = images if "vl" in path.stem else agents if "8b" in path.stem else {}
        assert {name: getattr(made, name) for name in expected} == expected


@pytest.mark.slow
def test_updates_on_one_batch_of_rollouts_resume_where_it_ends(world: Path, tmp_path: Path) -> None:
    """Two steps take their completions from the policy before the first, also after a signal."""
    from tests.ablations.training.test_stopping import signalled
    from tests.ablations.training.test_training import weights

    changes = {"updates_per_rollout": 2, "learning_rate": 1e-3, "save_every": 1, "batch_size": 2}
    whole, cut = (planned(world, "contextrl", tmp_path / name, **changes) for name in ("a", "b"))
    ledger = train(whole, lambda _: None)
    steps = read_steps(whole.log)
    assert [step["count/generated_tokens"] > 0 for step in steps] == [True, False, True, False]
    assert [step["count/exposures"] for step in steps] == [1, 1, 1, 1]
    assert (ledger["steps_without_reward"], ledger["prompts"]) == (0, 8)
    with signalled(signal.SIGTERM, cut.log, 1), pytest.raises(Interrupted), listening():
        train(cut, lambda _: None)
    assert len(read_steps(cut.log)) == 2
    train(cut, lambda _: None)
    assert weights(cut.checkpoint) == weights(whole.checkpoint)
