"""The losses, as pure functions of tensors. B states, A actions; every result is a scalar.

Sources: PPO (Schulman et al. 2017, eq. 7 and 9), A2C (Mnih et al. 2016), distillation as in
"Policy distillation" (Rusu et al. 2016). ``log_probs`` are the student's, normalised, (B, A).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

SHARPNESS = 3.0
"""The power of a ``sharpened`` target."""

TIE = 1e-6
"""Actions whose probabilities differ by less are equally good in an ``argmax`` target."""


def clipped_policy_loss(log_prob: Tensor, old: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """PPO's surrogate: -mean(min(r A, clamp(r, 1 - clip, 1 + clip) A)), r = exp(log_prob - old).

    ``log_prob``, ``old`` (log-probabilities of the action taken), ``advantage``: (B,).
    """
    ratio = (log_prob - old).exp()
    return -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def policy_gradient_loss(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """A2C's -mean(log_prob A); (B,) each."""
    return -(log_prob * advantage).mean()


def value_loss(value: Tensor, target: Tensor) -> Tensor:
    """Half the mean squared error; (B,) each."""
    return 0.5 * (value - target).square().mean()


def entropy(log_probs: Tensor) -> Tensor:
    """Mean entropy of the student's policy, in nats."""
    return -(log_probs.exp() * log_probs).sum(-1).mean()


def distillation_target(
    labels: Tensor, kind: Literal["soft", "sharpened", "argmax"] = "soft"
) -> Tensor:
    """What is distilled from a teacher's probabilities, (B, A) to (B, A); rows still sum to 1.

    ``sharpened``: p³ renormalised. ``argmax``: evenly over the most probable actions (ties are
    common: an expert that finds two actions equally good says so).
    """
    if kind == "sharpened":
        labels = labels.pow(SHARPNESS)
    elif kind == "argmax":
        labels = (labels > labels.max(-1, keepdim=True).values - TIE).to(labels.dtype)
    return labels / labels.sum(-1, keepdim=True)


def distillation_loss(
    log_probs: Tensor,
    target: Tensor,
    weight: Tensor,
    direction: Literal["forward", "reverse"] = "forward",
) -> Tensor:
    """Weighted KL divergence, summed and divided by the number of labelled states, so that a label
    of less weight has less say beside the rewards, too; 0 where none is labelled.

    ``forward``: KL(target‖student). ``reverse``: KL(student‖target), the target mixed with 1% of
    the uniform distribution, because it is infinite wherever the target is 0. ``target``: (B, A),
    ``weight``: (B,), ``Label.weight``; rows without a label have 0 and count for nothing, whatever
    they contain.
    """
    if direction == "forward":
        divergence = (torch.xlogy(target, target) - target * log_probs).sum(-1)
    else:
        smooth = 0.99 * target + 0.01 / target.shape[-1]
        divergence = (log_probs.exp() * (log_probs - smooth.log())).sum(-1)
    labelled = weight > 0
    return (divergence.where(labelled, 0.0) * weight).sum() / labelled.sum().clamp(min=1)
