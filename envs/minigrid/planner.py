"""The set of optimal actions where nothing moves but the agent: LavaGap, Fetch, GoToDoor.

Exact: a breadth-first search backwards from success over (x, y, direction), every action costing
one step. Searched once for each layout; a plan is then three look-ups.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from lvlm2p.envs.minigrid.state import DOOR, EMPTY, FLOOR, GOAL, LAVA, STEPS, Snapshot
from lvlm2p.envs.task import Plan

FAR = 1 << 30
"""More steps than any room needs: out of reach."""

Node = tuple[int, int, int]
"""(x, y, direction)."""


@lru_cache(maxsize=65536)
def distances(
    width: int, height: int, cells: bytes, ends: tuple[Node, ...], first: int
) -> dict[Node, int]:
    """Steps until success from every node that can reach one of ``ends``.

    Args:
        cells: the grid, as in :class:`~lvlm2p.envs.minigrid.state.Snapshot`.
        ends: the nodes that the search starts from.
        first: how many steps success is away from those.
    """
    found = dict.fromkeys(ends, first)
    wave = list(ends)
    steps = first
    while wave:
        steps += 1
        after = []
        for x, y, direction in wave:
            dx, dy = STEPS[direction]
            before = [(x, y, (direction + 1) % 4), (x, y, (direction + 3) % 4)]
            if may_enter(cells, height, x, y) and 0 <= x - dx < width and 0 <= y - dy < height:
                before.append((x - dx, y - dy, direction))
            for node in before:
                if node not in found and may_enter(cells, height, node[0], node[1]):
                    found[node] = steps
                    after.append(node)
        wave = after
    return found


def may_enter(cells: bytes, height: int, x: int, y: int) -> bool:
    """Whether the agent can walk onto (x, y) and live."""
    at = 3 * (x * height + y)
    kind = cells[at]
    return kind in (EMPTY, FLOOR, GOAL) or (kind == DOOR and cells[at + 2] == 0)


def plan_reaching(state: Snapshot, goals: Iterable[tuple[int, int]]) -> Plan:
    """Success is to step onto one of ``goals``."""
    ends = tuple((x, y, direction) for x, y in goals for direction in range(4))
    found = distances(state.width, state.height, state.cells, ends, 0)
    return _best(moves(state, found))


def plan_facing(state: Snapshot, things: Iterable[tuple[int, int]], final: str) -> Plan:
    """Success is action ``final`` in front of one of ``things``."""
    ends = tuple(_in_front_of(state, things))
    found = distances(state.width, state.height, state.cells, ends, 1)
    costs = moves(state, found)
    if (state.x, state.y, state.direction) in ends:
        costs[final] = 1
    return _best(costs)


def plan_beside(state: Snapshot, things: Iterable[tuple[int, int]], final: str) -> Plan:
    """Success is action ``final`` in a cell right beside one of ``things``, facing anywhere."""
    places = {(x, y) for x, y, _ in _in_front_of(state, things)}
    ends = tuple((x, y, direction) for x, y in sorted(places) for direction in range(4))
    found = distances(state.width, state.height, state.cells, ends, 1)
    costs = moves(state, found)
    if (state.x, state.y) in places:
        costs[final] = 1
    return _best(costs)


def moves(state: Snapshot, found: dict[Node, int]) -> dict[str, int]:
    """Steps until success after each move that does not end the episode, itself included."""
    x, y, direction = state.x, state.y, state.direction
    costs = {
        "left": 1 + found.get((x, y, (direction + 3) % 4), FAR),
        "right": 1 + found.get((x, y, (direction + 1) % 4), FAR),
    }
    dx, dy = STEPS[direction]
    if state.ahead.kind == LAVA:
        return costs
    if 0 <= x + dx < state.width and 0 <= y + dy < state.height:
        free = may_enter(state.cells, state.height, x + dx, y + dy)
        there = (x + dx, y + dy, direction) if free else (x, y, direction)
        costs["forward"] = 1 + found.get(there, FAR)
    return costs


def _best(costs: dict[str, int]) -> Plan:
    least = min(costs.values())
    if least >= FAR:
        return Plan(frozenset(costs), None)
    return Plan(frozenset(name for name, cost in costs.items() if cost == least), least)


def _in_front_of(state: Snapshot, things: Iterable[tuple[int, int]]) -> Iterable[Node]:
    """Every node in which the agent faces one of ``things``."""
    for x, y in things:
        for direction, (dx, dy) in enumerate(STEPS):
            i, j = x - dx, y - dy
            inside = 0 <= i < state.width and 0 <= j < state.height
            if inside and may_enter(state.cells, state.height, i, j):
                yield i, j, direction
