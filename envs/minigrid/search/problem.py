"""What is to be done in a MiniGrid, and what each action does to it.

A search looks at many grids, so they are plain values here: ``cells`` as in
:class:`~lvlm2p.envs.minigrid.state.Snapshot`, a place as ``x * height + y``, what is carried as the
three bytes of its cell (``EMPTY_CELL``: nothing). The third byte of a key, ball or box, which
MiniGrid leaves 0, holds *marks*: one bit for each description in the mission that the object
answers to, so that it is still the one that is meant when it has been moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lvlm2p.envs.minigrid.state import (
    BALL,
    BOX,
    DOOR,
    EMPTY,
    EMPTY_CELL,
    FLOOR,
    GOAL,
    KEY,
    LAVA,
    STEPS,
)

MOVABLE = frozenset({KEY, BALL, BOX})
OPEN, CLOSED, LOCKED = range(3)
LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
ACTIONS = ("left", "right", "forward", "pickup", "drop", "toggle", "done")
"""By MiniGrid's number."""


@dataclass(frozen=True)
class Subgoal:
    """One thing to do; ``cells``: places (doors, squares), ``mark``: a bit (movable things)."""

    kind: Literal["reach", "face", "beside", "pickup", "open", "put"]
    """``reach`` a place; ``face`` a thing; choose done ``beside`` it; pick it up; open it; ``put``
    what is marked next to what is ``near``."""
    cells: frozenset[int] = frozenset()
    mark: int = 0
    near: int = 0
    near_cells: frozenset[int] = frozenset()
    diagonal: bool = False
    """Whether ``put`` counts cells that touch at a corner."""


@dataclass(frozen=True)
class Problem:
    """What ends an episode well, and what ends it badly."""

    width: int
    height: int
    actions: tuple[int, ...]
    """Those that may be chosen, by MiniGrid's number."""
    subgoals: tuple[Subgoal, ...]
    stages: tuple[tuple[int, ...], ...]
    """Which subgoals come first: all of a stage, in any order, before the next."""
    forbidden: frozenset[int] = frozenset()
    """Places that end the episode in failure."""
    boxes_hide_keys: bool = False
    """A locked door whose key is nowhere to be seen: any box may hold it."""
    only_targets: bool = False
    """Picking up anything but what is meant ends the episode in failure."""
    drop_ends: bool = False
    """So does dropping anything anywhere but where it is meant to be put."""
    only_target_doors: bool = False
    """So does opening or closing any door but the one that is meant."""

    @property
    def complete(self) -> int:
        """The progress, a bit for each subgoal, when all is done."""
        return (1 << len(self.subgoals)) - 1

    def active(self, progress: int) -> tuple[int, ...]:
        """The subgoals that are to be done now."""
        for stage in self.stages:
            left = tuple(i for i in stage if not progress >> i & 1)
            if left:
                return left
        return ()


@dataclass(frozen=True, slots=True)
class Moment:
    """A grid with the agent in it."""

    cells: bytes
    carried: bytes
    at: int
    direction: int


def ahead_of(at: int, direction: int, width: int, height: int) -> int | None:
    """The place in front; None beyond the grid's edge."""
    x, y = divmod(at, height)
    dx, dy = STEPS[direction]
    x, y = x + dx, y + dy
    return x * height + y if 0 <= x < width and 0 <= y < height else None


def after(moment: Moment, action: int, front: int | None, inside: bytes = EMPTY_CELL) -> Moment:
    """What MiniGrid's ``step`` makes of a moment.

    Args:
        front: the place in front of the agent.
        inside: what a box in front holds, should it be opened: nobody can see that.
    """
    cells, carried = moment.cells, moment.carried
    if action == LEFT:
        return Moment(cells, carried, moment.at, (moment.direction + 3) % 4)
    if action == RIGHT:
        return Moment(cells, carried, moment.at, (moment.direction + 1) % 4)
    if front is None or action == DONE:
        return moment
    thing = cells[3 * front : 3 * front + 3]
    if action == FORWARD:
        free = thing[0] in (EMPTY, FLOOR, GOAL, LAVA) or (thing[0] == DOOR and thing[2] == OPEN)
        return Moment(cells, carried, front, moment.direction) if free else moment
    if action == PICKUP and thing[0] in MOVABLE and carried == EMPTY_CELL:
        return Moment(put(cells, front, EMPTY_CELL), thing, moment.at, moment.direction)
    if action == DROP and thing[0] == EMPTY and carried != EMPTY_CELL:
        return Moment(put(cells, front, carried), EMPTY_CELL, moment.at, moment.direction)
    if action == TOGGLE and thing[0] == BOX:
        return Moment(put(cells, front, inside), carried, moment.at, moment.direction)
    if action == TOGGLE and thing[0] == DOOR:
        return Moment(_toggled(cells, front, carried), carried, moment.at, moment.direction)
    return moment


