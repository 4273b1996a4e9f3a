"""Grids of MiniGrid's symbols: (object, colour, state) of each cell.

The grid is shown as the agent sees it: the agent in the middle, looking up. All of the grid stays
in view, but "the door is ahead and to the left" is one picture instead of one for every place and
direction, and a student needs a fraction of the frames to learn what to do about it.

A cell is embedded as a few random numbers that never change. One more number says how much the
mission is about it: the dot product of a learned vector of the cell's and one of the mission's,
and how that compares with all other cells (attention). With it, missions that were never seen in
this place are understood, where a network that meets the mission after its image features learns
them one by one (docs/training.md has the figures).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from lvlm2p.student.models.mission import (
    EMBEDDING_SCALE,
    EMBEDDING_STD,
    MISSION_FEATURES,
    Features,
    MissionEmbedding,
    MissionReading,
    orthogonal_linear,
)

if TYPE_CHECKING:
    from lvlm2p.envs import Observation

CELL_KINDS = 512
"""16 objects x 8 colours x 4 states: all of MiniGrid's cells are told apart."""

SYMBOLS = 16 + 8 + 4
CELL_FEATURES = 4

TEMPERATURE, ATTENTION = 10.0, 30.0
"""Of the softmax over cells, and its weight beside the similarity itself, whose size is about 30
once it has been learned."""

_BYTES = np.arange(256, dtype=np.int16)
_OBJECTS = (_BYTES & 15) << 5 | (_BYTES >> 4 & 7) << 2 | _BYTES >> 7
_COLOURS = (_BYTES & 7) << 2
_STATES = _BYTES & 3

AGENT = 10
"""MiniGrid's number for the agent's own cell."""


def cell_kinds(symbols: NDArray[np.uint8]) -> NDArray[np.int16]:
    """MiniGrid's (object, colour, state) triples as one number below CELL_KINDS; (..., 3) to (...).

    An environment that has no colours and states may use all 256 values of the first symbol.
    """
    numbers: NDArray[np.int16] = _OBJECTS.take(symbols[..., 0])
    numbers ^= _COLOURS.take(symbols[..., 1])
    numbers ^= _STATES.take(symbols[..., 2])
    return numbers


def cell_tables() -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:
    """What each of the three symbols, 0 to 255, adds to a cell's kind: they are joined by xor."""
    return _OBJECTS, _COLOURS, _STATES


class GridArrays:
    """Grids as kinds of cells, (N, cells) int16, egocentric where there is an agent.

    What is carried is shown where the agent is, as MiniGrid's own partial view does it; where
    there is no agent, behind the last cell.

    Attributes:
        places: which cell is shown where (width * height * 4, cells), by the agent's place and
            direction; None: the grid is shown as it is.
    """

    def __init__(self, shape: tuple[int, ...], has_agent: bool) -> None:
        width, height, _ = shape
        self.places = _egocentric_places(width, height) if has_agent else None
        cells = width * height + 1 if self.places is None else self.places.shape[1]
        self.shape, self.dtype = (cells,), np.dtype(np.int16)

    def __call__(self, observation: Observation) -> NDArray[np.int16]:
        """Of N observations."""
        grid = observation.values
        n, size = len(grid), grid.shape[1] * grid.shape[2]
        # behind the last cell: what is carried, then nothing (for what is outside the grid)
        cells = np.zeros((n, size + 2), np.int16)
        cells[:, :size] = cell_kinds(grid.reshape(n, size, 3))
        cells[:, size] = _OBJECTS[observation.carrying[:, 0]] ^ _COLOURS[observation.carrying[:, 1]]
        if self.places is None:
            return cells[:, : size + 1]
        agent = (grid[..., 0].reshape(n, size) == AGENT).argmax(1)
        first = np.arange(n) * size
        direction = grid.reshape(-1, 3)[first + agent, 2] & 3
        places = self.places[agent * 4 + direction] + (first + 2 * np.arange(n))[:, None]
        shown: NDArray[np.int16] = cells.ravel().take(places)
        return shown


def _egocentric_places(width: int, height: int) -> NDArray[Any]:
    """Which cell is shown where, for each place and direction of the agent.

    (width * height * 4, side²); a cell's number is x * height + y, width * height is what is
    carried and the number after that is nothing. The side is such that from every place within the
    outer walls the whole grid is in view.
    """
    radius = max(width, height) - 2
    side = np.arange(-radius, radius + 1)
    back, right = (a.ravel() for a in np.meshgrid(side, side, indexing="ij"))
    places = np.empty((width, height, 4, back.size), np.int64)
    for direction, (dx, dy) in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1)]):
        for x in range(width):
            for y in range(height):
                to_x, to_y = x - back * dx - right * dy, y - back * dy + right * dx
                inside = (to_x >= 0) & (to_x < width) & (to_y >= 0) & (to_y < height)
                places[x, y, direction] = np.where(inside, to_x * height + to_y, width * height + 1)
    places[..., (back == 0) & (right == 0)] = width * height
    return places.reshape(-1, back.size)


