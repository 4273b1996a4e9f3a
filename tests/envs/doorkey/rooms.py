"""Rooms drawn as text, and environments put into a state."""

from __future__ import annotations

from typing import Any

from minigrid.core.world_object import Key

from lvlm2p.envs.doorkey.environment import MapDoorKeyEnv, grid_of
from lvlm2p.envs.doorkey.known_map import KnownMap
from lvlm2p.envs.minigrid.state import COLORS, KEY, Snapshot

CELLS = {
    " ": (0, 0, 0),
    ".": (1, 0, 0),
    "#": (2, 5, 0),
    "B": (4, 2, 2),
    "R": (4, 0, 2),
    "b": (5, 2, 0),
    "r": (5, 0, 0),
    "~": (9, 0, 0),
}
"""Unseen, free, wall; blue and red doors, locked; blue and red keys; lava."""
AGENT = ">v<^"
LETTERS = {"left": "l", "right": "r", "forward": "f", "pickup": "p", "drop": "d", "toggle": "t"}


def room(drawn: str, carried: str = "") -> Snapshot:
    """The state that is drawn, a row a line; ``carried``: "b" or "r"."""
    rows = drawn.strip("\n").split("\n")
    width = max(map(len, rows))
    agent = next((x, y) for y, row in enumerate(rows) for x, c in enumerate(row) if c in AGENT)
    direction = AGENT.index(rows[agent[1]][agent[0]])
    cells = bytearray()
    for x in range(width):
        for row in rows:
            letter = row.ljust(width)[x]
            cells += bytes(CELLS["." if letter in AGENT else letter])
    held = CELLS[carried][:2] if carried else (0, 0)
    return Snapshot(width, len(rows), bytes(cells), *agent, direction, held)


def letters(actions: list[str] | tuple[str, ...] | None) -> str | None:
    """The actions by their first letters."""
    return None if actions is None else "".join(LETTERS[action] for action in actions)


def staged(state: Snapshot, max_steps: int = 10_000) -> MapDoorKeyEnv:
    """An environment in this state, of which only what is in sight is known."""
    side = max(state.width, state.height)
    env: Any = MapDoorKeyEnv(max_room=max(side, 5), max_steps=max_steps)
    env.reset(seed=0)
    env.grid = grid_of(state)
    env.width, env.height = state.width, state.height
    env.agent_pos, env.agent_dir = (state.x, state.y), state.direction
    env.carrying = Key(COLORS[state.carried[1]]) if state.carried[0] == KEY else None
    env._cells = state.cells
    env.known = KnownMap(state, env.agent_view_size)
    made: MapDoorKeyEnv = env
    return made
