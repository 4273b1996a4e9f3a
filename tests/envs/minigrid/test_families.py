"""The families of MiniGrid and BabyAI: rules, views, planners, and the environment's own steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lvlm2p.envs import Task, UserError, View, covered_ids, make_env, task_for, view_of
from lvlm2p.envs.minigrid.missions import carried_bytes, read_mission
from lvlm2p.envs.minigrid.search.problem import Moment, after, ahead_of
from lvlm2p.envs.minigrid.state import EMPTY_CELL, Snapshot, decode_state, observe_minigrid

GRIDS = [i for i in covered_ids() if i.startswith(("MiniGrid-", "BabyAI-")) and "-WFC-" not in i]
"""WFC needs the package imageio, which is not installed."""
PLANNED = [i for i in GRIDS if task_for(i).planner is not None and "Dynamic" not in i]
WITHOUT_PLANNER = {
    "BabyAI-BossLevel-v0": "too many states",
    "BabyAI-BossLevelNoUnlock-v0": "too many states",
    "BabyAI-MiniBossLevel-v0": "too many states",
    "BabyAI-MoveTwoAcrossS8N9-v0": "too many states",
    "BabyAI-OpenDoorsOrderN2Debug-v0": "MiniGrid fails the mission at the first of two doors",
    "BabyAI-OpenDoorsOrderN4Debug-v0": "MiniGrid fails the mission at the first of two doors",
    "BabyAI-Synth-v0": "too many states",
    "BabyAI-SynthLoc-v0": "too many states",
    "BabyAI-SynthS5R2-v0": "too many states",
    "BabyAI-SynthSeq-v0": "too many states",
    "BabyAI-Unlock-v0": "too many states",
    "MiniGrid-ObstructedMaze-1Q-v0": "too many states",
    "MiniGrid-ObstructedMaze-1Q-v1": "too many states",
    "MiniGrid-ObstructedMaze-2Dlhb-v0": "too many states",
    "MiniGrid-ObstructedMaze-2Dlhb-v1": "too many states",
    "MiniGrid-ObstructedMaze-2Q-v0": "too many states",
    "MiniGrid-ObstructedMaze-2Q-v1": "too many states",
    "MiniGrid-ObstructedMaze-Full-v0": "too many states",
    "MiniGrid-ObstructedMaze-Full-v1": "too many states",
    "MiniGrid-Playground-v0": "there is nothing to achieve",
}
SAMPLE = (
    "MiniGrid-DoorKey-8x8-v0",
    "MiniGrid-UnlockPickup-v0",
    "MiniGrid-KeyCorridorS3R3-v0",
    "MiniGrid-MultiRoom-N4-S5-v1",
    "MiniGrid-ObstructedMaze-1Dlh-v0",
    "MiniGrid-MemoryS13Random-v0",
    "MiniGrid-RedBlueDoors-6x6-v0",
    "MiniGrid-PutNear-8x8-N3-v0",
    "MiniGrid-GoToObject-6x6-N2-v0",
    "BabyAI-GoToRedBall-v0",
    "BabyAI-GoToSeqS5R2-v0",
    "BabyAI-OpenDoorLoc-v0",
    "BabyAI-PickupLoc-v0",
    "BabyAI-PutNextS5N2Carrying-v0",
    "BabyAI-KeyInBox-v0",
    "BabyAI-MoveTwoAcrossS5N2-v0",
)


def acted_well(env_id: str, episodes: int) -> int:
    """How many episodes succeed by the first of the optimal actions."""
    env = make_env(env_id)
    wins = 0
    for seed in range(episodes):
        env.reset(seed=seed)
        over = False
        while not over:
            view = view_of(env)
            plan = view.task.plan(view)
            if plan.distance is None:
                break
            action = view.task.action_named(min(plan.actions))
            _, reward, terminated, truncated, _ = env.step(action.index)
            over = terminated or truncated
            wins += over and float(reward) > 0
    env.close()
    return wins


def test_the_ids_without_a_planner_are_these() -> None:
    assert {i for i in GRIDS if task_for(i).planner is None} == set(WITHOUT_PLANNER)


@pytest.mark.parametrize("env_id", SAMPLE)
def test_a_planner_succeeds(env_id: str) -> None:
    assert acted_well(env_id, 3) == 3


@pytest.mark.slow
@pytest.mark.parametrize("env_id", PLANNED)
def test_a_planner_succeeds_in_99_of_100_episodes(env_id: str) -> None:
    assert acted_well(env_id, 200) >= 198


def same_step(before: Snapshot, action: int, later: Snapshot, inside: bytes) -> bool:
    """Whether the search's step is the environment's."""
    at = before.x * before.height + before.y
    moment = Moment(before.cells, carried_bytes(before), at, before.direction)
    front = ahead_of(at, before.direction, before.width, before.height)
    then = after(moment, action, front, inside)
    place = later.x * later.height + later.y
    return then == Moment(later.cells, carried_bytes(later), place, later.direction)


def contents_ahead(base: Any) -> bytes:
    """What a box in front of the agent holds."""
    obj = base.grid.get(*base.front_pos)
    held = getattr(obj, "contains", None)
    return EMPTY_CELL if held is None else bytes(held.encode())


def walk(env_id: str, steps: int) -> None:
    """Random steps: the search's transitions, keys and what is said."""
    env = make_env(env_id)
    base: Any = env.unwrapped
    task = task_for(env_id)
    rng = np.random.default_rng(0)
    seen: dict[str, tuple[bytes, str, str | None]] = {}
    env.reset(seed=1)
    for _ in range(steps):
        view = view_of(env)
        assert view.text is not None and view.image().ndim == 3
        content = (view.image().tobytes(), view.mission, view.text)
        assert seen.setdefault(view.key, content) == content
        state = decode_state(observe_minigrid(env, task).state)
        action = int(rng.integers(7))
        if env_id.startswith("MiniGrid-Memory") and action == 3:
            action = 5  # it takes pickup for toggle
        inside = contents_ahead(base)
        _, _, terminated, truncated, _ = env.step(action)
        later = decode_state(observe_minigrid(env, task).state)
        assert same_step(state, action, later, inside)
        if terminated or truncated:
            env.reset(seed=int(rng.integers(1000)))
    assert len(set(seen.values())) == len(seen)
    env.close()


