"""Finding an item of a run: what is said where it is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.backends.models.settings import ModelSettings
from harness.errors import UsageError
from harness.runs import run as runs
from harness.runs.identity import ModelIdentity
from harness.runs.lookup import find
from harness.runs.plan import plan_run
from harness.runs.todo import Settings
from tests.commands import harness
from tests.sums import Adder, Quiet, Sums


def test_an_item_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    members = [Sums(), Sums(id="more")]
    identity = ModelIdentity("a", "content of a", verified=True)
    plan = plan_run(identity, "both", members, members, Settings(), tmp_path)
    runs.execute(plan, Adder().open, {"kind": "test"}, Quiet())
    for asked, says in (
        ("smus/s3", r"no item smus/s3 \(40 items stored\); did you mean sums/s3\?$"),
        ("sums/s33", r"no item s33 of sums \(20 items of sums stored\); did you mean sums/s1?3\?$"),
        ("nowhere", r"no item nowhere \(40 items stored\)$"),
    ):
        with pytest.raises(UsageError, match=says):
            find(plan.path, asked)


def test_an_item_is_shown_with_what_the_run_put_around_it(tmp_path: Path) -> None:
    identity = ModelIdentity("a", "content of a", verified=True)
    model = ModelSettings(system_prompt="Be brief.", prompt_suffix="In digits.")
    plan = plan_run(identity, "sums", [Sums()], [Sums()], Settings(model=model), tmp_path)
    runs.execute(plan, Adder().open, {"kind": "test"}, Quiet())
    shown = harness("show", plan.path, "s3").stdout
    order = ["Be brief.", "3 + 21 = ?", "In digits.", "--- response"]
    places = [shown.index(text) for text in order]
    assert places == sorted(places)
    (sample,) = json.loads(harness("show", plan.path, "s3", "--json").stdout)["samples"]
    assert (sample["system_prompt"], sample["prompt_suffix"]) == ("Be brief.", "In digits.")
