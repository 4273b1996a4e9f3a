"""The shortest way to open a door when every cell is known, keys moved out of the way included.

A* over (position, direction, what is carried, where the keys lie). The estimate ignores keys as
obstacles, so it never exceeds the true length and the way found is a shortest one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from lvlm2p.envs.minigrid.planner import FAR, Node, distances, may_enter
from lvlm2p.envs.minigrid.state import DOOR, EMPTY_CELL, KEY, STEPS, Snapshot

Key = tuple[int, int, int]
"""x, y, colour."""
CLOSED = 1


class Situation(NamedTuple):
    """All that changes in an episode."""

    x: int
    y: int
    direction: int
    carried: int | None
    """The colour of the key that is carried."""
    keys: frozenset[Key]
    """Those that lie on the floor."""

    @property
    def pose(self) -> Node:
        """(x, y, direction)."""
        return self.x, self.y, self.direction

    @property
    def ahead(self) -> tuple[int, int]:
        """(x, y) of the cell in front of the agent."""
        dx, dy = STEPS[self.direction]
        return self.x + dx, self.y + dy


class Room:
    """What never changes in an episode: walls, doors and lava; and the moves that it allows."""

    def __init__(self, width: int, height: int, cells: bytes) -> None:
        self.width, self.height, self.cells = width, height, cells
        doors = Snapshot(width, height, cells, 0, 0, 0, (0, 0))
        self.doors = {at: doors.cell(*at) for at in doors.where(DOOR)}
        self._by_key: dict[int | None, dict[Node, int]] = {}
        self._after: dict[Key, int] = {}

    def opens(self, at: tuple[int, int], carried: int | None) -> bool:
        """Whether ``toggle`` in front of this cell leaves a door open there."""
        door = self.doors.get(at)
        return door is not None and (
            door.state == CLOSED or (door.state > CLOSED and door.color == carried)
        )

    def facing(self, x: int, y: int) -> Iterator[Node]:
        """Every place and direction in which the agent faces (x, y)."""
        for direction, (dx, dy) in enumerate(STEPS):
            if self.may_stand(x - dx, y - dy):
                yield x - dx, y - dy, direction

    def may_stand(self, x: int, y: int) -> bool:
        """Whether the agent can be in this cell, a key in it left aside."""
        inside = 0 <= x < self.width and 0 <= y < self.height
        return inside and may_enter(self.cells, self.height, x, y)

    def is_empty(self, x: int, y: int) -> bool:
        """Whether a key can be put down in this cell, another key in it left aside."""
        return (
            0 <= x < self.width
            and 0 <= y < self.height
            and self.cells[3 * (x * self.height + y)] == EMPTY_CELL[0]
        )

    def after(self, at: Situation) -> Iterator[tuple[str, Situation]]:
        """Each action that changes something and kills nobody, with what comes of it."""
        yield "left", at._replace(direction=(at.direction + 3) % 4)
        yield "right", at._replace(direction=(at.direction + 1) % 4)
        x, y = at.ahead
        lying = next((key for key in at.keys if key[:2] == (x, y)), None)
        if lying is not None:
            if at.carried is None:
                yield "pickup", at._replace(carried=lying[2], keys=at.keys - {lying})
            return
        if self.may_stand(x, y):
            yield "forward", at._replace(x=x, y=y)
        if at.carried is not None and self.is_empty(x, y):
            yield "drop", at._replace(carried=None, keys=at.keys | {(x, y, at.carried)})

    def least(self, at: Situation) -> int:
        """At least so many steps until a door is open; ``FAR``: it can't be opened."""
        best = self._to_doors(at.carried).get(at.pose, FAR)
        for x, y, color in at.keys:
            if color != at.carried:
                fetch = self._to(x, y).get(at.pose, FAR) + (at.carried is not None)
                best = min(best, fetch + self._from_key(x, y, color))
        return min(best, FAR)

    def _to(self, x: int, y: int) -> dict[Node, int]:
        """Steps until the key at (x, y) is in hand, by pose."""
        ends = tuple(self.facing(x, y))
        return distances(self.width, self.height, self.cells, ends, 1)

    def _to_doors(self, carried: int | None) -> dict[Node, int]:
        """Steps until a door is open with such a key in hand, by pose."""
        if carried not in self._by_key:
            places = [at for at in self.doors if self.opens(at, carried)]
            ends = tuple(node for at in places for node in self.facing(*at))
            found = distances(self.width, self.height, self.cells, ends, 1)
            self._by_key[carried] = found
        return self._by_key[carried]

    def _from_key(self, x: int, y: int, color: int) -> int:
        """Steps to a door from the best of the places where the key at (x, y) is picked up."""
        where = (x, y, color)
        if where not in self._after:
            to_doors = self._to_doors(color)
            self._after[where] = min(
                (to_doors.get(node, FAR) for node in self.facing(x, y)), default=FAR
            )
        return self._after[where]


@lru_cache(maxsize=1024)
def room_of(width: int, height: int, cells: bytes) -> Room:
    """The room with these cells, kept with what was searched in it."""
    return Room(width, height, cells)


def split(state: Snapshot) -> tuple[Room, Situation]:
    """A state as what never changes and what does."""
    cells = bytearray(state.cells)
    keys = state.where(KEY)
    for x, y in keys:
        at = 3 * (x * state.height + y)
        cells[at : at + 3] = EMPTY_CELL
    kind, color = state.carried
    lying = frozenset((x, y, state.cell(x, y).color) for x, y in keys)
    situation = Situation(state.x, state.y, state.direction, color if kind == KEY else None, lying)
    return room_of(state.width, state.height, bytes(cells)), situation


def shortest_plan(state: Snapshot) -> tuple[str, ...] | None:
    """A shortest list of actions that opens a door; None where there is none.

    Unseen cells count as walls: on a map it is the shortest way that needs nothing unknown.
    """
    room, start = split(state)
    return search(room, start, lambda at: room.opens(at.ahead, at.carried), room.least, "toggle")


def search(
    room: Room,
    start: Situation,
    is_end: Callable[[Situation], bool],
    least: Callable[[Situation], int],
    last: str,
) -> tuple[str, ...] | None:
    """A*: the actions to an end, and ``last`` there; None where no end can be reached."""
    if least(start) >= FAR:
        return None
    order = count()
    came: dict[Situation, tuple[Situation, str] | None] = {start: None}
    steps = {start: 0}
    heap = [(least(start), next(order), start)]
    while heap:
        _, _, at = heapq.heappop(heap)
        if is_end(at):
            return (*_way(came, at), last)
        for action, then in room.after(at):
            if steps[at] + 1 < steps.get(then, FAR):
                left = least(then)
                if left < FAR:
                    steps[then] = steps[at] + 1
                    came[then] = at, action
                    heapq.heappush(heap, (steps[then] + left, -next(order), then))
    return None


def _way(came: dict[Situation, tuple[Situation, str] | None], at: Situation) -> list[str]:
    actions: list[str] = []
    link = came[at]
    while link is not None:
        at, action = link
        actions.append(action)
        link = came[at]
    return actions[::-1]