@pytest.mark.parametrize("env_id", SAMPLE)
def test_the_searchs_steps_are_the_environments(env_id: str) -> None:
    walk(env_id, 60)


@pytest.mark.slow
@pytest.mark.parametrize("env_id", [i for i in GRIDS if "Dynamic" not in i])
def test_the_searchs_steps_are_the_environments_everywhere(env_id: str) -> None:
    walk(env_id, 500)


@pytest.mark.parametrize("env_id", GRIDS[::6])
def test_any_id_is_seen_and_stepped(env_id: str) -> None:
    env = make_env(env_id)
    env.reset(seed=0)
    for action in (2, 0, 2):
        view = view_of(env)
        assert View.from_json(view.to_json()) == view
        assert {a.index for a in view.task.actions} <= set(range(7))
        env.step(action)
    env.close()


def test_missions_are_read() -> None:
    said = "open a red door and go to the ball on your left after you pick up the grey object"
    mission = read_mission(f"{said} (already done: pick up the grey object)")
    assert [act.verb for act in mission.acts] == ["open", "go to", "pick up"]
    assert mission.stages == ((2,), (0, 1)) and mission.done == 0b100
    put = read_mission("put the red key next to a box").acts[0]
    assert put.near is not None and put.near.kind == 7 and not put.diagonal
    with pytest.raises(UserError, match="no sentence"):
        read_mission("be happy")


def test_what_a_player_remembers_is_said() -> None:
    env = make_env("BabyAI-OpenTwoDoors-v0")
    env.reset(seed=0)
    said = view_of(env).mission
    task: Task = view_of(env).task
    first, second = said.split(", then ")
    while view_of(env).mission == said:
        env.step(task.action_named(min(task.plan(view_of(env)).actions)).index)
    assert view_of(env).mission == f"{said} (already done: {first})"
    assert second


def test_a_place_in_a_mission_is_resolved() -> None:
    env = make_env("BabyAI-PickupLoc-v0")
    base: Any = env.unwrapped
    for seed in range(12):
        env.reset(seed=seed)
        meant = [obj.cur_pos for obj in base.instrs.desc.obj_set]
        mission = read_mission(view_of(env).mission)
        if mission.acts[0].what.where is None:
            assert not mission.meant
        else:
            ((_, spots, in_hand),) = mission.meant
            assert sorted(spots) == sorted((int(x), int(y)) for x, y in meant) and not in_hand
