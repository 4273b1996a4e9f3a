"""Worlds that need no simulator: made at random, and moved on by the same arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lvlm2p.envs import UserError, View, make_env
from lvlm2p.envs.extras import missing
from lvlm2p.envs.miniworld.geometry import (
    ahead,
    can_drop,
    can_stand,
    hold_distance,
    in_sight,
    taken,
)
from lvlm2p.envs.miniworld.observer import sectors_in_sight
from lvlm2p.envs.miniworld.scene import Floor, Item, Scene
from lvlm2p.envs.miniworld.tasks import NAV_PICK

SIDE = 5.0
COLORS = ("red", "green", "blue", "yellow")
MISSION = "bring the red box to the blue column"


def rooms() -> tuple[Floor, Floor]:
    near = Floor(
        left=0, right=SIDE, back=0, front=SIDE, wall="stucco", floor="wood_planks", ceiling=True,
        looked=0,
    )  # fmt: skip
    return near, near.model_copy(update={"left": SIDE, "right": 2 * SIDE, "wall": "cinder_blocks"})


def thing(kind: Any, color: Any, x: float, z: float, role: Any = "other") -> Item:
    return Item(
        kind=kind, color=color, width=0.6, height=1.4 if kind == "column" else 0.6,
        radius=math.sqrt(0.18), x=x, y=0, z=z, direction=0, role=role, seen=False,
    )  # fmt: skip


def scene(
    *things: Item, x: float = 1.0, z: float = 2.5, degrees: float = 0, carrying: int | None = None
) -> Scene:
    """Two rooms with a doorway in the middle; 0 degrees faces it. What is in sight is seen."""
    made = Scene(
        world="nav-pick", rooms=rooms(), door=(1.5, 3.5), things=things, x=x, z=z,
        direction=math.radians(degrees), carrying=carrying,
    )  # fmt: skip
    return looked(made)


def random_scene(seed: int) -> Scene:
    """As the environment makes them: columns here, boxes there, the agent here."""
    rng = np.random.default_rng(seed)

    def scatter(kind: str, n: int, left: float) -> list[Item]:
        while True:
            spots = rng.uniform((left + 1.6, 1.6), (left + 3.4, 3.4), (n, 2))
            if min((math.dist(a, b) for i, a in enumerate(spots) for b in spots[:i])) > 1.3:
                break
        colors = rng.permutation(COLORS)
        wanted = "place" if kind == "column" else "wanted"
        return [
            thing(kind, str(color), float(x), float(z), "other" if i else wanted)
            for i, (color, (x, z)) in enumerate(zip(colors, spots, strict=False))
        ]

    things = (*scatter("column", 2, 0), *scatter("box", 3, SIDE))
    middle = rng.uniform(2.0, SIDE - 2.0)
    while True:
        x, z = rng.uniform(0.4, SIDE - 0.4, 2)
        made = scene(*things, x=float(x), z=float(z), degrees=float(rng.uniform(-180, 180)))
        made = made.model_copy(update={"door": (float(middle) - 1.0, float(middle) + 1.0)})
        if can_stand(made, np.array([made.at]), np.zeros(1))[0]:
            return looked(made)


def looked(made: Scene) -> Scene:
    """The same, with what is in the picture remembered."""
    things = tuple(
        one.model_copy(update={"seen": one.seen or in_sight(made, i)})
        for i, one in enumerate(made.things)
    )
    floors = list(made.rooms)
    bits = floors[made.room].looked | sectors_in_sight(made)
    floors[made.room] = floors[made.room].model_copy(update={"looked": bits})
    return made.model_copy(update={"things": things, "rooms": tuple(floors)})


def after(made: Scene, action: str) -> Scene:
    """What the simulator would make of it."""
    here, turned = np.array([made.at]), np.array([made.direction])
    changes: dict[str, Any] = {}
    if action in ("left", "right"):
        turn = math.radians(made.body.turn)
        changes["direction"] = made.direction + (turn if action == "left" else -turn)
    elif action == "forward":
        there = here + made.body.forward * ahead(turned)
        if can_stand(made, there, turned)[0]:
            changes["x"], changes["z"] = map(float, there[0])
    elif action == "pickup" and made.carrying is None:
        found = [i for i in range(len(made.things)) if taken(made, here, turned, [i])[0]]
        changes["carrying"] = found[0] if found else None
    elif action == "drop" and can_drop(made, here, turned)[0]:
        assert made.carrying is not None
        x, z = map(float, (here + hold_distance(made) * ahead(turned))[0])
        things = list(made.things)
        things[made.carrying] = things[made.carrying].model_copy(update={"x": x, "z": z})
        changes = {"things": tuple(things), "carrying": None}
    return looked(made.model_copy(update=changes))


def brought(made: Scene) -> bool:
    """Whether the wanted box lies by the named column."""
    (wanted,) = [one for one in made.things if one.role == "wanted"]
    (place,) = [one for one in made.things if one.role == "place"]
    return made.held is not wanted and math.dist(wanted.at, place.at) < 1.6


def view(made: Scene) -> View:
    return View(NAV_PICK, made.encode(), MISSION, made.held.name if made.held else None)


def rendering(env_id: str, **kwargs: Any) -> Any:
    """An environment that draws; the test is skipped where none can be."""
    if missing("3d"):
        pytest.skip("MiniWorld is not installed (extra 3d)")
    try:
        return make_env(env_id, **kwargs)
    except UserError as error:
        if "can't draw here" not in str(error):
            raise
        pytest.skip(f"nothing can be rendered here: {error}")
