"""The DoorKey environments as MiniGrid environments that observe the map of what was seen."""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np
from gymnasium import spaces
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Door, WorldObj
from minigrid.minigrid_env import MiniGridEnv

from lvlm2p.envs.doorkey.exact import shortest_plan
from lvlm2p.envs.doorkey.known_map import KnownMap
from lvlm2p.envs.doorkey.layouts import LayoutSpec, draw_layout
from lvlm2p.envs.minigrid.state import EMPTY, Snapshot, carried_by, encode_cells

MISSION = "open the door"
CHANGING = frozenset({3, 4, 5})
"""MiniGrid's pickup, drop and toggle: all that changes a cell, and only the one ahead."""


class MapDoorKeyEnv(MiniGridEnv):
    """A room with a locked door. Opening a door ends the episode with MiniGrid's reward,
    1 - 0.9 * steps / max_steps; walking into lava ends it without one.

    Observation: ``image`` (width, height, 4) uint8, see :meth:`KnownMap.planes`; ``direction``;
    ``mission``. Actions are MiniGrid's seven.

    Args:
        min_room: the shortest side of a room, at least 5, walls included.
        max_room: the longest side, and the side of the grid.
        agent_view_size: cells a side that the agent sees; odd, at least 3.
        max_steps: after so many an episode is cut off.
        n_keys: how many keys; more than one only where they have colours.
        colored: a blue door, one blue key, red ones besides.
        lava: one cell of lava.
        two_doors: two doors in opposite walls, the key in the middle.
        solvable_only: leave out layouts in which no door can be opened.
        render_mode: as for every MiniGrid environment.

    Raises:
        UserError: no such layout.
    """

    def __init__(
        self,
        *,
        min_room: int = 5,
        max_room: int = 10,
        agent_view_size: int = 3,
        max_steps: int = 150,
        n_keys: int = 1,
        colored: bool = False,
        lava: bool = False,
        two_doors: bool = False,
        solvable_only: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self.layout = LayoutSpec(min_room, max_room, n_keys, colored, lava, two_doors)
        self.solvable_only = solvable_only
        self.known: KnownMap | None = None
        self._cells = b""
        self._changed = False
        super().__init__(
            mission_space=MissionSpace(mission_func=lambda: MISSION),
            grid_size=max_room,
            max_steps=max_steps,
            agent_view_size=agent_view_size,
            render_mode=render_mode,
        )
        inner = self.observation_space
        assert isinstance(inner, spaces.Dict)
        image = spaces.Box(0, 255, (max_room, max_room, 4), np.uint8)
        self.observation_space = spaces.Dict({**inner.spaces, "image": image})

    def _gen_grid(self, width: int, height: int) -> None:
        start = draw_layout(self.layout, self._rand_int)
        while self.solvable_only and shortest_plan(start) is None:
            start = draw_layout(self.layout, self._rand_int)
        self.grid = grid_of(start)
        self.agent_pos = (start.x, start.y)
        self.agent_dir = start.direction
        self.mission = MISSION
        self.carrying = None
        self._cells = start.cells
        self.known = KnownMap(start, self.agent_view_size)

    def true_state(self) -> Snapshot:
        """The whole truth, unseen cells and all."""
        x, y = self.agent_pos
        carried = carried_by(self)
        return Snapshot(
            self.width, self.height, self._cells, int(x), int(y), int(self.agent_dir), carried
        )

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """MiniGrid's step; an opened door is success."""
        self._changed = action in CHANGING
        obs, reward, terminated, truncated, info = super().step(action)
        if action == self.actions.toggle:
            door = self.grid.get(*self.front_pos)
            if isinstance(door, Door) and door.is_open:
                reward, terminated = self._reward(), True
        return obs, reward, terminated, truncated, info

    def gen_obs(self) -> Any:
        """Bring the map up to date; what is observed now."""
        assert self.known is not None, "call reset() first"
        if self._changed:
            self._cells = encode_cells(self.grid)
            self._changed = False
        self.known.look(self.true_state())
        return {
            "image": self.known.planes(),
            "direction": self.agent_dir,
            "mission": self.mission,
        }


def grid_of(state: Snapshot) -> Grid:
    """A MiniGrid grid with the cells of ``state``."""
    grid = Grid(state.width, state.height)
    for x in range(state.width):
        for y in range(state.height):
            cell = state.cell(x, y)
            if cell.kind > EMPTY:
                grid.set(x, y, WorldObj.decode(*cell))
    return grid
