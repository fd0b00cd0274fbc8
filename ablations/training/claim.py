"""The plan.json of a training's folder, and whether a plan may resume it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from ablations.arms import ARMS, Arm
from ablations.data.items import earlier_selection_rows
from ablations.settings import CODE, LATER, SelectionRows
from ablations.training.plan import TrainingPlan
from harness.errors import UsageError
from harness.files.atomic import write_json
from harness.files.typed_json import fits
from harness.runs.store import read_json


class _Claim(TypedDict):
    key: str
    arm: str
    settings: dict[str, Any]
    content: NotRequired[dict[str, Any]]


def _record(folder: Path) -> _Claim | None:
    path = folder / "plan.json"
    if not path.exists():
        return None
    record = read_json(path)
    if not fits(record, _Claim):
        raise UsageError(f"{path} is corrupt; move the folder aside and retrain")
    return cast("_Claim", record)


def loss_of(folder: Path) -> str | None:
    """Return the loss on pairs of the training in a folder; None if none or unknown."""
    try:
        record = _record(folder)
    except UsageError:
        return None  # another tool's plan.json
    arm = ARMS.get(record["arm"]) if record else None
    return arm.loss_on_pairs(record["settings"].get("pair_loss")) if record and arm else None


def check_claim(plan: TrainingPlan) -> None:
    """Check that the folder's plan.json, if any, is of this plan and the same content."""
    if (record := _record(plan.out)) is None:
        return
    # Selection rows in a version without the setting are left to `check_rows`.
    later = {**LATER, "selection_rows": plan.settings.selection_rows}
    old, content = {**later, **record["settings"]}, record.get("content", {})
    # One version stored the hash of a custom reward among the settings.
    stored = {"reward": old.pop("reward_source", None), **content}
    new = json.loads(json.dumps(plan.settings.decisive()))
    now = plan.content
    same = {name for name, hashed in now.items() if hashed and hashed == stored.get(name)}
    changed = [
        name
        for name in old | new
        if old.get(name) != new.get(name) and not _moved(name, old.get(name), new.get(name), same)
    ]
    if changed or record["arm"] != plan.arm.name:
        what = ", ".join(changed) or f"arm ({record['arm']})"
        raise UsageError(f"{plan.out} holds a run with other settings ({what}): choose another")
    for name, hashed in now.items():
        # Missing files cannot be compared; a finished run can still be read.
        if hashed is not None and stored.get(name) not in (None, hashed):
            raise UsageError(f"{plan.out} holds a run with different {name}: choose another folder")


def _moved(setting: str, before: Any, now: Any, same: Collection[str]) -> bool:
    """Whether a setting names the same thing as before, at another path.

    ``same`` are the settings with unchanged content.
    """
    if setting == "image_root":
        return bool({"pairs", "rl_data"} & {*same})  # their hashes cover the images
    both = isinstance(before, str) and isinstance(now, str)
    of_code = setting in CODE and both and before.rpartition("/")[2] != now.rpartition("/")[2]
    return setting in same and not of_code


def claim(plan: TrainingPlan) -> None:
    """Write plan.json, creating the folder if needed."""
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {plan.out} cannot be created: {error.strerror}") from error
    record = {"key": plan.key, "arm": plan.arm.name, "settings": plan.settings.decisive()}
    write_json(
        plan.out / "plan.json", {**record, "content": plan.content, "amounts": asdict(plan.amounts)}
    )


def check_rows(plan: TrainingPlan) -> None:
    """Check that a training started by an earlier version continues on the same RL items.

    Raises `UsageError` if the settings disagree with it on including selection rows.
    """
    s = plan.settings
    if not plan.arm.grpo or s.rl_data is None or plan.data.agent is not None:
        return
    record, now = _record(plan.out), s.selection_rows
    then = now if record is None else _rows_of(record, s.rl_data)
    if then != now:
        did = "trained on" if then == "keep" else "left out"
        raise UsageError(
            f"{plan.out} was begun by a version that {did} the selection rows of {s.rl_data}: add "
            f"--selection-rows {then}, or choose another folder"
        )


def _rows_of(record: _Claim, rl_data: str) -> SelectionRows:
    stated = record["settings"].get("selection_rows")
    return stated or earlier_selection_rows(rl_data, record["settings"].get("columns") or {})


def begun_with_rows(trainings: Mapping[Path, Arm], rl_data: str) -> tuple[str, ...]:
    """Return the options that make new arms train on the same rows of ``rl_data`` as older ones.

    None unless an earlier version has started some of a study's trainings. Raises `UsageError` if
    some were trained on the selection rows, and others without.
    """
    records = {out: _record(out) for out, arm in trainings.items() if arm.grpo}
    begun = {out: record for out, record in records.items() if record is not None}
    if all("selection_rows" in record["settings"] for record in begun.values()):
        return ()
    rows = {out: _rows_of(record, rl_data) for out, record in begun.items()}
    (first, then), *others = rows.items()
    for out, now in others:
        if now != then:
            kept, left = (first, out) if then == "keep" else (out, first)
            raise UsageError(
                f"{kept} was trained on the selection rows of {rl_data} and {left} without them: "
                "move one of these folders away, or give the study another --name"
            )
    return ("--selection-rows", then)
