"""The losses, as pure functions of tensors. B states, A actions; every result is a scalar.

Sources: PPO (Schulman et al. 2017, eq. 7 and 9), A2C (Mnih et al. 2016), distillation as in
"Policy distillation" (Rusu et al. 2016). ``log_probs`` are the student's, normalised, (B, A).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

ORIGINAL_MASS = 0.8
"""What the loss of the original code puts on the teacher's best action; on the others, nothing."""

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


def distillation_target(labels: Tensor, kind: Literal["soft", "argmax"] = "soft") -> Tensor:
    """What is distilled from a teacher's probabilities, (B, A) to (B, A); rows still sum to 1.

    ``argmax``: evenly over the most probable actions (ties are common: an expert that finds two
    actions equally good says so).
    """
    if kind == "argmax":
        labels = (labels > labels.max(-1, keepdim=True).values - TIE).to(labels.dtype)
    return labels / labels.sum(-1, keepdim=True)


def distillation_loss(
    log_probs: Tensor,
    target: Tensor,
    weight: Tensor,
    kind: Literal["kl", "original-code"] = "kl",
) -> Tensor:
    """Weighted, summed and divided by the number of labelled states, so that a label of less weight
    has less say beside the rewards, too; 0 where none is labelled.

    ``kl``: KL(target‖student), whose gradient is also that of the cross-entropy ("kickstarting",
    Schmitt et al. 2018). ``original-code``: what the released code of Lee et al. 2025 computes, but
    for its factor .01: .8 (log .8 - log q), where q is the softmax *of the student's probabilities*
    at the first of the target's best actions. ``target``: (B, A), ``weight``: (B,),
    ``Label.weight``; rows without a label have 0 and count for nothing, whatever they contain.
    """
    if kind == "kl":
        divergence = (torch.xlogy(target, target) - target * log_probs).sum(-1)
    else:
        best = target.argmax(-1, keepdim=True)
        twice = log_probs.exp().log_softmax(-1).gather(-1, best).squeeze(-1)
        divergence = ORIGINAL_MASS * (math.log(ORIGINAL_MASS) - twice)
    labelled = weight > 0
    return (divergence.where(labelled, 0.0) * weight).sum() / labelled.sum().clamp(min=1)
