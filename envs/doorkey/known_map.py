"""The map of all cells that were seen in an episode: what a player of these tasks knows.

Teachers' views, students' observations and the environment's own observation are made from it and
from nothing else, so that none of them can know more than the others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from lvlm2p.envs.minigrid.state import AGENT, DOOR, EMPTY, STEPS, WALL, Snapshot

if TYPE_CHECKING:
    from numpy.typing import NDArray

Offset = tuple[int, int]
Place = tuple[int, int]
"""(x, y): column and row."""
NOBODY = 4
"""In the agent plane: the agent is not here."""


@lru_cache(maxsize=64)
def window(size: int, direction: int) -> tuple[Offset, ...]:
    """The (dx, dy) of the ``size`` x ``size`` cells ahead, from the agent, row by row.

    The first row is the agent's own, with the agent in its middle; in each, from left to right.
    """
    ahead_x, ahead_y = STEPS[direction]
    right_x, right_y = STEPS[(direction + 1) % 4]
    return tuple(
        (ahead * ahead_x + side * right_x, ahead * ahead_y + side * right_y)
        for ahead in range(size)
        for side in range(-(size // 2), size // 2 + 1)
    )


@lru_cache(maxsize=65536)
def visible(size: int, opaque: int) -> tuple[int, ...]:
    """Which cells of a window are seen, by MiniGrid's rule (``Grid.process_vis``).

    Light enters each row from the one before, and spreads to both sides in it as far as nothing
    opaque stops it.

    Args:
        size: cells a side.
        opaque: bit i is set where cell i of :func:`window` can't be looked through.
    """
    seen = {size // 2}
    for row in range(size):
        start = row * size
        for step in (1, -1):
            columns = range(size) if step == 1 else range(size - 1, -1, -1)
            for column in columns[:-1]:
                at = start + column
                if at not in seen or opaque >> at & 1:
                    continue
                seen.add(at + step)
                if row + 1 < size:
                    seen.update((at + size, at + size + step))
    return tuple(sorted(seen))


def is_opaque(kind: int, state: int) -> bool:
    """Whether such a cell can't be looked through: walls, and doors that are not open."""
    return kind == WALL or (kind == DOOR and state != 0)


def in_sight(state: Snapshot, size: int) -> list[tuple[int, int]]:
    """The cells (x, y) that the agent sees now; unseen cells of ``state`` stop nothing."""
    width, height, cells = state.width, state.height, state.cells
    places = [(state.x + dx, state.y + dy) for dx, dy in window(size, state.direction)]
    opaque = 0
    for i, (x, y) in enumerate(places):
        if 0 <= x < width and 0 <= y < height:
            at = 3 * (x * height + y)
            if is_opaque(cells[at], cells[at + 2]):
                opaque |= 1 << i
        else:
            opaque |= 1 << i
    found = (places[i] for i in visible(size, opaque))
    return [(x, y) for x, y in found if 0 <= x < width and 0 <= y < height]


class KnownMap:
    """What was seen since the episode began, up to date after each :meth:`look`.

    Args:
        state: the true state in which the episode starts.
        view_size: how many cells a side the agent sees; odd.
    """

    def __init__(self, state: Snapshot, view_size: int) -> None:
        self.view_size = view_size
        self._cells = bytearray(len(state.cells))
        self.state = state
        self.look(state)

    def look(self, true: Snapshot) -> None:
        """Add what the agent sees in the true state; what was seen before is kept up to date,
        since nothing changes but the cell ahead, which is always in sight."""
        cells, known, height = true.cells, self._cells, true.height
        for x, y in in_sight(true, self.view_size):
            at = 3 * (x * height + y)
            known[at : at + 3] = cells[at : at + 3]
        self.state = Snapshot(
            true.width, height, bytes(known), true.x, true.y, true.direction, true.carried
        )

    def symbols(self) -> NDArray[np.uint8]:
        """(width, height, 3) uint8: object, colour and state of each cell; unseen ones are 0; the
        agent is drawn over its cell."""
        state = self.state
        symbols = _symbols(state)
        symbols[state.x, state.y] = AGENT, 0, state.direction
        return symbols

    def planes(self) -> NDArray[np.uint8]:
        """(width, height, 4) uint8, the published observation.

        As :meth:`symbols`, but the agent's cell holds what it carries (or empty), and the fourth
        plane is 4 everywhere but at the agent, where it is the direction.
        """
        state = self.state
        kind, color = state.carried
        planes = np.empty((state.width, state.height, 4), np.uint8)
        planes[..., :3] = _symbols(state)
        planes[..., 3] = NOBODY
        planes[state.x, state.y] = kind or EMPTY, color, 0, state.direction
        return planes


def _symbols(state: Snapshot) -> NDArray[np.uint8]:
    return np.frombuffer(state.cells, np.uint8).reshape(state.width, state.height, 3).copy()
