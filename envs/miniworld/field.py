"""Where to get to, and how far it is from everywhere: a field of distances over the floor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lvlm2p.envs.miniworld.geometry import ahead, can_stand, free, near_after_drop, taken
from lvlm2p.envs.miniworld.scene import Floor, Points, Scene

CELL = 0.25
"""Metres; of the field."""
MARGIN = 0.05
"""Metres that the field keeps from walls and things, beside the agent's radius."""
ARM = 0.6
"""Metres between the agent and a thing that it stands in front of, at most."""
IN_FRONT = math.radians(20)
"""How far to a side a thing may be that is in front of the agent, so that the picture shows it; no
turn is so large that none would do."""
NEIGHBOURS = [(dx, dz) for dx in range(-2, 3) for dz in range(-2, 3) if math.gcd(dx, dz) == 1]


@dataclass(frozen=True)
class GetTo:
    """Where to get to: from where one of ``things`` can be taken, or what is held put down beside
    one of them, or where it is in front of the agent; or into a room."""

    use: Literal["take", "drop", "face", "room"]
    things: tuple[int, ...] = ()
    room: int = 0

    def done(
        self, scene: Scene, points: Points, directions: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """(N,): whether it is reached there, so turned."""
        if self.use == "room":
            return _within(scene.rooms[self.room], points, scene.body.radius)
        reached = np.zeros(len(points), np.bool_)
        for index in self.things:
            thing = scene.things[index]
            way = np.array(thing.at) - points
            far = np.linalg.norm(way, axis=1)
            straight = (way * ahead(directions)).sum(1) >= far * math.cos(IN_FRONT)
            if self.use == "take":
                reached |= straight & taken(scene, points, directions, [index])
            elif self.use == "drop":
                reached |= straight & near_after_drop(scene, points, directions, [index])
            else:
                reached |= straight & (far < scene.body.radius + thing.radius + ARM)
        return reached


def _within(room: Floor, points: Points, margin: float) -> NDArray[np.bool_]:
    x, z = points[:, 0], points[:, 1]
    inside: NDArray[np.bool_] = (x > room.left + margin) & (x < room.right - margin)
    return inside & (z > room.back + margin) & (z < room.front - margin)


@dataclass(frozen=True, eq=False)
class Distances:
    """Metres to a goal from every cell of a grid over the floor; infinite where none leads."""

    left: float
    back: float
    metres: NDArray[np.float64]
    """(columns along x, rows along z)."""

    def at(self, points: Points) -> NDArray[np.float64]:
        """(N,): from the points, by way of the nearest cells."""
        index = np.floor((points - (self.left, self.back)) / CELL).astype(int)
        best = np.full(len(points), np.inf)
        for dx in (-1, 0, 1):
            for dz in (-1, 0, 1):
                cell = index + np.array([dx, dz])
                inside = ((cell >= 0) & (cell < self.metres.shape)).all(axis=1)
                ix, iz = np.where(inside[:, None], cell, 0).T
                middle = (cell + 0.5) * CELL + (self.left, self.back)
                far = self.metres[ix, iz] + np.linalg.norm(points - middle, axis=1)
                best = np.minimum(best, np.where(inside, far, np.inf))
        return best


def field_to(scene: Scene, goal: GetTo) -> Distances:
    """Metres to ``goal`` from everywhere, by ways that are as wide as can be had."""
    still = _without_the_agent(scene)
    widths = [scene.body.radius + MARGIN, scene.body.radius]
    if scene.held is not None and scene.body.holds_in_front:  # it goes the same way, ahead
        widths.insert(0, max(scene.body.radius, scene.held.radius) + MARGIN)
    for width in widths:
        field = _field(still, goal, width)
        if np.isfinite(field.at(np.array([scene.at]))[0]):
            break
    return field


def _without_the_agent(scene: Scene) -> Scene:
    """The same wherever the agent is and whatever it saw, so that fields can be kept."""
    things = [thing.model_copy(update={"seen": True}) for thing in scene.things]
    if scene.carrying is not None:  # where it is held changes with every step
        held = {"x": 0.0, "y": 0.0, "z": 0.0, "direction": 0.0}
        things[scene.carrying] = things[scene.carrying].model_copy(update=held)
    return scene.model_copy(
        update={
            "x": 0.0,
            "z": 0.0,
            "direction": 0.0,
            "things": tuple(things),
            "rooms": tuple(room.model_copy(update={"looked": 0}) for room in scene.rooms),
        }
    )


@lru_cache(maxsize=256)
def _field(scene: Scene, goal: GetTo, width: float) -> Distances:
    left, back = scene.rooms[0].left, scene.rooms[0].back
    columns = math.ceil((scene.rooms[-1].right - left) / CELL)
    rows = math.ceil((scene.rooms[0].front - back) / CELL)
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij"), axis=-1)
    points: Points = (CELL * (grid + 0.5) + np.array([left, back])).reshape(-1, 2)
    open_cells = free(scene, points, width).reshape(columns, rows)
    ends = _ends(scene, goal, points).reshape(columns, rows) & open_cells
    metres = np.where(ends, 0.0, np.inf)
    while True:
        padded = np.pad(metres, 2, constant_values=np.inf)
        best = metres
        for dx, dz in NEIGHBOURS:
            beside = padded[2 + dx : 2 + dx + columns, 2 + dz : 2 + dz + rows]
            best = np.minimum(best, beside + CELL * math.hypot(dx, dz))
        best = np.where(open_cells, best, np.inf)
        if np.array_equal(best, metres):
            return Distances(left, back, metres)
        metres = best


def _ends(scene: Scene, goal: GetTo, points: Points) -> NDArray[np.bool_]:
    """(N,): where the goal is reached by one who turns to it."""
    if goal.use == "room":
        return goal.done(scene, points, np.zeros(len(points)))
    reached = np.zeros(len(points), np.bool_)
    for index in goal.things:
        way = np.array(scene.things[index].at) - points
        turned = np.arctan2(-way[:, 1], way[:, 0])
        fits = can_stand(scene, points, turned)
        for off in (-0.5, 0.0, 0.5):  # the agent can't turn to it more exactly
            there = turned + math.radians(off * scene.body.turn)
            fits &= GetTo(goal.use, (index,)).done(scene, points, there)
        reached |= fits
    return reached
