"""States to ask about: drawn from play, or all there are; the same for the same seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from lvlm2p.envs.errors import UserError
from lvlm2p.envs.make import make_env, view_of
from lvlm2p.envs.minigrid.planner import may_enter
from lvlm2p.envs.minigrid.state import GOAL, STEPS, decode_state, observe_minigrid
from lvlm2p.envs.registry import task_for
from lvlm2p.envs.task import Task, View

if TYPE_CHECKING:
    import gymnasium as gym
    from numpy.random import Generator

Policy = Literal["random", "expert", "mixed", "all"]

KEEP_PROB = 1 / 3
"""Probability that a visited state is kept, so that neighbours in an episode are not all taken."""
MAX_STEPS_WITHOUT_NEW = 600
"""Visited states without a new one after which there are taken to be no more."""
OVERSAMPLING = 5
"""Stratified samples are drawn from so many times as many states."""
MOST_INITIAL_STATES = 1000
MOST_STATES = 20_000


def sample_states(
    env_id: str,
    n: int | None,
    seed: int,
    policy: Policy = "random",
    *,
    stratified: bool = False,
    on_shortfall: Callable[[int, int], object] | None = None,
    **kwargs: Any,
) -> list[View]:
    """``n`` states in which an episode goes on, distinct by key, deterministic from ``seed``.

    Args:
        env_id: a Gymnasium id that a task covers.
        n: how many; fewer come back where the environment has fewer. None, for ``all`` only:
            every one.
        seed: decides everything.
        policy: who plays. ``random``: uniform over the teacher's actions; ``expert``: the planner;
            ``mixed``: each episode with its own share of random actions; ``all``: every reachable
            state of a small task.
        stratified: as many from each planner distance as there are, the shortfall from the others.
        on_shortfall: called with the number of states and of frames played where the play found
            fewer than ``n``.
        kwargs: for :func:`~lvlm2p.envs.make_env`.

    Raises:
        UserError: ``all`` for a task that is too large or moves by itself; no planner where one is
            needed; ``n`` missing or below 1.
    """
    import numpy as np

    if policy not in ("random", "expert", "mixed", "all"):
        raise UserError(f"states come from random, expert, mixed or all, not from {policy!r}.")
    if n is None and policy != "all":
        raise UserError(f"say how many states to draw from {policy} play.")
    if n is not None and n < 1:
        raise UserError(f"the number of states must be at least 1, not {n}.")
    rng = np.random.default_rng(seed)
    if policy == "all":
        pool = reachable_states(env_id, **kwargs)
        pool = [pool[i] for i in rng.permutation(len(pool))] if n is not None else pool
        wanted = len(pool) if n is None else n
    else:
        assert n is not None
        wanted = n
        env = make_env(env_id, **kwargs)
        pool, frames = _collect(
            _play(env, policy, rng), n, OVERSAMPLING * n if stratified else n, rng
        )
        env.close()
        if len(pool) < n and on_shortfall is not None:
            on_shortfall(len(pool), frames)
    return _evenly(pool, wanted) if stratified else pool[:wanted]


def reachable_states(env_id: str, **kwargs: Any) -> list[View]:
    """Every state of a small task in which an episode goes on.

    In a MiniGrid whose things stay where they are these are all cells that can be walked to, in
    all four directions, in every layout; also those behind a goal, where no episode gets without
    ending (LavaGapS6: 12 of 384). Elsewhere, and where a task has an observer that may remember,
    all action sequences are tried.

    Raises:
        UserError: the task moves by itself, or has too many layouts or states.
    """
    task = task_for(env_id)
    if not task.deterministic:
        raise UserError(f"{env_id!r} moves by itself, so its states can't be listed: draw some.")
    env = make_env(env_id, **kwargs)
    found: dict[str, View] = {}
    for seed in _seeds_of_initial_states(env, env_id):
        for view in _walk(env, seed) if _only_walks(env, task) else _explore(env, seed):
            found[view.key] = view
            if len(found) > MOST_STATES:
                raise UserError(
                    f"{env_id!r} has more than {MOST_STATES} states: draw some instead."
                )
    env.close()
    return list(found.values())


def is_quickly_listed(env_id: str) -> bool:
    """Whether :func:`reachable_states` takes less than a second, be it to find that there are too
    many: nobody need play to find them."""
    task = task_for(env_id)
    if not task.deterministic or task.observer is not None:
        return False
    env = make_env(env_id)
    quickly = _only_walks(env, task)
    env.close()
    return quickly


def _seeds_of_initial_states(env: gym.Env[Any, Any], env_id: str) -> list[int]:
    """A seed for every state that an episode starts in."""
    seeds: dict[tuple[str, str], int] = {}
    seed = last = 0
    while seed - last < 200 + 20 * len(seeds):
        env.reset(seed=seed)
        if seeds.setdefault(_identity(env), seed) == seed:
            last = seed
            if len(seeds) > MOST_INITIAL_STATES:
                raise UserError(
                    f"{env_id!r} starts in more than {MOST_INITIAL_STATES} states: "
                    "draw some instead."
                )
        seed += 1
    return list(seeds.values())


def _identity(env: gym.Env[Any, Any]) -> tuple[str, str]:
    """What tells states apart: the view, and where that may show less, all of a MiniGrid."""
    view = view_of(env)
    return view.key, observe_minigrid(env, view.task).key if _is_minigrid(env) else ""


def _is_minigrid(env: gym.Env[Any, Any]) -> bool:
    from minigrid.minigrid_env import MiniGridEnv

    return isinstance(env.unwrapped, MiniGridEnv)


def _only_walks(env: gym.Env[Any, Any], task: Task) -> bool:
    """Whether it is a MiniGrid in which the task's actions change nothing but the agent's place."""
    changing = {"drop", "toggle"} & set(task.action_names)
    return _is_minigrid(env) and task.observer is None and not changing


def _walk(env: gym.Env[Any, Any], seed: int) -> Iterator[View]:
    """Views of a MiniGrid with the agent in each cell that it can walk to, but on no goal."""
    env.reset(seed=seed)
    base: Any = env.unwrapped
    state = decode_state(observe_minigrid(env, view_of(env).task).state)
    cells = {(state.x, state.y)}
    todo = [(state.x, state.y)]
    while todo:
        x, y = todo.pop()
        for at in ((x + dx, y + dy) for dx, dy in STEPS):
            inside = 0 <= at[0] < state.width and 0 <= at[1] < state.height
            if at not in cells and inside and may_enter(state.cells, state.height, *at):
                cells.add(at)
                todo.append(at)
    for x, y in sorted(cells):
        if state.cell(x, y).kind != GOAL:
            for base.agent_dir in range(4):
                base.agent_pos = (x, y)
                yield view_of(env)


def _explore(env: gym.Env[Any, Any], seed: int) -> Iterator[View]:
    """Breadth first over all actions from the state that ``seed`` starts in."""
    space: Any = env.action_space
    env.reset(seed=seed)
    seen = {_identity(env)}
    yield view_of(env)
    sequences: deque[list[int]] = deque([[]])
    while sequences:
        sequence = sequences.popleft()
        for action in range(space.n):
            env.reset(seed=seed)
            for earlier in sequence:
                env.step(earlier)
            _, _, terminated, _, _ = env.step(action)
            if not terminated and _identity(env) not in seen:
                seen.add(_identity(env))
                yield view_of(env)
                sequences.append([*sequence, action])


def _play(env: gym.Env[Any, Any], policy: str, rng: Generator) -> Iterator[View]:
    """Every state visited in endless episodes, without the final ones."""
    while True:
        chance = {"random": 1.0, "expert": 0.0, "mixed": rng.random()}[policy]
        env.reset(seed=int(rng.integers(2**31)))
        over = False
        while not over:
            view = view_of(env)
            yield view
            task = view.task
            names = task.action_names if rng.random() < chance else sorted(task.plan(view).actions)
            action = task.action_named(names[rng.integers(len(names))])
            _, _, terminated, truncated, _ = env.step(action.index)
            over = terminated or truncated


def _collect(visited: Iterator[View], n: int, most: int, rng: Generator) -> tuple[list[View], int]:
    """At least ``n`` distinct states if there are so many; up to ``most`` if they come quickly.
    And in how many visited ones.
    """
    found: dict[str, View] = {}
    last = steps = 0
    for steps, view in enumerate(visited):
        if rng.random() < KEEP_PROB and view.key not in found:
            found[view.key] = view
            last = steps
        exhausted = steps - last > MAX_STEPS_WITHOUT_NEW
        enough = len(found) >= n and steps > 4 * OVERSAMPLING * n
        if len(found) >= most or exhausted or enough:
            break
    return list(found.values()), steps + 1


def _evenly(pool: list[View], n: int) -> list[View]:
    """``n`` of ``pool``, one from each planner distance in turn."""
    strata: dict[int, list[View]] = {}
    for view in pool:
        distance = view.task.plan(view).distance
        strata.setdefault(-1 if distance is None else distance, []).append(view)
    rows = [iter(strata[distance]) for distance in sorted(strata)]
    chosen: list[View] = []
    while rows and len(chosen) < n:
        left = []
        for row in rows:
            following = next(row, None)
            if following is not None:
                chosen.append(following)
                left.append(row)
        rows = left
    return chosen[:n]
