"""The shortest way when all is known, against a search without estimates; and the explorer."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest

from lvlm2p.envs import make_env, view_of
from lvlm2p.envs.doorkey.exact import shortest_plan, split
from lvlm2p.envs.doorkey.explorer import plan_on_map, unseen_from
from lvlm2p.envs.doorkey.layouts import LayoutSpec, draw_layout
from lvlm2p.envs.doorkey.tasks import SETTINGS
from lvlm2p.envs.minigrid.state import Snapshot
from tests.envs.doorkey.rooms import letters, room, staged


@pytest.mark.parametrize(
    ("drawn", "carried", "way"),
    [
        ("#####\n#>.B\n#####", "b", "ft"),
        ("#####\n#>bB\n#####", "", "pft"),
        ("######\n#b.>.B\n######", "", "llfpllfft"),
        ("######\n#b.>~B\n######", "", None),
        ("######\n#r.>.B\n######", "", None),
        ("#####\n#>.B\n#####", "r", None),
        # the red key, in the way, is taken and left behind
        ("########\n#.>rb.B#\n########", "", "pfrrdllpfft"),
        # it need not be moved where there is room beside it
        ("#######\n#.b.r>#\n#.....#\n###B###", "", "rfrfffrprfrt"),
        # what is unseen can't be walked on
        ("#####\n#> B\n#####", "b", None),
    ],
)
def test_shortest_ways_worked_out_by_hand(drawn: str, carried: str, way: str | None) -> None:
    found = letters(shortest_plan(room(drawn, carried)))
    assert (found is None) == (way is None)
    if found is not None and way is not None:
        assert len(found) == len(way), found
        assert_opens(room(drawn, carried), found)


def assert_opens(state: Snapshot, way: str) -> None:
    """Played in the environment, the last action and no other opens a door."""
    env = staged(state)
    for i, letter in enumerate(way, start=1):
        _, reward, terminated, _, _ = env.step("lrfpdt".index(letter))
        assert terminated == (i == len(way))
        assert (float(reward) > 0) == terminated


def shortest_by_breadth(state: Snapshot) -> int | None:
    """Steps to an open door, by trying everything."""
    world, start = split(state)
    waves = deque([(start, 0)])
    found = {start}
    while waves:
        at, steps = waves.popleft()
        if world.opens(at.ahead, at.carried):
            return steps + 1
        for _, then in world.after(at):
            if then not in found:
                found.add(then)
                waves.append((then, steps + 1))
    return None


@pytest.mark.parametrize(
    "spec",
    [
        LayoutSpec(max_room=7),
        LayoutSpec(max_room=6, lava=True),
        LayoutSpec(max_room=5, colored=True, n_keys=2),
        LayoutSpec(max_room=5, colored=True, n_keys=5),
    ],
    ids=["simple", "lava", "colored", "crowded"],
)
def test_no_way_is_shorter(spec: LayoutSpec) -> None:
    rng = np.random.default_rng(0)
    for _ in range(25):
        state = draw_layout(spec, lambda low, high: int(rng.integers(low, high)))
        way = shortest_plan(state)
        assert way is not None
        assert len(way) == shortest_by_breadth(state)
        assert_opens(state, letters(way) or "")


def test_the_published_shortest_ways() -> None:
    """With the whole grid known: 11.7, 12.0, 12.2 and 24.4 steps on average."""
    rng = np.random.default_rng(2)
    published = zip(SETTINGS.values(), (11.7, 12.0, 12.2, 24.4), (600, 600, 600, 30), strict=True)
    for kwargs, mean, n in published:
        spec = LayoutSpec(**kwargs)
        ways = [
            len(
                shortest_plan(draw_layout(spec, lambda low, high: int(rng.integers(low, high))))
                or ()
            )
            for _ in range(n)
        ]
        assert min(ways) > 0, "every layout can be solved"
        assert abs(np.mean(ways) - mean) < 0.3 + 4 * np.std(ways) / n**0.5


@pytest.mark.parametrize("env_id", list(SETTINGS)[:3])
def test_the_explorer_opens_the_door_and_never_walks_into_lava(env_id: str) -> None:
    assert play_explorer(env_id, 100) == (100, 0)


def test_the_explorer_of_the_large_room() -> None:
    """150 steps are not enough to see every cell of it."""
    wins, dead = play_explorer("LVLM2P-DivergedDoorKey-v0", 25)
    assert wins >= 17 and dead == 0


def play_explorer(env_id: str, episodes: int) -> tuple[int, int]:
    """Doors opened and deaths."""
    env = make_env(env_id)
    rng = np.random.default_rng(3)
    wins = dead = 0
    for seed in range(episodes):
        env.reset(seed=seed)
        reward, terminated, truncated = 0.0, False, False
        while not (terminated or truncated):
            view = view_of(env)
            actions = sorted(view.task.plan(view).actions)
            action = view.task.action_named(actions[rng.integers(len(actions))])
            _, reward, terminated, truncated, _ = env.step(action.index)  # type: ignore[assignment]
        wins += reward > 0
        dead += terminated and reward == 0
    return wins, dead


def test_every_action_of_a_plan_on_a_known_map_leads_there_as_planned() -> None:
    env = make_env("LVLM2P-ColoredDoorKey-v0", max_room=6)
    base: Any = env.unwrapped
    ties = 0
    for seed in range(40):
        env.reset(seed=seed)
        whole = base.true_state()
        plan = plan_on_map(whole.encode())
        ties += len(plan.actions) > 1
        for action in sorted(plan.actions):
            env.reset(seed=seed)
            _, _, terminated, _, _ = env.step(view_of(env).task.action_named(action).index)
            assert terminated == (plan.distance == 1)
            left = plan_on_map(base.true_state().encode())
            assert terminated or left.distance == (plan.distance or 0) - 1
        for action in {"left", "right", "forward"} - plan.actions:
            env.reset(seed=seed)
            env.step(view_of(env).task.action_named(action).index)
            left = plan_on_map(base.true_state().encode())
            assert left.distance is not None and left.distance >= (plan.distance or 0)
    assert ties > 5


@pytest.mark.parametrize(
    ("drawn", "carried", "actions"),
    [
        # a key that may fit is fetched; where a door is known that it does not fit, not
        ("#####\n#>.b \n#####", "", {"forward"}),
        ("######\n#.>r  \n#.... \n#B####", "", {"right"}),
        # towards what is unseen, the nearest first
        ("#######\n#.>... \n#######", "", {"forward"}),
        # a key that keeps the agent from the unseen cells is taken
        ("#####\n#>r. \n#####\n#B###", "", {"pickup"}),
        # nothing to be done: anything but lava
        ("####\n#>~#\n####", "", {"left", "right"}),
        ("####\n#>.#\n####", "", {"left", "right", "forward"}),
    ],
)
def test_what_the_explorer_does(drawn: str, carried: str, actions: set[str]) -> None:
    assert plan_on_map(room(drawn, carried).encode()).actions == actions


def test_behind_walls_is_nothing_to_see() -> None:
    known = room("     \n ### \n #>. \n ### ")
    assert unseen_from(known, (2, 2, 0)) > 0
    assert unseen_from(known, (2, 2, 3)) == 0, "unseen cells beyond a wall are none of its business"
