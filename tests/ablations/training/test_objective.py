"""The context-selection loss: laws that its formula has, and torch's own losses beside it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablations.training.steps.objective import CLIPS, letter_cross_entropy, selection_loss

logits = st.floats(-30, 30, width=32)
batches = st.lists(st.tuples(logits, logits, st.booleans()), min_size=1, max_size=8)
bounds = st.floats(0.25, 12, width=32)
clips = st.sampled_from([form for form in CLIPS if form != "none"])


def tensors(batch: list[tuple[float, float, bool]]) -> tuple[torch.Tensor, torch.Tensor]:
    values = torch.tensor([[first, second] for first, second, _ in batch], dtype=torch.float32)
    return values, torch.tensor([label for _, _, label in batch])


@given(batches, bounds)
def test_it_is_the_papers_formula(batch: list[tuple[float, float, bool]], c: float) -> None:
    """-log sigmoid(clip(l+ - l-, -c, c)), by math.log1p on each example apart."""
    values, labels = tensors(batch)
    found = selection_loss(values, labels, clip=c)
    for loss, margin, (first, second, label) in zip(
        found.losses, found.margins, batch, strict=True
    ):
        expected = (first - second) if label else (second - first)
        assert margin.item() == pytest.approx(expected, abs=1e-5)
        clipped = max(-c, min(c, expected))
        assert loss.item() == pytest.approx(math.log1p(math.exp(-clipped)), rel=1e-4, abs=1e-6)
    assert found.loss.item() == pytest.approx(found.losses.mean().item())


@given(batches, bounds, clips)
def test_swapping_contexts_and_labels_changes_nothing(
    batch: list[tuple[float, float, bool]], c: float, form: str
) -> None:
    values, labels = tensors(batch)
    here = selection_loss(values, labels, clip=c, form=form)  # type: ignore[arg-type]
    there = selection_loss(values.flip(1), ~labels, clip=c, form=form)  # type: ignore[arg-type]
    for name in ("losses", "margins", "correct", "clipped_wrong"):
        assert torch.equal(getattr(here, name), getattr(there, name))


@given(batches)
def test_without_a_clip_it_is_cross_entropy_over_the_two_letters(
    batch: list[tuple[float, float, bool]],
) -> None:
    values, labels = tensors(batch)
    values.requires_grad_()
    (ours,) = torch.autograd.grad(selection_loss(values, labels, form="none").loss, values)
    entropy = torch.nn.functional.cross_entropy(values, (~labels).long())
    (theirs,) = torch.autograd.grad(entropy, values)
    assert selection_loss(values, labels, form="none").loss.item() == pytest.approx(
        entropy.item(), rel=1e-4, abs=1e-6
    )
    assert torch.allclose(ours, theirs, atol=1e-6)


@given(st.floats(-20, 20, width=32), bounds, clips)
def test_the_gradient_is_zero_exactly_where_the_clip_says(
    margin: float, c: float, form: str
) -> None:
    """d/dD = -sigmoid(-D) inside the clip and 0 outside of it; the bound itself is left out."""
    if abs(abs(margin) - c) < 1e-3:
        return
    values = torch.tensor([[margin, 0.0]], requires_grad=True)
    found = selection_loss(values, torch.tensor([True]), clip=c, form=form)  # type: ignore[arg-type]
    found.loss.backward()
    assert values.grad is not None
    outside = margin > c or (form == "two-sided" and margin < -c)
    if outside:
        assert torch.equal(values.grad, torch.zeros(1, 2))
    else:
        expected = -1 / (1 + math.exp(margin))
        assert values.grad[0, 0].item() == pytest.approx(expected, rel=1e-4, abs=1e-8)
        assert values.grad[0, 1].item() == pytest.approx(-expected, rel=1e-4, abs=1e-8)
    assert found.clipped_wrong.item() == float(form == "two-sided" and margin < -c)


@pytest.mark.parametrize("form", CLIPS)
def test_the_gradient_agrees_with_finite_differences(form: str) -> None:
    torch.manual_seed(0)
    values = torch.randn(6, 2, dtype=torch.float64) * 2
    labels = torch.tensor([True, False, True, False, True, False])
    clip = None if form == "none" else 1.5

    def loss(at: torch.Tensor) -> torch.Tensor:
        return selection_loss(at, labels, clip=clip, form=form).loss  # type: ignore[arg-type]

    leaf = values.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    step = 1e-2  # the loss itself is float32
    for index in torch.cartesian_prod(torch.arange(6), torch.arange(2)).tolist():
        up, down = values.clone(), values.clone()
        up[*index] += step
        down[*index] -= step
        slope = (loss(up) - loss(down)).item() / (2 * step)
        assert gradient[*index].item() == pytest.approx(slope, abs=2e-3)


def test_an_even_margin_counts_half() -> None:
    values = torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    found = selection_loss(values, torch.tensor([True, True, True]), clip=5.0)
    assert found.correct.tolist() == [0.5, 1.0, 0.0]
    assert found.losses[0].item() == pytest.approx(math.log(2))


def test_a_taste_for_one_letter_gains_nothing_over_both_orders() -> None:
    """A model that always leans to A by b has, over both orders, softplus(b) and softplus(-b)."""
    values = torch.tensor([[3.0, 0.0], [3.0, 0.0]])
    found = selection_loss(values, torch.tensor([True, False]), form="none")
    pair = found.loss.item()
    assert pair == pytest.approx((math.log1p(math.exp(-3)) + math.log1p(math.exp(3))) / 2)
    assert pair > math.log(2)
    assert found.correct.mean().item() == 0.5


@pytest.mark.parametrize(
    ("values", "labels", "words"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.bool), {"clip": 1.0}),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.bool), {"clip": 1.0}),
        (torch.zeros(1, 2), torch.ones(1, dtype=torch.bool), {"clip": 0.0}),
        (torch.zeros(1, 2), torch.ones(1, dtype=torch.bool), {"clip": None}),
        (torch.zeros(1, 2), torch.ones(1, dtype=torch.bool), {"clip": 1.0, "form": "none"}),
        (torch.zeros(1, 2), torch.ones(1, dtype=torch.bool), {"clip": 1.0, "form": "lower"}),
    ],
)
def test_wrong_input_is_refused(
    values: torch.Tensor, labels: torch.Tensor, words: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"shape|bound|clip"):
        selection_loss(values, labels, **words)  # type: ignore[arg-type]


@given(batches)
def test_the_letters_cross_entropy_over_two_letters_is_the_loss_without_a_clip(
    batch: list[tuple[float, float, bool]],
) -> None:
    values, labels = tensors(batch)
    found = letter_cross_entropy(values, (~labels).long())
    expected = selection_loss(values, labels, form="none").losses
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_letters_cross_entropy_counts_the_whole_vocabulary() -> None:
    """Four equal logits: log 4, whatever the letter."""
    found = letter_cross_entropy(torch.zeros(2, 4), torch.tensor([1, 3]))
    assert found.tolist() == pytest.approx([math.log(4)] * 2)
