"""The student: an actor and a critic that know what the mission means before they look.

A cell looks like a few random numbers that never change. Beside them each cell and each word has a
learned vector, and the dot product of a cell's vector with the mission's is one more channel of the
grid, "this is what the mission is about": with it, missions that were never seen in this place are
understood, where a network that meets the mission after its image features learns them one by one
(docs/training.md has the figures).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lvlm2p.student.models.encoding import CELL_KINDS, MISSION_LENGTH, WORDS

if TYPE_CHECKING:
    from lvlm2p.student.models.encoding import Numbers

LOOKS = 4
"""Numbers that a kind of cell looks like."""

MEANING = 16
"""Length of the vectors that cells and missions are compared by."""

GAIN = 20.0
"""These vectors are stored at 1 / GAIN of their size: Adam moves each number by the learning rate,
and a few hundred steps must be enough to turn a random vector around."""

SPREAD = 0.6
"""Standard deviation of what an object, a colour or a state adds to a cell's look or vector."""


class Read(NamedTuple):
    """What T towers (the actor, the critic or both) make of M missions, before they look."""

    layers: dict[str, Tensor]
    """The towers' parameters by name, each (T, ...)."""
    said: Tensor
    """What the mission adds to the first layer, (T, M, hidden)."""
    meant: Tensor
    """How much each mission is about each kind of cell, (T, M * CELL_KINDS)."""


