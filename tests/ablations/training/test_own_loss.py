"""A loss of the user's own in place of L_CA: its gradient, its record, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from tests.ablations import tiny
from tests.ablations.training.test_trainer import assert_same
from tests.commands import ROOT, harness, one_line

EXAMPLE = ROOT / "examples" / "loss.py"
# L_CA of arXiv 2606.17053, from the log-probabilities of both letters in both orders.
L_CA = """
from torch.nn.functional import logsigmoid
from benchmarks.pairs.selection import both_orders

class Selection:
    def answers(self, pair):
        return [(order.messages, letter) for order in both_orders(pair) for letter in "AB"]

    def loss(self, pair, logprobs):
        a, b, c, d = (each.sum() for each in logprobs)
        signs = [1 if order.letter == "A" else -1 for order in both_orders(pair)]
        margins = [signs[0] * (a - b), signs[1] * (c - d)]
        return sum(-logsigmoid(margin.clamp(-2, 2)) for margin in margins) / 2

LOSS = Selection()
"""


def by_hand(folder: Path) -> tuple[dict[str, Any], float]:
    """Return the gradient of lambda times the example's loss, and the loss, in plain torch.

    One conversation at a time, without padding and without the trainer.
    """
    import torch
    from torch.nn.functional import logsigmoid

    from ablations.training.prompting import Prompter
    from examples.loss import LOSS
    from harness.backends.checkpoint import load_model
    from tests.ablations import stored as s

    run = s.training(folder)
    prompter = Prompter.load(folder / "model", run.settings)
    model = load_model(folder / "model", dtype="float32").train()
    losses = []
    for pair in run.data.pairs:
        means = []
        for messages, answer in LOSS.answers(pair):
            images = [p.image for p in messages[0].content if hasattr(p, "image")]
            given = {"images": [images]} if images else {}
            text = prompter.text(messages)
            before, shown = (
                prompter.processor(text=[each], return_tensors="pt", **given)
                for each in (text, text + answer)
            )
            start, ids = before["input_ids"].shape[1], shown["input_ids"][0]
            logprobs = model(**shown).logits[0].log_softmax(-1)
            steps = range(start, len(ids))
            means.append(sum(logprobs[step - 1, ids[step]] for step in steps) / len(steps))
        losses.append(-logsigmoid(means[0] - means[1]))
    mean = torch.stack(losses).mean()
    (s.COEFFICIENT * mean).backward()
    return {name: weight.grad for name, weight in model.named_parameters()}, mean.item()


@pytest.mark.parametrize("world", ["text_world", "image_world"])
def test_the_gradient_is_that_of_plain_torch(world: str, request: pytest.FixtureRequest) -> None:
    """On top of that of GRPO, which the step without pairs has alone."""
    from tests.ablations import stored

    folder = request.getfixturevalue(world)
    own, loss = by_hand(folder)
    alone, _ = stored.step(folder, folder, coefficient=0.0)
    found, log = stored.step(
        folder, folder, batch_size=4, norms_every=1, pair_loss=f"{EXAMPLE}:LOSS"
    )
    expected = {name: grad if own[name] is None else alone.get(name, 0) + own[name]
                for name, grad in own.items()}  # fmt: skip
    assert_same(found, expected)
    assert log["pair_loss/loss"] == pytest.approx(loss, abs=1e-5)
    assert log["grad_norm/pair_loss"] > 0
    assert not [name for name in log if name.startswith("ca/")]
    assert log["count/exposures"] == 6


def test_our_own_loss_can_be_written_as_one(text_world: Path, tmp_path: Path) -> None:
    from tests.ablations import stored

    (tmp_path / "lca.py").write_text(L_CA)
    ours, told = stored.step(text_world, text_world)
    theirs, log = stored.step(text_world, text_world, pair_loss=f"{tmp_path / 'lca.py'}:LOSS")
    assert log["pair_loss/loss"] == pytest.approx(told["ca/loss"], abs=1e-6)
    assert_same(theirs, ours)


def test_the_example_trains_outside_the_repository(
    text_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its source is a part of the training, which goes on with the same source only."""
    shutil.copy(EXAMPLE, tmp_path)
    monkeypatch.chdir(tmp_path)
    data = text_world / "data"
    words = [
        "train", "--arm", "ca-only", "--pair-loss", "loss.py:LOSS", "--model", text_world / "model",
        "--pairs", data / "pairs.jsonl", "--pairs-per-step", 4, "--report-to", "none",
        "--out", "DIR", "--json",
    ]  # fmt: skip
    done = harness(*words)
    assert done.returncode == 0, done.stderr
    ledger = json.loads(done.stdout)["ledger"]
    assert ledger["optimizer_steps"] == 2
    assert ledger["first"]["pair_loss/loss"] > 0
    assert ledger["first"]["ca/loss"] is None
    assert ledger["gradient_norms"]["pair_loss"] > 0
    plan = json.loads((tmp_path / "DIR/plan.json").read_text())
    assert plan["content"]["pair_loss"]
    assert json.loads(harness(*words).stdout)["ledger"] == ledger
    with (tmp_path / "loss.py").open("a") as file:
        file.write("# changed\n")
    assert "different pair_loss" in one_line(harness(*words))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("LOSS = 1", "has no method answers"),
        ("import no_such_library", "no_such_library"),
        ("1 / 0", "cannot be imported"),
    ],
)
def test_code_that_is_no_loss_is_one_line(tmp_path: Path, code: str, says: str) -> None:
    from ablations.training.steps.own_loss import load_loss

    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(UsageError, match=says) as caught:
        load_loss(f"{tmp_path / 'mine.py'}:LOSS")
    assert "\n" not in str(caught.value)


