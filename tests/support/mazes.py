"""A corridor with a fork at its end: where to turn is shown at its beginning only, or all along.

The observation is a vector or an image; the teacher is told everything, and has a planner.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from lvlm2p.envs import Action, Plan, Task, View, register_task

LENGTH = 4
LIMIT = 12
FORWARD, LEFT, RIGHT = range(3)


class Maze(gym.Env[NDArray[Any], int]):
    """``image``: what is seen is 8 x 8 pixels; ``always``: the sign is seen everywhere."""

    def __init__(self, image: bool, always: bool) -> None:
        self.image, self.always = image, always
        if image:
            self.observation_space = gym.spaces.Box(0, 255, (8, 8, 1), np.uint8)
        else:
            self.observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
        self.action_space = gym.spaces.Discrete(3)  # type: ignore[assignment]
        self.place = self.steps = 0
        self.goal = LEFT

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[Any], Any]:
        super().reset(seed=seed)
        self.place = self.steps = 0
        self.goal = LEFT if self.np_random.random() < 0.5 else RIGHT
        return self._see(), {}

    def step(self, action: int) -> tuple[NDArray[Any], float, bool, bool, Any]:
        self.steps += 1
        at_fork = self.place == LENGTH
        if action == FORWARD:
            self.place = min(self.place + 1, LENGTH)
        turned = at_fork and action != FORWARD
        reward = float(turned and action == self.goal)
        return self._see(), reward, turned, self.steps >= LIMIT, {}

    def _see(self) -> NDArray[Any]:
        shown = self.always or self.place == 0
        sign = 0 if not shown else -1 if self.goal == LEFT else 1
        if not self.image:
            return np.array([sign, self.place == LENGTH, self.place / LENGTH], np.float32)
        pixels = np.full((8, 8, 1), 40, np.uint8)
        pixels[0] = 200 if self.place == LENGTH else 0
        if sign:
            pixels[3:5, slice(0, 3) if sign < 0 else slice(5, 8)] = 255
        return pixels


def _observe(env: gym.Env[Any, Any], task: Task) -> View:
    maze: Any = env.unwrapped
    return View(task, bytes([maze.place, maze.goal]), "take the way that the sign shows")


def _plan(view: View) -> Plan:
    place, goal = view.state
    name = ("forward", "left", "right")[goal if place == LENGTH else FORWARD]
    return Plan(frozenset({name}), LENGTH - place + 1)


def register_mazes() -> None:
    """Maze-Vector-v0 and Maze-Image-v0, and Maze-Signed-... where the sign is seen everywhere."""
    maze: Any = Maze
    names = []
    for image in (False, True):
        for always in (False, True):
            names.append(f"Maze-{'Signed-' * always}{'Image' if image else 'Vector'}-v0")
            if names[-1] not in gym.registry:
                gym.register(names[-1], maze, kwargs={"image": image, "always": always})
    actions = tuple(Action(name, i, ".") for i, name in enumerate(("forward", "left", "right")))
    register_task(Task("maze", tuple(names), actions, "Take the way.", _observe, planner=_plan))
