"""Generalised advantage estimation (Schulman et al. 2016, eq. 16)."""

from __future__ import annotations

import torch
from torch import Tensor


def advantages(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    ended: Tensor,
    gamma: float,
    gae_lambda: float,
) -> Tensor:
    """Advantages (T, N) of T steps in N environments; all arguments are (T, N).

    ``next_values[t]`` is the value of the state that step t led to: where an episode was cut short
    by its time limit, of its true last state and not of the next episode's first. Only a
    ``terminated`` episode has no future; ``ended`` (terminated or cut short) stops the sum.
    """
    deltas = rewards + gamma * next_values * ~terminated - values
    keep = gamma * gae_lambda * ~ended
    result = torch.empty_like(deltas)
    running = torch.zeros_like(deltas[0])
    for t in range(len(deltas) - 1, -1, -1):
        running = deltas[t] + keep[t] * running
        result[t] = running
    return result
