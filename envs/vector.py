"""Several environments in one process: what a student steps.

Every episode has a seed of its own, derived from (seed, environment, episode number), so that any
state can be reached again by seeding and replaying: that is how a run is resumed, bit for bit,
without storing anything but numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium as gym
import numpy as np

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.make import make_env
from lvlm2p.envs.minigrid.fast_reset import KNOWN, start_episode
from lvlm2p.envs.minigrid.observation import KeptGrid
from lvlm2p.envs.registry import task_for
from lvlm2p.envs.task import Task
from lvlm2p.envs.view import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEEDS_AT_ONCE = 256


@dataclass(frozen=True)
class Observation:
    """What N students see. The arrays are the caller's own."""

    grid: NDArray[np.uint8]
    """(N, width, height, 3): object, colour, state of every cell, the agent among them."""
    carrying: NDArray[np.uint8]
    """(N, 2): object and colour of what is carried; 0, 0: nothing."""
    mission: list[str]

    def __len__(self) -> int:
        return len(self.mission)


@dataclass(frozen=True)
class Step:
    """What one step of all environments gave. Those whose episode ended have started the next."""

    obs: Observation
    """After the restarts."""
    reward: NDArray[np.float64]
    """(N,)."""
    terminated: NDArray[np.bool_]
    """(N,): the episode ended by its own rules."""
    truncated: NDArray[np.bool_]
    """(N,): the episode was cut off; its last state still has a value."""
    ended: NDArray[np.intp]
    """(K,): which environments' episodes ended."""
    final_obs: Observation
    """K rows, in the order of ``ended``: the last observation before the restart."""
    returns: NDArray[np.float64]
    """(K,): undiscounted sum of rewards of the ended episodes."""
    lengths: NDArray[np.int64]
    """(K,): their steps."""


class Slot(Protocol):
    """One environment that writes what it sees into its place in shared memory."""

    env: gym.Env[Any, Any]

    def reset(self, seed: int) -> None:
        """Start an episode."""

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Reward, terminated, truncated."""

    def view(self) -> View:
        """What a teacher sees."""

    @property
    def carried(self) -> tuple[int, int]:
        """Object and colour of what is carried."""

    @property
    def mission(self) -> str:
        """The current mission."""


class VectorEnv:
    """N environments of one id, stepped one after the other in this process.

    Args:
        env_id: a Gymnasium id that a task covers.
        n: how many.
        seed: decides every episode.
        kwargs: for :func:`~lvlm2p.envs.make_env`.

    Raises:
        UserError: the id is unknown, its actions are not discrete, or nobody says how a student
            sees it.
    """

    def __init__(self, env_id: str, n: int, seed: int, **kwargs: Any) -> None:
        if n < 1:
            raise UserError(f"a vector of environments needs at least one, not {n}.")
        self.env_id, self.seed, self.n = env_id, seed, n
        self.task = task_for(env_id)
        made = [make_env(env_id, **kwargs) for _ in range(n)]
        self.n_actions = _count_actions(env_id, made[0])
        shape = _grid_shape(self.task, made[0])
        size = int(np.prod(shape))
        memory = memoryview(bytearray(n * size))
        self._grid = np.frombuffer(memory, np.uint8).reshape(n, *shape)
        self._slots = [
            _slot(self.task, env, memory[i * size : (i + 1) * size]) for i, env in enumerate(made)
        ]
        self._seeds: list[list[int]] = [[] for _ in range(n)]
        self._episodes = [-1] * n
        self._actions: list[list[int]] = [[] for _ in range(n)]
        self._returns = [0.0] * n

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(width, height, 3)."""
        _, width, height, depth = self._grid.shape
        return width, height, depth

    def reset(self) -> Observation:
        """Start the next episode everywhere."""
        for i in range(self.n):
            self._start(i, self._episodes[i] + 1)
        return self.observe()

    def observe(self) -> Observation:
        """What is seen now."""
        return self._observe(range(self.n))

    def step(self, actions: Sequence[int] | NDArray[Any]) -> Step:
        """Take one action in each environment; where an episode ends, start the next.

        Raises:
            UserError: another number of actions than environments.
        """
        chosen = [int(action) for action in actions]
        if len(chosen) != self.n:
            raise UserError(f"{len(chosen)} actions for {self.n} environments.")
        results = [self._advance(i, action) for i, action in enumerate(chosen)]
        ended = [i for i, (_, over, cut) in enumerate(results) if over or cut]
        final = self._observe(ended)
        returns = [self._returns[i] for i in ended]
        lengths = [len(self._actions[i]) for i in ended]
        for i in ended:
            self._start(i, self._episodes[i] + 1)
        return Step(
            obs=self.observe(),
            reward=np.array([reward for reward, _, _ in results], np.float64),
            terminated=np.array([over for _, over, _ in results], np.bool_),
            truncated=np.array([cut for _, _, cut in results], np.bool_),
            ended=np.array(ended, np.intp),
            final_obs=final,
            returns=np.array(returns, np.float64),
            lengths=np.array(lengths, np.int64),
        )

    def views(self) -> list[View]:
        """What a teacher sees of the current states."""
        return [slot.view() for slot in self._slots]

    def state(self) -> dict[str, Any]:
        """Where every environment stands, as JSON values: its episode and the actions in it."""
        return {
            "env_id": self.env_id,
            "seed": self.seed,
            "episodes": list(self._episodes),
            "actions": [list(actions) for actions in self._actions],
        }

    def restore(self, state: dict[str, Any]) -> Observation:
        """Come back to where :meth:`state` was taken, by replaying the current episodes.

        Raises:
            UserError: it is the state of another run.
        """
        mine = (self.env_id, self.seed, self.n)
        theirs = (state["env_id"], state["seed"], len(state["episodes"]))
        if mine != theirs:
            raise UserError(
                f"this state belongs to {theirs[2]} of {theirs[0]} with seed {theirs[1]}, "
                f"not to {mine[2]} of {mine[0]} with seed {mine[1]}."
            )
        for i, episode in enumerate(state["episodes"]):
            if episode >= 0:
                self._start(i, episode)
            for action in state["actions"][i]:
                self._advance(i, action)
        return self.observe()

    def close(self) -> None:
        """Close every environment."""
        for slot in self._slots:
            slot.env.close()

    def _start(self, i: int, episode: int) -> None:
        block, place = divmod(episode, SEEDS_AT_ONCE)
        if place == 0 or not self._seeds[i] or episode != self._episodes[i] + 1:
            self._seeds[i] = _seeds_of(self.seed, i, block)
        self._slots[i].reset(self._seeds[i][place])
        self._episodes[i] = episode
        self._actions[i] = []
        self._returns[i] = 0.0

    def _advance(self, i: int, action: int) -> tuple[float, bool, bool]:
        result = self._slots[i].step(action)
        self._actions[i].append(action)
        self._returns[i] += result[0]
        return result

    def _observe(self, which: Sequence[int]) -> Observation:
        slots = [self._slots[i] for i in which]
        return Observation(
            grid=self._grid[list(which)],
            carrying=np.array([slot.carried for slot in slots], np.uint8).reshape(-1, 2),
            mission=[slot.mission for slot in slots],
        )


