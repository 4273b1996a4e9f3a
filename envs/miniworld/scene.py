"""The state of a 3D world as canonical bytes: all that a camera shows, and what was seen so far.

MiniWorld's axes: x and z along the floor, y upwards, metres; a direction is an angle in radians,
0 along x, growing to the left. Points here are (x, z).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.untrusted import MalformedDataError, first_problem, parse_json

Point = tuple[float, float]
Points = NDArray[np.float64]
"""(N, 2): x and z, in metres."""

ASPECT = 4 / 3
"""Width of a picture over its height: 80 x 60, MiniWorld's own."""
SECTORS = 12
"""Directions of looking that are remembered for each room, each a twelfth of a turn."""
MAX_STATE = 2**14


@dataclass(frozen=True)
class Body:
    """How the agent of a world moves, sees and holds. Metres and degrees."""

    forward: float = 0.15
    longest: float = 0.17
    """MiniWorld's largest forward step, by which it says what is near and how far away a thing is
    held."""
    turn: int = 15
    camera_height: float = 1.5
    camera_pitch: float = 0.0
    field_of_view: float = 60.0
    """From the lower edge of the picture to the upper."""
    radius: float = 0.4
    holds_in_front: bool = True
    """What is held is as wide and hard as on the floor, as in MiniWorld; else it hits nothing."""
    near: float | None = None
    """Between the middles of two things that are near each other; None: MiniWorld's rule."""

    @property
    def half_width(self) -> float:
        """From the middle of the picture to its edge, in radians."""
        return math.atan(ASPECT * math.tan(math.radians(self.field_of_view / 2)))


MINIWORLD = Body()
NAV_PICK = Body(
    forward=0.5,
    longest=0.5,
    turn=30,
    camera_height=1.3,
    camera_pitch=-20.0,
    holds_in_front=False,
    near=1.6,
)
BODIES = {"pickup-objects": MINIWORLD, "put-next": MINIWORLD, "nav-pick": NAV_PICK}
World = Literal["pickup-objects", "put-next", "nav-pick"]
Color = Literal["red", "green", "blue", "purple", "yellow", "grey"]
Metres = Annotated[float, Field(ge=-100, le=100)]
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Item(BaseModel):
    """An object, or the place that an object is to be brought to."""

    model_config = _STRICT

    kind: Literal["box", "ball", "key", "column"]
    color: Color
    width: Annotated[float, Field(ge=0.05, le=5)]
    height: Annotated[float, Field(ge=0.05, le=5)]
    radius: Annotated[float, Field(ge=0.01, le=5)]
    """Of the disc on the floor that nothing else can be in."""
    x: Metres
    y: Metres
    z: Metres
    direction: Annotated[float, Field(ge=-1e6, le=1e6)]
    role: Literal["wanted", "place", "other"]
    """What the mission makes of it."""
    seen: bool
    """It was in the picture at some time in this episode."""

    @property
    def at(self) -> Point:
        """Where it stands."""
        return self.x, self.z

    @property
    def name(self) -> str:
        """``"red box"``."""
        return f"{self.color} {self.kind}"


class Floor(BaseModel):
    """A room, its walls along the axes."""

    model_config = _STRICT

    left: Metres
    right: Metres
    """Least and largest x."""
    back: Metres
    front: Metres
    """Least and largest z."""
    wall: Literal["brick_wall", "concrete", "stucco", "cinder_blocks"]
    floor: Literal["asphalt", "floor_tiles_bw", "wood_planks"]
    """Names of MiniWorld's textures."""
    ceiling: bool
    looked: Annotated[int, Field(ge=0, lt=1 << SECTORS)]
    """Which directions the agent has looked in from within, a bit for each."""

    @property
    def scanned(self) -> bool:
        """Whether the agent has looked round in all directions."""
        return self.looked == (1 << SECTORS) - 1

    @model_validator(mode="after")
    def _has_a_floor(self) -> Floor:
        if not (self.left + 1 <= self.right <= self.left + 20):
            raise ValueError("a room is 1 to 20 metres long")
        if not (self.back + 1 <= self.front <= self.back + 20):
            raise ValueError("a room is 1 to 20 metres wide")
        return self


