"""The training budget of each arm, held equal so that arms can be compared."""

from __future__ import annotations

from dataclasses import dataclass

from ablations.arms import Arm, Matching
from harness.errors import UsageError
from harness.files.text import counted


@dataclass(frozen=True, slots=True)
class Sizes:
    """The available data, and the step sizes.

    ``prompts``: ordinary RL items for an arm with pairs. ``pairs``: contrastive pairs times passes,
    for an arm that uses pairs. ``prompts_per_step``: RL items per optimizer step, with ``group``
    completions each; ``updates`` steps share one batch of rollouts. ``pairs_per_step``: pairs per
    step of SFT or ca-only. The lengths, needed by ``tokens``, are mean tokens of an RL prompt, of a
    completion (its limit), of a selection prompt and of a question about one context. ``items``:
    available RL items, None if there are enough. ``orders``: mean number of selection prompts per
    pair.
    """

    prompts: int
    pairs: int
    prompts_per_step: int
    group: int
    pairs_per_step: int
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    selection_tokens: float = 0.0
    qa_tokens: float = 0.0
    items: int | None = None
    orders: float = 2.0
    updates: int = 1


@dataclass(frozen=True, slots=True)
class Amounts:
    """One arm's training budget.

    ``prompts``: ordinary RL items, ``distinct`` of them unique; the first ones are reused if the
    data holds too few. ``extra``: contrastive RL items. ``rl_steps``: optimizer steps of GRPO, of
    ``items_per_step`` RL items each. ``sft_steps``: of supervised training before it.
    ``selection_steps``: of L_CA without GRPO. ``exposures``: pairs shown by SFT or the joint loss,
    each in all its orders. ``tokens``: planned tokens, forward and backward.
    """

    prompts: int = 0
    distinct: int = 0
    extra: int = 0
    rl_steps: int = 0
    items_per_step: int = 0
    sft_steps: int = 0
    selection_steps: int = 0
    exposures: int = 0
    tokens: int = 0

    @property
    def steps(self) -> int:
        """Optimizer steps of the main stage, over which a joint loss is spread."""
        return self.rl_steps + self.selection_steps


def amounts(arm: Arm, matching: Matching, sizes: Sizes) -> Amounts:
    """Return an arm's training budget.

    ``instances``: every arm sees the same number of instances, as in the paper: pairs replace
    ordinary items, so `grpo` gets ``prompts + pairs`` items. ``steps``: all arms make the same RL
    steps on the same ``prompts`` items, and the pairs come on top: as additional RL items they make
    every step larger by the same number. ``tokens``: every arm is planned to train on as many
    tokens as `contextrl`; ordinary items make up the rest. An incomplete last batch of rollouts is
    dropped. Raises `UsageError` if there is too little for one step, no token left for ordinary
    items, or, by ``steps``, the contrastive items do not divide evenly over the steps.
    """
    if not arm.trains:
        return Amounts()
    extra = sizes.pairs if arm.extra else 0
    exposures = sizes.pairs if arm.sft or arm.joint else 0
    prompts = _ordinary(arm, matching, sizes) if arm.grpo else 0
    inside = 0 if matching == "steps" else extra  # contrastive items that replace ordinary ones
    rollouts = sizes.prompts_per_step * sizes.updates  # items per batch of rollouts
    rl_steps = (prompts + inside) // rollouts * sizes.updates
    # Ordinary items give up what does not fill a batch.
    prompts = rl_steps * sizes.prompts_per_step - inside
    if arm.grpo and prompts < 1:
        raise UsageError(
            f"{arm.name}: {counted(sizes.prompts, 'RL item')} and "
            f"{counted(sizes.pairs, 'pair')} leave no ordinary item "
            f"in steps of {rollouts} ({matching}): give more RL items or fewer pairs, "
            "or lower --prompts-per-step"
        )
    pair_steps = -(-exposures // sizes.pairs_per_step)
    return Amounts(
        prompts=prompts,
        distinct=prompts if sizes.items is None else min(prompts, sizes.items),
        extra=extra,
        rl_steps=rl_steps,
        items_per_step=_items_per_step(arm, rl_steps, extra - inside, sizes) if arm.grpo else 0,
        sft_steps=pair_steps if arm.sft else 0,
        selection_steps=pair_steps if not arm.grpo else 0,
        exposures=exposures,
        tokens=int(prompts * _item_tokens(sizes) + _pair_tokens(arm, sizes)),
    )


def _items_per_step(arm: Arm, steps: int, on_top: int, sizes: Sizes) -> int:
    """Return the RL items per step, which TRL needs to be constant.

    Raises `UsageError` if it is not; says which numbers of pairs or prompts fit.
    """
    each, left = divmod(on_top, steps)
    if left:
        fitting = next(count for count in range(steps, 0, -1) if on_top % count == 0)
        pairs = " or ".join(str(count * steps) for count in (each, each + 1) if count)
        raise UsageError(
            f"{arm.name}: no even division of {counted(on_top, 'pair')} over "
            f"{counted(steps, 'step')} (steps): "
            f"give --pair-count {pairs}, or --prompts {fitting * sizes.prompts_per_step}"
        )
    return sizes.prompts_per_step + each


def _ordinary(arm: Arm, matching: Matching, sizes: Sizes) -> int:
    if matching == "steps":
        return sizes.prompts
    if matching == "instances":
        return sizes.prompts if arm.uses_pairs else sizes.prompts + sizes.pairs
    item = _item_tokens(sizes)
    if item <= 0:
        raise UsageError("matching by tokens needs the lengths of prompts and completions")
    budget = sizes.prompts * item + sizes.orders * sizes.pairs * sizes.selection_tokens
    return int((budget - _pair_tokens(arm, sizes)) // item)


def _item_tokens(sizes: Sizes) -> float:
    return sizes.group * (sizes.prompt_tokens + sizes.completion_tokens)


def _pair_tokens(arm: Arm, sizes: Sizes) -> float:
    if arm.extra:
        each = sizes.selection_tokens if arm.extra == "selection" else sizes.qa_tokens
        return sizes.pairs * sizes.group * (each + sizes.completion_tokens)
    return sizes.orders * sizes.pairs * sizes.selection_tokens if arm.sft or arm.joint else 0.0
