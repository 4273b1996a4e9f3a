"""Collecting experience: N environments for T steps, and what came of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lvlm2p.student.learn.gae import advantages
from lvlm2p.student.learn.labels import UNASKED
from lvlm2p.student.models.inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lvlm2p.envs import Observation, Step, VectorEnv, View
    from lvlm2p.student.learn.labels import LabelBuffer
    from lvlm2p.student.models.encoder import Encoder
    from lvlm2p.student.models.policy import Policy

VALUES_AT_ONCE = 1024
"""Frames whose values are computed together, so that images do not fill the memory."""


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
    labelled: Tensor


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
        self, size: int, generator: torch.Generator, labels: LabelBuffer | None
    ) -> Iterator[Minibatch]:
        """Each frame once, in random order: single frames, or with memory whole sequences."""
        n, device = len(self.state), self.actions.device
        targets = self._targets(labels)
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

    def whole(self, labels: LabelBuffer | None) -> Minibatch:
        """Everything as sequences (T, N)."""
        rows = torch.arange(len(self.actions), device=self.actions.device)
        return self._minibatch(rows.view(-1, len(self.state)), self.state, self._targets(labels))

    def _targets(self, labels: LabelBuffer | None) -> tuple[Tensor, Tensor]:
        if labels is not None:
            return labels.lookup(self.rows)
        return self.values.unsqueeze(1), self.rows != self.rows

    def _minibatch(self, rows: Tensor, state: Tensor, targets: tuple[Tensor, Tensor]) -> Minibatch:
        frames = (self.actions, self.log_probs, self.advantages, self.returns, *targets)
        return Minibatch(
            self.inputs.take(rows),
            state,
            self.episode_start[rows],
            *(column[rows] for column in frames),
        )


@dataclass
class _Record:
    """What T steps gave, one entry for each step."""

    inputs: list[Inputs] = field(default_factory=list)
    episode_start: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    actions: list[Tensor] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    cut_short: list[tuple[int, Tensor, Inputs, Tensor]] = field(default_factory=list)
    """Step, environments, last observations and policy's states of episodes that time ended."""

    def column(self, name: str) -> NDArray[Any]:
        """(T, N) of a field of the environments' steps."""
        return np.stack([getattr(step, name) for step in self.steps])


@torch.no_grad()
def collect(
    env: VectorEnv,
    start: Position,
    policy: Policy,
    encoder: Encoder,
    labels: LabelBuffer | None,
    *,
    steps: int,
    gamma: float,
    gae_lambda: float,
    generator: torch.Generator,
    stop: threading.Event,
    seen: Callable[[Sequence[View]], None] | None = None,
) -> Rollout | None:
    """Step ``env`` with the policy; None where ``stop`` was set on the way.

    ``labels`` gets every state as soon as it is there, and its teacher answers meanwhile; ``seen``
    gets the views, if there is one.
    """
    observation, state, episode_start = start
    record, act, device = _Record(), policy.acting(), state.device
    # argmax(logits + Gumbel noise) is a sample from softmax(logits)
    size = (steps, len(state), policy.actions)
    noise = -torch.rand(size, generator=generator).log().neg_().log_().to(device)
    for t in range(steps):
        if stop.is_set():
            return None
        inputs = encoder(observation)
        logits, state = act(inputs, state, episode_start)
        action = (logits + noise[t]).argmax(1)
        if labels is not None or seen is not None:
            views = env.views()
            if seen is not None:
                seen(views)
            if labels is not None:
                entropies = entropy_of(logits) if labels.wants_entropy else None
                record.rows.append(labels.rows(views, inputs, entropies))
        step = env.step(action.cpu().numpy())
        record.inputs.append(inputs)
        record.episode_start.append(episode_start)
        record.logits.append(logits)
        record.actions.append(action)
        record.steps.append(step)
        if step.truncated.any():
            which = torch.from_numpy(np.flatnonzero(step.truncated[step.ended])).to(device)
            cut = torch.from_numpy(step.ended).to(device)[which]
            record.cut_short.append((t, cut, encoder(step.final_obs).take(which), state[cut]))
        observation = step.obs
        episode_start = torch.from_numpy(step.terminated | step.truncated).to(device)
    if labels is not None and not labels.wait(stop):
        return None
    end = Position(observation, state, episode_start)
    return _rollout(record, start, end, policy, encoder, gamma, gae_lambda)


def _rollout(
    record: _Record,
    start: Position,
    end: Position,
    policy: Policy,
    encoder: Encoder,
    gamma: float,
    gae_lambda: float,
) -> Rollout:
    device = start.state.device
    inputs = Inputs(
        torch.stack([step.observation for step in record.inputs]),
        torch.stack([step.mission for step in record.inputs]),
        encoder.tokens(),
    )
    episode_start = torch.stack(record.episode_start)
    values = _values(policy, inputs, start.state, episode_start)
    next_values = torch.cat([values[1:], _value(policy, encoder(end.observation), end)])
    for t, cut, last, state in record.cut_short:
        never = torch.zeros_like(cut, dtype=torch.bool)
        next_values[t, cut] = _value(policy, last, Position(end.observation, state, never))[0]
    terminated = torch.from_numpy(record.column("terminated"))
    advantage = advantages(
        torch.from_numpy(record.column("reward")).float().to(device),
        values,
        next_values,
        terminated.to(device),
        (terminated | torch.from_numpy(record.column("truncated"))).to(device),
        gamma,
        gae_lambda,
    )
    actions = torch.stack(record.actions)
    log_probs = torch.stack(record.logits).log_softmax(-1).gather(2, actions.unsqueeze(2))
    rows = torch.tensor(record.rows) if record.rows else torch.full(actions.shape, UNASKED)
    steps = record.steps
    return Rollout(
        inputs=inputs.flatten(),
        state=start.state,
        episode_start=episode_start.flatten(),
        actions=actions.flatten(),
        log_probs=log_probs.flatten(),
        advantages=advantage.flatten(),
        returns=(advantage + values).flatten(),
        values=values.flatten(),
        rows=rows.flatten().to(device),
        end=end,
        episode_returns=[float(total) for step in steps for total in step.returns],
        episode_lengths=[int(length) for step in steps for length in step.lengths],
        episode_successes=[bool(success) for step in steps for success in step.successes],
    )


def entropy_of(logits: Tensor) -> NDArray[Any]:
    """Entropy of each policy, in nats: (N, actions) to (N,)."""
    log_probs = logits.log_softmax(-1)
    result: NDArray[Any] = -(log_probs.exp() * log_probs).sum(-1).cpu().numpy()
    return result


def _value(policy: Policy, inputs: Inputs, position: Position) -> Tensor:
    """Values (1, N) of single observations, given what is remembered."""
    one_step = Inputs(inputs.observation[None], inputs.mission[None], inputs.tokens)
    return policy.values(one_step.compact(), position.state, position.episode_start[None])


def _values(policy: Policy, inputs: Inputs, state: Tensor, episode_start: Tensor) -> Tensor:
    """Values (T, N) of whole sequences."""
    together = max(1, VALUES_AT_ONCE // len(episode_start))
    chunks = torch.split(torch.arange(len(state), device=state.device), together)
    return torch.cat(
        [
            policy.values(
                Inputs(
                    inputs.observation[:, rows], inputs.mission[:, rows], inputs.tokens
                ).compact(),
                state[rows],
                episode_start[:, rows],
            )
            for rows in chunks
        ],
        dim=1,
    )
