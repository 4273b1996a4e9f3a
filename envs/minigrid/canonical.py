"""The symmetries of Dynamic-Obstacles, Fetch and GoToDoor, and the views that stand for others.

LavaGap has none: its room is the only one that the environment builds that way round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.minigrid.state import (
    BALL,
    COLORS,
    DOOR,
    KEY,
    OBJECTS,
    Snapshot,
    decode_state,
    in_words,
    join_state,
)
from lvlm2p.envs.symmetry import MIRROR, TRANSPOSE, facing_right, turned_view, turning
from lvlm2p.envs.task import Symmetry, View

Recolor = Callable[[int, int], tuple[int, int]]
"""(object, colour) -> what it becomes."""

WORDINGS = ("get a", "go get a", "fetch a", "go fetch a", "you must fetch a")
"""How Fetch says one and the same thing."""

EXCHANGED = frozenset({DOOR, KEY, BALL})

RED_KEY = (KEY, COLORS.index("red"))
BLUE_BALL = (BALL, COLORS.index("blue"))


def recolored(view: View, change: Recolor, mission: str) -> View:
    """The view with its keys, balls and doors exchanged, and another mission."""
    state = decode_state(view.state)
    carried = change(*state.carried) if state.carried[0] else state.carried
    place = state.x, state.y, state.direction, carried
    encoded = join_state(state.width, state.height, _recolored_cells(state, change), *place)
    # not dataclasses.replace: images of every labelled state are made in this way
    return View(view.task, encoded, mission, in_words(carried), view.blank)


def _recolored_cells(state: Snapshot, change: Recolor) -> bytes:
    cells = bytearray(state.cells)
    for at, kind in enumerate(state.cells[::3]):
        if kind in EXCHANGED:
            cells[3 * at : 3 * at + 2] = bytes(change(kind, cells[3 * at + 1]))
    return bytes(cells)


def _translation(words: Mapping[str, str]) -> Callable[[str], str]:
    """Missions with these words exchanged."""

    @lru_cache(maxsize=1024)
    def translated(mission: str) -> str:
        return re.sub(r"\w+", lambda word: words.get(word[0], word[0]), mission)

    return translated


def _exchange_colors(one: int, other: int) -> Symmetry:
    swap = {one: other, other: one}
    translated = _translation({COLORS[a]: COLORS[b] for a, b in swap.items()})

    def apply(view: View) -> View:
        mission = translated(view.mission)
        return recolored(view, lambda kind, color: (kind, swap.get(color, color)), mission)

    return Symmetry(f"exchange {COLORS[one]} and {COLORS[other]}", apply)


_kinds_exchanged = _translation({OBJECTS[KEY]: OBJECTS[BALL], OBJECTS[BALL]: OBJECTS[KEY]})


def _exchange_kinds(view: View) -> View:
    swap = {KEY: BALL, BALL: KEY}
    mission = _kinds_exchanged(view.mission)
    return recolored(view, lambda kind, color: (swap.get(kind, kind), color), mission)


def _next_wording(view: View) -> View:
    wording, *named = view.mission.rsplit(" ", 2)
    if wording in WORDINGS:
        wording = WORDINGS[(WORDINGS.index(wording) + 1) % len(WORDINGS)]
    return replace(view, mission=" ".join([wording, *named]))


ROOM = (turning("mirror left and right", MIRROR), turning("mirror along the diagonal", TRANSPOSE))
COLOR_EXCHANGES = tuple(_exchange_colors(i, i + 1) for i in range(len(COLORS) - 1))

DYNAMIC_OBSTACLES_SYMMETRIES = (ROOM[1],)
FETCH_SYMMETRIES = (
    *ROOM,
    *COLOR_EXCHANGES,
    Symmetry("exchange keys and balls", _exchange_kinds),
    Symmetry("say it in other words", _next_wording),
)
GO_TO_DOOR_SYMMETRIES = (*ROOM, *COLOR_EXCHANGES)


def dynamic_obstacles_question(view: View) -> tuple[View, Mapping[str, str]]:
    """The lesser of the view and its mirror image along the diagonal (the goal stays)."""
    try:
        image = turned_view(view, TRANSPOSE)
    except UserError:  # of no room that the environment builds
        return view, {}
    return (view, {}) if view.state <= image.state else (image, TRANSPOSE.actions)


def fetch_question(view: View) -> tuple[View, Mapping[str, str]]:
    """Facing right; "get a red key"; everything that is not to be fetched is a blue ball.

    Whatever is not named only stands in the way and ends the episode when picked up, so its kind
    and colour change nothing.
    """
    state = decode_state(view.state)
    *_, color, kind = ["", "", *view.mission.split(" ")]
    if state.carried[0] or kind not in OBJECTS or color not in COLORS:
        return view, {}
    wanted = (OBJECTS.index(kind), COLORS.index(color))

    def change(kind: int, color: int) -> tuple[int, int]:
        return (
            (KEY, COLORS.index("red")) if (kind, color) == wanted else (BALL, COLORS.index("blue"))
        )

    return _least(view, lambda image: _recolored_cells(image, change), "get a red key")


def go_to_door_question(view: View) -> tuple[View, Mapping[str, str]]:
    """Facing right; "go to the red door"; the other doors coloured in the order they are met."""
    color = ["", "", *view.mission.split()][-2]
    if color not in COLORS:
        return view, {}
    wanted = COLORS.index(color)

    def cells(image: Snapshot) -> bytes:
        names = {wanted: 0}
        return _recolored_cells(
            image, lambda kind, color: (kind, names.setdefault(color, len(names)))
        )

    return _least(view, cells, f"go to the {COLORS[0]} door")


def _least(
    view: View, cells: Callable[[Snapshot], bytes], mission: str
) -> tuple[View, Mapping[str, str]]:
    """The lesser of the two images in which the agent faces right, its cells rewritten."""
    found = []
    for image, turn in facing_right(decode_state(view.state)):
        rewritten = Snapshot(
            image.width,
            image.height,
            cells(image),
            image.x,
            image.y,
            image.direction,
            image.carried,
        )
        found.append((rewritten.encode(), turn))
    if not found:
        return view, {}
    state, turn = min(found, key=lambda pair: pair[0])
    return replace(view, state=state, mission=mission), turn.actions
