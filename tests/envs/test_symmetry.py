"""Symmetric views are one question; the planner says whether that is true."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from lvlm2p.envs import (
    Action,
    Plan,
    Symmetry,
    Task,
    UserError,
    VectorEnv,
    View,
    canonical,
    make_env,
    mirror,
    sample_states,
    task_named,
    view_of,
)
from lvlm2p.envs.images import random_images
from lvlm2p.envs.minigrid.state import decode_state
from lvlm2p.envs.symmetry import TURNS, turned
from tests.support.shipped import WHOLE_GRID_IDS


@pytest.mark.parametrize("env_id", WHOLE_GRID_IDS)
def test_what_is_optimal_stays_optimal(env_id: str) -> None:
    for view in sample_states(env_id, 100, 1, "mixed"):
        plan = view.task.plan(view)
        representative, back = canonical(view)
        there = view.task.plan(representative)
        assert {back[name] for name in there.actions} == plan.actions
        assert there.distance == plan.distance
        assert set(back) == set(view.task.action_names)
        assert canonical(representative)[0] == representative
        for symmetry in view.task.symmetries:
            image = symmetry.apply(view)
            moved = view.task.plan(image)
            assert {symmetry.action(name) for name in plan.actions} == moved.actions, symmetry.name
            assert moved.distance == plan.distance
            assert canonical(image)[0].key == representative.key, symmetry.name
        flipped, forth = mirror(view)
        assert {forth[name] for name in plan.actions} == view.task.plan(flipped).actions
        assert mirror(flipped)[0] == view


MIRRORED_IDS = (
    "BabyAI-GoToRedBall-v0",
    "BabyAI-PutNextLocal-v0",
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-MultiRoom-N2-S4-v0",
    "MiniGrid-ObstructedMaze-1Dlh-v0",
)


@pytest.mark.parametrize("env_id", MIRRORED_IDS)
def test_rooms_of_every_other_family_are_mirrored(env_id: str) -> None:
    for view in sample_states(env_id, 10, 1, "random"):
        (symmetry,) = view.task.symmetries
        image, plan = symmetry.apply(view), view.task.plan(view)
        moved = view.task.plan(image)
        assert {symmetry.action(name) for name in plan.actions} == moved.actions
        assert (moved.distance, symmetry.apply(image)) == (plan.distance, view)
        assert canonical(image)[0] == canonical(view)[0]


def test_where_a_mission_says_where_something_is_nothing_is_mirrored() -> None:
    placed = "pick up the grey key on your left (the grey key on your left is at row 2, column 3)"
    view = replace(sample_states("BabyAI-GoToRedBall-v0", 1, 0)[0], mission=placed)
    with pytest.raises(UserError, match="can't be mirrored"):
        view.task.symmetries[0].apply(view)
    names = view.task.action_names
    assert canonical(view) == (view, dict(zip(names, names, strict=True)))
    assert random_images(view, 8, random.Random(0)) == []


@pytest.mark.parametrize(
    ("env_id", "name"),
    [("MiniGrid-LavaGapS6-v0", "lava-gap")],
)
def test_lava_gap_has_no_symmetry_that_its_environment_builds(env_id: str, name: str) -> None:
    assert task_named(name).symmetries == ()
    view = sample_states(env_id, 1, 0)[0]
    assert canonical(view)[0] == view


@pytest.mark.parametrize(
    "env_id", ["MiniGrid-GoToDoor-5x5-v0", "MiniGrid-Fetch-5x5-N2-v0", "MiniGrid-GoToDoor-6x6-v0"]
)
def test_representatives_are_states_that_the_environment_builds(env_id: str) -> None:
    """One closed door in each wall, each of its own colour; as many objects as before."""
    for view in sample_states(env_id, 150, 2, "mixed"):
        representative = canonical(view)[0]
        state, original = decode_state(representative.state), decode_state(view.state)
        kinds = sorted(state.cells[::3])
        assert len(kinds) == len(original.cells[::3])
        assert view.task.ground_truth is not None
        scene = view.task.ground_truth(representative)
        assert scene["target_row"] is not None
        if "GoToDoor" in env_id:
            assert kinds == sorted(original.cells[::3])
            doors = state.where(4)
            assert len(doors) == 4
            assert len({state.cell(x, y).color for x, y in doors}) == 4
            assert all(state.cell(x, y).state == 1 for x, y in doors)
            assert sum(x == 0 for x, _ in doors) == sum(y == 0 for _, y in doors) == 1


def test_a_turn_moves_the_picture_as_turning_the_picture_does() -> None:
    """Objects look the same from all sides only by their names, so the cells are compared."""
    env = make_env("MiniGrid-Fetch-6x6-N2-v0")
    env.reset(seed=3)
    state = decode_state(view_of(env).state)
    grid = np.frombuffer(state.cells, np.uint8).reshape(6, 6, 3)
    seen = set()
    for turn in TURNS:
        expected = grid[::-1] if turn.flip_x else grid
        expected = expected[:, ::-1] if turn.flip_y else expected
        expected = expected.transpose(1, 0, 2) if turn.transpose else expected
        image = turned(state, turn)
        assert image.cells == np.ascontiguousarray(expected).tobytes()
        dx, dy = ((1, 0), (0, 1), (-1, 0), (0, -1))[state.direction]
        ahead = turn.place(state.x + dx, state.y + dy, 6, 6)
        step = ((1, 0), (0, 1), (-1, 0), (0, -1))[image.direction]
        assert ahead == (image.x + step[0], image.y + step[1])
        seen.add(image.encode())
    assert len(seen) == 8


@pytest.mark.parametrize(
    ("env_id", "factor"),
    [("MiniGrid-GoToDoor-6x6-v0", 10), ("MiniGrid-Fetch-6x6-N2-v0", 2)],
)
def test_a_learning_student_meets_many_times_fewer_questions(env_id: str, factor: int) -> None:
    """20,000 frames of one that gets from random to optimal, half-way through without error."""
    vector = VectorEnv(env_id, 16, 0)
    vector.reset()
    rng = np.random.default_rng(0)
    views: dict[str, View] = {}
    frames = 20_000 // 16
    for t in range(frames):
        skill = min(1.0, 2 * t / frames)
        now = vector.views()
        views.update((view.key, view) for view in now)
        actions = rng.integers(vector.n_actions, size=16)
        for i, view in enumerate(now):
            if rng.random() < skill:
                actions[i] = view.task.action_named(min(view.task.plan(view).actions)).index
        vector.step(actions)
    questions = {canonical(view)[0].key for view in views.values()}
    print(env_id, len(views), "->", len(questions))
    assert len(views) > factor * len(questions)


def test_symmetries_of_any_task_are_searched() -> None:
    """Cells on a line, the goal at both ends: 0..6, mirrored at 3."""

    def apply(view: View) -> View:
        return View(view.task, bytes([6 - view.state[0]]), view.mission)

    def planner(view: View) -> Plan:
        at = view.state[0]
        return Plan(frozenset({"west"} if at < 3 else {"east"} if at > 3 else {"west", "east"}), 1)

    swap = Symmetry("mirror", apply, {"west": "east", "east": "west"})
    actions = (Action("west", 0, "go west"), Action("east", 1, "go east"))
    task = Task("line", (), actions, "", planner=planner, symmetries=(swap,))
    view = View(task, b"\x05", "")
    representative, back = canonical(view)
    assert representative.state == b"\x01"
    assert back == {"west": "east", "east": "west"}
    assert {back[name] for name in task.plan(representative).actions} == task.plan(view).actions


def test_a_blank_picture_stays_blank_in_its_images() -> None:
    for env_id in ("MiniGrid-Fetch-6x6-N2-v0", "MiniGrid-GoToDoor-6x6-v0"):
        view = replace(sample_states(env_id, 1, 0)[0], blank=True)
        assert canonical(view)[0].blank and mirror(view)[0].blank
        assert all(symmetry.apply(view).blank for symmetry in view.task.symmetries)


def test_endless_symmetries_are_refused() -> None:
    def apply(view: View) -> View:
        return View(view.task, view.state + b"x", "")

    grows = (Symmetry("grow", apply),)
    task = Task("g", (), (Action("a", 0, "a"),), "", symmetries=grows)
    view = View(task, b"", "")
    with pytest.raises(UserError, match="symmetric images"):
        canonical(view)
