"""MiniWorld itself: its environments mended, one of our own, scenes read from it and drawn by it.

MiniWorld is no longer developed, so this is the only file that imports it, when an environment is
made or a picture is drawn. It renders off screen, on a GPU or in software.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.extras import explained
from lvlm2p.envs.miniworld.scene import ASPECT, Body, Floor, Item, Scene, World

NO_DRAWING = (
    "MiniWorld can't draw here: {}. It needs OpenGL by way of EGL, which a GPU's driver brings, "
    "or, in software, on Debian: apt-get install libegl1 libgl1-mesa-dri"
)

_ours = {name: spec for name, spec in gym.registry.items() if name.startswith("MiniWorld-")}
for _name in _ours:
    del gym.registry[_name]  # else MiniWorld, which registers them too, makes Gymnasium warn
try:
    import pyglet

    pyglet.options["headless"] = True
    from miniworld import miniworld as engine
    from miniworld.entity import Ball, Key
    from miniworld.entity import Box as Box
    from miniworld.envs.pickupobjects import PickupObjects
    from miniworld.envs.putnext import PutNext
    from miniworld.miniworld import MiniWorldEnv as MiniWorldEnv
    from miniworld.objmesh import ObjMesh
    from miniworld.params import DEFAULT_PARAMS
except ModuleNotFoundError as error:
    raise explained(error, "a MiniWorld environment") from error
except Exception as error:  # pyglet raises what it likes where it finds no EGL
    raise UserError(NO_DRAWING.format(error)) from error
finally:
    gym.registry.update(_ours)

DOOR_HEIGHT = 2.2
COLUMN_WIDTH, COLUMN_HEIGHT = 0.6, 1.4
"""Metres."""
MINIWORLDS: dict[type, tuple[World, str, str, bool]] = {
    PutNext: ("put-next", "concrete", "floor_tiles_bw", True),
    PickupObjects: ("pickup-objects", "brick_wall", "asphalt", False),
}
"""Class -> its world, and of its one room walls, floor and whether there is a ceiling."""


class _Lists:
    """The list of OpenGL commands that is in use. MiniWorld keeps the rooms in list number 1, in
    each environment; but lists are common to all environments of a process."""

    number = 1


def _in_own_list(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def mended(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.shadow_window.switch_to()
        if "own_list" not in vars(self):
            self.own_list = pyglet.gl.glGenLists(1)
        _Lists.number = self.own_list
        return method(self, *args, **kwargs)

    return mended


def _mended_init(method: Callable[..., None]) -> Callable[..., None]:
    @wraps(method)
    def mended(self: Any, *args: Any, **kwargs: Any) -> None:
        said = io.StringIO()  # MiniWorld prints how smooth its pictures are
        try:
            with contextlib.redirect_stdout(said):
                method(self, *args, **kwargs)
        except (pyglet.window.WindowException, pyglet.gl.ContextException) as error:
            raise UserError(NO_DRAWING.format(error or type(error).__name__)) from error

    return mended


def _mend() -> None:
    """Once: each environment draws its own rooms, and nothing is printed."""
    gl, world = pyglet.gl, MiniWorldEnv
    engine.glNewList = lambda _, mode: gl.glNewList(_Lists.number, mode)
    engine.glDeleteLists = lambda _, count: gl.glDeleteLists(_Lists.number, count)
    engine.glCallList = lambda _: gl.glCallList(_Lists.number)
    world._render_static = _in_own_list(world._render_static)
    world._render_world = _in_own_list(world._render_world)
    world.__init__ = _mended_init(world.__init__)


_mend()


class Column(Box):  # type: ignore[misc] # untyped
    """A place that is named by its colour; it can't be moved."""

    def __init__(self, color: str) -> None:
        super().__init__(color, [COLUMN_WIDTH, COLUMN_HEIGHT, COLUMN_WIDTH])

    @property
    def is_static(self) -> bool:
        """It can't be picked up."""
        return True


def parameters_of(body: Body) -> Any:
    """MiniWorld's, for this body."""
    params = DEFAULT_PARAMS.copy()
    for name, value in (
        ("forward_step", body.forward),
        ("turn_step", body.turn),
        ("cam_height", body.camera_height),
        ("cam_pitch", body.camera_pitch),
    ):
        params.set(name, value, value, value)
    return params


def build_rooms(env: Any, rooms: Sequence[Floor], door: tuple[float, float] | None) -> None:
    """Give a world its rooms, which lie along x, and the opening between them."""
    made = [
        env.add_rect_room(
            min_x=room.left,
            max_x=room.right,
            min_z=room.back,
            max_z=room.front,
            wall_tex=room.wall,
            floor_tex=room.floor,
            no_ceiling=not room.ceiling,
        )
        for room in rooms
    ]
    if door is not None:
        env.connect_rooms(*made, min_z=door[0], max_z=door[1], max_y=DOOR_HEIGHT)


