"""Our nav-and-pick task on MiniWorld: two rooms, a named box, a named place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.miniworld.geometry import GAP
from lvlm2p.envs.miniworld.scene import NAV_PICK, Floor
from lvlm2p.envs.miniworld.simulator import (
    Box,
    Column,
    MiniWorldEnv,
    build_rooms,
    parameters_of,
)

DROP = 4
MINIWORLD_ACTIONS = (0, 1, 2, 4, 7)
"""Our actions as MiniWorld's: no step back; 7, for drop, does nothing, since we do that."""
BOX_COLORS, COLUMN_COLORS = ("red", "green", "blue"), ("yellow", "purple")
"""A mission that names two colours says which is the box's, in whatever order it is read."""
BOX = 0.6
DOOR = 2.0
"""Metres: sides of a box, and of the opening between the rooms."""
FROM_WALL, APART = 1.6, 1.3
"""Metres from the middle of a thing to a wall, so that the agent can walk between them, and to
another thing."""


class NavPick(MiniWorldEnv):  # type: ignore[misc] # untyped
    """Two rooms: fetch the named box from the one and put it down beside the named column in the
    other, where the agent starts.

    Observation: the camera's picture, (obs_height, obs_width, 3) uint8. Actions: turn left, turn
    right, forward, pick up, drop. Reward: 1 - 0.9 * steps / max_steps when the box is put down
    within 1.6 metres of the column, which ends the episode.

    Args:
        room: length and width of each room, in metres, from 5 to 12.
        boxes: how many, in the far room, from 1 to 3, of different colours.
        columns: how many, in the near room, 1 or 2, of different colours.
        max_steps: after so many an episode is cut off.
        obs_width: of the picture, in pixels; its height should be three quarters of it.
        obs_height: of the picture, in pixels.
        render_mode: as for every MiniWorld environment.

    Raises:
        UserError: no such rooms.
    """

    entities: list[Any]

    def __init__(
        self,
        *,
        room: float = 5.0,
        boxes: int = 2,
        columns: int = 2,
        max_steps: int = 150,
        obs_width: int = 80,
        obs_height: int = 60,
        render_mode: str | None = None,
    ) -> None:
        if not (5 <= room <= 12 and 1 <= boxes <= 3 and 1 <= columns <= 2):
            raise UserError(
                "a nav-and-pick task has rooms of 5 to 12 metres, 1 to 3 boxes and 1 or 2 "
                f"columns, not {room:g} metres, {boxes} and {columns}."
            )
        self.side, self.boxes, self.columns = float(room), boxes, columns
        self.mission = ""
        super().__init__(
            max_episode_steps=max_steps,
            obs_width=obs_width,
            obs_height=obs_height,
            window_width=320,
            window_height=240,
            params=parameters_of(NAV_PICK),
            render_mode=render_mode,
        )
        self.action_space = gym.spaces.Discrete(5)

    def _gen_world(self) -> None:
        side = self.side
        middle = float(self.np_random.uniform(DOOR, side - DOOR))
        self.door = middle - DOOR / 2, middle + DOOR / 2
        self.floors = nav_pick_floors(side)
        build_rooms(self, self.floors, self.door)
        colors = [str(color) for color in self.np_random.permutation(COLUMN_COLORS)]
        columns = [Column(color) for color in colors[: self.columns]]
        colors = [str(color) for color in self.np_random.permutation(BOX_COLORS)]
        boxes = [Box(color, BOX) for color in colors[: self.boxes]]
        self._scatter(columns, left=0.0)
        self._scatter(boxes, left=side)
        self.wanted, self.place = boxes[0], columns[0]
        self.mission = f"bring the {self.wanted.color} box to the {self.place.color} column"
        self.place_agent(room=self.rooms[0])

    def _scatter(self, things: Iterable[Any], left: float) -> None:
        """Stand them in one room, away from its walls, its door and each other."""
        things = list(things)
        low = left + FROM_WALL, FROM_WALL
        high = left + self.side - FROM_WALL, self.side - FROM_WALL
        while True:
            spots = self.np_random.uniform(low, high, (len(things), 2))
            gaps = [math.dist(a, b) for i, a in enumerate(spots) for b in spots[:i]]
            if min(gaps, default=APART) >= APART:
                break
        for thing, (x, z) in zip(things, spots, strict=True):
            self.place_entity(thing, pos=np.array([x, 0.0, z]))

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """MiniWorld's step; what is held hits nothing, and needs room to be put down."""
        held = self.agent.carrying
        dropped = action == DROP and held is not None and self._put_down(held)
        obs, reward, over, cut, info = super().step(MINIWORLD_ACTIONS[action])
        near = NAV_PICK.near or 0.0
        if dropped and held is self.wanted and math.dist(held.pos, self.place.pos) < near:
            reward, over, cut = 1 - 0.9 * self.step_count / self.max_episode_steps, True, False
        return obs, float(reward), over, cut, info

    def _put_down(self, held: Any) -> bool:
        spot = self.agent.pos + (self.agent.radius + held.radius + GAP) * self.agent.dir_vec
        if self.intersect(held, spot, held.radius):
            return False
        held.pos = spot * (1, 0, 1)
        self.agent.carrying = None
        return True

    def move_agent(self, fwd_dist: float, fwd_drift: float) -> bool:
        """One step, unless something is in the way."""
        there = self.agent.pos + self.agent.dir_vec * fwd_dist
        if self.intersect(self.agent, there, self.agent.radius):
            return False
        self.agent.pos = there
        return True

    def turn_agent(self, turn_angle: float) -> bool:
        """Turns are always possible."""
        self.agent.dir += math.radians(turn_angle)
        return True

    def intersect(self, ent: Any, pos: Any, radius: float) -> Any:
        """What a disc there hits; never what is held."""
        every, held = self.entities, self.agent.carrying
        self.entities = [one for one in every if one is not held]
        try:
            return super().intersect(ent, pos, radius)
        finally:
            self.entities = every

    def _get_carry_pos(self, agent_pos: Any, ent: Any) -> Any:
        """In the lower part of the picture, so that the way can be seen."""
        return agent_pos + 0.75 * self.agent.dir_vec + np.array([0, 0.35, 0])


def nav_pick_floors(side: float) -> tuple[Floor, Floor]:
    """The two rooms; they look different."""
    near = Floor(
        left=0, right=side, back=0, front=side, wall="stucco", floor="wood_planks", ceiling=True,
        looked=0,
    )  # fmt: skip
    update = {"left": side, "right": 2 * side, "wall": "cinder_blocks", "floor": "asphalt"}
    return near, near.model_copy(update=update)
