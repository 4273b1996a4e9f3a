"""From an observation to the network's two inputs: one number for each cell, one for each word.

The grid is shown as the agent sees it: the agent in the middle, looking up. All of the grid stays
in view, but "the door is ahead and to the left" is one picture instead of one for every place and
direction, and a student needs a fraction of the frames to learn what to do about it.
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lvlm2p.envs import Observation, ObservationSpace

Numbers = NDArray[np.int16]

CELL_KINDS = 512
"""16 objects x 8 colours x 4 states: all of MiniGrid's cells are told apart."""

WORDS = 1024
"""Size of the vocabulary; a word's number is a hash, so that it is the same in every run."""

MISSION_LENGTH = 32
"""Words of a mission that are read."""

_BYTES = np.arange(256, dtype=np.int16)
_OBJECTS = (_BYTES & 15) << 5 | (_BYTES >> 4 & 7) << 2 | _BYTES >> 7
_COLOURS = (_BYTES & 7) << 2
_STATES = _BYTES & 3

_SALT = 8  # with this one no two of the words in MiniGrid's missions share a number
_AGENT = 10  # MiniGrid's number for the agent's own cell


@cache
def word_numbers(mission: str) -> Numbers:
    """The mission's words as numbers from 1 to WORDS - 1, then zeros: (MISSION_LENGTH,)."""
    numbers = np.zeros(MISSION_LENGTH, np.int16)
    words = "".join(c if c.isalnum() else " " for c in mission.lower()).split()
    for place, word in enumerate(words[:MISSION_LENGTH]):
        numbers[place] = 1 + zlib.crc32(f"{_SALT}:{word}".encode()) % (WORDS - 1)
    return numbers


def cell_numbers(symbols: NDArray[np.uint8]) -> Numbers:
    """MiniGrid's (object, colour, state) triples as one number below CELL_KINDS; (..., 3) to (...).

    An environment that has no colours and states may use all 256 values of the first symbol.
    """
    kind, colour, state = np.moveaxis(symbols, -1, 0)
    numbers: Numbers = _OBJECTS[kind] ^ _COLOURS[colour] ^ _STATES[state]
    return numbers


class Encoder:
    """Encodes the observations of one environment id.

    Attributes:
        cells: how many cell numbers a state has.
    """

    def __init__(self, width: int, height: int, centred: bool = True) -> None:
        """``centred``: whether there is an agent in the grid to put in the middle."""
        self.width, self.height, self.centred = width, height, centred
        self._places = _centred_places(width, height) if centred else None
        self.cells = self._places.shape[1] if self._places is not None else width * height + 1

    def __call__(self, observation: Observation) -> tuple[Numbers, Numbers]:
        """Cells (N, cells) and words (N, MISSION_LENGTH), int16.

        What is carried is shown where the agent is, as MiniGrid's own partial view does it; where
        there is no agent, behind the last cell.
        """
        n = len(observation.values)
        carried = np.zeros((n, 3), np.uint8)
        carried[:, :2] = observation.carrying
        grid = observation.values.reshape(n, -1, 3)
        # behind the last cell: what is carried, then nothing (for what is outside the grid)
        cells = cell_numbers(np.concatenate([grid, carried[:, None]], axis=1))
        if self._places is not None:
            agent = (grid[:, :, 0] == _AGENT).argmax(1)
            direction = grid[np.arange(n), agent, 2] & 3
            cells = np.concatenate([cells, np.zeros((n, 1), np.int16)], axis=1)
            cells = np.take_along_axis(cells, self._places[agent * 4 + direction], axis=1)
        return cells, np.stack([word_numbers(mission) for mission in observation.mission])


def encoder_for(space: ObservationSpace) -> Encoder:
    """The encoder of an observation space.

    Raises:
        UserError: it is no grid.
    """
    from lvlm2p.envs import UserError

    if space.kind != "grid":
        raise UserError(f"no network reads {space.kind} observations yet, only grids.")
    return Encoder(space.shape[0], space.shape[1], centred=space.has_agent)


def _centred_places(width: int, height: int) -> NDArray[Any]:
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
