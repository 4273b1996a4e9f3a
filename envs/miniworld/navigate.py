"""The next action on the way to a goal, in continuous space: a field of distances, then a look at
every direction that the agent can turn to.

The field falls with every step that is taken, and each turn brings the best direction nearer, so
that nothing goes to and fro.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lvlm2p.envs.miniworld.field import CELL, IN_FRONT, GetTo, field_to
from lvlm2p.envs.miniworld.geometry import (
    GAP,
    ahead,
    bearing,
    can_stand,
    distance,
    free,
    hold_distance,
)
from lvlm2p.envs.miniworld.scene import Body, Point, Points, Scene

PROGRESS = 0.1
"""A step must bring the agent nearer by this share of its length."""
TURN_COST = 0.05
"""Of a turn, in steps: so much nearer another direction must lead."""
DOORSTEP = 0.6
"""Metres from the doorway to where the agent aims at, beyond it or before it."""


def next_move(scene: Scene, goal: GetTo) -> str | None:
    """``left``, ``right`` or ``forward`` on the way to ``goal``; None: it is reached, or no way
    leads there."""
    if goal.done(scene, np.array([scene.at]), np.array([scene.direction]))[0]:
        return None
    return _turn_to(scene, goal) or _straight(scene, goal) or _by_field(scene, goal)


def _turn_to(scene: Scene, goal: GetTo) -> str | None:
    """The next turn, where turns alone reach the goal."""
    turns, costs = _turns(scene)
    directions = scene.direction + np.radians(turns * scene.body.turn)
    done = goal.done(scene, np.repeat([scene.at], len(turns), axis=0), directions)
    costs[~done] = np.inf
    chosen = int(costs.argmin())
    return _turn(scene.body, int(turns[chosen])) if np.isfinite(costs[chosen]) else None


def _turn(body: Body, turn: int) -> str:
    """To a direction so many turns to the left; negative: to the right. Towards what is out of the
    picture always to the left."""
    return "forward" if turn == 0 else "right" if -_shown(body) <= turn < 0 else "left"


def _straight(scene: Scene, goal: GetTo) -> str | None:
    """Towards where nothing is in the way: a thing, or the doorway if the goal is beyond it. None:
    something is.

    What is ahead in the picture decides, with as few exceptions as can be, so that a student which
    sees one picture at a time can learn it. Towards what is out of the picture the agent turns
    left: no picture shows which side is nearer.
    """
    field = field_to(scene, goal)
    now = field.at(np.array([scene.at]))[0]
    for aim, short in _aims(scene, goal):
        off, far = bearing(scene, aim), distance(scene, aim)
        way = np.arange(0.0, max(far - short, 0.0) + 0.1, 0.1)[:, None] / max(far, 1e-6)
        line = np.array(scene.at) + way * (np.array(aim) - np.array(scene.at))
        if not free(scene, line, scene.body.radius).all():
            continue
        step = math.radians(scene.body.turn)
        turns = np.arange(math.ceil((off - IN_FRONT) / step), (off + IN_FRONT) // step + 1)
        directions = scene.direction + step * turns
        there = np.array([scene.at]) + scene.body.forward * ahead(directions)
        then = field.at(there)  # what does not lead nearer by the field too would end in a circle
        nearer = (then < now - PROGRESS * scene.body.forward) | (now < scene.body.forward)
        turns = turns[can_stand(scene, there, directions) & nearer]
        if not len(turns):
            continue
        turn = turns[np.abs(turns).argmin()]
        if turn == 0:
            return "forward"
        right = turn < 0 and off >= -scene.body.half_width - IN_FRONT / 2
        beside = np.array([scene.direction + (-step if right else step)])
        if not scene.body.holds_in_front or can_stand(scene, np.array([scene.at]), beside)[0]:
            return "right" if right else "left"
    return None


def _aims(scene: Scene, goal: GetTo) -> list[tuple[Point, float]]:
    """Points to go straight to, the best first, each with how far from it to stop."""
    things = sorted((scene.things[i] for i in goal.things), key=lambda one: distance(scene, one.at))
    held, reach = scene.held, scene.body.radius + GAP
    if held is not None and goal.use == "drop":  # it must fit in between
        reach = hold_distance(scene) + held.radius
    aims = [(one.at, reach + one.radius) for one in things]
    aims = [aim for aim in aims if distance(scene, aim[0]) > aim[1]]
    if scene.door is not None:
        wall, middle = scene.rooms[0].right, sum(scene.door) / 2
        side = -1 if scene.room == 0 else 1
        if goal.use != "room" and any((one.x - wall) * side > 0 for one in things):
            return aims
        steps = [((wall - side * DOORSTEP, middle), 0.0), ((wall + side * DOORSTEP, middle), 0.0)]
        aims = steps + aims
    return aims


def _by_field(scene: Scene, goal: GetTo) -> str | None:
    """Round what is in the way."""
    body, here = scene.body, np.array([scene.at])
    turns, costs = _turns(scene)
    directions = scene.direction + np.radians(turns * body.turn)
    there = here + body.forward * ahead(directions)
    field = field_to(scene, goal)
    now, then = field.at(here)[0], field.at(there)
    steps = can_stand(scene, there, directions) & np.isfinite(then)
    cost = np.full(len(turns), np.inf)
    if now < 2 * body.forward + CELL:
        later = _turns_to_finish(scene, goal, there, turns)
        cost = np.where(steps, costs + 1 + 2 * later, np.inf)  # rather first turn, then step
    if not np.isfinite(cost).any():
        nearer = steps & (then < now - PROGRESS * body.forward)
        if not nearer.any():
            nearer = steps  # anywhere: from a narrow place a step back may be needed
        cost[nearer] = (TURN_COST * costs + then / body.forward)[nearer]
    chosen = int(cost.argmin())
    if not np.isfinite(cost[chosen]):
        return None
    return _turn(body, int(turns[chosen]))


def _turns_to_finish(
    scene: Scene, goal: GetTo, points: Points, turns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(N,): turns with which the goal is reached at each of the points, by an agent that has turned
    so often before; infinite where no turn reaches it."""
    whole = 360 // scene.body.turn
    ends = np.arange(whole)
    directions = scene.direction + np.radians(ends * scene.body.turn)
    at, turned = np.repeat(points, whole, axis=0), np.tile(directions, len(points))
    done = goal.done(scene, at, turned).reshape(len(points), whole)
    left = (ends - turns[:, None]) % whole
    least: NDArray[np.float64] = np.where(done, np.minimum(left, whole - left), np.inf).min(axis=1)
    return least


def _shown(body: Body) -> int:
    """How many turns lead to the edge of the picture, and just beyond."""
    return int(math.degrees(body.half_width) // body.turn) + 1


def _turns(scene: Scene) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How often to turn to the left (negative: to the right) for each direction, and how many
    actions that takes; infinitely many where what is held is in the way."""
    body = scene.body
    whole = 360 // body.turn
    turns = np.array([*range(whole), *range(-1, -whole, -1)])
    costs = np.abs(turns).astype(np.float64)
    if scene.held is not None and body.holds_in_front:
        directions = scene.direction + np.radians(turns * body.turn)
        fits = can_stand(scene, np.repeat([scene.at], len(turns), axis=0), directions)
        fits[0] = True
        reached = [np.logical_and.accumulate(part) for part in (fits[:whole], fits[whole:])]
        costs[~np.concatenate(reached)] = np.inf
    return turns, costs
