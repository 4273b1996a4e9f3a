"""The best actions among moving obstacles: a careful look at every place each can move to next.

The rules (minigrid.envs.dynamicobstacles): an episode fails only when forward is *chosen* while a
ball or a wall is directly ahead, before anything moves. Then every ball steps to a random free cell
around it, and only then the agent acts; a ball that has stepped into its way merely stops it. So
turning is always safe, forward into a cell seen free is safe too, and what is left to decide is
how to lose the fewest steps. Each action is valued at its expected steps to the goal: the exact
distance in the empty room, plus the expected loss to balls that may stand ahead at the next step.

A longer exact search is out of reach (6.5 million states at 8x8) and has little to win: see
tests/envs/test_planner.py, which solves the 5x5 room exactly and compares.
"""

from __future__ import annotations

from functools import lru_cache

from lvlm2p.envs.minigrid.planner import FAR, Node, distances
from lvlm2p.envs.minigrid.state import (
    BALL,
    EMPTY,
    EMPTY_CELL,
    GOAL,
    STEPS,
    WALL,
    Snapshot,
    decode_state,
)
from lvlm2p.envs.task import Plan, View

WAIT = 0.5
"""Steps that a ball ahead costs on average: often there is another way just as short.
Chosen among 0.3 to 2.5 by the exact solution of the 5x5 room, where it loses 0.1% of the steps."""

CLOSE = 0.1
"""Actions whose expected steps differ by less are equally good: what separates them is chance."""


def plan_among_obstacles(view: View) -> Plan:
    """All actions whose expected number of steps to the goal is least, up to ``CLOSE``."""
    state = decode_state(view.state)
    found = _room_distances(state.width, state.height, _without_balls(state))
    chances = ball_chances(state)
    here = (state.x, state.y, state.direction)
    costs = {
        turn: 1.0 + _cost(_turned(here, by), found, chances)
        for turn, by in (("left", 3), ("right", 1))
    }
    if state.ahead.kind not in (BALL, WALL):
        there = _forward(here)
        stopped = chances.get(there[:2], 0.0)
        costs["forward"] = (
            1.0
            + stopped * (found.get(here, FAR) + WAIT)
            + (1 - stopped) * _cost(there, found, chances)
        )
    least = min(costs.values())
    if least >= FAR:
        return Plan(frozenset(costs), None)
    best = frozenset(name for name, cost in costs.items() if cost < least + CLOSE)
    return Plan(best, found.get(here))


def ball_chances(state: Snapshot) -> dict[tuple[int, int], float]:
    """How likely a ball stands at (x, y) after the balls' next move.

    Each steps uniformly to a free cell among its eight neighbours, never onto the agent or the
    goal. They are taken one by one, as if the others stood still; a cell that a ball leaves
    can be entered by those that move after it, half of them.
    """
    balls = state.where(BALL)
    taken = set(balls)
    clear: dict[tuple[int, int], float] = {}
    for x, y in balls:
        around = [
            (x + dx, y + dy)
            for dx in (-1, 0, 1)
            for dy in (-1, 0, 1)
            if (dx or dy) and 0 <= x + dx < state.width and 0 <= y + dy < state.height
        ]
        free = [at for at in around if at != (state.x, state.y) and state.cell(*at).kind == EMPTY]
        if not free:
            clear[x, y] = 0.0
            continue
        chance = 1 / len(free)
        for at in free:
            clear[at] = clear.get(at, 1.0) * (1 - chance)
        for at in taken.intersection(around):
            clear[at] = clear.get(at, 1.0) * (1 - chance / 2)
    return {at: 1 - p for at, p in clear.items()}


def _without_balls(state: Snapshot) -> bytes:
    cells = bytearray(state.cells)
    for x, y in state.where(BALL):
        at = 3 * (x * state.height + y)
        cells[at : at + 3] = EMPTY_CELL
    return bytes(cells)


@lru_cache(maxsize=256)
def _room_distances(width: int, height: int, cells: bytes) -> dict[Node, int]:
    """Exact steps to the goal in the room without balls."""
    goals = [divmod(i, height) for i in range(width * height) if cells[3 * i] == GOAL]
    ends = tuple((x, y, direction) for x, y in goals for direction in range(4))
    return distances(width, height, cells, ends, 0)


def _cost(
    node: Node,
    found: dict[Node, int],
    chances: dict[tuple[int, int], float],
) -> float:
    """Expected steps to the goal from ``node``, where the next step may meet a ball ahead."""
    steps = found.get(node, FAR)
    ahead = _forward(node)
    if found.get(ahead, FAR) < steps:
        return steps + WAIT * chances.get(ahead[:2], 0.0)
    return steps


def _turned(node: Node, by: int) -> Node:
    return node[0], node[1], (node[2] + by) % 4


def _forward(node: Node) -> Node:
    dx, dy = STEPS[node[2]]
    return node[0] + dx, node[1] + dy, node[2]
