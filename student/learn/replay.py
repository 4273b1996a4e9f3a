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
    states: Columns,
    images: Columns,
    encoder: Encoder,
    batches: int,
    size: int,
    generator: torch.Generator,
) -> Iterator[Replayed]:
    """Labelled states and images of them in any order, (size, ...): for a student without
    memory."""
    known = states["weight"].nonzero().squeeze(1)
    if not len(known):
        return
    both = len(known) + len(images)
    for rows in torch.randint(both, (batches, size), generator=generator):
        own = known[rows[rows < len(known)]]
        other = rows[rows >= len(known)] - len(known)

        def column(name: str, own: Tensor = own, other: Tensor = other) -> Tensor:
            return torch.cat([states[name][own], images[name][other]])

        inputs = encoder.stored(column("observation"), column("mission"))
        start = torch.zeros_like(inputs.mission, dtype=torch.bool)
        targets, weight = (column(name).to(start.device) for name in ("targets", "weight"))
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