def _toggled(cells: bytes, at: int, carried: bytes) -> bytes:
    kind, color, state = cells[3 * at : 3 * at + 3]
    if state == LOCKED:
        fits = carried[:2] == bytes((KEY, color))
        return put(cells, at, bytes((kind, color, OPEN))) if fits else cells
    return put(cells, at, bytes((kind, color, CLOSED if state == OPEN else OPEN)))


def put(cells: bytes, at: int, thing: bytes) -> bytes:
    """The cells with ``thing`` at a place."""
    return cells[: 3 * at] + thing + cells[3 * at + 3 :]


def ends_badly(problem: Problem, progress: int, moment: Moment, action: int, then: Moment) -> bool:
    """Whether an action that completes nothing new ends the episode in failure."""
    if action == FORWARD:
        return then.at in problem.forbidden or then.cells[3 * then.at] == LAVA
    if action == PICKUP and problem.only_targets and then is not moment:
        meant = 0
        for i in problem.active(progress):
            meant |= problem.subgoals[i].mark
        return not then.carried[2] & meant
    if action == TOGGLE and problem.only_target_doors and then is not moment:
        return True
    return (action == DROP and problem.drop_ends and then is not moment) or action == DONE


def progress_after(
    problem: Problem, progress: int, moment: Moment, action: int, then: Moment
) -> int:
    """The progress when ``action`` has led from one moment to the next."""
    front = ahead_of(then.at, then.direction, problem.width, problem.height)
    while True:
        before = progress
        active = problem.active(progress)
        for i in active:
            if _completes(problem, problem.subgoals[i], moment, action, then, front):
                progress |= 1 << i
        if progress == before or problem.active(progress)[:1] == active[:1]:
            return progress


def _completes(
    problem: Problem, goal: Subgoal, moment: Moment, action: int, then: Moment, front: int | None
) -> bool:
    cells = then.cells
    if goal.kind == "reach":
        return action == FORWARD and then.at in goal.cells and then.at != moment.at
    if goal.kind == "beside":
        return action == DONE and any(
            _is_meant(cells, place, goal.mark, goal.cells)
            for place in around(then.at, problem.width, problem.height, diagonal=False)
        )
    if front is None:
        return False
    if goal.kind == "face":
        taken = action == PICKUP and then is not moment and then.carried[2] & goal.mark
        return bool(taken) or _is_meant(cells, front, goal.mark, goal.cells)
    if goal.kind == "pickup":
        return action == PICKUP and then is not moment and bool(then.carried[2] & goal.mark)
    if goal.kind == "open":
        return action == TOGGLE and front in goal.cells and cells[3 * front + 2] == OPEN
    dropped = action == DROP and then is not moment and moment.carried[2] & goal.mark
    return bool(dropped) and any(
        _is_meant(cells, place, goal.near, goal.near_cells)
        for place in around(front, problem.width, problem.height, goal.diagonal)
    )


def _is_meant(cells: bytes, at: int, mark: int, places: frozenset[int]) -> bool:
    return at in places or (cells[3 * at] in MOVABLE and bool(cells[3 * at + 2] & mark))


def around(at: int, width: int, height: int, diagonal: bool) -> list[int]:
    """The places next to a place."""
    x, y = divmod(at, height)
    return [
        i * height + j
        for i in range(max(0, x - 1), min(width, x + 2))
        for j in range(max(0, y - 1), min(height, y + 2))
        if (i, j) != (x, y) and (diagonal or i == x or j == y)
    ]
