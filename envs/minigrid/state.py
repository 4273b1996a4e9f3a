"""A MiniGrid state as canonical bytes, and back.

Layout: width, height; then three bytes a cell (object, colour, state), column by column as
``Grid.encode`` has them, *without* the agent, so that what lies under it is kept; then the agent's
x, y and direction; then object and colour of what is carried (0, 0: nothing).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.task import Task, View

if TYPE_CHECKING:
    import gymnasium as gym

# MiniGrid's own numbers (minigrid.core.constants), repeated so that a stored view can be planned
# and read without importing MiniGrid; a test compares them.
OBJECTS = (
    "unseen", "empty", "wall", "floor", "door", "key", "ball", "box", "goal", "lava", "agent",
)  # fmt: skip
COLORS = ("red", "green", "blue", "purple", "yellow", "grey")
DOOR_STATES = ("open", "closed", "locked")
DIRECTIONS = ("right", "down", "left", "up")
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""(dx, dy) of a step forward, by direction."""

UNSEEN, EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL, LAVA, AGENT = range(11)
EMPTY_CELL = bytes((EMPTY, 0, 0))
WALL_CELLS = {color: bytes((WALL, index, 0)) for index, color in enumerate(COLORS)}


class Cell(NamedTuple):
    """What lies in one cell, in MiniGrid's numbers."""

    kind: int
    color: int
    state: int

    @property
    def words(self) -> str:
        """As a teacher would say it: "empty", "wall", "goal", "red door", "open red door"."""
        name = OBJECTS[self.kind]
        if self.kind in (EMPTY, WALL, GOAL, LAVA):
            return name
        if self.kind == DOOR and self.state != 1:
            return f"{DOOR_STATES[self.state]} {COLORS[self.color]} {name}"
        return f"{COLORS[self.color]} {name}"


@dataclass(frozen=True)
class Snapshot:
    """A decoded state. x is the column and y the row, from 0 at the outer wall's corner."""

    width: int
    height: int
    cells: bytes
    """3 * width * height bytes, x first."""
    x: int
    y: int
    direction: int
    carried: tuple[int, int]
    """(object, colour); (0, 0): nothing."""

    def cell(self, x: int, y: int) -> Cell:
        """What lies at (x, y), beneath the agent too."""
        at = 3 * (x * self.height + y)
        return Cell(*self.cells[at : at + 3])

    @property
    def ahead(self) -> Cell:
        """What lies directly in front of the agent; a wall beyond the grid's edge."""
        dx, dy = STEPS[self.direction]
        x, y = self.x + dx, self.y + dy
        if 0 <= x < self.width and 0 <= y < self.height:
            return self.cell(x, y)
        return Cell(WALL, 5, 0)

    def where(self, kind: int, color: int | None = None) -> list[tuple[int, int]]:
        """Every (x, y) that holds such an object."""
        cells, height = self.cells, self.height
        return [
            divmod(i, height)
            for i in range(self.width * height)
            if cells[3 * i] == kind and (color is None or cells[3 * i + 1] == color)
        ]

    def encode(self) -> bytes:
        """The canonical bytes."""
        return join_state(
            self.width, self.height, self.cells, self.x, self.y, self.direction, self.carried
        )


def join_state(
    width: int,
    height: int,
    cells: bytes,
    x: int,
    y: int,
    direction: int,
    carried: tuple[int, int],
) -> bytes:
    """The canonical bytes of a state."""
    return bytes((width, height)) + cells + bytes((x, y, direction, *carried))


@lru_cache(maxsize=4096)
def decode_state(state: bytes) -> Snapshot:
    """The state that these bytes name.

    Raises:
        UserError: they are not a MiniGrid state's.
    """
    if len(state) < 7 or len(state) != 3 * state[0] * state[1] + 7:
        raise UserError("this view's state is not a MiniGrid state: its length is wrong.")
    end = len(state) - 5
    cells, (x, y, direction, kind, color) = state[2:end], state[end:]
    if not (
        x < state[0]
        and y < state[1]
        and direction < len(DIRECTIONS)
        and max(cells[::3]) < len(OBJECTS) > kind
        and max(cells[1::3]) < len(COLORS) > color
        and max(cells[2::3]) < len(DOOR_STATES)
    ):
        raise UserError(
            "this view's state is not a MiniGrid state: it names an object, a colour, a state of a "
            "door, a direction or a place that there is not."
        )
    return Snapshot(state[0], state[1], cells, x, y, direction, (kind, color))


def encode_cells(grid: Any) -> bytes:
    """``Grid.encode().tobytes()`` of a MiniGrid grid, several times faster."""
    from minigrid.core.world_object import Wall

    width, objects = grid.width, grid.grid
    return b"".join(
        [
            EMPTY_CELL
            if obj is None
            else WALL_CELLS[obj.color]
            if obj.__class__ is Wall
            else bytes(obj.encode())
            for x in range(width)
            for obj in objects[x::width]
        ]
    )


def carried_by(base: Any) -> tuple[int, int]:
    """(object, colour) of what the agent of a MiniGrid environment carries; (0, 0): nothing."""
    obj = base.carrying
    if obj is None:
        return 0, 0
    kind, color, _ = obj.encode()
    return kind, color


def in_words(carried: tuple[int, int]) -> str | None:
    """ "purple key"; None for nothing."""
    kind, color = carried
    return f"{COLORS[color]} {OBJECTS[kind]}" if kind else None


def observe_minigrid(env: gym.Env[Any, Any], task: Task) -> View:
    """A snapshot of a MiniGrid environment's state as it is now.

    Raises:
        UserError: the environment was never reset.
    """
    base: Any = env.unwrapped
    if base.agent_dir is None:
        raise UserError("this environment has no state yet: call reset() before view_of().")
    grid = base.grid
    carried = carried_by(base)
    x, y = base.agent_pos
    state = join_state(grid.width, grid.height, encode_cells(grid), x, y, base.agent_dir, carried)
    return View(task, state, base.mission, in_words(carried))
