"""What the simulator would do: collisions, sight, picking up and putting down, without it.

The same arithmetic as MiniWorld's, for many points at once; a test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from lvlm2p.envs.miniworld.scene import Point, Points, Scene

HAND, HAND_RADIUS = 1.5, 1.2
"""MiniWorld picks up what is in a disc so far ahead and so large, in radii of the agent."""
GAP = 0.05
"""Between the agent and what it puts down, in metres, where it does not hold in front."""


def ahead(direction: float | NDArray[np.float64]) -> Points:
    """Unit vectors (..., 2) for directions in radians."""
    return np.stack([np.cos(direction), -np.sin(direction)], axis=-1)


def clear_of_walls(scene: Scene, points: Points, radius: float) -> NDArray[np.bool_]:
    """(N,): whether a disc around each of the points (N, 2) touches no wall."""
    start, end = scene.walls[:, 0], scene.walls[:, 1]
    along = end - start
    share = ((points[:, None] - start) * along).sum(-1) / (along * along).sum(-1)
    nearest = start + np.clip(share, 0, 1)[..., None] * along
    clear: NDArray[np.bool_] = (
        np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1) >= radius
    )
    return clear


def hits(scene: Scene, points: Points, radius: float, index: int) -> NDArray[np.bool_]:
    """(N,): whether a disc around each of the points touches thing ``index``."""
    thing = scene.things[index]
    far = np.linalg.norm(points - np.array(thing.at), axis=1)
    touched: NDArray[np.bool_] = far < radius + thing.radius
    return touched


def free(scene: Scene, points: Points, radius: float) -> NDArray[np.bool_]:
    """(N,): whether a disc fits there, beside walls and all things that are not held."""
    fits = clear_of_walls(scene, points, radius)
    for index in range(len(scene.things)):
        if index != scene.carrying:
            fits &= ~hits(scene, points, radius, index)
    return fits


def hold_distance(scene: Scene) -> float:
    """From the agent's middle to where what it holds comes to lie, put down."""
    held = scene.held
    assert held is not None
    body = scene.body
    if body.holds_in_front:
        return 1.05 * (body.radius + held.radius + body.longest)
    return body.radius + held.radius + GAP


def can_stand(scene: Scene, points: Points, directions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,): whether the agent, with what it holds, fits there and so turned."""
    fits = free(scene, points, scene.body.radius)
    held = scene.held
    if held is not None and scene.body.holds_in_front:
        fits &= free(scene, points + hold_distance(scene) * ahead(directions), held.radius)
    return fits


def taken(
    scene: Scene, points: Points, directions: NDArray[np.float64], wanted: Collection[int]
) -> NDArray[np.bool_]:
    """(N,): whether the action pickup there, so turned, takes one of the ``wanted``."""
    radius = HAND_RADIUS * scene.body.radius
    hand = points + HAND * scene.body.radius * ahead(directions)
    nothing = clear_of_walls(scene, hand, radius)
    found = np.zeros(len(points), np.bool_)
    for index, thing in enumerate(scene.things):  # the simulator takes the first that it meets
        touched = nothing & hits(scene, hand, radius, index)
        if index in wanted and thing.kind != "column":
            found |= touched
        nothing &= ~touched
    return found


def near_after_drop(
    scene: Scene, points: Points, directions: NDArray[np.float64], targets: Sequence[int]
) -> NDArray[np.bool_]:
    """(N,): whether what is held, put down from there, so turned, lies near one of the targets."""
    held = scene.held
    assert held is not None
    lands = points + hold_distance(scene) * ahead(directions)
    found = np.zeros(len(points), np.bool_)
    for index in targets:
        target = scene.things[index]
        least = scene.body.near or held.radius + target.radius + 1.1 * scene.body.longest
        found |= np.linalg.norm(lands - np.array(target.at), axis=1) < least
    return found & can_drop(scene, points, directions)


def can_drop(scene: Scene, points: Points, directions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,): whether what is held can be put down from there, so turned."""
    held = scene.held
    if held is None:
        return np.zeros(len(points), np.bool_)
    if scene.body.holds_in_front:  # it lies there already
        return np.ones(len(points), np.bool_)
    return free(scene, points + hold_distance(scene) * ahead(directions), held.radius)


def bearing(scene: Scene, point: Point) -> float:
    """How far to the left of straight ahead a point lies, in radians from -pi to pi."""
    dx, dz = point[0] - scene.x, point[1] - scene.z
    off = math.atan2(-dz, dx) - scene.direction
    return (off + math.pi) % (2 * math.pi) - math.pi


def distance(scene: Scene, point: Point) -> float:
    """From the agent's middle, in metres."""
    return math.hypot(point[0] - scene.x, point[1] - scene.z)


def in_sight(scene: Scene, index: int) -> bool:
    """Whether the middle of a thing is between the picture's edges, its top above the lower one,
    and no wall before it. That things hide each other is left out of account."""
    thing, body = scene.things[index], scene.body
    if index == scene.carrying:
        return True
    if abs(bearing(scene, thing.at)) > body.half_width:
        return False
    far = max(distance(scene, thing.at), 1e-6)
    top = math.atan2(thing.y + thing.height - body.camera_height, far)
    if top < math.radians(body.camera_pitch - body.field_of_view / 2):
        return False
    return not _wall_between(scene, thing.at)


def _wall_between(scene: Scene, point: Point) -> bool:
    """Whether a piece of wall crosses the line from the agent to ``point``."""
    here, way = np.array(scene.at), np.array(point) - np.array(scene.at)
    start, along = scene.walls[:, 0], scene.walls[:, 1] - scene.walls[:, 0]
    cross = way[0] * along[:, 1] - way[1] * along[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        off = start - here
        t = (off[:, 0] * along[:, 1] - off[:, 1] * along[:, 0]) / cross
        u = (off[:, 0] * way[1] - off[:, 1] * way[0]) / cross
        return bool(((t > 0) & (t < 1) & (u >= 0) & (u <= 1)).any())
