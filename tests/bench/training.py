"""A step of contextrl beside one of grpo: processor seconds, and the share of them in our code.

The embedded model and data; the arms in turns in one process, three rounds, the first steps of each
left out.  What the pairs cost as such is a step on the same pairs alone.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

STEPS, WARM, ROUNDS = 12, 3, 3
PROMPTS, GROUP, PAIRS, TOKENS = 8, 4, 8, 16


class Clock:
    """Sums the seconds that calls take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, call: Any) -> Any:
        """Return the call, timed."""

        def wrapped(*args: Any, **words: Any) -> Any:
            began = time.process_time()
            try:
                return call(*args, **words)
            finally:
                self.seconds += time.process_time() - began

        return wrapped


def one(arm_name: str, model: Path, folder: Path) -> dict[str, float]:
    """Train an arm for some steps; return seconds and tokens a step, and our share of the time."""
    from ablations.arms import arm
    from ablations.settings import Settings
    from ablations.training.plan import TrainingPlan
    from ablations.training.prompting import Prompter
    from ablations.training.rewards import AccuracyAndFormat
    from ablations.training.stages import Stage
    from ablations.training.steps.term import SelectionTerm
    from ablations.training.steps.trainer import ContextTrainer, SelectionTrainer
    from ablations.training.training_data import TrainingData

    made = Settings(
        model=str(model),
        pairs="micro",
        rl_data="micro",
        matching="steps",
        prompts=STEPS * PROMPTS,
        pair_count=STEPS * PAIRS,
        prompts_per_step=PROMPTS,
        pairs_per_step=PAIRS,
        group=GROUP,
        max_tokens=TOKENS,
        kl=0.0,
        norms_every=0,
        save_every=10_000,
        report_to="none",
    )
    run = TrainingPlan(arm(arm_name), TrainingData(made), folder)
    stage = Stage(run, "rl" if run.arm.grpo else "selection", model, lambda _: None)
    prompter = Prompter.load(model, made)
    ours = Clock()

    class TimedTerm(SelectionTerm):
        batch = ours.timed(SelectionTerm.batch)

    class TimedReward(AccuracyAndFormat):
        __call__ = ours.timed(AccuracyAndFormat.__call__)

    words = stage.grpo_kwargs(prompter) if run.arm.grpo else stage.selection_kwargs(prompter)
    if words["term"] is not None:
        words["term"] = TimedTerm(**vars(words["term"]))
    if run.arm.grpo:
        words["reward_funcs"] = TimedReward()
    marks: list[tuple[float, float]] = []
    base: Any = ContextTrainer if run.arm.grpo else SelectionTrainer

    class Timed(base):  # type: ignore[misc]
        log = ours.timed(base.log)

        def training_step(self, *args: Any, **words: Any) -> Any:
            marks.append((time.process_time(), ours.seconds))
            return super().training_step(*args, **words)

    trainer = Timed(**words)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train()
    (began, before), (ended, after) = marks[WARM], marks[-1]
    steps = len(marks) - 1 - WARM
    tokens = [line["count/train_tokens"] for line in trainer.state.log_history[WARM:-1]]
    seconds = (ended - began) / steps
    return {
        "seconds": seconds,
        "tokens": statistics.mean(tokens),
        "share": (after - before) / steps / seconds,
    }


def main() -> None:
    """Print seconds a step, and the ratios."""
    from tests.random_model import build

    arms = ("grpo", "contextrl", "ca-only")
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        build(model)
        for number in range(ROUNDS):
            for name in arms:
                rounds[name].append(one(name, model, Path(folder) / f"{name}-{number}"))
    table = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in rounds.items()
    }
    print(f"{PROMPTS} prompts x {GROUP} completions of {TOKENS} tokens, {PAIRS} pairs a step:")
    for name, row in table.items():
        rate = row["seconds"] / row["tokens"] * 1e6
        print(
            f"  {name:<10} {row['seconds']:6.3f} s a step, {row['tokens']:6.0f} tokens trained on, "
            f"{rate:5.0f} s a million of them, {100 * row['share']:4.1f} % in our code"
        )
    grpo, joint, alone = (table[name] for name in arms)
    print(f"  contextrl over grpo, same RL items: {joint['seconds'] / grpo['seconds']:.2f}")
    together = grpo["seconds"] + alone["seconds"]
    print(f"  contextrl over grpo + the pairs alone: {joint['seconds'] / together:.2f}")
    equal = joint["seconds"] / joint["tokens"] / (grpo["seconds"] / grpo["tokens"])
    print(f"  contextrl over grpo, equal tokens: {equal:.2f}")
