"""Advantage actor-critic with distillation: one gradient step on a short rollout.

Mnih et al. 2016, synchronous, with a term for the teacher: loss = L_A2C + lambda * KL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvlm2p.student.learn.distil import replay
from lvlm2p.student.learn.losses import distillation_loss, entropy, policy_gradient_loss, value_loss
from lvlm2p.student.learn.optimise import Means, explained_variance

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.learn.labels import LabelBuffer
    from lvlm2p.student.learn.learner import Learner, Report
    from lvlm2p.student.learn.rollout import Minibatch, Rollout


async def update(
    learner: Learner,
    rollout: Rollout,
    labels: LabelBuffer | None,
    kl_weight: float,
    generator: torch.Generator,
) -> dict[str, float]:
    """Improve the policy on one rollout, then on labels of earlier ones; the mean losses."""
    means = Means()
    targets = labels.lookup(rollout.rows) if labels is not None else None
    weight = kl_weight if labels is not None else None
    means.add(await learner.improve(rollout.whole(targets), a2c_loss, weight))
    if labels is not None:
        await replay(learner, labels, kl_weight, generator, means)
    return means.values() | {
        "losses/explained_variance": explained_variance(rollout.values, rollout.returns)
    }


def a2c_loss(
    outputs: tuple[Tensor, ...],
    batch: Minibatch,
    kl_weight: Tensor | float | None,
    config: TrainConfig,
) -> tuple[Tensor, Report]:
    """The loss of a rollout, and what to report of it."""
    assert config.ent_coef is not None
    logits, values = outputs
    log_probs = logits.log_softmax(-1)
    log_prob = log_probs.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)

    policy_loss = policy_gradient_loss(log_prob, batch.advantages)
    critic_loss = value_loss(values, batch.returns)
    bonus = entropy(log_probs)
    loss = policy_loss + config.vf_coef * critic_loss - config.ent_coef * bonus
    report = {}
    if kl_weight is not None:
        kl = distillation_loss(log_probs, batch.targets, batch.weight, config.kl_loss)
        loss = loss + kl_weight * kl
        report["distill/kl"] = kl
    report |= {
        "losses/policy_loss": policy_loss,
        "losses/value_loss": critic_loss,
        "losses/entropy": bonus,
    }
    return loss, report
