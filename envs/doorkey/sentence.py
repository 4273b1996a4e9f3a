"""What was seen and is held, in one sentence, and the names of the things in it.

Two tasks that look alike give equal sentences, so one answer serves them all: things are named
without colours, or with ``color1`` and ``color2`` in the order in which they are mentioned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lvlm2p.envs.minigrid.state import DIRECTIONS, DOOR, KEY, OBJECTS, Snapshot

Naming = Literal["kind", "color", "numbered doors"]
"""How things are told apart: not at all ("key", "door"), by colour ("color1 key"), or, doors only,
by their place in the list ("door1")."""

NOTHING = "nothing"


@dataclass(frozen=True)
class Thing:
    """A key or a door on the map, or in the agent's hand."""

    name: str
    """As the sentence calls it."""
    kind: int
    color: int
    place: tuple[int, int] | None
    """(x, y); None: held."""


def things_seen(state: Snapshot, naming: Naming) -> list[Thing]:
    """Every key and door that was seen, and what is held, in the order of the sentence: keys, the
    nearest first; then doors, likewise; then what is held.

    Nearest first, because a student that sees the map from the agent's place has no left and top:
    plans about "color1 key" would be noise to it if that was the leftmost one.
    """
    found: list[tuple[int, int, tuple[int, int] | None]] = [
        (kind, state.cell(*place).color, place)
        for kind in (KEY, DOOR)
        for place in sorted(state.where(kind), key=lambda at: _distance(state, at))
    ]
    if state.carried[0]:
        found.append((*state.carried, None))
    colors = list(dict.fromkeys(color for _, color, _ in found))
    things = []
    doors = 0
    for kind, color, place in found:
        name = OBJECTS[kind]
        if naming == "color":
            name = f"color{colors.index(color) + 1} {name}"
        elif naming == "numbered doors" and kind == DOOR:
            doors += 1
            name = f"{name}{doors}"
        things.append(Thing(name, kind, color, place))
    return things


def _distance(state: Snapshot, place: tuple[int, int]) -> int:
    """Steps from the agent, if nothing was in the way."""
    return abs(place[0] - state.x) + abs(place[1] - state.y)


def sentence(state: Snapshot, naming: Naming, *, coordinates: bool = False) -> str:
    """``Agent sees <key>, <door>, holds <nothing>.``

    With ``coordinates`` each thing says where it is, and the agent where it stands and faces;
    row 0, column 0 is the top left corner. What was not seen is never told.
    """
    seen, held = [], NOTHING
    for thing in things_seen(state, naming):
        if thing.place is None:
            held = thing.name
        elif coordinates:
            seen.append(f"<{thing.name}> at row {thing.place[1]}, column {thing.place[0]}")
        else:
            seen.append(f"<{thing.name}>")
    listed = ", ".join(seen) or f"<{NOTHING}>"
    where = (
        f" at row {state.y}, column {state.x}, facing {DIRECTIONS[state.direction]},"
        if coordinates
        else ""
    )
    return f"Agent{where} sees {listed}, holds <{held}>."
