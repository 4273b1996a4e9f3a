"""Minibatches of what is already labelled, to be distilled once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lvlm2p.student.learn.columns import Columns
    from lvlm2p.student.models.encoder import Encoder
    from lvlm2p.student.models.inputs import Inputs


class Replayed(NamedTuple):
    """A minibatch, as :class:`~lvlm2p.student.learn.rollout.Minibatch` has it."""

    inputs: Inputs
    state: Tensor
    episode_start: Tensor
    targets: Tensor
    weight: Tensor


def replay_states(
    states: Columns, encoder: Encoder, batches: int, size: int, generator: torch.Generator
) -> Iterator[Replayed]:
    """Labelled states in any order, (size, ...): for a student without memory."""
    known = states["weight"].nonzero().squeeze(1)
    if not len(known):
        return
    for rows in known[torch.randint(len(known), (batches, size), generator=generator)]:
        inputs = encoder.stored(states["observation"][rows], states["mission"][rows])
        start = torch.zeros_like(inputs.mission, dtype=torch.bool)
        targets, weight = (states[name][rows].to(start.device) for name in ("targets", "weight"))
        yield Replayed(inputs, targets.new_empty((0, 2, 0)), start, targets, weight)


def replay_sequences(
    sequences: Mapping[str, Tensor],
    targets: Tensor,
    weight: Tensor,
    encoder: Encoder,
    batches: int,
    size: int,
    generator: torch.Generator,
) -> Iterator[Replayed]:
    """Sequences (steps, size // steps, ...) with a labelled state, and the state before each.

    ``sequences``: columns of a :class:`~lvlm2p.student.learn.sequences.SequenceBuffer`, whose
    targets are (sequences, steps, actions).
    """
    known = (weight > 0).any(1).nonzero().squeeze(1)
    if not len(known):
        return
    together = (batches, max(1, size // weight.shape[1]))
    for chosen in known[torch.randint(len(known), together, generator=generator)]:
        observation, mission, start = (
            sequences[name][chosen].transpose(0, 1)
            for name in ("observation", "mission", "episode_start")
        )
        yield Replayed(
            encoder.stored(observation, mission),
            sequences["state"][chosen].to(encoder.device),
            start.to(encoder.device),
            targets[chosen].transpose(0, 1).to(encoder.device),
            weight[chosen].t().to(encoder.device),
        )
