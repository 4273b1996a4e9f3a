"""Collecting experience: N environments for T steps."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lvlm2p.student.learn.gae import advantages
from lvlm2p.student.learn.labels import UNASKED
from lvlm2p.student.learn.rollout import Position, Rollout
from lvlm2p.student.models.inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lvlm2p.envs import Step, VectorEnv, View
    from lvlm2p.student.learn.labels import LabelBuffer
    from lvlm2p.student.learn.learner import Learner
    from lvlm2p.student.models.encoder import Encoder
    from lvlm2p.student.models.policy import Policy

VALUES_AT_ONCE = 1024
"""Frames whose values are computed together, so that images do not fill the memory."""


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

    def add(
        self, inputs: Inputs, episode_start: Tensor, logits: Tensor, action: Tensor, step: Step
    ) -> None:
        """One more step."""
        self.inputs.append(inputs)
        self.episode_start.append(episode_start)
        self.logits.append(logits)
        self.actions.append(action)
        self.steps.append(step)

    def column(self, name: str) -> NDArray[Any]:
        """(T, N) of a field of the environments' steps."""
        return np.stack([getattr(step, name) for step in self.steps])


async def collect(
    env: VectorEnv,
    start: Position,
    learner: Learner,
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
    record, act, device = _Record(), learner.acting(encoder), state.device
    noise = gumbel_noise((steps, len(state), learner.policy.actions), generator).to(device)
    for t in range(steps):
        if stop.is_set():
            return None
        inputs, logits, state = await act(observation, state, episode_start)
        action = (logits + noise[t]).argmax(1)
        views = env.views() if labels is not None or seen is not None else []
        if seen is not None:
            seen(views)
        if labels is not None:
            entropies = entropy_of(logits) if labels.wants_entropy else None
            record.rows.append(labels.rows(views, inputs, entropies))
        step = env.step(action.cpu().numpy())
        record.add(inputs, episode_start, logits, action, step)
        if step.truncated.any():
            which = torch.from_numpy(np.flatnonzero(step.truncated[step.ended])).to(device)
            cut = torch.from_numpy(step.ended).to(device)[which]
            record.cut_short.append((t, cut, encoder(step.final_obs).take(which), state[cut]))
        observation = step.obs
        episode_start = torch.from_numpy(step.terminated | step.truncated).to(device)
    if labels is not None:
        await learner.pause()
        if not labels.wait(stop):
            return None
    end = Position(observation, state, episode_start)
    return _rollout(record, start, end, learner.policy, encoder, gamma, gae_lambda)


@torch.no_grad()
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


def gumbel_noise(size: Sequence[int], generator: torch.Generator) -> Tensor:
    """argmax(logits + this noise) is a sample from softmax(logits)."""
    return -torch.rand(size, generator=generator).log().neg_().log_()


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
