"""Proximal policy optimisation with distillation: one update, read from top to bottom.

Schulman et al. 2017, with a term for the teacher: loss = L_PPO + lambda * KL(teacher‖student).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lvlm2p.student.learn.distil import replay
from lvlm2p.student.learn.losses import clipped_policy_loss, distillation_loss, entropy, value_loss
from lvlm2p.student.learn.optimise import Means, explained_variance

if TYPE_CHECKING:
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
    config, means = learner.config, Means()
    targets = labels.lookup(rollout.rows) if labels is not None else None
    weight = kl_weight if labels is not None else None
    for _ in range(config.epochs):
        for batch in rollout.minibatches(config.batch_size, generator, targets):
            means.add(await learner.improve(batch, ppo_loss, weight))
    if labels is not None:
        await replay(learner, labels, kl_weight, generator, means)
    return means.values() | {
        "losses/explained_variance": explained_variance(rollout.values, rollout.returns)
    }


def ppo_loss(
    outputs: tuple[Tensor, ...],
    batch: Minibatch,
    kl_weight: Tensor | float | None,
    config: TrainConfig,
) -> tuple[Tensor, Report]:
    """The loss of a minibatch, and what to report of it."""
    assert config.ent_coef is not None
    logits, values = outputs
    log_probs = logits.log_softmax(-1)
    log_prob = log_probs.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
    advantage = batch.advantages - batch.advantages.mean()
    advantage = advantage / (batch.advantages.std(correction=0) + 1e-8)

    policy_loss = clipped_policy_loss(log_prob, batch.log_probs, advantage, config.clip)
    critic_loss = value_loss(values, batch.returns)
    bonus = entropy(log_probs)
    loss = policy_loss + config.vf_coef * critic_loss - config.ent_coef * bonus
    report = {}
    if kl_weight is not None:
        kl = distillation_loss(log_probs, batch.targets, batch.weight, config.kl_loss)
        loss = loss + kl_weight * kl
        report["distill/kl"] = kl
    with torch.no_grad():
        log_ratio = log_prob - batch.log_probs
        ratio = log_ratio.exp()
        report |= {
            "losses/policy_loss": policy_loss,
            "losses/value_loss": critic_loss,
            "losses/entropy": bonus,
            "losses/approx_kl": (ratio - 1 - log_ratio).mean(),
            "losses/clipfrac": ((ratio - 1).abs() > config.clip).float().mean(),
        }
    return loss, report
