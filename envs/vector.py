"""Several environments in one process: what a student steps.

Every episode has a seed of its own, derived from (seed, environment, episode number), so that any
state can be reached again by seeding and replaying: that is how a run is resumed, bit for bit,
without storing anything but numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from lvlm2p.envs.episode import Episode
from lvlm2p.envs.errors import UserError, check_reward
from lvlm2p.envs.make import make_env
from lvlm2p.envs.observers import ObservedEnv
from lvlm2p.envs.registry import task_for
from lvlm2p.envs.stepping import stepper_for
from lvlm2p.envs.task import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEEDS_AT_ONCE = 256


@dataclass(frozen=True)
class Observation:
    """What N students see. The arrays are the caller's own."""

    values: NDArray[Any]
    """(N, *shape): as the environment's :class:`~lvlm2p.envs.ObservationSpace` says."""
    carrying: NDArray[np.uint8]
    """(N, 2): object and colour of what is carried; 0, 0: nothing, or there is no such thing."""
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
    successes: NDArray[np.bool_]
    """(K,): whether the task counts them as successes."""


class VectorEnv:
    """N environments of one id, stepped one after the other in this process.

    Args:
        env_id: a Gymnasium id that a task covers.
        n: how many.
        seed: decides every episode.
        kwargs: for :func:`~lvlm2p.envs.make_env`.

    Raises:
        UserError: the id is unknown, its actions are not discrete, or its observations can't be
            learned from.

    Attributes:
        task: which task the environments belong to.
        n_actions: how many actions there are.
        space: what one observation looks like.
    """

    def __init__(self, env_id: str, n: int, seed: int, **kwargs: Any) -> None:
        if n < 1:
            raise UserError(f"a vector of environments needs at least one, not {n}.")
        self.env_id, self.seed, self.n = env_id, seed, n
        self.task = task_for(env_id)
        made = [make_env(env_id, **kwargs) for _ in range(n)]
        if isinstance(made[0], ObservedEnv):
            self.task = made[0].task  # with ``kwargs`` it may be another
        self.n_actions = _count_actions(env_id, made[0])
        self._steppers = [stepper_for(env, self.task) for env in made]
        self._observers = [stepper.observer for stepper in self._steppers]
        self.space = self._observers[0].space
        self._seeds: list[list[int]] = [[] for _ in range(n)]
        self._episodes = [-1] * n
        self._actions: list[list[int]] = [[] for _ in range(n)]
        self._returns = [0.0] * n

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
        episodes = [
            Episode(self._returns[i], len(self._actions[i]), results[i][1], results[i][2])
            for i in ended
        ]
        for i in ended:
            self._start(i, self._episodes[i] + 1)
        return Step(
            obs=self.observe(),
            reward=np.array([reward for reward, _, _ in results], np.float64),
            terminated=np.array([over for _, over, _ in results], np.bool_),
            truncated=np.array([cut for _, _, cut in results], np.bool_),
            ended=np.array(ended, np.intp),
            final_obs=final,
            returns=np.array([episode.total_return for episode in episodes], np.float64),
            lengths=np.array([episode.length for episode in episodes], np.int64),
            successes=np.array([self.task.success(episode) for episode in episodes], np.bool_),
        )

    @property
    def episode_start(self) -> NDArray[np.bool_]:
        """(N,): where no action has been taken yet in the current episode."""
        return np.array([not actions for actions in self._actions], np.bool_)

    def views(self) -> list[View]:
        """What a teacher sees of the current states."""
        return [observer.view() for observer in self._observers]

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
        for stepper in self._steppers:
            stepper.env.close()

    def _start(self, i: int, episode: int) -> None:
        block, place = divmod(episode, SEEDS_AT_ONCE)
        if place == 0 or not self._seeds[i] or episode != self._episodes[i] + 1:
            self._seeds[i] = _seeds_of(self.seed, i, block)
        self._steppers[i].reset(self._seeds[i][place])
        self._episodes[i] = episode
        self._actions[i] = []
        self._returns[i] = 0.0

    def _advance(self, i: int, action: int) -> tuple[float, bool, bool]:
        result = self._steppers[i].step(action)
        self._actions[i].append(action)
        check_reward(result[0], self.env_id, len(self._actions[i]))
        self._returns[i] += result[0]
        return result

    def _observe(self, which: Sequence[int]) -> Observation:
        observers = [self._observers[i] for i in which]
        values = [observer.values for observer in observers]
        return Observation(
            values=self.space.stack(values, f"an observer of {self.env_id}"),
            carrying=np.array([observer.carrying for observer in observers], np.uint8).reshape(
                -1, 2
            ),
            mission=[observer.mission for observer in observers],
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


def _count_actions(env_id: str, env: gym.Env[Any, Any]) -> int:
    space = env.action_space
    if not isinstance(space, gym.spaces.Discrete) or space.start != 0:
        raise UserError(f"{env_id!r} has actions {space}: only discrete ones from 0 can be learnt.")
    return int(space.n)
