"""One environment of a vector: how it is reset and stepped, and who observes it."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium as gym
from gymnasium.wrappers import OrderEnforcing
from minigrid.minigrid_env import MiniGridEnv

from lvlm2p.envs.errors import call_env
from lvlm2p.envs.minigrid.fast_reset import KNOWN, start_episode
from lvlm2p.envs.minigrid.observation import FullGrid, MiniGridObserver
from lvlm2p.envs.observers import GridObserver, ObservedEnv, SpaceObserver
from lvlm2p.envs.task import Observer, Task


class Stepper(Protocol):
    """Steps one environment and keeps its observer informed."""

    env: gym.Env[Any, Any]

    @property
    def observer(self) -> Observer:
        """Who observes it."""
        ...

    def reset(self, seed: int) -> None:
        """Start an episode."""

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Reward, terminated, truncated."""
        ...


def stepper_for(env: gym.Env[Any, Any], task: Task) -> Stepper:
    """A stepper for what :func:`~lvlm2p.envs.make_env` gave.

    Raises:
        UserError: no student can learn from its observations.
    """
    if isinstance(env, ObservedEnv):
        return _PlainStepper(env)
    if task.symbols is not None:
        return _PlainStepper(ObservedEnv(env, task, GridObserver(env, task, task.symbols)))
    if isinstance(env.unwrapped, MiniGridEnv):
        return _MiniGridStepper(env, task)
    return _PlainStepper(ObservedEnv(env, task, SpaceObserver(env, task)))


class _PlainStepper:
    """Any environment, through its wrappers."""

    def __init__(self, env: ObservedEnv) -> None:
        self.env: gym.Env[Any, Any] = env
        self.observer = env.observer

    def reset(self, seed: int) -> None:
        self.env.reset(seed=seed)

    def step(self, action: int) -> tuple[float, bool, bool]:
        _, reward, terminated, truncated, _ = self.env.step(action)
        return float(reward), bool(terminated), bool(truncated)


class _MiniGridStepper:
    """A MiniGrid environment without the wrappers that only observe or check."""

    def __init__(self, env: gym.Env[Any, Any], task: Task) -> None:
        self.env, self._name = env, task.name
        self.observer = MiniGridObserver(env, task)
        while isinstance(env, FullGrid | OrderEnforcing):
            env = env.env
        self._inner = env
        self._known = type(env) in KNOWN

    def reset(self, seed: int) -> None:
        if self._known:
            start_episode(self._inner, seed)
        else:
            call_env(self._name, self._inner.reset, seed=seed)
        self.observer.reset()

    def step(self, action: int) -> tuple[float, bool, bool]:
        _, reward, terminated, truncated, _ = call_env(self._name, self._inner.step, action)
        self.observer.step(action)
        return float(reward), bool(terminated), bool(truncated)
