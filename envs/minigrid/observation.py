"""The whole grid as an observation, exactly MiniGrid's FullyObsWrapper, without its waste.

More than half of MiniGrid's time goes into the agent's partial view, which nobody reads here, and
most of the rest into encoding a grid that has not changed. :class:`KeptGrid` computes the one
never and the other only when the grid can have changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from minigrid.envs.fetch import FetchEnv
from minigrid.envs.gotodoor import GoToDoorEnv
from minigrid.envs.lavagap import LavaGapEnv

from lvlm2p.envs.errors import call_env
from lvlm2p.envs.minigrid.state import (
    AGENT,
    EMPTY_CELL,
    STEPS,
    carried_by,
    encode_cells,
    in_words,
    join_state,
    observe_minigrid,
)
from lvlm2p.envs.spaces import ObservationSpace
from lvlm2p.envs.task import Task, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATIC = frozenset({LavaGapEnv, FetchEnv, GoToDoorEnv})
"""Exactly these classes (no subclasses) change their grid on pickup, drop and toggle alone, and of
it only the cell ahead."""

CHANGING = frozenset({3, 4, 5})
"""MiniGrid's pickup, drop and toggle."""

AGENT_CELLS = tuple(bytes((AGENT, 0, direction)) for direction in range(4))


def nobody_reads(env: gym.Env[Any, Any]) -> bool:
    """Whether no wrapper in ``env`` looks at the observations of what it wraps. One of a user's
    own may, and so does Gymnasium's passive checker."""
    while isinstance(env, gym.Wrapper):
        if type(env) not in (OrderEnforcing, TimeLimit, FullGrid):
            return False
        env = env.env
    return True


class KeptGrid:
    """The encoding of a MiniGrid environment's grid, brought up to date after each step.

    Args:
        base: the environment, unwrapped.
        memory: 3 * width * height bytes that hold the encoding with the agent in it.
        partial: keep computing the agent's partial view, which somebody may ask for.
    """

    def __init__(self, base: Any, memory: bytearray, partial: bool) -> None:
        if not partial:
            base.gen_obs = dict
        self.base = base
        self.memory = memory
        self.static = type(base) in STATIC
        self.cells = b""
        self.carrying = (0, 0)
        self._agent = 0
        self._pose: tuple[int, int, int] = (0, 0, 0)

    def encode(self) -> None:
        """After a reset, or a step that may have changed the grid: encode all of it."""
        base = self.base
        self.cells = encode_cells(base.grid)
        self.carrying = carried_by(base)
        self.memory[:] = self.cells
        self._place()

    def follow(self, action: int) -> None:
        """After a step."""
        if not self.static or (action in CHANGING and self._changed_ahead()):
            self.encode()
        elif (*self.base.agent_pos, self.base.agent_dir) != self._pose:
            at = self._agent
            self.memory[at : at + 3] = self.cells[at : at + 3]
            self._place()

    def _changed_ahead(self) -> bool:
        base = self.base
        (x, y), (dx, dy) = base.agent_pos, STEPS[base.agent_dir]
        x, y = x + dx, y + dy
        obj = base.grid.get(x, y)
        at = 3 * int(x * base.grid.height + y)
        ahead = EMPTY_CELL if obj is None else bytes(obj.encode())
        return ahead != self.cells[at : at + 3] or carried_by(base) != self.carrying

    def _place(self) -> None:
        base = self.base
        x, y = base.agent_pos
        self._pose = (x, y, base.agent_dir)
        self._agent = at = 3 * int(x * base.grid.height + y)
        self.memory[at : at + 3] = AGENT_CELLS[base.agent_dir]

    def kept_view(self, task: Task) -> View:
        """What :func:`observe_minigrid` gives, without encoding anything again."""
        grid, carried = self.base.grid, self.carrying
        state = join_state(grid.width, grid.height, self.cells, *self._pose, carried)
        return View(task, state, self.base.mission, in_words(carried))


class MiniGridObserver(KeptGrid):
    """The observer of MiniGrid's environments: the student sees the whole grid.

    It reads the environment itself, not the observations that it is told of. ``Task.observe`` is
    called where a task has one of its own, and taken from the kept grid where it is MiniGrid's.
    """

    def __init__(self, env: gym.Env[Any, Any], task: Task) -> None:
        base: Any = env.unwrapped
        shape = (base.width, base.height, 3)
        memory = bytearray(3 * base.width * base.height)
        self._env, self._task = env, task
        self._own = None if task.observe is observe_minigrid else task.observe
        unread = self._own is None and nobody_reads(env)
        super().__init__(base, memory, partial=not unread)
        self.space = ObservationSpace("grid", shape, np.dtype(np.uint8), has_agent=True)
        self.values: NDArray[Any] = np.frombuffer(memory, np.uint8).reshape(shape)

    def reset(self, observation: Any = None) -> None:
        """An episode begins."""
        self.encode()

    def step(self, action: int, observation: Any = None) -> None:
        """It goes on."""
        self.follow(action)

    def view(self) -> View:
        """What a teacher sees now."""
        if self._own is not None:
            return self._own(self._env, self._task)
        return self.kept_view(self._task)

    @property
    def mission(self) -> str:
        """What the student reads: the teacher's mission, where the task words its own."""
        if self._own is not None:
            return self.view().mission
        mission: str = self.base.mission
        return mission


class FullGrid(gym.Wrapper[Any, Any, Any, Any]):
    """A MiniGrid environment that observes the whole grid.

    The agent's partial view, which costs more than all the rest, is computed only with ``partial``.
    """

    def __init__(self, env: gym.Env[Any, Any], partial: bool = False) -> None:
        super().__init__(env)
        base: Any = env.unwrapped
        self._name = env.spec.id if env.spec else type(base).__name__
        self._shape = (base.width, base.height, 3)
        memory = bytearray(3 * base.width * base.height)
        self._kept = KeptGrid(base, memory, partial or not nobody_reads(env))
        inner = env.observation_space
        assert isinstance(inner, spaces.Dict)
        image = spaces.Box(0, 255, self._shape, np.uint8)
        self.observation_space = spaces.Dict({**inner.spaces, "image": image})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new episode; the whole grid as observation."""
        _, info = call_env(self._name, self.env.reset, seed=seed, options=options)
        self._kept.encode()
        return self._observe(), info

    def step(self, action: Any) -> tuple[dict[str, Any], Any, bool, bool, dict[str, Any]]:
        """One step; the whole grid as observation."""
        _, reward, terminated, truncated, info = call_env(self._name, self.env.step, action)
        self._kept.follow(action)
        return self._observe(), reward, terminated, truncated, info

    def _observe(self) -> dict[str, Any]:
        base = self._kept.base
        image: NDArray[np.uint8] = np.array(self._kept.memory, np.uint8).reshape(self._shape)
        return {"image": image, "direction": base.agent_dir, "mission": base.mission}
