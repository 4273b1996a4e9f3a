"""Which views are the same question: for any task, and what MiniGrid's tasks are built from.

A room can be turned and mirrored and its colours exchanged; whatever was optimal stays optimal,
with left and right exchanged where the picture was mirrored.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.minigrid.state import EMPTY, EMPTY_CELL, Snapshot, decode_state
from lvlm2p.envs.task import Symmetry, View

MOST_IMAGES = 10_000

SWAPPED = {"left": "right", "right": "left"}
"""What happens to the turns when a picture is mirrored."""


def canonical(view: View) -> tuple[View, dict[str, str]]:
    """The one view that stands for all symmetric ones, and {its action: the action in ``view``}.

    Raises:
        UserError: the task's symmetries generate more images than can be searched.
    """
    task = view.task
    if task.canonical is not None:
        representative, actions = task.canonical(view)
    elif task.symmetries:
        representative, actions = _least_image(view)
    else:
        representative, actions = view, {}
    return representative, {name: actions.get(name, name) for name in task.action_names}


def _least_image(view: View) -> tuple[View, Mapping[str, str]]:
    """Search all images for the least; actions are {of the image: of ``view``}."""
    names = view.task.action_names
    images: dict[View, dict[str, str]] = {view: {name: name for name in names}}
    todo = [view]
    while todo:
        image = todo.pop()
        for symmetry in view.task.symmetries:
            try:
                further = symmetry.apply(image)
            except UserError:  # this view can't be turned
                continue
            if further not in images:
                images[further] = {
                    symmetry.action(name): back for name, back in images[image].items()
                }
                todo.append(further)
        if len(images) > MOST_IMAGES:
            raise UserError(
                f"a view of {view.task.name!r} has more than {MOST_IMAGES} symmetric images: "
                "give the task a canonical function of its own."
            )
    least = min(images, key=lambda image: (image.state, image.mission, image.carrying or ""))
    return least, images[least]


PLACES = re.compile(r"\b(?:left|right|front|behind|row|column)\b")
"""Words of missions that would be wrong in a mirrored picture, or might be."""


class GridSymmetry(NamedTuple):
    """One of the eight symmetries of a grid: mirror x, mirror y, then exchange x and y."""

    flip_x: bool
    flip_y: bool
    transpose: bool

    @property
    def mirrors(self) -> bool:
        """Whether left and right are exchanged."""
        return (self.flip_x + self.flip_y + self.transpose) % 2 == 1

    @property
    def actions(self) -> Mapping[str, str]:
        """What becomes of the turns."""
        return SWAPPED if self.mirrors else {}

    def direction(self, direction: int) -> int:
        """What becomes of a direction (0 right, 1 down, 2 left, 3 up)."""
        if self.flip_x and direction % 2 == 0:
            direction = 2 - direction
        if self.flip_y and direction % 2 == 1:
            direction = 4 - direction
        return direction ^ 1 if self.transpose else direction

    def place(self, x: int, y: int, width: int, height: int) -> tuple[int, int]:
        """What becomes of a cell of a room of this size."""
        x = width - 1 - x if self.flip_x else x
        y = height - 1 - y if self.flip_y else y
        return (y, x) if self.transpose else (x, y)


TURNS = tuple(GridSymmetry(bool(i & 1), bool(i & 2), bool(i & 4)) for i in range(8))
MIRROR = GridSymmetry(True, False, False)
TRANSPOSE = GridSymmetry(False, False, True)


def room_size(state: Snapshot) -> tuple[int, int]:
    """Width and height of the room at the top left corner; beyond it everything is empty."""
    filled = [i for i in range(state.width * state.height) if state.cells[3 * i] != EMPTY]
    if not filled:
        return state.width, state.height
    return filled[-1] // state.height + 1, max(i % state.height for i in filled) + 1


def turned(state: Snapshot, turn: GridSymmetry) -> Snapshot:
    """The state with its room turned or mirrored; the grid around it stays.

    Raises:
        UserError: a room can be transposed only where the grid has space for it, and only a room
            with the agent in it can be turned at all.
    """
    width, height = room_size(state)
    inside = state.x < width and state.y < height
    if not inside or (turn.transpose and (height > state.width or width > state.height)):
        raise UserError("this view's room can't be turned: the agent or the grid does not fit it.")
    order = _order(state.width, state.height, width, height, turn)
    cells = state.cells + EMPTY_CELL
    x, y = turn.place(state.x, state.y, width, height)
    return Snapshot(
        state.width,
        state.height,
        b"".join([cells[at : at + 3] for at in order]),
        x,
        y,
        turn.direction(state.direction),
        state.carried,
    )


@lru_cache(maxsize=4096)
def _order(
    width: int, height: int, room_w: int, room_h: int, turn: GridSymmetry
) -> tuple[int, ...]:
    """For each cell of the turned grid the offset of the old cell; the end for an empty one."""
    order = [3 * width * height] * (width * height)
    for x in range(room_w):
        for y in range(room_h):
            i, j = turn.place(x, y, room_w, room_h)
            order[i * height + j] = 3 * (x * height + y)
    return tuple(order)


def turned_view(view: View, turn: GridSymmetry) -> View:
    """The view with its room turned; the mission names no direction, so it stays."""
    state = turned(decode_state(view.state), turn)
    return View(view.task, state.encode(), view.mission, view.carrying, view.blank)


def turning(name: str, turn: GridSymmetry) -> Symmetry:
    """A turn of the room as a symmetry."""
    return Symmetry(name, lambda view: turned_view(view, turn), turn.actions)


def _grid_mirrored(view: View) -> View:
    """With all of the grid mirrored: several rooms need not begin at its corner."""
    if PLACES.search(view.mission):
        raise UserError("the mission says where something is, so this view can't be mirrored.")
    state = decode_state(view.state)
    column = 3 * state.height
    columns = [state.cells[at : at + column] for at in range(0, len(state.cells), column)]
    mirrored = Snapshot(
        state.width,
        state.height,
        b"".join(reversed(columns)),
        state.width - 1 - state.x,
        state.y,
        MIRROR.direction(state.direction),
        state.carried,
    )
    return View(view.task, mirrored.encode(), view.mission, view.carrying, view.blank)


MIRRORED = Symmetry("mirror left and right", _grid_mirrored, SWAPPED)
"""For any task on a MiniGrid state that is seen whole."""


def mirror(view: View) -> tuple[View, dict[str, str]]:
    """The picture mirrored left to right, and what each action of ``view`` is called in it.

    For any task on a MiniGrid state: the words of its rules hold in the mirrored picture, even
    where the environment never builds that room. So a consistent teacher exchanges left and right.

    Raises:
        UserError: the view is not a MiniGrid state.
    """
    names = view.task.action_names
    return turned_view(view, MIRROR), {name: SWAPPED.get(name, name) for name in names}


def facing_right(state: Snapshot) -> Sequence[tuple[Snapshot, GridSymmetry]]:
    """The images in which the agent faces right: two of the eight that a square grid allows.

    All symmetric states have the same two, so the lesser of them can stand for all. There is none
    where the room can't be turned.
    """
    found = []
    for turn in TURNS:
        square = state.width == state.height
        if turn.direction(state.direction) == 0 and (square or not turn.transpose):
            with contextlib.suppress(UserError):
                found.append((turned(state, turn), turn))
    return found
