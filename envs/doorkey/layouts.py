"""Random layouts of the four DoorKey environments, as snapshots.

A room stands in the corner (0, 0) of the grid, with walls all round and locked doors in them; what
lies beyond the room is empty and never seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lvlm2p.envs.doorkey.known_map import Place
from lvlm2p.envs.errors import UserError
from lvlm2p.envs.minigrid.state import (
    COLORS,
    DOOR,
    EMPTY_CELL,
    KEY,
    LAVA,
    STEPS,
    WALL_CELLS,
    Snapshot,
)

RandomInt = Callable[[int, int], int]
"""A random integer from the first number up to, but without, the second."""

LOCKED = 2
BLUE, RED = COLORS.index("blue"), COLORS.index("red")
SMALLEST, LARGEST = 5, 25


@dataclass(frozen=True)
class LayoutSpec:
    """What a layout is drawn from."""

    min_room: int = 5
    """The shortest side of a room, walls included."""
    max_room: int = 10
    """The longest side, and the side of the grid."""
    n_keys: int = 1
    """One fits; the others, with ``colored``, do not."""
    colored: bool = False
    """The door and one key are blue, the other keys red; none lies directly in front of the door.
    Else the door and its key have one random colour."""
    lava: bool = False
    """One cell of lava, never directly in front of the door."""
    two_doors: bool = False
    """Two doors of one colour in opposite walls, and the key in the 2 x 2 cells in the middle."""

    def __post_init__(self) -> None:
        if not SMALLEST <= self.min_room <= self.max_room <= LARGEST:
            raise UserError(
                f"a room's sides need {SMALLEST} <= min_room <= max_room <= {LARGEST}, not "
                f"{self.min_room} and {self.max_room}."
            )
        most = (self.min_room - 2) ** 2 - 2 if self.colored else 1
        if not 1 <= self.n_keys <= most:
            raise UserError(f"n_keys must be from 1 to {most} here, not {self.n_keys}.")


class LayoutDraft:
    """A layout that is being drawn: cells are filled one after the other."""

    def __init__(self, spec: LayoutSpec, roll: RandomInt) -> None:
        self.roll = roll
        self.side = spec.max_room
        self.width = roll(spec.min_room, spec.max_room + 1)
        self.height = roll(spec.min_room, spec.max_room + 1)
        self.size = self.width, self.height
        self.cells = [EMPTY_CELL] * self.side**2
        self.agent: Place | None = None
        for x in range(self.width):
            for y in range(self.height):
                if x in (0, self.width - 1) or y in (0, self.height - 1):
                    self.put((x, y), WALL_CELLS["grey"])

    def put(self, place: Place, cell: bytes) -> None:
        """Fill a cell."""
        self.cells[place[0] * self.side + place[1]] = cell

    def at(self, place: Place) -> bytes:
        """What a cell holds."""
        return self.cells[place[0] * self.side + place[1]]

    def free(self, x: range, y: range, but: Place | None = None) -> Place:
        """A random empty cell among these columns and rows, without the agent."""
        while True:
            place = (self.roll(x.start, x.stop), self.roll(y.start, y.stop))
            if self.at(place) == EMPTY_CELL and place not in (self.agent, but):
                return place

    def anywhere(self, but: Place | None = None) -> Place:
        """A random empty cell of the room."""
        return self.free(range(self.width), range(self.height), but)

    def door_in(self, wall: int, color: int) -> Place:
        """Put a locked door into the wall that lies in direction ``wall``, not in a corner.

        Returns the cell directly in front of it, inside the room.
        """
        across, down = (self.roll(1, side - 1) for side in (self.width, self.height))
        x, y = ((self.width - 1, down), (across, self.height - 1), (0, down), (across, 0))[wall]
        self.put((x, y), bytes((DOOR, color, LOCKED)))
        dx, dy = STEPS[wall]
        return x - dx, y - dy


def draw_layout(spec: LayoutSpec, roll: RandomInt) -> Snapshot:
    """The state in which an episode starts."""
    draft = LayoutDraft(spec, roll)
    color = BLUE if spec.colored else roll(0, len(COLORS))
    if spec.two_doors:
        first = roll(0, 2)
        for wall in (first, first + 2):
            draft.door_in(wall, color)
        columns, rows = (range(side // 2 - 1, side // 2 + 1) for side in draft.size)
        draft.put(draft.free(columns, rows), bytes((KEY, color, 0)))
        draft.agent = draft.anywhere()
    else:
        front = draft.door_in(roll(0, 4), color)
        draft.agent = draft.anywhere()
        keep_free = front if spec.colored else None
        for i in range(spec.n_keys):
            key = bytes((KEY, color if i == 0 else RED, 0))
            draft.put(draft.anywhere(keep_free), key)
        if spec.lava:
            draft.put(draft.anywhere(front), bytes((LAVA, 0, 0)))
    x, y = draft.agent
    cells = b"".join(draft.cells)
    return Snapshot(draft.side, draft.side, cells, x, y, roll(0, 4), (0, 0))
