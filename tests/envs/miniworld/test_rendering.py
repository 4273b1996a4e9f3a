"""What needs the simulator itself: it does what our arithmetic says, and draws what a view holds.

Skipped, with the reason, where MiniWorld is not installed or can't draw.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lvlm2p.envs import Episode, UserError, View, task_for, view_of
from lvlm2p.envs.miniworld.field import GetTo
from lvlm2p.envs.miniworld.scene import Scene, decode_scene
from lvlm2p.envs.miniworld.tasks import ENTRY_POINTS, FAMILIES
from lvlm2p.envs.task import ImageStyle
from tests.envs.miniworld.scenes import rendering

NAV_PICK = "LVLM2P-NavPick3D-v0"
STUDENT_SIZE = ImageStyle(tile=8)
"""80 x 60, as the student sees it."""


def scene_in(env: Any) -> Scene:
    return decode_scene(view_of(env).state)


def actions_of(env_id: str) -> dict[str, int]:
    return {action.name: action.index for action in task_for(env_id).actions}


@pytest.mark.parametrize("env_id", ENTRY_POINTS)
def test_a_view_draws_what_the_student_sees(env_id: str) -> None:
    env = rendering(env_id)
    task, rng = task_for(env_id), np.random.default_rng(0)
    env.reset(seed=3)
    kept: list[tuple[View, Any]] = []
    for _ in range(30):
        view = view_of(env)
        kept.append((View.from_json(view.to_json()), env.observer.values))
        chosen = min(task.plan(view).actions) if rng.random() < 0.8 else "forward"
        _, _, over, cut, _ = env.step(actions_of(env_id)[chosen])
        if over or cut:
            break
    for view, shown in kept:  # later, when the environment is elsewhere
        assert np.array_equal(view.image(STUDENT_SIZE), shown)
    assert view.image().shape == (240, 320, 3)
    assert len({view.key for view, _ in kept}) == len({view.state for view, _ in kept}) > 10


def test_environments_side_by_side_draw_their_own_rooms() -> None:
    one, other = rendering(NAV_PICK), rendering(NAV_PICK, room=8.0)
    alone, _ = one.reset(seed=0)
    other.reset(seed=1)
    idle = actions_of(NAV_PICK)["drop"]
    assert np.array_equal(one.step(idle)[0], alone)
    put_next = rendering("MiniWorld-PutNext-v0")
    put_next.reset(seed=0)
    assert np.array_equal(one.step(idle)[0], alone)


@pytest.mark.parametrize("env_id", ENTRY_POINTS)
def test_the_simulator_moves_as_the_arithmetic_says(env_id: str) -> None:
    """So that the player, who never asks the simulator, can trust it."""
    from lvlm2p.envs.miniworld.geometry import ahead, can_stand

    env = rendering(env_id)
    rng, actions = np.random.default_rng(1), actions_of(env_id)
    env.reset(seed=4)
    moved = stopped = 0
    for _ in range(150):
        before = scene_in(env)
        turned = np.array([before.direction])
        there = np.array([before.at]) + before.body.forward * ahead(turned)
        free = can_stand(before, there, turned)[0]
        action = str(rng.choice(["left", "right", "forward", "forward", "forward"]))
        _, _, over, cut, _ = env.step(actions[action])
        if over or cut:
            break
        if action == "forward":
            gone = scene_in(env).at
            assert np.allclose(gone, there[0] if free else before.at)
            moved, stopped = moved + bool(free), stopped + (not free)
    assert moved and stopped


def test_walls_are_where_the_simulator_has_them() -> None:
    env = rendering(NAV_PICK)
    env.reset(seed=0)
    theirs = {
        tuple(sorted((round(float(x), 6), round(float(z), 6)) for x, _, z in piece))
        for piece in env.unwrapped.wall_segs
    }
    ours = {
        tuple(sorted((round(float(x), 6), round(float(z), 6)) for x, z in piece))
        for piece in scene_in(env).walls
    }
    assert ours == theirs


def test_the_player_fetches_and_brings_and_a_wrong_box_is_no_success() -> None:
    env = rendering(NAV_PICK)
    task, actions = task_for(NAV_PICK), actions_of(NAV_PICK)
    for seed in range(4):
        env.reset(seed=seed)
        carried, steps = set(), 0
        while True:
            steps += 1
            view = view_of(env)
            carried.add(view.carrying)
            assert view.mission.startswith("bring the ")
            _, reward, over, cut, _ = env.step(actions[min(task.plan(view).actions)])
            if over or cut:
                break
        assert over and reward == pytest.approx(1 - 0.9 * steps / 150)
        assert task.success(Episode(reward, steps, over, cut))
        assert carried == {None, f"{view.mission.split()[2]} box"}
    env.reset(seed=0)
    base = env.unwrapped
    base.agent.carrying = next(
        e for e in base.entities if e is not base.wanted and type(e) is type(base.wanted)
    )
    base.agent.pos = base.place.pos - np.array([1.8, 0, 0])
    base.agent.dir = 0.0
    _, reward, over, _, _ = env.step(actions["drop"])
    assert base.agent.carrying is None and reward == 0 and not over


def test_what_is_held_is_not_put_down_into_a_wall() -> None:
    env = rendering(NAV_PICK)
    env.reset(seed=0)
    base = env.unwrapped
    base.agent.carrying = base.wanted
    base.agent.pos, base.agent.dir = np.array([0.5, 0, 2.5]), np.pi
    env.step(actions_of(NAV_PICK)["drop"])
    assert base.agent.carrying is base.wanted


@pytest.mark.parametrize(
    ("env_id", "episodes", "least"),
    [("MiniWorld-PutNext-v0", 4, 1), ("MiniWorld-PickupObjects-v0", 1, 1)],
)
def test_the_player_knows_miniworlds_own_tasks(env_id: str, episodes: int, least: int) -> None:
    env = rendering(env_id, obs_width=40, obs_height=30)
    task, actions, won = task_for(env_id), actions_of(env_id), 0
    for seed in range(episodes):
        env.reset(seed=seed)
        over = cut = False
        while not (over or cut):
            _, _, over, cut, _ = env.step(actions[min(task.plan(view_of(env)).actions)])
        won += over
    assert won >= least


def test_pictures_that_change_at_random_are_refused() -> None:
    env = rendering("MiniWorld-PutNext-v0", domain_rand=True)
    with pytest.raises(UserError, match="domain_rand"):
        env.reset(seed=0)


@pytest.mark.parametrize("arguments", [{"room": 2.0}, {"boxes": 0}, {"columns": 9}])
def test_rooms_that_can_t_be_are_refused(arguments: dict[str, Any]) -> None:
    rendering(NAV_PICK)
    with pytest.raises(UserError, match="1 to 3 boxes"):
        rendering(NAV_PICK, **arguments)


def test_other_environments_of_miniworld_get_a_task_of_their_own() -> None:
    env = rendering("MiniWorld-Hallway-v0")
    observation, _ = env.reset(seed=0)
    assert observation.shape == (60, 80, 3)
    assert task_for("MiniWorld-Hallway-v0").draw is not None


def test_only_one_file_imports_miniworld() -> None:
    """It is no longer developed: what may break is in one place."""
    importing = set()
    for path in Path("lvlm2p").resolve().parent.glob("[elpst]*/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in ("miniworld", "pyglet") for name in names):
                importing.add(path.as_posix().rpartition("envs/")[2])
    assert importing == {"miniworld/simulator.py"}


def test_the_tasks_are_registered_without_importing_the_simulator() -> None:
    assert {pattern for task in FAMILIES for pattern in task.env_ids} == set(ENTRY_POINTS)
    for env_id, (place, _) in ENTRY_POINTS.items():
        assert task_for(env_id) in FAMILIES
        assert gym.registry[env_id].entry_point == f"lvlm2p.envs.miniworld.{place}"


def test_goals_are_compared_by_what_they_are() -> None:
    assert GetTo("take", (1,)) == GetTo("take", (1,)) != GetTo("drop", (1,))
