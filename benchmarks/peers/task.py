"""What every project gets: the same environment, network size and PPO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

ENV = "MiniGrid-GoToDoor-6x6-v0"
ACTIONS = 7

ROLLOUT = 2048
"""Frames of a rollout, at every number of environments: so the gradient steps are the same."""

EPOCHS, MINIBATCH, LR = 4, 256, 1e-3

WORDS = ["go", "to", "the", "red", "green", "blue", "purple", "yellow", "grey", "door"]
INPUTS = 6 * 6 * 3 + len(WORDS)

Peer = tuple[Callable[[int], object], int]
"""``run(frames)``, and how many parameters the network has."""


def full_grid() -> gym.Env[Any, Any]:
    """MiniGrid's own observation of the whole grid."""
    from minigrid.wrappers import FullyObsWrapper

    return FullyObsWrapper(gym.make(ENV))


class FlatGrid(gym.ObservationWrapper[Any, Any, Any]):
    """The grid and a bag of the mission's words, as numbers in a row."""

    def __init__(self) -> None:
        super().__init__(full_grid())
        self.observation_space = gym.spaces.Box(0, 255, (INPUTS,), np.float32)

    def observation(self, observation: Any) -> Any:
        """The numbers of one state."""
        bag = [float(word in observation["mission"]) for word in WORDS]
        return np.concatenate([observation["image"].ravel(), bag], dtype=np.float32)


def width_for(size: int) -> int:
    """How wide two towers with two hidden layers are that have ``size`` parameters."""

    def parameters(width: int) -> int:
        hidden = (INPUTS + 1) * width + (width + 1) * width
        return 2 * hidden + (width + 1) * (ACTIONS + 1)

    return min(range(16, 512), key=lambda width: abs(parameters(width) - size))


def count(*modules: Any) -> int:
    """The parameters of torch modules."""
    return sum(p.numel() for module in modules for p in module.parameters())
