"""The observers that come with this package, and the wrapper that keeps an observer informed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from lvlm2p.envs.errors import UserError, call_env
from lvlm2p.envs.spaces import ObservationSpace, SpaceReader
from lvlm2p.envs.task import Observer, Task, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

UINT8 = np.dtype(np.uint8)


class SpaceObserver(Observer):
    """``Task.observe`` for the teacher, the environment's own observation for the student.

    Raises:
        UserError: the observation space can't be learned from.
    """

    def __init__(self, env: gym.Env[Any, Any], task: Task) -> None:
        self._env, self._task = env, task
        self._reader = SpaceReader(env.observation_space, f"task {task.name!r}")
        self._values = np.zeros(self.space.shape, self.space.dtype)

    @property
    def space(self) -> ObservationSpace:
        """That of the environment's observations."""
        return self._reader.space

    def reset(self, observation: Any) -> None:
        """An episode begins."""
        self._values = self._reader(observation)

    def step(self, action: int, observation: Any) -> None:
        """It goes on."""
        self._values = self._reader(observation)

    def view(self) -> View:
        """A snapshot."""
        return observe(self._env, self._task)

    @property
    def values(self) -> NDArray[Any]:
        """The last observation."""
        return self._values


class GridObserver(Observer):
    """``Task.observe`` for the teacher; for the student a grid of symbols, as MiniGrid has it.

    Args:
        symbols: the state of an environment as (width, height, 3) integers from 0 to 255, always
            of the same shape.

    Say ``Task(observer=functools.partial(GridObserver, symbols=...))``.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        task: Task,
        symbols: Callable[[gym.Env[Any, Any]], NDArray[Any]],
    ) -> None:
        self._env, self._task, self._symbols = env, task, symbols
        self._space: ObservationSpace | None = None

    @property
    def space(self) -> ObservationSpace:
        """A grid. Before the first reset the environment is reset once, to see how large."""
        if self._space is None:
            self._env.reset(seed=0)
            self._space = ObservationSpace("grid", self.values.shape, UINT8)
        return self._space

    def reset(self, observation: Any) -> None:
        """Nothing to remember."""

    def step(self, action: int, observation: Any) -> None:
        """Nothing to remember."""

    def view(self) -> View:
        """A snapshot."""
        return observe(self._env, self._task)

    @property
    def values(self) -> NDArray[np.uint8]:
        """The symbols.

        Raises:
            UserError: they are not integers from 0 to 255.
        """
        given = np.asarray(self._symbols(self._env))
        if given.dtype.kind not in "iub" or given.min() < 0 or given.max() > 255:
            raise UserError(f"task {self._task.name!r}: symbols must be integers from 0 to 255.")
        return given.astype(np.uint8)


class ObservedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """An environment whose observer is told of every reset and step."""

    def __init__(self, env: gym.Env[Any, Any], task: Task, observer: Observer) -> None:
        super().__init__(env)
        self.task, self.observer = task, observer
        self._started = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """A new episode.

        Raises:
            UserError: the environment does not reset.
        """
        observation, info = call_env(self.task.name, self.env.reset, seed=seed, options=options)
        self.observer.reset(observation)
        self._started = True
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step.

        Raises:
            UserError: the environment does not step.
        """
        result = call_env(self.task.name, self.env.step, action)
        self.observer.step(int(action), result[0])
        return result

    def view(self) -> View:
        """What a teacher sees now.

        Raises:
            UserError: the environment was never reset.
        """
        if not self._started:
            raise UserError("this environment has no state yet: call reset() before view_of().")
        return self.observer.view()


def observe(env: gym.Env[Any, Any], task: Task) -> View:
    """A snapshot of ``env`` by a task that needs no memory for it.

    Raises:
        UserError: the task has an observer only, and ``env`` was made without it.
    """
    if task.observe is None:
        raise UserError(
            f"task {task.name!r} sees with an observer, which has to be there from the start of "
            "an episode: make the environment with make_env."
        )
    return task.observe(env, task)


def observed(env: gym.Env[Any, Any], task: Task | None) -> ObservedEnv | None:
    """The wrapper of ``env`` whose observer (of ``task``) is told of all steps, if there is one."""
    while isinstance(env, gym.Wrapper):
        if isinstance(env, ObservedEnv) and task in (None, env.task):
            return env
        env = env.env
    return None
