"""What PPO and A2C share: a gradient step, replayed labels, the optimiser, mean losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lvlm2p.student.learn.losses import distillation_loss

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.learn.labels import LabelBuffer
    from lvlm2p.student.models.policy import Network


def make_optimizer(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam for PPO, RMSprop for A2C, as in the papers."""
    if config.algo == "ppo":
        return torch.optim.Adam(network.parameters(), config.lr, eps=config.opt_eps, fused=True)
    return torch.optim.RMSprop(
        network.parameters(), config.lr, alpha=0.99, eps=config.opt_eps, foreach=True
    )


def descend(
    loss: Tensor, network: Network, optimizer: torch.optim.Optimizer, max_norm: float
) -> None:
    """One step down the gradient, no longer than ``max_norm``."""
    network.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm)
    optimizer.step()


def replay(
    network: Network,
    optimizer: torch.optim.Optimizer,
    book: LabelBuffer,
    kl_weight: float,
    config: TrainConfig,
    generator: torch.Generator,
    means: Means,
) -> None:
    """Distil states that were labelled before, once more: labels are paid for and free to reuse.

    As lambda falls from its first value, so does the number of minibatches: an optimiser that
    normalises its steps would not notice a smaller weight.
    """
    assert config.kl_minibatches is not None
    share = kl_weight / config.kl_coef if config.kl_coef else 0.0
    batches = round(config.kl_minibatches * share)
    every = torch.ones(config.batch_size, dtype=torch.bool)
    for cells, words, target in book.replay(batches, config.batch_size, generator):
        log_probs = network.policy(cells, words).log_softmax(-1)
        kl = distillation_loss(log_probs, target, every, config.kl_direction)
        descend(kl_weight * kl, network, optimizer, config.max_grad_norm)
        means.add("distill/replayed_kl", kl)


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns); 0 where the returns are all equal."""
    variance = returns.var(correction=0)
    left = (returns - values).var(correction=0)
    return float(1 - left / variance) if variance > 0 else 0.0


class Means:
    """Running means of named scalars; the tensors are read once, at the end."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Count one more value of ``name``."""
        value = value.detach()
        self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts[name] = self._counts.get(name, 0) + 1

    def values(self) -> dict[str, float]:
        """The means so far."""
        return {name: float(total) / self._counts[name] for name, total in self._sums.items()}
