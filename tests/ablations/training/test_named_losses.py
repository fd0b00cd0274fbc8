"""What a study, a training and a report call the loss on pairs that was used."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from ablations.arms import ARMS
from ablations.cli.ablate import report_text
from ablations.statistics.contrasts import Rules
from ablations.study.notes import loss_sentence, losses_on_pairs
from ablations.study.plan import ArmPlan, Plan, Recipe, Request, json_text
from ablations.study.study import report_of, stored_report
from ablations.training.claim import loss_of
from reports import output as reports
from tests.reports.studies import Planted, write

OWN = "somewhere/loss.py:LOSS"


@pytest.mark.parametrize("arm", ARMS.values(), ids=lambda arm: arm.name)
def test_a_title_names_the_loss_that_is_trained(arm: object) -> None:
    assert arm.titled(None) == arm.title
    named = arm.titled(OWN)
    assert "L_CA" not in named
    assert ("loss.py:LOSS" in named) == ("L_CA" in arm.title) == (arm.joint == "selection")


def planned(recipes: dict[str, Recipe], **more: tuple[Path, ...]) -> Plan:
    rows = [ArmPlan(name, "train", 1) for name in recipes]
    rows += [ArmPlan(name, "checkpoints", len(paths), (), paths) for name, paths in more.items()]
    request = Request(Path("out"), "vqa12", trained=recipes, train_args=("--pair-loss", "a.py:A"))
    return Plan(request, None, {}, {}, tuple(rows))


def trained(folder: Path, arm: str, **settings: str) -> Path:
    """Return the checkpoint of a folder as `harness train` leaves it."""
    folder.mkdir()
    plan = {"key": "k", "arm": arm, "settings": settings}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder / "checkpoint"


def test_the_loss_of_an_arm_is_that_of_its_arguments_recipe_or_training(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("pair_loss: c.py:C\n")
    recipes = {
        "plain": Recipe("grpo"),
        "all": Recipe("contextrl"),
        "mine": Recipe("contextrl", ("--pair-loss=b/b.py:B",)),
        "form": Recipe("da-joint-sft"),
    }
    paths = (trained(tmp_path / "x", "contextrl", pair_loss="d.py:D"),)
    unknown = (trained(tmp_path / "y", "contextrl"), tmp_path / "z" / "checkpoint")
    plan = planned(recipes, brought=paths, mixed=unknown)
    expected = {"all": "a.py:A", "mine": "b.py:B", "form": "cross-entropy", "brought": "d.py:D"}
    assert losses_on_pairs(plan) == expected
    ours = dataclasses.replace(plan.request, train_args=("--config", str(recipe)))
    found = losses_on_pairs(dataclasses.replace(plan, request=ours))
    assert found["all"] == "c.py:C"
    # Where every arm has the loss of its name, there is nothing to say.
    plain = {name: recipes[name] for name in ("plain", "all", "form")}
    named = dataclasses.replace(plan.request, train_args=(), trained=plain)
    arms = tuple(row for row in plan.arms if row.arm in plain)
    assert losses_on_pairs(dataclasses.replace(plan, request=named, arms=arms)) == {}
    assert loss_sentence(expected) == (
        "Loss on pairs: a.py:A (all), b.py:B (mine), cross-entropy (form), d.py:D (brought)."
    )


def test_a_plan_of_another_tool_beside_a_checkpoint_tells_no_loss(tmp_path: Path) -> None:
    for text in ("{", "[1]", '{"key": 1}', '{"key": "k", "arm": "own", "settings": {}}'):
        (tmp_path / "plan.json").write_text(text)
        assert loss_of(tmp_path) is None
    assert loss_of(tmp_path / "nowhere") is None


def test_text_and_page_name_the_loss_and_not_ours(tmp_path: Path) -> None:
    """The verdict, the arms' table and the ledger's."""
    arms = {"base": -0.05, "grpo": 0.0, "contextrl": 0.05}
    folder = write(tmp_path / "s", Planted(arms, 2, 30, {"vstar": 0.5, "mmstar": 0.5}))
    report = stored_report(folder)
    losses = {"contextrl": "loss.py:LOSS"}
    verdict = f"{report.verdict} {loss_sentence(losses)}"
    told = dataclasses.replace(report, losses=losses, verdict=verdict)
    (folder / "analysis.json").write_text(json_text(told))
    assert report_of(json.loads(json_text(told))) == told
    for path in folder.glob("arms/contextrl/*/ledger.json"):
        stored = json.loads(path.read_text())
        stored["gradient_norms"] = {"grpo": 0.4, "pair_loss": 0.2, "ca": None}
        path.write_text(json.dumps(stored | {"loss_on_pairs": "loss.py:LOSS"}))
    for path in folder.glob("arms/contextrl/*/training.jsonl"):
        path.write_text(path.read_text().replace("ca/loss", "pair_loss/loss").replace(
            "grad_norm/ca", "grad_norm/pair_loss"))  # fmt: skip
    text = report_text(told, Rules())
    assert "loss on pairs" in text
    assert "Loss on pairs: loss.py:LOSS (contextrl)." in text
    page, _ = reports.page_of([folder], None)
    shown = repr(page)
    assert shown.count("loss.py:LOSS") >= 4  # the verdict, the arms' table, two trainings
    assert "L_CA" not in shown.replace("Gradient, λ L_CA", "")  # an empty column is not drawn
