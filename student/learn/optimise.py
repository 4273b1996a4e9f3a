"""What PPO and A2C share: a gradient step, the optimiser, mean losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lvlm2p.teachers.errors import RunError

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig
    from lvlm2p.student.models.policy import Policy


def make_optimizer(policies: Sequence[Policy], config: TrainConfig) -> torch.optim.Optimizer:
    """Adam for PPO, RMSprop for A2C, as in the papers."""
    parameters = [p for policy in policies for p in policy.parameters() if p.requires_grad]
    if config.algo == "ppo":
        return torch.optim.Adam(parameters, config.lr, eps=config.opt_eps, fused=True)
    return torch.optim.RMSprop(parameters, config.lr, alpha=0.99, eps=config.opt_eps, foreach=True)


def gradient_step(
    loss: Tensor, policy: Policy, optimizer: torch.optim.Optimizer, max_norm: float
) -> None:
    """One step down the gradient of ``loss``, scaled down to ``max_norm`` if it is longer.

    Raises:
        RunError: the gradient is not finite; the policy is left as it was.
    """
    policy.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), max_norm)
    if not norm.isfinite():
        raise diverged(loss, norm)
    optimizer.step()


def diverged(loss: Tensor, norm: Tensor) -> RunError:
    """The error where the gradient's ``norm`` is not finite."""
    return RunError(
        f"training diverged: the loss is {loss.item():g} and its gradient {norm.item():g}. "
        "The last checkpoint is as it was: look at the rewards, or lower --lr"
    )


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns); 0 where the returns are all equal."""
    variance = returns.var(correction=0)
    left = (returns - values).var(correction=0)
    return float(1 - left / variance) if variance > 0 else 0.0


class Means:
    """Means of named scalars; the tensors are read once, at the end."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    def add(self, report: Mapping[str, Tensor]) -> None:
        """Count one more value of each name."""
        for name, value in report.items():
            self._values.setdefault(name, []).append(value.detach())

    def values(self) -> dict[str, float]:
        """The means so far."""
        return {name: float(torch.stack(values).mean()) for name, values in self._values.items()}
