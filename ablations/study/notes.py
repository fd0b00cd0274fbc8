"""Notes on the runs of a study: differences between them, and what is known of external ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ablations.arms import ARMS
from ablations.statistics.analysis import CLUSTERED
from ablations.statistics.design.roles import STANDARD
from ablations.statistics.lines import Analysis
from ablations.statistics.scores import ScoreTable, side_notes
from ablations.statistics.seeds import twin_notes, unequal_note
from ablations.study.contents import setting
from ablations.study.plan import ArmPlan, Plan
from ablations.training.claim import loss_of
from harness.errors import UsageError
from harness.runs.store import read_json, read_manifest

EARLIEST = timezone(timedelta(hours=14))  # where a day begins first


def run_notes(plan: Plan, table: ScoreTable) -> list[str]:
    """Return notes for a verdict on the runs of a plan, beyond the table's own."""
    arms, start = next(iter(table.scores.values())), plan.request.design.start
    unsure = {arm.arm for arm in plan.arms if arm.origin != "train"} - {start}
    return [
        *side_notes(table),
        *unequal_note({arm: len(seeds) for arm, seeds in arms.items() if arm != start}),
        *twin_notes(
            {
                name: {arm: of_arm for arm, of_arm in by_arm.items() if arm in unsure}
                for name, by_arm in table.scores.items()
            }
        ),
        *base_note(table, start),
        *external_notes(plan),
    ]


def over_items_notes(table: ScoreTable, analysis: Analysis) -> list[str]:
    """Return a note per benchmark that differences over items (one seed) leave out of their mean.

    The means of the arms include it, so they differ by another amount.
    """
    lines = (*analysis.contrasts, *analysis.checks)
    without = [name for name in table.scores if not table.items[name].profile.has_error]
    if len(without) == len(table.scores) or not any(x.test.startswith(CLUSTERED) for x in lines):
        return []
    left_out = "left out of the mean of differences over items, it has no standard error"
    return [f"{name}: {left_out} (too few clusters)" for name in without]


def losses_on_pairs(plan: Plan) -> dict[str, str]:
    """Return the loss on pairs by arm, if known and not what some arm's name says."""
    losses: dict[str, str | None] = {}
    for row in plan.arms:
        recipe = plan.request.recipe(row.arm)
        if row.origin == "train":
            own = setting(plan.request.train_words(row.arm), "pair_loss")
            losses[row.arm] = ARMS[recipe.arm].loss_on_pairs(own)
        elif row.origin == "checkpoints":
            found = {loss_of(path.parent) for path in row.paths}
            losses[row.arm] = found.pop() if len(found) == 1 else None
    known = {arm: loss for arm, loss in losses.items() if loss is not None}
    return known if set(known.values()) - {"L_CA", "cross-entropy"} else {}


def loss_sentence(losses: Mapping[str, str]) -> str:
    """Return which arms were trained with which loss on pairs; "" if there is nothing to say."""
    by_loss = {loss: [arm for arm in losses if losses[arm] == loss] for loss in losses.values()}
    said = (f"{loss} ({', '.join(arms)})" for loss, arms in by_loss.items())
    return f"Loss on pairs: {', '.join(said)}." if losses else ""


def base_note(table: ScoreTable, start: str | None = STANDARD.start) -> list[str]:
    """Return a note if a sampled base was measured once, so that no claim is made against it."""
    arms = next(iter(table.scores.values()))
    if not table.sampled or start is None or start not in arms or len(arms[start]) > 1:
        return []
    return [
        f"{start}: its answers are sampled and it was measured once, so its error is unknown and "
        f"no arm is tested against it; give several runs of it (--runs {start}=RUN,RUN), each made "
        "with another `harness run --seed`"
    ]


def external_notes(plan: Plan) -> list[str]:
    """Return notes on a plan's externally evaluated runs, if any.

    The plan was written before this study read a score; whether anyone had seen the scores of runs
    finished by then cannot be known.
    """
    external = [arm for arm in plan.arms if arm.origin == "runs"]
    paths = [path for arm in external for path in arm.paths]
    if not paths:
        return []
    notes = [_times(", ".join(arm.arm for arm in external), paths, _written(plan.folder))]
    folder = plan.folder.resolve()
    studies = sorted(path.parent for path in folder.parent.glob("*/plan.json"))
    others = [study.name for study in studies if study != folder and _uses(study, external)]
    if others:
        notes.append(
            f"runs of this study are also in {', '.join(others)}: one set of runs supports one "
            "planned question, and further verdicts on it are not independent"
        )
    return notes


def _times(arms: str, paths: Sequence[Path], written: str | None) -> str:
    last = [_last(path) for path in paths]
    known = [each for each in last if each is not None]
    moment, finished = max(known) if len(known) == len(last) else (None, "at an unknown time")
    start = f"the runs of {arms} are external and were finished {finished}"
    planned = _moment(written)
    if planned is None:
        return start
    if moment is not None and moment > planned:
        return f"{start}, after the plan was written ({written})"
    return f"{start}; the plan was written {written}, when their scores may have been known"


def _last(path: Path) -> tuple[datetime, str] | None:
    """Return when a run ended, and how its manifest writes it; None if it does not say."""
    begun = read_manifest(path)["invocations"]
    times = [str(each.get("ended") or each.get("started")) for each in begun]
    known = [(moment, time) for time in times if (moment := _moment(time)) is not None]
    return max(known, default=None) if len(known) == len(times) else None


def _moment(time: object) -> datetime | None:
    """Read an ISO time, also lmms-eval's ``20261129_162829``; without a zone, in the earliest."""
    try:
        found = datetime.fromisoformat(str(time).replace("_", "T"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=EARLIEST)


def _written(folder: Path) -> str | None:
    try:
        return str(read_json(folder / "plan.json").get("written"))
    except UsageError:
        return None


def _uses(study: Path, arms: Sequence[ArmPlan]) -> bool:
    """Whether another study has a run of these arms: by folder, or by content where it moved."""
    try:
        document = read_json(study / "plan.json")
        theirs = {part: (document.get(part) or {}).get("arms") or {} for part in ("paths", "plan")}
        named = {Path(path).resolve() for paths in theirs["paths"].values() for path in paths}
        hashed = {run for arm in theirs["plan"].values() for run in arm.get("content") or ()}
    except (UsageError, AttributeError, TypeError, ValueError):  # somebody else's file
        return False
    runs = [run.resolve() for arm in arms for run in arm.paths]
    return any(run in named or study in run.parents for run in runs) or not hashed.isdisjoint(
        run for arm in arms for run in arm.content
    )
