"""Who sees the known map: the teacher as a View, the student as a grid of symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.minigrid.state import in_words
from lvlm2p.envs.spaces import ObservationSpace
from lvlm2p.envs.task import Observer, Task, View

if TYPE_CHECKING:
    import gymnasium as gym
    from numpy.typing import NDArray

    from lvlm2p.envs.doorkey.known_map import KnownMap


class KnownMapObserver(Observer):
    """The map that the environment itself keeps, and observes; so nothing is remembered here."""

    def __init__(self, env: gym.Env[Any, Any], task: Task) -> None:
        self._env, self._task = env, task
        base: Any = env.unwrapped
        shape = (base.width, base.height, 3)
        self._space = ObservationSpace("grid", shape, np.dtype(np.uint8), has_agent=True)

    @property
    def space(self) -> ObservationSpace:
        """A grid, the agent in it."""
        return self._space

    def reset(self, observation: Any) -> None:
        """The environment has begun a map."""

    def step(self, action: int, observation: Any) -> None:
        """The environment has brought its map up to date."""

    def view(self) -> View:
        """The map as a MiniGrid state: unseen cells are 0, the cell under the agent is kept."""
        return observe_map(self._env, self._task)

    @property
    def values(self) -> NDArray[Any]:
        """The map as MiniGrid's symbols, the agent drawn over its cell."""
        return map_of(self._env).symbols()

    @property
    def carrying(self) -> tuple[int, int]:
        """Object and colour of what is carried; (0, 0): nothing."""
        return map_of(self._env).state.carried

    @property
    def mission(self) -> str:
        """What is to be done."""
        mission: str = self._env.unwrapped.mission  # type: ignore[attr-defined]
        return mission


def map_of(env: Any) -> KnownMap:
    """The map that an environment of ours keeps.

    Raises:
        UserError: the environment was never reset.
    """
    known: KnownMap | None = env.unwrapped.known
    if known is None:
        raise UserError("this environment has no state yet: call reset() before view_of().")
    return known


def observe_map(env: gym.Env[Any, Any], task: Task) -> View:
    """A snapshot of the map.

    Raises:
        UserError: the environment was never reset.
    """
    base: Any = env.unwrapped
    state = map_of(base).state
    return View(task, state.encode(), base.mission, in_words(state.carried))
