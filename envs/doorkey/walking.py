"""Shortest walks on a known map: where the agent can get to, and how it begins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from lvlm2p.envs.doorkey.exact import split
from lvlm2p.envs.doorkey.known_map import Place
from lvlm2p.envs.minigrid.planner import Node
from lvlm2p.envs.minigrid.state import DOOR, EMPTY, FLOOR, GOAL, KEY, LAVA, STEPS, Snapshot

FREE = frozenset({EMPTY, FLOOR, GOAL})
FREE_TO_THE_BLIND = FREE | {LAVA}
FREE_WITHOUT_KEYS = FREE | {KEY}
"""What a walk may lead over, as kinds of cells; open doors always."""


def ahead_of(node: Node) -> Place:
    """(x, y) of the cell that is faced."""
    x, y, direction = node
    dx, dy = STEPS[direction]
    return x + dx, y + dy


def pose_of(known: Snapshot) -> Node:
    """(x, y, direction) of the agent."""
    return known.x, known.y, known.direction


def is_free(known: Snapshot, at: Place, free: Collection[int]) -> bool:
    """Whether a walk may lead over this cell."""
    if not (0 <= at[0] < known.width and 0 <= at[1] < known.height):
        return False
    cell = known.cell(*at)
    return cell.kind in free or (cell.kind == DOOR and cell.state == 0)


def walks(
    known: Snapshot, free: Collection[int] = FREE
) -> Iterator[tuple[int, Node, frozenset[str]]]:
    """Every place and direction that can be walked to, the nearest first: steps, place, and the
    actions with which a shortest walk there begins."""
    wave: dict[Node, frozenset[str]] = {pose_of(known): frozenset()}
    reached: set[Node] = set()
    steps = 0
    while wave:
        reached.update(wave)
        after: dict[Node, frozenset[str]] = {}
        for node, first in wave.items():
            yield steps, node, first
            for action, then in moves(known, node, free):
                if then not in reached:
                    after[then] = after.get(then, frozenset()) | (first or frozenset([action]))
        wave, steps = after, steps + 1


def moves(known: Snapshot, node: Node, free: Collection[int]) -> Iterator[tuple[str, Node]]:
    """Each move and where it leads."""
    x, y, direction = node
    yield "left", (x, y, (direction + 3) % 4)
    yield "right", (x, y, (direction + 1) % 4)
    ahead = ahead_of(node)
    if is_free(known, ahead, free):
        yield "forward", (*ahead, direction)


def steps_to_face(
    known: Snapshot, targets: Collection[Place], free: Collection[int] = FREE
) -> frozenset[str]:
    """The actions with which a shortest walk to face one of ``targets`` begins.

    Empty: one is faced, or none can be.
    """
    wanted = set(targets)
    if wanted:
        for _, node, first in walks(known, free):
            if ahead_of(node) in wanted:
                return first
    return frozenset()


def put_down(known: Snapshot, keep_free: Collection[Place] = ()) -> frozenset[str]:
    """Towards the nearest place for what is carried, and ``drop`` in front of it.

    That is an empty cell, not next to a door, and none of ``keep_free``.
    """
    doors = split(known)[0].doors
    places = {
        (x, y)
        for x, y in known.where(EMPTY)
        if (x, y) not in keep_free and not any((x + dx, y + dy) in doors for dx, dy in STEPS)
    }
    if ahead_of(pose_of(known)) in places:
        return frozenset(["drop"])
    return steps_to_face(known, places)


def route(
    known: Snapshot, is_end: Callable[[Node], bool], free: Collection[int]
) -> list[Place] | None:
    """The cells, in order, of a shortest walk to an end; None: there is none."""
    start = pose_of(known)
    came: dict[Node, Node] = {}
    for _, node, _ in walks(known, free):
        if is_end(node):
            cells = [node[:2]]
            while node != start:
                node = came[node]
                cells.append(node[:2])
            return cells[::-1]
        for _, then in moves(known, node, free):
            if then != start:
                came.setdefault(then, node)
    return None
