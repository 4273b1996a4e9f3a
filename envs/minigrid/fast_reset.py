"""Faster new episodes: the same rooms from the same random numbers, at less cost a number.

A random player on GoToDoor starts a new episode every 3.5 steps, and nine tenths of its time go
into that. What is here draws exactly what MiniGrid draws; a test plays both side by side.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from minigrid.core.constants import COLOR_NAMES
from minigrid.core.grid import Grid
from minigrid.core.world_object import Door, WorldObj
from minigrid.envs.dynamicobstacles import DynamicObstaclesEnv
from minigrid.envs.fetch import FetchEnv
from minigrid.envs.gotodoor import GoToDoorEnv
from minigrid.envs.lavagap import LavaGapEnv

KNOWN = frozenset({LavaGapEnv, DynamicObstaclesEnv, FetchEnv, GoToDoorEnv})
"""Exactly these classes (no subclasses) draw all their random numbers through ``_rand_int``."""

WORDS_AT_ONCE = 16
LOW_HALF = 0xFFFFFFFF


class BoundedIntegers:
    """``numpy.random.default_rng(seed).integers(low, high)`` for one small integer at a time.

    PCG64 gives 64 random bits, of which numpy uses the low half first, then the high half, each
    scaled by Lemire's method (Fast Random Integer Generation in an Interval, 2019).
    """

    def __init__(self, seed: int) -> None:
        self._source = np.random.PCG64(np.random.SeedSequence(seed))
        self._halves: list[int] = []

    def draw(self, low: int, high: int) -> int:
        """A random integer in [low, high)."""
        count = high - low
        if count <= 1:
            if count < 1:
                raise ValueError(f"low >= high: {low}, {high}")
            return low
        product = self._half() * count
        if product & LOW_HALF < count:
            least = (LOW_HALF + 1 - count) % count
            while product & LOW_HALF < least:
                product = self._half() * count
        return low + (product >> 32)

    def _half(self) -> int:
        if not self._halves:
            words: list[int] = self._source.random_raw(WORDS_AT_ONCE).tolist()
            self._halves = [half for word in words for half in (word & LOW_HALF, word >> 32)]
            self._halves.reverse()
        return self._halves.pop()


def start_episode(base: Any, seed: int) -> None:
    """``base.reset(seed=seed)`` for one of the ``KNOWN`` classes, without the observation."""
    integers = BoundedIntegers(seed)
    base._rand_int = integers.draw
    base.agent_pos = (-1, -1)
    base.agent_dir = -1
    if type(base) is GoToDoorEnv:
        _build_doors(base, integers)
    else:
        base._gen_grid(base.width, base.height)
    base.carrying = None
    base.step_count = 0


def _build_doors(base: Any, integers: BoundedIntegers) -> None:
    """``GoToDoorEnv._gen_grid``, number by number."""
    draw = integers.draw
    width = draw(5, base.width + 1)
    height = draw(5, base.height + 1)
    places = [
        (draw(2, width - 2), 0),
        (draw(2, width - 2), height - 1),
        (0, draw(2, height - 2)),
        (width - 1, draw(2, height - 2)),
    ]
    colors: list[str] = []
    while len(colors) < len(places):
        color = COLOR_NAMES[draw(0, len(COLOR_NAMES))]
        if color not in colors:
            colors.append(color)
    base.grid = grid = Grid(base.width, base.height)
    grid.grid = cells = list(_walls(base.width, base.height, width, height))
    for (x, y), color in zip(places, colors, strict=True):
        cells[y * base.width + x] = Door(color)
    while True:
        x, y = draw(0, width), draw(0, height)
        if cells[y * base.width + x] is None:
            break
    base.agent_pos = (x, y)
    base.agent_dir = draw(0, 4)
    target = draw(0, len(places))
    base.target_pos, base.target_color = places[target], colors[target]
    base.mission = f"go to the {colors[target]} door"


@lru_cache(maxsize=256)
def _walls(width: int, height: int, room_w: int, room_h: int) -> tuple[WorldObj | None, ...]:
    """The cells of a grid with a walled room in its corner. Nothing ever changes a wall."""
    grid = Grid(width, height)
    grid.wall_rect(0, 0, room_w, room_h)
    return tuple(grid.grid)