class Network(nn.Module):
    """Actor and critic for ``cells`` cells and ``actions`` actions.

    Any grid size: of the parameters only those of the first layers depend on it. The two share
    nothing that is learned, so that distillation, which teaches the actor alone, does not pull the
    critic's inputs away. Each keeps its parameters in one vector, in the order of ``shapes``, and
    both are computed side by side: a network this small costs calls more than arithmetic.
    """

    parts: Tensor
    looks: Tensor

    def __init__(self, cells: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.cells, self.actions, self.hidden = cells, actions, hidden
        parts = _parts()
        self.register_buffer("parts", parts * GAIN, persistent=False)
        self.register_buffer("looks", parts.t() @ (torch.randn(len(parts), LOOKS) * SPREAD))
        self.shapes = {
            "meanings": (MEANING, len(parts)),
            "words": (WORDS, MEANING),
            "order": (MISSION_LENGTH, MEANING),
            "from_looks": (cells * LOOKS, hidden),
            "from_meant": (cells, hidden),
            "from_mission": (MEANING, hidden),
            "first_bias": (1, hidden),
            "second": (hidden, hidden),
            "second_bias": (1, hidden),
        }
        self.actor, self.critic = self._tower(), self._tower()
        self.action, self.worth = _layer(hidden, actions, 0.01), _layer(hidden, 1, 1.0)

    def _tower(self) -> nn.Parameter:
        first = _orthogonal(self.cells * (LOOKS + 1) + MEANING, self.hidden)
        words = torch.randn(self.shapes["words"]) * SPREAD / GAIN
        tower = [
            torch.randn(self.shapes["meanings"]) * SPREAD / GAIN,
            words,
            torch.ones(self.shapes["order"]),
            first,
            torch.zeros(self.hidden),
            _orthogonal(self.hidden, self.hidden),
            torch.zeros(self.hidden),
        ]
        return nn.Parameter(torch.cat([tensor.flatten() for tensor in tower]))

    def policy(self, cells: Tensor, words: Tensor) -> Tensor:
        """Logits (B, actions), for cells (B, cells) and words (B, any), of any integer type."""
        missions, which = _distinct(words)
        features = self._look(self._read(self.actor.unsqueeze(0), missions), cells, which)
        logits: Tensor = self.action(features[0])
        return logits

    def value(self, cells: Tensor, words: Tensor) -> Tensor:
        """Values (B,)."""
        missions, which = _distinct(words)
        features = self._look(self._read(self.critic.unsqueeze(0), missions), cells, which)
        value: Tensor = self.worth(features[0])
        return value.squeeze(1)

    def forward(self, cells: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, actions) and values (B,)."""
        missions, which = _distinct(words)
        towers = torch.stack([self.actor, self.critic])
        features = self._look(self._read(towers, missions), cells, which)
        return self.action(features[0]), self.worth(features[1]).squeeze(1)

    def _read(self, towers: Tensor, missions: Tensor) -> Read:
        """Towers (T, parameters), missions (M, length) as word numbers, 0 behind the last."""
        sizes = [prod(shape) for shape in self.shapes.values()]
        split = torch.split(towers, sizes, dim=1)
        layers = {
            name: part.view(-1, *shape)
            for (name, shape), part in zip(self.shapes.items(), split, strict=True)
        }
        order = layers["order"][:, None, : missions.shape[1]] * (missions != 0).unsqueeze(2)
        mission = (layers["words"][:, missions] * order).sum(2) * GAIN
        said = torch.baddbmm(layers["first_bias"], mission, layers["from_mission"])
        meant = mission @ (layers["meanings"] @ self.parts)
        return Read(layers, said, meant.flatten(1))

    def _look(self, read: Read, cells: Tensor, which: Tensor) -> Tensor:
        """Cells (B, cells) and the missions they belong to (B,); last layer (T, B, hidden)."""
        p, n, kinds = read.layers, len(read.said), cells.long()
        # The four floats of a look are fetched as one number of 16 bytes, which is much faster.
        numbers = self.looks.view(torch.complex128).squeeze(1).take(kinds)
        looks = numbers.view(torch.float32).expand(n, -1, -1)
        places = ((which * CELL_KINDS).unsqueeze(1) + kinds).view(1, -1).expand(n, -1)
        meant = read.meant.gather(1, places).view(n, *cells.shape)
        x = torch.baddbmm(read.said[:, which], looks, p["from_looks"])
        x = torch.baddbmm(x, meant, p["from_meant"]).relu()
        return torch.baddbmm(p["second_bias"], x, p["second"]).relu()


class Actor:
    """The policy with the parameters of this moment, for stepping: it reads each mission once."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._known: dict[bytes, int] = {}
        self._missions: list[Numbers] = []
        self._read: Read | None = None

    @torch.no_grad()
    def __call__(self, cells: Numbers, words: Numbers) -> Tensor:
        """Logits (B, actions)."""
        which = []
        for row in words:
            number = self._known.setdefault(row.tobytes(), len(self._known))
            if number == len(self._missions):
                self._missions.append(row)
                self._read = None
            which.append(number)
        network = self._network
        if self._read is None:
            missions = torch.from_numpy(np.stack(self._missions).astype(np.int64))
            self._read = network._read(network.actor.unsqueeze(0), missions)
        features = network._look(self._read, torch.from_numpy(cells), torch.tensor(which))
        logits: Tensor = network.action(features[0])
        return logits


def _distinct(words: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that occur, int64 and without the zeros that all end with; which one each row is.

    There are few missions: each is read once. (Rows as bytes are sorted in no time.)
    """
    rows = words.contiguous().numpy()
    keys = rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    missions = rows[first]
    missions = missions[:, : np.count_nonzero(missions.any(0))].astype(np.int64)
    return torch.from_numpy(missions), torch.from_numpy(which)


def _parts() -> Tensor:
    """(16 objects + 8 colours + 4 states, CELL_KINDS): 1 where the kind of cell has the part."""
    kind = torch.arange(CELL_KINDS)
    parts = torch.zeros(16 + 8 + 4, CELL_KINDS)
    parts[kind >> 5, kind] = parts[16 + (kind >> 2 & 7), kind] = parts[24 + (kind & 3), kind] = 1.0
    return parts


def _orthogonal(inputs: int, outputs: int, gain: float = 2**0.5) -> Tensor:
    return nn.init.orthogonal_(torch.empty(outputs, inputs), gain).t()


def _layer(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
