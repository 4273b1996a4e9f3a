"""Collecting experience: N environments for T steps, and what came of it as (T, N) tensors."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lvlm2p.student.learn.gae import advantages
from lvlm2p.student.learn.labels import UNASKED
from lvlm2p.student.models.policy import Actor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lvlm2p.envs import Observation, VectorEnv, View
    from lvlm2p.student.learn.labels import LabelBuffer
    from lvlm2p.student.models.encoding import Encoder, Numbers
    from lvlm2p.student.models.policy import Network


@dataclass(frozen=True)
class Rollout:
    """T * N frames, time first then environment, flattened: each field is (T * N, ...)."""

    cells: Tensor
    words: Tensor
    actions: Tensor
    log_probs: Tensor
    """Of the actions taken, when they were taken."""
    advantages: Tensor
    returns: Tensor
    """Targets of the critic: advantage + value."""
    values: Tensor
    rows: Tensor
    """Rows of the label buffer, or UNASKED."""
    observation: Observation
    """After the last step: where the next rollout begins."""
    episode_returns: list[float]
    episode_lengths: list[int]
    episode_successes: list[bool]


@torch.no_grad()
def collect(
    env: VectorEnv,
    observation: Observation,
    network: Network,
    encoder: Encoder,
    book: LabelBuffer | None,
    *,
    steps: int,
    gamma: float,
    gae_lambda: float,
    generator: torch.Generator,
    stop: threading.Event,
    seen: Callable[[Sequence[View]], None] | None = None,
) -> Rollout | None:
    """Step ``env`` with the network's policy; None where ``stop`` was set on the way.

    ``book`` gets every state as soon as it is there, and its teacher answers meanwhile; ``seen``
    gets the views, if there is one.
    """
    n = len(observation.mission)
    actor = Actor(network)
    # argmax(logits + Gumbel noise) is a sample from softmax(logits)
    noise = -torch.rand((steps, n, network.actions), generator=generator).log().neg_().log_()
    entropies: NDArray[Any] = np.zeros(n)
    cells: list[Numbers] = []
    words: list[Numbers] = []
    rows: list[list[int]] = []
    actions: list[Tensor] = []
    logits: list[Tensor] = []
    rewards: list[NDArray[Any]] = []
    terminated: list[NDArray[Any]] = []
    truncated: list[NDArray[Any]] = []
    last_states: list[tuple[int, int, Numbers, Numbers]] = []  # of episodes that time cut short
    episode_returns: list[float] = []
    episode_lengths: list[int] = []
    episode_successes: list[bool] = []

    for t in range(steps):
        if stop.is_set():
            return None
        cell, word = encoder(observation)
        logit = actor(cell, word)
        action = (logit + noise[t]).argmax(1)
        if book is not None or seen is not None:
            views = env.views()
            if seen is not None:
                seen(views)
            if book is not None:
                if book.wants_entropy:
                    entropies = entropy_of(logit)
                rows.append(book.rows(views, cell, word, entropies))
        step = env.step(action.numpy())
        cells.append(cell)
        words.append(word)
        actions.append(action)
        logits.append(logit)
        rewards.append(step.reward)
        terminated.append(step.terminated)
        truncated.append(step.truncated)
        if len(step.ended):
            episode_returns += step.returns.tolist()
            episode_lengths += step.lengths.tolist()
            episode_successes += step.successes.tolist()
            if step.truncated.any():
                final = zip(step.ended, *encoder(step.final_obs), strict=True)
                last_states += [(t, i, c, w) for i, c, w in final if step.truncated[i]]
        observation = step.obs

    if book is not None and not book.wait(stop):
        return None
    cell, word = encoder(observation)
    every_cell = torch.from_numpy(np.concatenate([*cells, cell]))
    every_word = torch.from_numpy(np.concatenate([*words, word]))
    values = _values(network, every_cell, every_word).view(steps + 1, n)
    next_values = values[1:].clone()
    if last_states:
        _, _, c, w = zip(*last_states, strict=True)
        final_values = _values(
            network, torch.from_numpy(np.stack(c)), torch.from_numpy(np.stack(w))
        )
        for (t, i, _, _), value in zip(last_states, final_values, strict=True):
            next_values[t, i] = value
    ended = torch.from_numpy(np.stack(terminated) | np.stack(truncated))
    advantage = advantages(
        torch.from_numpy(np.stack(rewards)).float(),
        values[:-1],
        next_values,
        torch.from_numpy(np.stack(terminated)),
        ended,
        gamma,
        gae_lambda,
    )
    taken = torch.stack(actions)
    log_probs = torch.stack(logits).log_softmax(-1).gather(2, taken.unsqueeze(2)).squeeze(2)

    frames = steps * n
    return Rollout(
        cells=every_cell[:frames],
        words=every_word[:frames],
        actions=taken.flatten(),
        log_probs=log_probs.flatten(),
        advantages=advantage.flatten(),
        returns=(advantage + values[:-1]).flatten(),
        values=values[:-1].flatten(),
        rows=torch.tensor(rows).flatten() if rows else torch.full((frames,), UNASKED),
        observation=observation,
        episode_returns=episode_returns,
        episode_lengths=episode_lengths,
        episode_successes=episode_successes,
    )


def entropy_of(logits: Tensor) -> Any:
    """Entropy of each policy, in nats: (N, actions) to a NumPy array (N,)."""
    log_probs = logits.log_softmax(-1)
    return -(log_probs.exp() * log_probs).sum(-1).numpy()


def _values(network: Network, cells: Tensor, words: Tensor, batch: int = 1024) -> Tensor:
    pairs = zip(torch.split(cells, batch), torch.split(words, batch), strict=True)
    return torch.cat([network.value(c, w) for c, w in pairs])
