"""The published exploring, which knows no lava: on while there is something unseen ahead."""

from __future__ import annotations

from lvlm2p.envs.minigrid.state import BALL, BOX, DOOR, KEY, STEPS, WALL, Snapshot

BARRIERS = (WALL, DOOR)
OBJECTS_IN_THE_WAY = (KEY, BALL, BOX)
HALF_VIEW = 1
"""Cells to each side that the agent, whose view is 3 x 3, has in sight."""


def explore_blindly(known: Snapshot) -> str | None:
    """Forward while anything is unseen further ahead; else to the left, the right, or about.

    Ahead means the whole half of the room there, beyond the cells next to the agent. An object
    directly ahead is turned away from. None: nothing is unseen in any of the four.
    """
    facing = known.direction
    if known.ahead.kind in OBJECTS_IN_THE_WAY:
        beside = _kind_towards(known, (facing + 3) % 4)
        return "right" if beside in BARRIERS + OBJECTS_IN_THE_WAY else "left"
    x, y = known.x, known.y
    dx, dy = STEPS[facing]
    for action, direction, at in (
        ("forward", facing, (x, y)),
        ("left", (facing + 3) % 4, (x, y)),
        ("right", (facing + 1) % 4, (x, y)),
        ("left", (facing + 2) % 4, (x + dx, y + dy)),
    ):
        if _unseen_towards(known, direction, at):
            return action
    return None


def _kind_towards(known: Snapshot, direction: int) -> int:
    dx, dy = STEPS[direction]
    return known.cell(known.x + dx, known.y + dy).kind


def _unseen_towards(known: Snapshot, direction: int, at: tuple[int, int]) -> bool:
    """Whether a cell of the room is unseen further in this direction than what is beside ``at``."""
    x, y = at
    width, height = room_ends(known)
    columns, rows = range(width), range(height)
    if direction == 0:
        columns = range(x + HALF_VIEW + 1, width)
    elif direction == 1:
        rows = range(y + HALF_VIEW + 1, height)
    elif direction == 2:
        columns = range(min(width, x - HALF_VIEW))
    else:
        rows = range(min(height, y - HALF_VIEW))
    return any(not known.cell(i, j).kind for i in columns for j in rows)


def room_ends(known: Snapshot) -> tuple[int, int]:
    """How many columns and rows the room has, its walls included, as far as that was seen.

    The right wall is known by two of its cells, one above the other; the lower one likewise.
    """
    width, height = known.width, known.height

    def barrier(x: int, y: int) -> bool:
        return known.cell(x, y).kind in BARRIERS

    inner = [(x, y) for x in range(1, width - 1) for y in range(1, height - 1) if barrier(x, y)]
    right = next((x for x, y in inner if barrier(x, y + 1)), width - 1)
    lower = next((y for x, y in inner if barrier(x + 1, y)), height - 1)
    return right + 1, lower + 1
