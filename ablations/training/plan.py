"""An arm before training: its identity and its training budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ablations.arms import ARMS, Arm
from ablations.data.check import check_unrelated_available, written_counts
from ablations.settings import FILES, LATER, Settings, code_of
from ablations.training.matching import Amounts, amounts
from ablations.training.training_data import TrainingData
from benchmarks.pair_sources import content_of
from harness.errors import UsageError
from harness.files.hashing import file_hash, json_hash, model_fingerprint
from harness.files.text import counted


@dataclass(frozen=True)
class TrainingPlan:
    """One arm on its data, and its output folder."""

    arm: Arm
    data: TrainingData
    out: Path

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return self.data.settings

    @property
    def checkpoint(self) -> Path:
        """The folder of the trained checkpoint."""
        return self.out / "checkpoint"

    @property
    def log(self) -> Path:
        """The log, one line per step."""
        return self.out / "training.jsonl"

    @property
    def key(self) -> str:
        """The hash of the arm and all settings that affect the weights."""
        decisive = self.settings.decisive()
        keyed = [item for item in decisive.items() if item not in LATER.items()]
        return json_hash({"arm": self.arm.name, **dict(keyed)})

    @property
    def content(self) -> dict[str, str | None]:
        """The hashes of what the settings name: the model, data and user code."""
        s, folder, root = self.settings, Path(self.settings.model), self.data.image_root
        content = {
            "model": model_fingerprint(folder) if (folder / "config.json").is_file() else None,
            "pairs": s.pairs and content_of(s.pairs, s.columns, root),
            "rl_data": s.rl_data and content_of(s.rl_data, s.columns, root),
            "reward": None,
            **{field: code.source() for field, code in code_of(vars(s)).items()},
        }
        files = {name: getattr(s, name) for name in FILES}
        there = {name: Path(file) for name, file in files.items() if file and Path(file).is_file()}
        own = {"code of the arm": self.arm.source} if self.arm.source else {}
        return {**content, **own, **{name: file_hash(file) for name, file in there.items()}}

    @cached_property
    def amounts(self) -> Amounts:
        """The arm's training budget.

        Raises `UsageError` if the arm needs data that is not given, or more of it.
        """
        data = self.data
        self.check_given()
        if self.arm.extra == "qa" and written_counts(data.previews)["written"]:
            raise UsageError(
                f"{self.arm.name} asks about one context, and written pairs do not hold question, "
                "answer and contexts apart"
            )
        if self.arm.unrelated:
            check_unrelated_available(data.previews)
        if self.arm.grpo and data.sizes.prompts < 1:
            raise UsageError(
                f"{counted(len(data.items), 'RL item')}, {counted(len(data.pairs), 'pair')}: "
                "--matching instances, grpo needs #prompts + #pairs RL items; lower --prompts or "
                "--pair-count"
            )
        return amounts(self.arm, self.settings.matching, data.sizes)

    def check_given(self) -> None:
        """Raise `UsageError` if data that the arm needs was not named; opens nothing."""
        if self.arm.uses_pairs and self.settings.pairs is None:
            raise UsageError(f"{self.arm.name} trains on pairs: give --pairs")
        if self.arm.grpo and self.settings.rl_data is None:
            raise UsageError(f"{self.arm.name} trains by GRPO: give --rl-data")
        s = self.settings
        if s.pair_loss and s.matching == "tokens":
            raise UsageError(
                "--matching tokens does not know how long the answers of --pair-loss are: match by "
                "instances or steps"
            )
        if s.selection_rows == "keep" and s.pairs is not None and s.pairs == s.rl_data:
            raise UsageError(
                f"{s.pairs} is given as --pairs and as --rl-data: with --selection-rows keep its "
                "selection rows would be both"
            )


def table(plan: TrainingPlan, others: Sequence[Arm] = ()) -> dict[str, Amounts | str]:
    """Return the matching table: arm -> budget, or why it cannot be trained on this data.

    Custom arms, the plan's or ``others``, come last.
    """
    rows: dict[str, Amounts | str] = {}
    own = {arm.name: arm for arm in (plan.arm, *others)}
    for name, arm in {**dict(ARMS.items()), **own}.items():
        try:
            rows[name] = replace(plan, arm=arm).amounts
        except UsageError as error:
            rows[name] = str(error)
    return rows


def repeated(plan: TrainingPlan) -> str | None:
    """Return a line naming the arms that reuse RL items, None if none does."""
    rows = {name: row for name, row in table(plan).items() if isinstance(row, Amounts)}
    reusing = [f"{name} {row.prompts}" for name, row in rows.items() if row.distinct < row.prompts]
    if not reusing:
        return None
    return (
        f"the data holds {counted(len(plan.data.items), 'RL item')}; prompts are reused in "
        f"{', '.join(reusing)}: these arms match in samples drawn, not in unique prompts"
    )