class Broken:
    """What methods of a user's loss may do."""

    def __init__(self, answers: Any = None, loss: Any = None) -> None:
        self._answers, self._loss = answers, loss

    def answers(self, pair: Any) -> Any:
        return self._answers(pair)

    def loss(self, pair: Any, logprobs: Any) -> Any:
        return self._loss(logprobs)


def test_what_a_loss_may_not_return_is_one_line_with_the_pair(text_world: Path) -> None:
    import torch

    from ablations.settings import Settings
    from ablations.training.prompting import Prompter
    from ablations.training.steps.own_loss import OwnObjective
    from harness.records import Message, TextPart

    prompter = Prompter.load(text_world / "model", Settings())
    pairs = tiny.text_pairs(2)
    question = (Message("user", (TextPart("Which?"),)),)
    end = prompter.tokenizer.eos_token

    def losses(own: Any) -> Any:
        objective = OwnObjective(1.0, "mine.py:LOSS", own)
        batch = objective.prompts(prompter, pairs)
        rows, width = batch.tensors["input_ids"].shape
        assert width >= batch.kept
        logits = torch.zeros(rows, batch.kept, len(prompter.tokenizer), requires_grad=True)
        return objective.losses(logits, batch)

    def refused(own: Any, says: str) -> None:
        with pytest.raises(UsageError, match=rf"--pair-loss mine\.py:LOSS, pair t0: .*{says}"):
            losses(own)

    for answers, says in (
        (lambda pair: pair.no_such_field, r"AttributeError: .*\(test_own_loss\.py, line"),
        (lambda pair: [], "at least one"),
        (lambda pair: None, "TypeError"),
        (lambda pair: [(question, 3)], "each with a text"),
        (lambda pair: [("Which?", "red")], "each with a text"),
        (lambda pair: [(question, "")], "each with a text"),
        (lambda pair: [(question, f"red{end}")], "special token"),
    ):
        refused(Broken(answers), says)

    def asks(pair: Any) -> Any:
        return [(question, "red"), (question, "blue or green")]

    for loss, says in (
        (lambda logprobs: 1.0, "scalar tensor"),
        (lambda logprobs: logprobs[1], "scalar tensor"),
        (lambda logprobs: logprobs[0].sum().detach(), "scalar tensor"),
        (lambda logprobs: logprobs[0].sum() / 0, "returned -inf"),
        (lambda logprobs: logprobs[2], "IndexError"),
    ):
        refused(Broken(asks, loss), says)


def test_a_loss_is_code_that_only_a_training_runs(text_world: Path, tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nLOSS = 1\n")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"pair_loss: '{code}:LOSS'\n")
    data = text_world / "data"
    words = ["train", "--model", text_world / "model", "--pairs", data / "pairs.jsonl",
             "--out", tmp_path / "out", "--dry-run"]  # fmt: skip
    only = [*words, "--arm", "ca-only"]
    for more in (["--config", recipe, "--allow-code"], ["--pair-loss", f"{code}:LOSS"]):
        assert harness(*only, *more).returncode == 0
    for more, says in (
        (["--config", recipe], "add --allow-code if you trust it"),
        (["--pair-loss", f"{code}:OTHER"], "has no OTHER"),
        (["--pair-loss", "none.py:LOSS"], "there is no 'none.py'"),
        (["--pair-loss", f"{code}:LOSS", "--matching", "tokens"], "match by instances or steps"),
    ):
        assert says in one_line(harness(*only, *more))
    assert not (tmp_path / "ran").exists()
