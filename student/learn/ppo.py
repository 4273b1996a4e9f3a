"""Proximal policy optimisation with distillation: one update, read from top to bottom.

Schulman et al. 2017, with a term for the teacher: loss = L_PPO + lambda * KL(teacher‖student).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lvlm2p.student.learn.losses import clipped_policy_loss, distillation_loss, entropy, value_loss
from lvlm2p.student.learn.optimise import Means, descend, explained_variance, replay

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.learn.labels import LabelBuffer
    from lvlm2p.student.learn.rollout import Rollout
    from lvlm2p.student.models.policy import Network


def update(
    network: Network,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    book: LabelBuffer | None,
    kl_weight: float,
    config: TrainConfig,
    generator: torch.Generator,
) -> dict[str, float]:
    """Improve ``network`` on one rollout, then on labels of earlier ones; the mean losses."""
    assert config.ent_coef is not None
    means = Means()
    columns = [
        *(rollout.cells, rollout.words, rollout.actions, rollout.log_probs),
        *(rollout.advantages, rollout.returns),
        *(book.lookup(rollout.rows) if book is not None else ()),
    ]
    for _ in range(config.epochs):
        order = torch.randperm(len(rollout.actions), generator=generator)
        shuffled = [torch.split(tensor[order], config.batch_size) for tensor in columns]
        for cells, words, actions, old, advantage, returns, *taught in zip(*shuffled, strict=True):
            logits, values = network(cells, words)
            log_probs = logits.log_softmax(-1)
            log_prob = log_probs.gather(1, actions.unsqueeze(1)).squeeze(1)
            advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)

            policy_loss = clipped_policy_loss(log_prob, old, advantage, config.clip)
            critic_loss = value_loss(values, returns)
            surprise = entropy(log_probs)
            loss = policy_loss + config.vf_coef * critic_loss - config.ent_coef * surprise
            if taught:
                target, labelled = taught
                kl = distillation_loss(log_probs, target, labelled, config.kl_direction)
                loss = loss + kl_weight * kl
                means.add("distill/kl", kl)
            descend(loss, network, optimizer, config.max_grad_norm)

            with torch.no_grad():
                log_ratio = log_prob - old
                ratio = log_ratio.exp()
                means.add("losses/policy_loss", policy_loss)
                means.add("losses/value_loss", critic_loss)
                means.add("losses/entropy", surprise)
                means.add("losses/approx_kl", (ratio - 1 - log_ratio).mean())
                means.add("losses/clipfrac", ((ratio - 1).abs() > config.clip).float().mean())

    if book is not None:
        replay(network, optimizer, book, kl_weight, config, generator, means)
    return means.values() | {
        "losses/explained_variance": explained_variance(rollout.values, rollout.returns)
    }
