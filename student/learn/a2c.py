"""Advantage actor-critic with distillation: one gradient step on a short rollout.

Mnih et al. 2016, synchronous, with a term for the teacher: loss = L_A2C + lambda * KL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvlm2p.student.learn.losses import distillation_loss, entropy, policy_gradient_loss, value_loss
from lvlm2p.student.learn.optimise import Means, explained_variance, gradient_step, replay

if TYPE_CHECKING:
    import torch

    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.learn.labels import LabelBuffer
    from lvlm2p.student.learn.rollout import Rollout
    from lvlm2p.student.models.policy import Policy


def update(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    labels: LabelBuffer | None,
    kl_weight: float,
    config: TrainConfig,
    generator: torch.Generator,
) -> dict[str, float]:
    """Improve ``policy`` on one rollout, then on labels of earlier ones; the mean losses."""
    assert config.ent_coef is not None
    means = Means()
    targets = labels.lookup(rollout.rows) if labels is not None else None
    batch = rollout.whole(targets)
    logits, values = policy.evaluate(batch.inputs, batch.state, batch.episode_start)
    log_probs = logits.log_softmax(-1)
    log_prob = log_probs.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)

    policy_loss = policy_gradient_loss(log_prob, batch.advantages)
    critic_loss = value_loss(values, batch.returns)
    bonus = entropy(log_probs)
    loss = policy_loss + config.vf_coef * critic_loss - config.ent_coef * bonus
    if labels is not None:
        kl = distillation_loss(log_probs, batch.targets, batch.weight, config.kl_loss)
        loss = loss + kl_weight * kl
        means.add("distill/kl", kl)
    gradient_step(loss, policy, optimizer, config.max_grad_norm)
    means.add("losses/policy_loss", policy_loss)
    means.add("losses/value_loss", critic_loss)
    means.add("losses/entropy", bonus)

    if labels is not None:
        replay(policy, optimizer, labels, kl_weight, config, generator, means)
    return means.values() | {
        "losses/explained_variance": explained_variance(rollout.values, rollout.returns)
    }