class Cells(NamedTuple):
    """B grids, prepared once for actor and critic."""

    embedded: Tensor
    """(B, cells * CELL_FEATURES)."""
    similarity_index: Tensor
    """(B, cells): where a table (missions, CELL_KINDS), flattened, has each cell's entry."""


class GridPreprocessing(nn.Module):
    """The fixed embedding of cells; nothing in it is learned, so actor and critic share it."""

    def __init__(self, shape: tuple[int, ...]) -> None:  # the same for any shape
        super().__init__()
        symbols = torch.randn(SYMBOLS, CELL_FEATURES) * EMBEDDING_STD
        self.cell_embedding = nn.Embedding(CELL_KINDS, CELL_FEATURES)
        self.cell_embedding.weight = nn.Parameter(_symbols_of_kinds() @ symbols, False)

    def forward(self, kinds: Tensor, mission: Tensor) -> Cells:
        """Kinds of cells (B, cells) and the rows of their missions (B,)."""
        kinds = kinds.long()
        index = (mission * CELL_KINDS).unsqueeze(1) + kinds
        return Cells(self.cell_embedding(kinds).flatten(1), index)


class GridFeatures(Features):
    """The first layer of an actor or a critic of grids with so many ``cells``."""

    symbols_of_kinds: Tensor

    def __init__(self, shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        (cells,) = shape
        self.mission = MissionEmbedding()
        self.symbol_embedding = nn.Parameter(
            torch.randn(SYMBOLS, MISSION_FEATURES) * (EMBEDDING_STD / EMBEDDING_SCALE)
        )
        # A red ball is more than the sum of red and ball, which a red key and a blue ball have
        # halves of.
        self.kind_embedding = nn.Parameter(torch.zeros(CELL_KINDS, MISSION_FEATURES))
        self.register_buffer(
            "symbols_of_kinds", _symbols_of_kinds() * EMBEDDING_SCALE, persistent=False
        )
        sizes = [cells * CELL_FEATURES, cells, MISSION_FEATURES]
        whole = torch.split(orthogonal_linear(sum(sizes), hidden).weight, sizes, dim=1)
        self.from_cells = nn.Linear(sizes[0], hidden)
        self.from_similarity = nn.Linear(sizes[1], hidden, bias=False)
        self.from_mission = nn.Linear(sizes[2], hidden, bias=False)
        nn.init.zeros_(self.from_cells.bias)
        with torch.no_grad():
            for layer, part in zip(
                (self.from_cells, self.from_similarity, self.from_mission), whole, strict=True
            ):
                layer.weight.copy_(part)

    def read(self, tokens: Tensor) -> MissionReading:
        """What this tower makes of missions, from their token ids (M, words)."""
        missions = self.mission(tokens)
        return MissionReading(self.from_mission(missions), self.mission_similarity(missions))

    def forward(self, cells: Cells, mission: Tensor, reading: MissionReading) -> Tensor:
        """Grids and the rows (B,) of their missions in the reading: (B, hidden)."""
        index = cells.similarity_index
        similarity = reading.query.flatten().gather(0, index.flatten()).view(index.shape)
        x = self.from_cells(cells.embedded) + self.from_similarity(with_attention(similarity))
        return self.activation(x + reading.bias.index_select(0, mission))

    def mission_similarity(self, missions: Tensor) -> Tensor:
        """How much each mission (M, MISSION_FEATURES) is about each kind of cell (M, kinds)."""
        symbols = linear(linear(missions, self.symbol_embedding), self.symbols_of_kinds)
        return symbols + linear(missions * EMBEDDING_SCALE, self.kind_embedding)


def with_attention(similarity: Tensor) -> Tensor:
    """To each cell's similarity, (..., cells), its attention among all cells is added: what all
    objects have in common tells nothing, and falls out there."""
    return torch.add(similarity, (similarity / TEMPERATURE).softmax(-1), alpha=ATTENTION)


def _symbols_of_kinds() -> Tensor:
    """(CELL_KINDS, SYMBOLS): 1 where the kind of cell has the object, the colour, the state."""
    kind = torch.arange(CELL_KINDS)
    symbols = torch.zeros(CELL_KINDS, SYMBOLS)
    for column in (kind >> 5, 16 + (kind >> 2 & 7), 24 + (kind & 3)):
        symbols[kind, column] = 1.0
    return symbols