class Scene(BaseModel):
    """One state."""

    model_config = _STRICT

    world: World
    rooms: Annotated[tuple[Floor, ...], Field(min_length=1, max_length=2)]
    """Two lie side by side along x, with a wall in common."""
    door: tuple[Metres, Metres] | None
    """Least and largest z of the opening in that wall."""
    things: Annotated[tuple[Item, ...], Field(max_length=32)]
    """In the simulator's order."""
    x: Metres
    z: Metres
    direction: Annotated[float, Field(ge=-1e6, le=1e6)]
    carrying: Annotated[int, Field(ge=0, lt=32)] | None
    """Index of the thing that is held."""

    @model_validator(mode="after")
    def _fits_together(self) -> Scene:
        if (self.door is None) != (len(self.rooms) == 1):
            raise ValueError("two rooms have a door, and one has none")
        if self.door is not None:
            first, second = self.rooms
            if (first.right, first.back, first.front) != (second.left, second.back, second.front):
                raise ValueError("the rooms do not lie side by side")
            if not first.back < self.door[0] < self.door[1] < first.front:
                raise ValueError("the door is not in the wall")
        if self.carrying is not None and self.carrying >= len(self.things):
            raise ValueError("what is held is no thing of the scene")
        return self

    @property
    def body(self) -> Body:
        """How the agent moves."""
        return BODIES[self.world]

    @property
    def at(self) -> Point:
        """Where the agent stands."""
        return self.x, self.z

    @property
    def held(self) -> Item | None:
        """What is held."""
        return None if self.carrying is None else self.things[self.carrying]

    @property
    def room(self) -> int:
        """Which room the agent is in."""
        return int(len(self.rooms) == 2 and self.x >= self.rooms[0].right)

    def lying(self, role: str) -> list[int]:
        """Indices of the things of this role that are not held."""
        return [
            index
            for index, thing in enumerate(self.things)
            if thing.role == role and index != self.carrying
        ]

    @property
    def walls(self) -> Points:
        """(S, 2, 2): both ends of every piece of wall."""
        return _walls(tuple((r.left, r.right, r.back, r.front) for r in self.rooms), self.door)

    def encode(self) -> bytes:
        """Canonical bytes: equal scenes, equal bytes."""
        return self.model_dump_json().encode()


@lru_cache(maxsize=256)
def _walls(rooms: tuple[tuple[float, ...], ...], door: tuple[float, float] | None) -> Points:
    pieces: list[tuple[Point, Point]] = []
    for left, right, back, front in rooms:
        pieces += [((left, z), (right, z)) for z in (back, front)]
    _, middle, back, front = rooms[0]
    for x in (rooms[0][0], rooms[-1][1]):
        pieces.append(((x, back), (x, front)))
    if door is not None:
        pieces += [((middle, back), (middle, door[0])), ((middle, door[1]), (middle, front))]
    return np.array(pieces, np.float64)


@lru_cache(maxsize=4096)
def decode_scene(state: bytes) -> Scene:
    """The scene that :meth:`Scene.encode` wrote.

    Raises:
        UserError: the bytes, which may be anyone's, are none, or not in the canonical spelling.
    """
    try:
        scene = Scene.model_validate(parse_json(state, MAX_STATE))
    except MalformedDataError as error:
        raise UserError(f"this view's state is no 3D scene: {error}.") from error
    except ValidationError as error:
        raise UserError(f"this view's state is no 3D scene: {first_problem(error)}.") from error
    if scene.encode() != state:
        raise UserError("this view's state is no 3D scene: it is not in the canonical spelling.")
    return scene
