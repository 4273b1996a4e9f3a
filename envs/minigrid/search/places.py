"""The places of a grid as sets of bits: one integer, a bit for each ``x * height + y``."""

from __future__ import annotations

from lvlm2p.envs.minigrid.search.problem import CLOSED, OPEN, Problem, around
from lvlm2p.envs.minigrid.state import DOOR, EMPTY, FLOOR, GOAL, WALL

Poses = tuple[int, int, int, int]
"""For each direction a set of places."""


class Places:
    """Those of one grid, by what stands there."""

    def __init__(self, problem: Problem, cells: bytes) -> None:
        self.width, self.height = problem.width, problem.height
        n = self.width * self.height
        self.all = (1 << n) - 1
        column = (1 << self.height) - 1
        self._top = sum(1 << x * self.height for x in range(self.width))
        self._bottom = self._top << (self.height - 1)
        assert column & self._top == 1
        self.free = self.closed = self.opened = walls = 0
        self.locked: dict[int, int] = {}
        for at in range(n):
            kind, color, state = cells[3 * at : 3 * at + 3]
            bit = 1 << at
            if kind in (EMPTY, FLOOR, GOAL):
                self.free |= bit
            elif kind == WALL:
                walls |= bit
            elif kind == DOOR and state == OPEN:
                self.opened |= bit
            elif kind == DOOR and state == CLOSED:
                self.closed |= bit
            elif kind == DOOR:
                self.locked[color] = self.locked.get(color, 0) | bit
        self.free |= self.opened
        self.free &= ~self.bits(problem.forbidden)
        self.stand = self.all & ~walls
        self.anywhere: Poses = (self.all,) * 4

    def bits(self, places: frozenset[int]) -> int:
        """A set of places as bits."""
        return sum(1 << at for at in places)

    def back(self, places: int, direction: int) -> int:
        """From where a step in this direction leads to one of ``places``."""
        if direction == 0:
            return places >> self.height
        if direction == 1:
            return (places & ~self._top) >> 1
        if direction == 2:
            return (places << self.height) & self.all
        return (places & ~self._bottom) << 1

    def facing(self, places: int) -> Poses:
        """Where one of ``places`` is directly ahead."""
        a, b, c, d = (self.back(places, direction) & self.stand for direction in range(4))
        return a, b, c, d

    def beside(self, places: int, diagonal: bool) -> Poses:
        """Next to one of ``places``, in any direction."""
        return (self._next_to(places, diagonal),) * 4

    def facing_beside(self, places: int, diagonal: bool) -> Poses:
        """Where a cell next to one of ``places`` is directly ahead."""
        return self.facing(self._next_to(places, diagonal))

    def _next_to(self, places: int, diagonal: bool) -> int:
        found = 0
        for at in range(self.width * self.height):
            if places >> at & 1:
                for place in around(at, self.width, self.height, diagonal):
                    found |= 1 << place
        return found
