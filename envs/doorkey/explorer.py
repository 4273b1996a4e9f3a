"""What to do when only the map of seen cells is known: finish if the map allows it, else explore.

Nothing is known of the layout but what was seen, so there is no optimum to compute: this player
looks for the door and the key where most unseen cells are seen for the fewest steps.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from lvlm2p.envs.doorkey.exact import Situation, search, shortest_plan, split
from lvlm2p.envs.doorkey.known_map import in_sight
from lvlm2p.envs.doorkey.walking import (
    FREE,
    FREE_WITHOUT_KEYS,
    ahead_of,
    is_free,
    pose_of,
    put_down,
    route,
    steps_to_face,
    walks,
)
from lvlm2p.envs.minigrid.planner import Node, plan_facing
from lvlm2p.envs.minigrid.state import DOOR, KEY, LAVA, STEPS, UNSEEN, Snapshot, decode_state
from lvlm2p.envs.task import Plan, View

LEAST_VIEW = 3
"""No view is smaller; what a smaller one shows, a larger one shows too."""
MOST_NEW = 7
"""Cells that a step can show for the first time, at most: of the nine ahead, the agent's own and
one more are always known."""


def explorer_plan(view: View) -> Plan:
    """The explorer's next actions on the known map.

    ``distance`` is None where nobody knows how far it is.
    """
    return plan_on_map(view.state)


@lru_cache(maxsize=16384)
def plan_on_map(state: bytes) -> Plan:
    """As :func:`explorer_plan`, from the state's bytes."""
    known = decode_state(state)
    way = shortest_plan(known)
    if way is not None:
        return Plan(_first_steps(known, len(way)), len(way))
    for strategy in (_take_key, look_around, clear_the_way):
        actions = strategy(known)
        if actions:
            return Plan(actions, None)
    return Plan(_harmless(known), None)


def _first_steps(known: Snapshot, length: int) -> frozenset[str]:
    """Every action with which a shortest way of this length begins."""
    room, start = split(known)

    def is_end(at: Situation) -> bool:
        return room.opens(at.ahead, at.carried)

    if is_end(start):
        return frozenset(["toggle"])
    found = set()
    for action, then in room.after(start):
        if room.least(then) < length:
            way = search(room, then, is_end, room.least, "toggle")
            if way is not None and len(way) == length - 1:
                found.add(action)
    return frozenset(found)


def _take_key(known: Snapshot) -> frozenset[str]:
    """Towards a key that may fit: as long as no door is known, any may."""
    if known.carried != (0, 0) or known.where(DOOR):
        return frozenset()
    plan = plan_facing(known, known.where(KEY), "pickup")
    return plan.actions if plan.distance is not None else frozenset()


def look_around(known: Snapshot) -> frozenset[str]:
    """Towards the place that shows most unseen cells a step."""
    best, chosen = 0.0, frozenset[str]()
    for steps, node, first in walks(known):
        if steps and best >= MOST_NEW / steps:
            break
        new = unseen_from(known, node)
        if new and steps:
            rate = new / steps
            if rate > best:
                best, chosen = rate, first
            elif rate == best:
                chosen |= first
    return chosen


def unseen_from(known: Snapshot, node: Node) -> int:
    """How many unseen cells would be seen from there, if nothing unseen stops the eye.

    0 where none of them lies next to a cell that can be walked on: beyond the walls is nothing.
    """
    x, y, direction = node
    there = Snapshot(known.width, known.height, known.cells, x, y, direction, (0, 0))
    new = [at for at in in_sight(there, LEAST_VIEW) if known.cell(*at).kind == UNSEEN]
    return len(new) if any(_borders(known, *at) for at in new) else 0


def _borders(known: Snapshot, x: int, y: int) -> bool:
    """Whether a cell that can be walked on lies next to (x, y)."""
    return any(is_free(known, (x + dx, y + dy), FREE) for dx, dy in STEPS)


def clear_the_way(known: Snapshot) -> frozenset[str]:
    """Towards unseen cells that keys on the floor keep the agent from: they are carried away."""
    bare = split(known)[0].cells
    open_floor = Snapshot(known.width, known.height, bare, *pose_of(known), (0, 0))
    # of several ways the same one, whichever way the agent faces: else it turns to and fro
    start = replace(known, direction=0)
    way = route(start, lambda node: unseen_from(open_floor, node) > 0, FREE_WITHOUT_KEYS)
    blocking = [at for at in way or () if known.cell(*at).kind == KEY]
    if not way or not blocking:
        return frozenset()
    if known.carried[0]:
        return put_down(known, keep_free=way)
    if ahead_of(pose_of(known)) == blocking[0]:
        return frozenset(["pickup"])
    return steps_to_face(known, blocking[:1])


def _harmless(known: Snapshot) -> frozenset[str]:
    """Where nothing helps: what does not walk into lava."""
    moves = {"left", "right"}
    return frozenset(moves if known.ahead.kind == LAVA else moves | {"forward"})