def _seeds_of(seed: int, i: int, block: int) -> list[int]:
    """Of the episodes of environment ``i``.

    NumPy strings the numbers together in words of 32 bits, so an ``i`` from 256 on reads like the
    upper word of a seed such as an evaluation's (2**40 and more); it gets a word that no seed has.
    """
    tag = (1,) if i >= 256 else ()
    sequence = np.random.SeedSequence((seed, i, block), spawn_key=tag)
    seeds: list[int] = sequence.generate_state(SEEDS_AT_ONCE).tolist()
    return seeds


class _MiniGridSlot:
    """A MiniGrid environment, its encoding kept."""

    def __init__(self, task: Task, env: gym.Env[Any, Any], place: memoryview) -> None:
        self.env = env
        self._inner = _bare(env)
        self._task = task
        self._kept = KeptGrid(env.unwrapped, place)
        self._known = type(self._inner) in KNOWN

    def reset(self, seed: int) -> None:
        if self._known:
            start_episode(self._inner, seed)
        else:
            self._inner.reset(seed=seed)
        self._kept.encode()

    def step(self, action: int) -> tuple[float, bool, bool]:
        _, reward, terminated, truncated, _ = self._inner.step(action)
        self._kept.follow(action)
        return float(reward), bool(terminated), bool(truncated)

    def view(self) -> View:
        return self._kept.view(self._task)

    @property
    def carried(self) -> tuple[int, int]:
        return self._kept.carried

    @property
    def mission(self) -> str:
        mission: str = self._kept.base.mission
        return mission


class _SymbolSlot:
    """Any other environment, seen through its task's ``symbols``."""

    carried = (0, 0)

    def __init__(self, task: Task, env: gym.Env[Any, Any], place: memoryview) -> None:
        self.env = env
        self._task = task
        self._place = place

    def reset(self, seed: int) -> None:
        self.env.reset(seed=seed)
        self._write()

    def step(self, action: int) -> tuple[float, bool, bool]:
        _, reward, terminated, truncated, _ = self.env.step(action)
        self._write()
        return float(reward), bool(terminated), bool(truncated)

    def _write(self) -> None:
        assert self._task.symbols is not None
        self._place[:] = np.asarray(self._task.symbols(self.env), np.uint8).tobytes()

    def view(self) -> View:
        return self._task.look(self.env)

    @property
    def mission(self) -> str:
        return self._task.look(self.env).mission


def _slot(task: Task, env: gym.Env[Any, Any], place: memoryview) -> Slot:
    return _MiniGridSlot(task, env, place) if _is_minigrid(env) else _SymbolSlot(task, env, place)


def _is_minigrid(env: gym.Env[Any, Any]) -> bool:
    from minigrid.minigrid_env import MiniGridEnv

    return isinstance(env.unwrapped, MiniGridEnv)


def _bare(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """``env`` without the wrappers that only observe or check."""
    from gymnasium.wrappers import OrderEnforcing

    from lvlm2p.envs.minigrid.observation import FullGrid

    while isinstance(env, FullGrid | OrderEnforcing):
        env = env.env
    return env


def _count_actions(env_id: str, env: gym.Env[Any, Any]) -> int:
    space = env.action_space
    if not isinstance(space, gym.spaces.Discrete) or space.start != 0:
        raise UserError(f"{env_id!r} has actions {space}: only discrete ones from 0 can be learnt.")
    return int(space.n)


def _grid_shape(task: Task, env: gym.Env[Any, Any]) -> tuple[int, ...]:
    """(width, height, 3) of what a student sees."""
    base: Any = env.unwrapped
    if _is_minigrid(env):
        return base.width, base.height, 3
    if task.symbols is None:
        raise UserError(
            f"task {task.name!r} does not say what a student sees: give it Task.symbols "
            "(docs/tasks.md); teachers can advise on it without."
        )
    env.reset(seed=0)
    return np.asarray(task.symbols(env)).shape
