"""Tasks: the four families in every size and variant, and those that users register."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from minigrid.core.actions import Actions
from minigrid.core.world_object import Lava, Wall

from lvlm2p.envs import (
    Action,
    Task,
    UnknownNameError,
    UserError,
    VectorEnv,
    View,
    covered_ids,
    make_env,
    register_task,
    sample_states,
    task_for,
    task_named,
    view_of,
)
from tests.support.shipped import WHOLE_GRID_IDS

SHIPPED = ("dynamic-obstacles", "fetch", "go-to-door", "lava-gap")


def test_every_registered_id_of_minigrid_and_babyai_is_covered() -> None:
    ids = [env_id for env_id in gym.registry if env_id.startswith(("MiniGrid-", "BabyAI-"))]
    assert len(ids) == 178
    assert set(ids) <= set(covered_ids())


@pytest.mark.parametrize("name", SHIPPED)
def test_actions_have_minigrids_numbers(name: str) -> None:
    for action in task_named(name).actions:
        assert Actions[action.name] == action.index


def test_the_paper_gives_teachers_three_three_four_and_four_actions() -> None:
    assert [len(task_named(name).actions) for name in SHIPPED] == [3, 4, 4, 3]


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("MiniGrid-LavaGapS5-v0", {"size": 9}),
        ("MiniGrid-LavaGapS6-v0", {"obstacle_type": Wall}),
        ("MiniGrid-LavaGapS6-v0", {"obstacle_type": Lava, "max_steps": 40}),
        ("MiniGrid-Dynamic-Obstacles-8x8-v0", {"agent_start_pos": None, "n_obstacles": 2}),
        ("MiniGrid-Dynamic-Obstacles-6x6-v0", {"agent_start_pos": (3, 2), "agent_start_dir": 2}),
        ("MiniGrid-Fetch-8x8-N3-v0", {"size": 7, "numObjs": 5}),
        ("MiniGrid-GoToDoor-5x5-v0", {"size": 10, "max_steps": 200}),
    ],
)
def test_keyword_variants_can_be_seen_planned_and_solved(
    env_id: str, kwargs: dict[str, Any]
) -> None:
    env = make_env(env_id, **kwargs)
    wins = 0
    for seed in range(20):
        env.reset(seed=seed)
        for _ in range(200):
            view = view_of(env)
            base: Any = env.unwrapped
            np.testing.assert_array_equal(
                view.image()[: 32 * base.height], base.get_frame(highlight=False)
            )
            action = view.task.action_named(min(view.task.plan(view).actions))
            _, reward, terminated, truncated, _ = env.step(action.index)
            if terminated or truncated:
                wins += reward > 0  # type: ignore[operator]
                break
    assert wins == 20


@pytest.mark.parametrize("env_id", WHOLE_GRID_IDS)
def test_the_scene_is_what_the_simulator_says(env_id: str) -> None:
    for view in sample_states(env_id, 25, 3, "mixed"):
        assert view.task.ground_truth is not None
        scene = view.task.ground_truth(view)
        cells = np.frombuffer(view.state[2:-5], np.uint8).reshape(view.state[0], view.state[1], 3)
        assert (scene["agent_column"], scene["agent_row"]) == tuple(view.state[-5:-3])
        assert scene["agent_direction"] == ("right", "down", "left", "up")[view.state[-3]]
        assert [scene["target_row"], scene["target_column"]] == scene["targets"][0]
        target = view.task.target(view.mission)
        assert target is not None
        color, kind = target.split()
        for row, column in scene["targets"]:
            cell = cells[column, row]
            assert cell[0] == {"goal": 8, "key": 5, "ball": 6, "door": 4}[kind]
            assert cell[1] == ["red", "green", "blue", "purple", "yellow", "grey"].index(color)
        words = view.text
        assert words is not None and f"Directly ahead of you: {scene['ahead']}." in words


def test_among_equal_targets_the_nearest_comes_first() -> None:
    env = make_env("MiniGrid-Fetch-8x8-N3-v0", numObjs=12)
    several = 0
    for seed in range(60):
        env.reset(seed=seed)
        view = view_of(env)
        assert view.task.ground_truth is not None
        scene = view.task.ground_truth(view)
        several += len(scene["targets"]) > 1
        plan = view.task.plan(view)
        if plan.actions == {"pickup"}:
            dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[view.state[-3]]
            x, y = view.state[-5] + dx, view.state[-4] + dy
            assert (scene["target_column"], scene["target_row"]) == (x, y)
    assert several > 10


@pytest.mark.parametrize(
    ("mission", "target"),
    [
        ("go to the red door", "red door"),
        ("you must fetch a purple key", "purple key"),
        ("avoid the lava and get to the green goal square", "green goal"),
        ("get to the green goal square", "green goal"),
        ("do something", None),
        ("go to the pink door", None),
    ],
)
def test_a_mission_names_its_target(mission: str, target: str | None) -> None:
    assert task_named("fetch").target(mission) == target


def test_an_unknown_environment_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'MiniGrid-GoToDoor-6x6-v0'"):
        make_env("MiniGrid-GoToDor-6x6-v0")
    with pytest.raises(UnknownNameError, match="unknown environment"):
        task_for("MiniGrid-LavaGapS99-v0")
    with pytest.raises(UserError, match="can't import 'no_such_module'"):
        task_for("no_such_module:Env-v0")


def test_wrong_arguments_are_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match="argument of MiniGrid-LavaGapS5-v0 'sise': did you"):
        make_env("MiniGrid-LavaGapS5-v0", sise=7)


def test_looking_before_the_first_reset_is_refused() -> None:
    with pytest.raises(UserError, match="call reset"):
        view_of(make_env("MiniGrid-LavaGapS5-v0"))


def test_an_environment_made_by_hand_needs_its_task() -> None:
    from minigrid.envs.lavagap import LavaGapEnv

    env = LavaGapEnv(size=5)
    env.reset(seed=0)
    with pytest.raises(UserError, match="not made by a Gymnasium id"):
        view_of(env)
    assert view_of(env, task_named("lava-gap")).mission.startswith("avoid the lava")


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fetch'"):
        task_named("fetsh")
    with pytest.raises(UnknownNameError, match="did you mean 'pickup'"):
        task_named("fetch").action_named("pick up")


def test_a_task_needs_distinct_actions(own_registry: None) -> None:
    twice = (Action("go", 0, "go"), Action("go", 1, "go"))
    for actions in ((), twice):
        with pytest.raises(UserError, match="distinct names"):
            register_task(
                Task("t", ("T-*",), actions, "rules", lambda env, task: View(task, b"", ""))
            )


def test_the_how_to_registers_a_task_that_works(own_registry: None) -> None:
    text = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.S)[0]
    names: dict[str, Any] = {"__name__": "lake"}
    exec(compile(code, "docs/tasks.md", "exec"), names)  # noqa: S102  (our own documentation)
    env = make_env("FrozenLake-v1", is_slippery=False)
    env.reset(seed=0)
    start = view_of(env)
    assert start.image().shape == (128, 128, 3)
    assert View.from_json(start.to_json()) == start
    assert start.task.plan(start).distance == 6
    steps, terminated = 0, False
    while not terminated:
        view = view_of(env)
        action = view.task.action_named(min(view.task.plan(view).actions))
        _, reward, terminated, _, _ = env.step(action.index)
        steps += 1
    assert (reward, steps) == (1, 6)
    everywhere = sample_states("FrozenLake-v1", None, 0, "all", is_slippery=False)
    assert len(everywhere) == 16 - 4 - 1
    vector = VectorEnv("FrozenLake-v1", 2, 0, is_slippery=False)
    first = vector.reset()
    assert first.values.shape == (2, 4, 4, 3)
    step = vector.step([1, 2])
    assert (step.obs.values[0] != step.obs.values[1]).any()
    assert [view.mission for view in vector.views()] == step.obs.mission


def test_the_how_tos_observer_is_one(own_registry: None) -> None:
    text = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.S)[1]
    names: dict[str, Any] = {"__name__": "pole"}
    exec(compile(code, "docs/tasks.md", "exec"), names)  # noqa: S102  (our own documentation)
    actions = (Action("left", 0, "push left"), Action("right", 1, "push right"))
    register_task(Task("pole", ("CartPole-v1",), actions, "Balance.", observer=names["LastTwo"]))
    vector = VectorEnv("CartPole-v1", 1, 0)
    first = vector.reset().values[0]
    second = vector.step([1]).obs.values[0]
    assert first[:4].tolist() == first[4:].tolist() == second[:4].tolist()
    assert second[:4].tolist() != second[4:].tolist()
    assert vector.views()[0].state == second.tobytes()


def test_a_task_needs_no_more_than_what_is_seen(own_registry: None) -> None:
    def observe(env: Any, task: Task) -> View:
        return View(task, bytes([env.unwrapped.s]), "go")

    task = register_task(Task("bare", ("FrozenLake*",), (Action("left", 0, "go"),), "go", observe))
    env = make_env("FrozenLake-v1")
    env.reset(seed=0)
    view = view_of(env)
    assert view.text is None
    with pytest.raises(UserError, match="has no picture"):
        view.image()
    with pytest.raises(UserError, match="has no planner"):
        task.plan(view)


def test_a_task_must_say_what_is_seen(own_registry: None) -> None:
    with pytest.raises(UserError, match="needs observe or observer"):
        register_task(Task("blind", ("FrozenLake*",), (Action("left", 0, "go"),), "go"))


def test_a_users_task_comes_before_the_shipped_one(own_registry: None) -> None:
    shipped = task_named("lava-gap")
    own = Task("mine", ("MiniGrid-LavaGapS5-v0",), shipped.actions, "mine", shipped.observe)
    register_task(own)
    assert task_for("MiniGrid-LavaGapS5-v0") is own
    assert task_for("MiniGrid-LavaGapS6-v0") is shipped


def test_importing_the_room_costs_nothing() -> None:
    code = (
        "import sys; from lvlm2p.envs import Task, View, ImageStyle, Plan, UserError; "
        "heavy = {'numpy', 'gymnasium', 'minigrid', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
