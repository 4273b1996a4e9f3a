"""Environments with a table of transitions: what is optimal there, and how they look."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest

from lvlm2p.envs import (
    UserError,
    View,
    make_env,
    task_for,
    view_of,
)
from lvlm2p.envs.generic.table import solve, table_of

LAKE = "FrozenLake-v1?is_slippery=false"


@pytest.mark.parametrize(
    ("env_id", "names"),
    [
        ("CartPole-v1", ("left", "right")),
        ("FrozenLake-v1", ("left", "down", "right", "up")),
        ("CliffWalking-v1", ("up", "right", "down", "left")),
        ("Taxi-v4", ("south", "north", "east", "west", "pickup", "dropoff")),
    ],
)
def test_the_table_of_actions_has_gymnasiums_order(env_id: str, names: tuple[str, ...]) -> None:
    task = task_for(env_id)
    assert task.action_names == names
    base: Any = gym.make(env_id).unwrapped
    base.reset(seed=0)
    if "down" in names:  # moving down is a row further
        nrow, ncol = (4, 4) if env_id.startswith("Frozen") else (4, 12)
        start = 0 if env_id.startswith("Frozen") else ncol * (nrow - 2)
        reached = [outcome[1] for outcome in base.P[start][names.index("down")]]
        assert start + ncol in reached


def test_the_shortest_way_over_the_ice() -> None:
    env = make_env(LAKE)
    env.reset(seed=0)
    task = view_of(env).task
    distances = []
    over = False
    while not over:
        plan = task.plan(view_of(env))
        distances.append(plan.distance)
        index = task.action_named(sorted(plan.actions)[0]).index
        _, reward, over, _, _ = env.step(index)
    assert reward == 1
    assert distances == [6, 5, 4, 3, 2, 1]
    assert task.deterministic


def test_the_way_along_the_cliff_has_thirteen_steps() -> None:
    table = table_of(gym.make("CliffWalking-v1"))
    assert table is not None
    assert table.end_rewards == {-1}
    found = solve(table)
    assert found.steps[36] == 13
    assert found.best[36] == {0}
    assert all(found.best[state] == {1} for state in range(24, 35))


def test_on_slippery_ice_the_best_action_is_the_safe_one() -> None:
    """From the start the known optimal policy of FrozenLake 4x4 goes left, away from the holes."""
    table = table_of(gym.make("FrozenLake-v1"))
    assert table is not None
    assert not table.deterministic
    assert solve(table).best[0] == {0}
    assert solve(table).best[14] == {1}


def test_a_state_of_another_map_is_not_planned_on() -> None:
    task = task_for(LAKE)
    other = make_env("FrozenLake-v1?is_slippery=false&map_name=8x8")
    other.reset(seed=0)
    with pytest.raises(UserError, match="of another map"):
        task.plan(View(task, view_of(other).state, ""))


def test_toy_text_states_look_the_same_however_they_were_reached() -> None:
    env = make_env(LAKE)
    env.reset(seed=0)
    start = view_of(env).key
    env.step(0)  # against the wall
    assert view_of(env).key == start
