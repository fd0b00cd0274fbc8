"""The context-selection loss L_CA in plain torch, from the logits of the two option letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch.nn.functional import logsigmoid

from harness.errors import UsageError

Clip = Literal["two-sided", "upper", "none"]
CLIPS: tuple[Clip, ...] = get_args(Clip)


@dataclass(frozen=True, slots=True)
class SelectionLoss:
    """The losses of ``n`` selection prompts; all tensors are float32 of shape (n,).

    ``losses`` is differentiable; the others are detached.  ``margins`` is l+ - l- in logits.
    ``correct`` is 1 if the supporting context's letter leads, 1/2 in a tie, else 0.
    ``clipped_wrong`` marks margins below -c under a two-sided clip: confidently wrong, and without
    a gradient.
    """

    losses: torch.Tensor
    margins: torch.Tensor
    correct: torch.Tensor
    clipped_wrong: torch.Tensor

    @property
    def loss(self) -> torch.Tensor:
        """The batch's mean loss, a scalar."""
        return self.losses.mean()


def selection_loss(
    letter_logits: torch.Tensor,
    supports_first: torch.Tensor,
    *,
    clip: float | None = None,
    form: Clip = "two-sided",
) -> SelectionLoss:
    """Return L_CA = -log sigmoid(clip(D, -c, c)) of each example, with D = l+ - l-.

    l+ and l- are the next-token logits, at the answer position, of the letters of the supporting
    context and of the other one (arXiv 2606.17053, the context-selection objective).

    The two-sided clip is the paper's. Its gradient is zero where abs(D) > c, so also where the
    model is confidently wrong; ``upper`` clips only at +c and keeps that gradient. With ``none``
    the loss is the cross-entropy over the two letters. Raises `ValueError` if a shape, c or the
    form is wrong.

    Args:
        letter_logits: shape (n, 2), the logits of the first and the second letter.
        supports_first: shape (n,), boolean: whether the first letter's context supports.
        clip: c > 0 in logits; required by every form but ``none``.
        form: "two-sided", "upper" or "none".
    """
    _check(letter_logits, supports_first, clip, form)
    first, second = letter_logits.float().unbind(dim=1)
    sign = supports_first.to(letter_logits.device).float() * 2 - 1
    margins = (first - second) * sign
    low = -clip if clip is not None and form == "two-sided" else None
    clipped = margins if clip is None else margins.clamp(min=low, max=clip)
    detached = margins.detach()
    below = detached < low if low is not None else torch.zeros_like(detached)
    return SelectionLoss(
        losses=-logsigmoid(clipped),
        margins=detached,
        correct=(detached.sign() + 1) / 2,
        clipped_wrong=below.float(),
    )


def _check(
    letter_logits: torch.Tensor, supports_first: torch.Tensor, clip: float | None, form: str
) -> None:
    if letter_logits.ndim != 2 or letter_logits.shape[1] != 2:
        raise ValueError(f"letter logits have shape (n, 2), not {tuple(letter_logits.shape)}")
    if supports_first.shape != letter_logits.shape[:1]:
        raise ValueError(
            f"{len(letter_logits)} examples have labels of shape {tuple(supports_first.shape)}"
        )
    if form not in CLIPS:
        raise ValueError(f"the clip is one of {', '.join(CLIPS)}, not {form!r}")
    if (form == "none") != (clip is None):
        raise ValueError("a clip has a bound c, and only 'none' has none")
    if clip is not None and not clip > 0:
        raise ValueError(f"the bound of the clip is above 0, not {clip}")


def letter_cross_entropy(logits: torch.Tensor, letters: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the right letter over the whole vocabulary, shape (n,).

    The loss of the control ``da-joint-sft``: ordinary supervised training on the letter.  Over the
    two letters alone it would be L_CA without a clip. ``logits``, shape (n, vocabulary), are the
    next-token logits at the answer position, ``letters``, shape (n,), the right letters' tokens.
    """
    return torch.nn.functional.cross_entropy(logits.float(), letters, reduction="none")


# In nats. 16-bit logits have a spacing of up to 0.25.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}


def check_head(model: Any, ids: torch.Tensor, temperature: float) -> None:
    """Check that GRPO trains on the log-probabilities of the model's own logits.

    TRL computes them from the hidden states and the output layer. A model that transforms its
    logits would be trained on other probabilities than it samples from. Raises `UsageError` if they
    differ by more than rounding. ``model`` has TRL's fused head, and keeps its train or eval mode;
    ``ids``, shape (1, tokens), are of text; ``temperature`` is that of rollouts.
    """
    training = model.training
    model.eval()
    with torch.no_grad():
        fused = model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs.float()
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float() / temperature
    model.train(training)
    own = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    gap = (own - fused).abs().max().item()
    if not gap <= _TOLERANCE.get(model.dtype, 0.5):
        raise UsageError(
            f"{type(model).__name__} cannot be trained by GRPO: its log-probabilities differ by "
            f"{gap:.3g} nats from those of its output layer, which TRL trains on"
        )
