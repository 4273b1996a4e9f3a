"""The student: an actor and a critic that know what the mission means before they look.

Each cell and each word has a learned vector. The dot product of a cell's vector with the mission's
is one more channel of the grid, "this is what the mission is about": with it, missions that were
never seen in this place are understood, where a network that meets the mission after its image
features learns them one by one (docs/training.md has the figures).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from student.encoding import CELL_KINDS, MISSION_LENGTH, WORDS

CHANNELS = 4
"""Learned channels of a cell that the actor and the critic see."""

MEANING = 16
"""Length of the vectors that cells and missions are compared by."""

GAIN = 20.0
"""Vectors are stored at 1 / GAIN of their size: Adam moves each number by the learning rate, and a
few hundred steps must be enough to turn a random vector around."""


class Tower(nn.Module):
    """From cells and words to ``outputs`` numbers."""

    def __init__(self, cells: int, hidden: int, outputs: int, gain: float) -> None:
        super().__init__()
        # A cell's vector is the sum of its object's, its colour's and its state's.
        channels = CHANNELS + MEANING
        self.objects = _small(channels, 16, 1, 1)
        self.colours = _small(channels, 1, 8, 1)
        self.states = _small(channels, 1, 1, 4)
        self.words = _small(WORDS, MEANING)
        self.order = nn.Parameter(torch.ones(MISSION_LENGTH, MEANING))
        self.layers = _mlp(cells * (CHANNELS + 1) + MEANING, hidden, outputs, gain)

    def forward(self, kinds: Tensor, cells: Tensor, words: Tensor) -> Tensor:
        """Kinds (K,) of cells that occur, cells (B, cells) as places in ``kinds`` and words
        (B, length), all int64, to (B, outputs)."""
        table = (self.objects + self.colours + self.states).view(-1, CELL_KINDS)[:, kinds] * GAIN
        length = words.shape[1]
        vectors = nn.functional.embedding(words, self.words) * self.order[:length] * GAIN
        mission = (vectors * (words != 0).unsqueeze(2)).sum(1)
        # gather is several times faster than an embedding in the backward pass
        flat = cells.view(1, -1).expand(CHANNELS, -1)
        seen = table[:CHANNELS].gather(1, flat).view(CHANNELS, *cells.shape)
        meant = (mission @ table[CHANNELS:]).gather(1, cells)
        result: Tensor = self.layers(torch.cat([*seen, meant, mission], dim=1))
        return result


class Network(nn.Module):
    """Actor and critic for ``cells`` cells and ``actions`` actions.

    Any grid size: of the parameters only the first layers' depend on it. The two share nothing, so
    that distillation, which teaches the actor alone, does not pull the critic's inputs away.
    """

    def __init__(self, cells: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.cells, self.actions, self.hidden = cells, actions, hidden
        self.actor = Tower(cells, hidden, actions, gain=0.01)
        self.critic = Tower(cells, hidden, 1, gain=1.0)

    def policy(self, cells: Tensor, words: Tensor) -> Tensor:
        """Logits (B, actions), for cells (B, cells) and words (B, any), of any integer type."""
        logits: Tensor = self.actor(*_indices(cells, words))
        return logits

    def value(self, cells: Tensor, words: Tensor) -> Tensor:
        """Values (B,)."""
        value: Tensor = self.critic(*_indices(cells, words))
        return value.squeeze(1)

    def forward(self, cells: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, actions) and values (B,)."""
        indices = _indices(cells, words)
        return self.actor(*indices), self.critic(*indices).squeeze(1)


def _indices(cells: Tensor, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As int64: the kinds of cells that occur (few of them do, and only those need vectors), where
    among them each cell is, and the words without the zeros that all of them end with."""
    cells, words = cells.long(), words.long()
    occurs = torch.zeros(CELL_KINDS, dtype=torch.bool)
    occurs[cells.view(-1)] = True
    place = occurs.cumsum(0) - 1
    length = int((words != 0).any(0).sum())
    return occurs.nonzero().squeeze(1), place[cells], words[:, :length]


def _small(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) * 0.6 / GAIN)


def _mlp(inputs: int, hidden: int, outputs: int, gain: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size, following, scale in (
        (inputs, hidden, 2**0.5),
        (hidden, hidden, 2**0.5),
        (hidden, outputs, gain),
    ):
        layer = nn.Linear(size, following)
        nn.init.orthogonal_(layer.weight, scale)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