def scene_of(env: Any, seen: Collection[int], looked: Sequence[int]) -> Scene:
    """The present state of a MiniWorld environment that has a task.

    Args:
        env: unwrapped.
        seen: which of its ``entities`` were seen, by ``id``.
        looked: which directions were looked in, for each room (:attr:`Floor.looked`).

    Raises:
        UserError: its pictures change at random, so that no state could name them.
    """
    if env.domain_rand:
        raise UserError("a 3D task can't have domain_rand=true: no state would name its picture.")
    world, floors, door = _place_of(env)
    entities = [entity for entity in env.entities if entity is not env.agent]
    held = env.agent.carrying
    x, _, z = env.agent.pos
    return Scene(
        world=world,
        rooms=tuple(
            f.model_copy(update={"looked": n}) for f, n in zip(floors, looked, strict=True)
        ),
        door=door,
        things=tuple(_thing(entity, world, env, id(entity) in seen) for entity in entities),
        x=float(x),
        z=float(z),
        direction=float(env.agent.dir),
        carrying=None if held is None else entities.index(held),
    )


def rooms_of(env: Any) -> int:
    """How many rooms an environment with a task has."""
    return len(_place_of(env)[1])


def _place_of(env: Any) -> tuple[World, tuple[Floor, ...], tuple[float, float] | None]:
    """The world of an environment, its rooms and the door between them."""
    found = next((said for kind, said in MINIWORLDS.items() if isinstance(env, kind)), None)
    if found is None:
        return "nav-pick", env.floors, env.door
    world, wall, floor, ceiling = found
    size = float(env.size)
    whole = {"left": 0.0, "right": size, "back": 0.0, "front": size, "looked": 0}
    room = Floor.model_validate({**whole, "wall": wall, "floor": floor, "ceiling": ceiling})
    return world, (room,), None


def _thing(entity: Any, world: World, env: Any, seen: bool) -> Item:
    """An entity as the task sees it."""
    x, y, z = (float(value) for value in entity.pos)
    if isinstance(entity, Box):
        kind, color = "column" if isinstance(entity, Column) else "box", entity.color
        width, height = float(entity.size[0]), float(entity.size[1])
    else:
        kind = "key" if isinstance(entity, Key) else "ball"
        color = next(path for path, mesh in ObjMesh.cache.items() if mesh is entity.mesh)
        color = Path(color).stem.rpartition("_")[2]  # ball_red.obj
        width = height = float(entity.height)
    role = "wanted"
    if world != "pickup-objects":
        wanted, place = (
            (env.red_box, env.yellow_box) if world == "put-next" else (env.wanted, env.place)
        )
        role = "wanted" if entity is wanted else "place" if entity is place else "other"
    return Item.model_validate(
        {
            "kind": kind, "color": color, "width": width, "height": height,
            "radius": float(entity.radius), "x": x, "y": y, "z": z,
            "direction": float(entity.dir), "role": role, "seen": seen,
        }
    )  # fmt: skip


class _Stage(MiniWorldEnv):  # type: ignore[misc] # untyped
    """Any scene, to be drawn."""

    def __init__(self, scene: Scene, width: int, height: int) -> None:
        self.scene = scene
        super().__init__(
            obs_width=width, obs_height=height, window_width=width, window_height=height
        )

    def _gen_world(self) -> None:
        scene = self.scene
        self.params = parameters_of(scene.body)
        build_rooms(self, scene.rooms, scene.door)
        for thing in scene.things:
            pos = np.array([thing.x, thing.y, thing.z])
            self.place_entity(_entity(thing), pos=pos, dir=thing.direction)
        self.place_agent(pos=np.array([scene.x, 0.0, scene.z]), dir=scene.direction)


def _entity(thing: Item) -> Any:
    if thing.kind == "column":
        return Column(thing.color)
    if thing.kind == "box":
        return Box(thing.color, np.array([thing.width, thing.height, thing.width]))
    return Key(thing.color) if thing.kind == "key" else Ball(thing.color, thing.height)


@lru_cache(maxsize=4)
def _stage(width: int, height: int) -> list[_Stage]:
    return []


def draw_scene(scene: Scene, height: int) -> NDArray[np.uint8]:
    """What the camera shows, (height, height * 4 / 3, 3) RGB."""
    width = round(height * ASPECT)
    stages = _stage(width, height)
    if not stages:
        stages.append(_Stage(scene, width, height))
    stages[0].scene = scene
    picture: NDArray[np.uint8] = stages[0].reset()[0]
    return picture
