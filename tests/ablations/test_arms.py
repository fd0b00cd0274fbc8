"""Arms and matching: the paper's counts, sums by hand, and what must never differ."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.arms import ARMS, MATCHINGS, Arm, Matching, Role, arm, with_role
from ablations.statistics.contrasts import BASELINE, METHOD
from ablations.statistics.design.roles import STANDARD, standard
from ablations.training.matching import Amounts, Sizes, amounts
from harness.errors import UsageError

PAPER = Sizes(prompts=7000, pairs=1000, prompts_per_step=8, group=5, pairs_per_step=8)
sizes = st.builds(
    Sizes,
    prompts=st.integers(100, 5000),
    pairs=st.integers(1, 60),
    prompts_per_step=st.integers(1, 32),
    group=st.integers(2, 8),
    pairs_per_step=st.integers(1, 32),
    prompt_tokens=st.floats(10, 500),
    completion_tokens=st.floats(1, 500),
    selection_tokens=st.floats(10, 900),
    qa_tokens=st.floats(10, 500),
)


def table(matching: Matching, s: Sizes) -> dict[str, Amounts]:
    return {name: amounts(arm, matching, s) for name, arm in ARMS.items()}


def test_the_papers_agentic_numbers_come_out() -> None:
    """arXiv 2606.17053: 7k RL items and 1k pairs; the baseline is matched to 8k instances."""
    rows = table("instances", PAPER)
    assert rows["grpo"].prompts == 8000
    assert (rows["contextrl"].prompts, rows["contextrl"].exposures) == (7000, 1000)
    assert (rows["da-sft"].prompts, rows["da-sft"].sft_steps) == (7000, 125)
    assert (rows["da-rl"].prompts, rows["da-rl"].extra, rows["da-rl"].rl_steps) == (
        7000,
        1000,
        1000,
    )
    assert rows["base"].steps == 0


@given(sizes)
def test_by_instances_every_arm_with_grpo_sees_as_many(s: Sizes) -> None:
    """Up to the last, incomplete step."""
    for name, row in table("instances", s).items():
        if ARMS[name].grpo:
            seen = row.prompts + row.extra + row.exposures
            assert s.prompts + s.pairs - s.prompts_per_step < seen <= s.prompts + s.pairs


@given(sizes, st.integers(1, 4))
def test_by_steps_every_arm_makes_the_same_steps_on_the_same_ordinary_items(
    s: Sizes, more: int
) -> None:
    """STATISTICS: the same RL steps on the same ordinary prompts, contrastive items on top."""
    steps = s.prompts // s.prompts_per_step
    for name, row in table("steps", replace(s, pairs=more * steps)).items():
        if ARMS[name].grpo:
            assert (row.rl_steps, row.prompts) == (steps, steps * s.prompts_per_step)
            on_top = more if ARMS[name].extra else 0
            assert row.items_per_step == s.prompts_per_step + on_top
            assert row.extra == on_top * steps


def test_by_steps_items_on_top_are_as_many_in_every_step() -> None:
    """1,600 prompts, 8 a step: 200 steps, of which each takes 24 of 4,800 pairs."""
    micro = Sizes(prompts=1600, pairs=4800, prompts_per_step=8, group=4, pairs_per_step=24)
    rows = table("steps", micro)
    found = {name: (row.rl_steps, row.items_per_step) for name, row in rows.items() if row.rl_steps}
    assert {name for name, steps in found.items() if steps == (200, 32)} == {"da-rl", "da-qa"}
    assert {steps for name, steps in found.items() if not ARMS[name].extra} == {(200, 8)}


@given(sizes)
def test_items_that_do_not_come_out_even_are_refused_with_numbers_that_do(s: Sizes) -> None:
    steps = s.prompts // s.prompts_per_step
    try:
        amounts(arm("da-rl"), "steps", s)
    except UsageError as error:
        assert s.pairs % steps
        text = str(error).partition("--pair-count ")[2]
        pairs, _, prompts = text.partition(", or --prompts ")
        for number in pairs.split(" or "):
            amounts(arm("da-rl"), "steps", replace(s, pairs=int(number)))
        assert 0 < int(prompts) < s.prompts
        amounts(arm("da-rl"), "steps", replace(s, prompts=int(prompts)))
    else:
        assert s.pairs % steps == 0


@given(sizes)
def test_by_tokens_every_arm_trains_on_as_many_tokens(s: Sizes) -> None:
    budget = amounts(arm("contextrl"), "tokens", s).tokens
    step = s.prompts_per_step * s.group * (s.prompt_tokens + s.completion_tokens)
    for one in ARMS.values():
        if not one.grpo:
            continue
        try:
            row = amounts(one, "tokens", s)
        except UsageError:  # its pairs cost more than all there is
            assert one.extra
            continue
        assert abs(row.tokens - budget) <= 2 * step


@given(sizes, st.sampled_from(MATCHINGS))
def test_the_placebo_is_trained_as_contextrl_is(s: Sizes, matching: str) -> None:
    mode = matching
    expected = amounts(arm("contextrl"), mode, s)  # type: ignore[arg-type]
    for name in ("contextrl-shuffled", "contextrl-easyneg", "da-joint-sft"):
        assert amounts(arm(name), mode, s) == expected  # type: ignore[arg-type]


def test_too_little_data_is_one_line() -> None:
    with pytest.raises(UsageError, match="no ordinary item"):
        amounts(arm("contextrl"), "instances", replace(PAPER, prompts=3))
    with pytest.raises(UsageError, match="lengths"):
        amounts(arm("grpo"), "tokens", PAPER)
    # 7,000 prompts are 875 steps; of the numbers of steps below, 500 is the next that 1,000 fits.
    with pytest.raises(UsageError, match=r"--pair-count 875 or 1750, or --prompts 4000$"):
        amounts(arm("da-rl"), "steps", PAPER)


def test_an_unknown_arm_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean contextrl"):
        arm("contextrll")


@given(st.sampled_from(get_args(Role)), st.integers(-5, 5), st.booleans())
def test_a_new_arm_takes_its_place_by_role_and_rank(role: Role, rank: int, first: bool) -> None:
    """Wherever its row stands, only its own role changes, and there ranks never descend."""
    new = Arm("contextrl-noise", "an invented arm", joint="selection", role=role, rank=rank)
    rows = [new, *ARMS.values()] if first else [*ARMS.values(), new]
    for other in get_args(Role):
        names = with_role(other, rows)
        assert [name for name in names if name != new.name] == list(with_role(other))
        assert (new.name in names) == (other == role)
        ranks = [rank if name == new.name else ARMS[name].rank for name in names]
        assert ranks == sorted(ranks)


@given(
    st.sampled_from(("data_control", "placebo", "loss_form", None)),
    st.integers(-5, 5),
    st.sets(st.sampled_from(list(ARMS))),
)
def test_a_new_arms_contrasts_follow_from_its_role(
    role: Role | None, rank: int, others: set[str]
) -> None:
    """The table of roles in CONTRIBUTING.md; the contrasts of the other arms stay as they are."""
    new = Arm("contextrl-noise", "an invented arm", joint="selection", role=role, rank=rank)
    made = standard([new, *ARMS.values()]).contrasts([*others, new.name])
    mine = [contrast for contrast in made if new.name in (contrast.plus, contrast.minus)]
    rest = tuple(contrast for contrast in made if contrast not in mine)
    assert rest == STANDARD.contrasts(others)
    possible = {
        "data_control": {("objective", METHOD, new.name), ("data", new.name, BASELINE)},
        "placebo": {("placebo", METHOD, new.name)},
        "loss_form": {("form", METHOD, new.name)},
        None: set(),
    }[role]
    derived = {(contrast.kind, contrast.plus, contrast.minus) for contrast in mine}
    assert derived == {row for row in possible if {row[1], row[2]} <= {*others, new.name}}


def test_roles_of_the_built_in_study() -> None:
    assert with_role("start") == ("base",)
    assert with_role("baseline") == ("grpo",)
    assert with_role("method") == ("contextrl",)
    assert with_role("data_control") == ("da-rl", "da-sft", "da-qa")
    assert with_role("placebo") == ("contextrl-shuffled",)
    assert with_role("loss_form") == ("da-joint-sft",)
    assert {name for name, one in ARMS.items() if one.role is None} == {
        "ca-only",
        "contextrl-easyneg",
    }
