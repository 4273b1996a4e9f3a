"""What N environments gave in T steps, and the minibatches to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from lvlm2p.student.models.inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lvlm2p.envs import Observation

Targets = tuple[Tensor, Tensor]
"""What is distilled, (..., actions), and its weight, (...,): 0 where there is nothing."""


class Position(NamedTuple):
    """Where N environments stand, and what the policy remembers of their episodes."""

    observation: Observation
    state: Tensor
    """Of the policy, (N, 2, size)."""
    episode_start: Tensor
    """(N,) bool: the observation is an episode's first."""


class Minibatch(NamedTuple):
    """Frames (B,) in any order; with memory sequences (T, B) with the state before them."""

    inputs: Inputs
    state: Tensor
    episode_start: Tensor
    actions: Tensor
    log_probs: Tensor
    advantages: Tensor
    returns: Tensor
    targets: Tensor
    """(..., actions): what is distilled; zeros where there is no label."""
    weight: Tensor
    """(...,): of the label in the distillation loss; 0 where there is none."""


@dataclass(frozen=True)
class Rollout:
    """T * N frames, time first then environment, flattened: each tensor is (T * N, ...)."""

    inputs: Inputs
    state: Tensor
    """Of the policy, before the first step, (N, 2, size)."""
    episode_start: Tensor
    """Whether a frame is an episode's first."""
    actions: Tensor
    log_probs: Tensor
    """Of the actions taken, when they were taken."""
    advantages: Tensor
    returns: Tensor
    """Targets of the critic: advantage + value."""
    values: Tensor
    rows: Tensor
    """Rows of the label buffer, or UNASKED."""
    end: Position
    """Where the next rollout begins."""
    episode_returns: list[float]
    episode_lengths: list[int]
    episode_successes: list[bool]

    def minibatches(
        self, size: int, generator: torch.Generator, targets: Targets | None
    ) -> Iterator[Minibatch]:
        """Each frame once, in random order: single frames, or with memory whole sequences.

        ``targets``: of ``rows``; None: without a teacher.
        """
        n, device = len(self.state), self.actions.device
        if self.state.shape[-1] == 0:
            order = torch.randperm(len(self.actions), generator=generator)
            for rows in torch.split(order, size):
                yield self._minibatch(rows.to(device), self.state, targets)
            return
        steps = len(self.actions) // n
        order = torch.randperm(n, generator=generator)
        for chosen in torch.split(order, max(1, size // steps)):
            rows = torch.arange(steps).unsqueeze(1) * n + chosen
            yield self._minibatch(rows.to(device), self.state[chosen.to(device)], targets)

    def whole(self, targets: Targets | None) -> Minibatch:
        """Everything as sequences (T, N)."""
        rows = torch.arange(len(self.actions), device=self.actions.device)
        return self._minibatch(rows.view(-1, len(self.state)), self.state, targets)

    def _minibatch(self, rows: Tensor, state: Tensor, targets: Targets | None) -> Minibatch:
        if targets is None:
            targets = self.values.unsqueeze(1), torch.zeros_like(self.values)
        frames = (self.actions, self.log_probs, self.advantages, self.returns, *targets)
        return Minibatch(
            self.inputs.take(rows),
            state,
            self.episode_start[rows],
            *(column[rows] for column in frames),
        )
