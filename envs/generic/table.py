"""Exact planning where an environment says what each action can lead to, as Gymnasium's toy-text
environments do: ``env.unwrapped.P[state][action]`` lists (probability, next state, reward, end).

Value iteration over that table (Sutton and Barto, Reinforcement Learning, section 4.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium as gym
import numpy as np

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.generic.snapshot import said_in
from lvlm2p.envs.task import Plan, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

DISCOUNT = 0.999
"""Just below 1, so that of two ways to the same reward the shorter one is better."""

CONVERGED, MOST_SWEEPS = 1e-12, 20_000
EQUAL = 1e-7
"""Values this near are equal; that of a state is off by at most CONVERGED / (1 - DISCOUNT)."""


class Transition(NamedTuple):
    """What an action can lead to."""

    state: int
    action: int
    probability: float
    following: int
    reward: float
    ends: bool


@dataclass(frozen=True)
class TransitionTable:
    """All that can happen in an environment of numbered states."""

    states: int
    actions: int
    transitions: tuple[Transition, ...]
    starts: tuple[int, ...]
    """In which an episode may begin."""
    digest: str
    """Names the content."""

    @property
    def deterministic(self) -> bool:
        """Every action has one outcome, and every episode begins in the same state."""
        sure = all(one.probability == 1 for one in self.transitions)
        return sure and len(self.starts) == 1

    @property
    def end_rewards(self) -> set[float]:
        """The rewards with which an episode can end by its rules."""
        after: dict[int, list[Transition]] = {}
        for one in self.transitions:
            after.setdefault(one.state, []).append(one)
        todo, seen, rewards = list(self.starts), set(self.starts), set()
        while todo:
            for one in after[todo.pop()]:
                if one.ends:
                    rewards.add(one.reward)
                elif one.following not in seen:
                    seen.add(one.following)
                    todo.append(one.following)
        return rewards


def table_of(env: gym.Env[Any, Any]) -> TransitionTable | None:
    """The transition table of an environment; None where it has none."""
    base: Any = env.unwrapped
    table, seen, done = getattr(base, "P", None), env.observation_space, env.action_space
    if not (isinstance(seen, gym.spaces.Discrete) and isinstance(done, gym.spaces.Discrete)):
        return None
    if table is None:
        return None
    states, actions = int(seen.n), int(done.n)
    try:
        transitions = tuple(
            Transition(s, a, float(p), int(following), float(reward), bool(ends))
            for s in range(states)
            for a in range(actions)
            for p, following, reward, ends in table[s][a]
            if p > 0
        )
    except (LookupError, TypeError, ValueError):
        return None
    chances = getattr(base, "initial_state_distrib", None)
    chances = np.ones(states) if chances is None else np.asarray(chances)
    starts = tuple(int(s) for s in np.flatnonzero(chances))
    digest = hashlib.sha256(repr((transitions, starts)).encode()).hexdigest()[:16]
    return TransitionTable(states, actions, transitions, starts, digest)


class Solution(NamedTuple):
    """What is best in every state."""

    best: tuple[frozenset[int], ...]
    """The optimal actions."""
    steps: tuple[int | None, ...]
    """The fewest of them that can end the episode well; None: none can."""


@lru_cache(maxsize=16)
def solve(table: TransitionTable) -> Solution:
    """The optimal actions of every state, by value iteration."""
    state, action, probability, following, reward, ends = map(
        np.array, zip(*table.transitions, strict=True)
    )
    cell, size = state * table.actions + action, table.states * table.actions
    values: NDArray[np.float64] = np.zeros(table.states)
    for _ in range(MOST_SWEEPS):
        worth = probability * (reward + DISCOUNT * np.where(ends, 0.0, values[following]))
        worths = np.bincount(cell, worth, size).reshape(table.states, table.actions)
        moved = float(np.abs(worths.max(1) - values).max())
        values = worths.max(1)
        if moved < CONVERGED:
            break
    good = worths >= values[:, None] - EQUAL
    best = tuple(frozenset(np.flatnonzero(row).tolist()) for row in good)
    return Solution(best, _steps(table, best))


def _steps(table: TransitionTable, best: Sequence[frozenset[int]]) -> tuple[int | None, ...]:
    """Breadth first, backwards from the ends with the highest reward, along optimal actions."""
    highest = max(table.end_rewards, default=None)
    before: dict[int, list[int]] = {}
    steps: dict[int, int] = {}
    for one in table.transitions:
        if one.action in best[one.state]:
            if one.ends and one.reward == highest:
                steps[one.state] = 1
            elif not one.ends:
                before.setdefault(one.following, []).append(one.state)
    wave = list(steps)
    for state in wave:
        for earlier in before.get(state, []):
            if earlier not in steps:
                steps[earlier] = steps[state] + 1
                wave.append(earlier)
    return tuple(steps.get(state) for state in range(table.states))


@dataclass(frozen=True)
class TablePlanner:
    """``Task.planner`` of an environment with a transition table."""

    table: TransitionTable

    def __call__(self, view: View) -> Plan:
        """The optimal actions of the state that a view observes.

        Raises:
            UserError: it is a state of another table: a map that is drawn anew, say.
        """
        said = said_in(view.state)
        state = said["observation"]
        if said["table"] != self.table.digest:
            raise UserError(
                f"a state of {view.task.name!r} is of another map or of other rules than the "
                "planner's: name them in the environment's arguments, so that they are always "
                "the same."
            )
        if not isinstance(state, int) or not 0 <= state < self.table.states:
            raise UserError(f"a state of {view.task.name!r} observes {state!r}: there is no such.")
        found = solve(self.table)
        names = {action.index: action.name for action in view.task.actions}
        chosen = [names[action] for action in found.best[state] if action in names]
        return Plan(frozenset(chosen or names.values()), found.steps[state])
