"""The whole grid as an observation, exactly MiniGrid's FullyObsWrapper, without its waste.

More than half of MiniGrid's time goes into the agent's partial view, which nobody reads here, and
most of the rest into encoding a grid that has not changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.snapshot import AGENT, encode_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FullGrid(gym.Wrapper[Any, Any, Any, Any]):
    """A MiniGrid environment that observes the whole grid and never computes the partial view."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        base: Any = env.unwrapped
        base.gen_obs = dict
        shape = (base.width, base.height, 3)
        image = spaces.Box(0, 255, shape, np.uint8)
        self.observation_space = spaces.Dict({**env.observation_space.spaces, "image": image})  # type: ignore[attr-defined]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new episode; the whole grid as observation."""
        _, info = self.env.reset(seed=seed, options=options)
        return self._observe(), info

    def step(self, action: Any) -> tuple[dict[str, Any], Any, bool, bool, dict[str, Any]]:
        """One step; the whole grid as observation."""
        _, reward, terminated, truncated, info = self.env.step(action)
        return self._observe(), reward, terminated, truncated, info

    def _observe(self) -> dict[str, Any]:
        base: Any = self.env.unwrapped
        shape = (base.grid.width, base.grid.height, 3)
        image: NDArray[np.uint8] = np.frombuffer(
            bytearray(encode_cells(base.grid)), np.uint8
        ).reshape(shape)
        image[tuple(base.agent_pos)] = (AGENT, 0, base.agent_dir)
        return {"image": image, "direction": base.agent_dir, "mission": base.mission}
