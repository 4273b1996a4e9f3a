"""One source of what is seen: the teacher's view and the student's observation of one state."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lvlm2p.envs import (
    Action,
    Episode,
    GridObserver,
    ObservationSpace,
    Observer,
    Task,
    UserError,
    VectorEnv,
    View,
    make_env,
    register_task,
    sample_states,
    task_named,
    view_of,
)
from lvlm2p.envs.minigrid.state import observe_minigrid

pytestmark = pytest.mark.usefixtures("own_registry")

LAVA = "MiniGrid-LavaGapS5-v0"
LAKE = "FrozenLake-v1"
LEFT, DOWN, RIGHT, UP = range(4)
MOVES = tuple(Action(name, i, ".") for i, name in enumerate(("left", "down", "right", "up")))


def cart_pole(**more: Any) -> Task:
    def observe(env: Any, task: Task) -> View:
        return View(task, np.asarray(env.unwrapped.state, np.float32).tobytes(), "keep it upright")

    actions = (Action("left", 0, "push left"), Action("right", 1, "push right"))
    return register_task(Task("pole", ("CartPole-*",), actions, "Balance.", observe, **more))


class Map(Observer):
    """FrozenLake by memory: which cells were stood on in this episode, in order of visits."""

    space = ObservationSpace("vector", (16,), np.dtype(np.float32))

    def __init__(self, env: gym.Env[Any, Any], task: Task) -> None:
        self.task = task
        self.path: list[int] = []

    def reset(self, observation: Any) -> None:
        self.path = [int(observation)]

    def step(self, action: int, observation: Any) -> None:
        self.path.append(int(observation))

    @property
    def values(self) -> Any:
        values = np.zeros(16, np.float32)
        values[self.path] = 1
        values[self.path[-1]] = 2
        return values

    def view(self) -> View:
        seen = bytes(sorted(set(self.path)))
        return View(self.task, seen + b"@" + bytes(self.path[-1:]), "cross")


def lake(observer: Callable[[gym.Env[Any, Any], Task], Observer] = Map, **more: Any) -> Task:
    return register_task(Task("map", ("FrozenLake*",), MOVES, ".", observer=observer, **more))


# ---------------------------------------------------------------- any environment


def test_floats_reach_the_student_as_they_are() -> None:
    cart_pole()
    ours = VectorEnv("CartPole-v1", 3, 4)
    assert (ours.space.kind, ours.space.shape, ours.n_actions) == ("vector", (4,), 2)
    seen = ours.reset()
    theirs = [gym.make("CartPole-v1") for _ in range(3)]
    first = [np.random.SeedSequence((4, i, 0)).generate_state(256)[0] for i in range(3)]
    expected: list[Any] = [e.reset(seed=int(s))[0] for e, s in zip(theirs, first, strict=True)]
    for t in range(8):
        assert seen.values.dtype == np.float32
        np.testing.assert_array_equal(seen.values, np.stack(expected))
        assert (np.abs(seen.values) > 0).all()
        assert seen.mission == ["keep it upright"] * 3 and not seen.carrying.any()
        for row, view in zip(seen.values, ours.views(), strict=True):
            assert np.frombuffer(view.state, np.float32).tolist() == row.tolist()
        seen = ours.step([t % 2] * 3).obs
        expected = [env.step(t % 2)[0] for env in theirs]


def test_a_task_says_what_a_success_is() -> None:
    kept: list[Episode] = []

    def success(episode: Episode) -> bool:
        kept.append(episode)
        return episode.truncated

    cart_pole(success=success)
    env = VectorEnv("CartPole-v1", 2, 0, max_episode_steps=12)
    env.reset()
    steps = [env.step([LEFT, t % 2]) for t in range(12)]
    ended = [pair for step in steps for pair in zip(step.ended, step.successes, strict=True)]
    assert ended == [(0, False), (1, True)]  # pushed over; kept upright until time was up
    assert kept[1] == Episode(12.0, 12, terminated=False, truncated=True)
    assert kept[0].terminated and kept[0].total_return == kept[0].length < 12
    assert task_named("lava-gap").success(Episode(0.1, 3, True, False))
    assert not task_named("lava-gap").success(Episode(0.0, 3, True, False))


def test_what_no_network_can_read_is_refused_before_the_first_step() -> None:
    def observe(env: Any, task: Task) -> View:
        return View(task, b"", "")

    class Words(gym.Env[Any, Any]):
        observation_space = gym.spaces.Text(9)
        action_space = gym.spaces.Discrete(2)

    gym.register("Words-v0", lambda **kwargs: Words())
    try:
        register_task(Task("words", ("Words-v0",), MOVES[:2], ".", observe))
        with pytest.raises(UserError, match=r"task 'words'.*Text.*Task\.observer"):
            VectorEnv("Words-v0", 1, 0)
        assert make_env("Words-v0") is not None  # a teacher can be asked all the same
    finally:
        del gym.registry["Words-v0"]


# ---------------------------------------------------------------- memory


def test_a_view_may_depend_on_what_was_seen_earlier() -> None:
    lake()
    one, other = (make_env(LAKE, is_slippery=False) for _ in range(2))
    for env, actions in ((one, (DOWN, DOWN, RIGHT)), (other, (RIGHT, RIGHT, DOWN))):
        env.reset(seed=0)
        for action in actions:
            env.step(action)
    assert view_of(one).state == bytes([0, 4, 8, 9]) + b"@\x09"
    assert view_of(other).state == bytes([0, 1, 2, 6]) + b"@\x06"
    around = make_env(LAKE, is_slippery=False)
    around.reset(seed=0)
    for action in (RIGHT, LEFT):
        around.step(action)
    start = view_of(around)
    around.reset(seed=0)
    assert view_of(around).state == b"\x00@\x00" != start.state == b"\x00\x01@\x00"


def test_an_observer_is_found_below_other_wrappers() -> None:
    lake()
    env = gym.wrappers.TimeLimit(make_env(LAKE, is_slippery=False), 9)
    with pytest.raises(UserError, match="call reset"):
        view_of(env)
    env.reset(seed=0)
    env.step(DOWN)
    assert view_of(env).state == b"\x00\x04@\x04"
    alone = gym.make(LAKE)
    alone.reset(seed=0)
    with pytest.raises(UserError, match="make_env"):
        view_of(alone)


def test_a_restored_vector_remembers_what_the_episodes_had_seen() -> None:
    lake()
    one = VectorEnv(LAKE, 3, 5, is_slippery=False)
    one.reset()
    rng = np.random.default_rng(0)
    for _ in range(25):
        one.step(rng.integers(4, size=3))
    assert any(len(view.state) > 4 for view in one.views())
    other = VectorEnv(LAKE, 3, 5, is_slippery=False)
    restored = other.restore(one.state())
    assert other.views() == one.views()
    np.testing.assert_array_equal(restored.values, one.observe().values)
    assert restored.mission == ["cross"] * 3


def test_the_states_of_a_task_that_remembers_are_its_own() -> None:
    lake()
    kwargs: dict[str, Any] = {"is_slippery": False, "desc": ["SF", "FG"]}
    found = {view.state for view in sample_states(LAKE, None, 0, "all", **kwargs)}
    # from cell 0 to 1 or 2 and back, until the episode ends in 3
    assert found == {
        b"\x00@\x00", b"\x00\x01@\x01", b"\x00\x02@\x02", b"\x00\x01@\x00", b"\x00\x02@\x00",
        b"\x00\x01\x02@\x00", b"\x00\x01\x02@\x01", b"\x00\x01\x02@\x02",
    }  # fmt: skip
    drawn = sample_states(LAKE, 5, 0, "random", **kwargs)
    assert {view.state for view in drawn} <= found


def test_an_observer_on_a_minigrid_gets_minigrids_own_observation() -> None:
    shapes = []

    class Partial(Map):
        def reset(self, observation: Any) -> None:
            shapes.append(observation["image"].shape)
            self.path = [0]

        def step(self, action: int, observation: Any) -> None:
            shapes.append(observation["image"].shape)

    shipped = task_named("lava-gap")
    register_task(Task("partial", (LAVA,), shipped.actions, ".", observer=Partial))
    env = VectorEnv(LAVA, 1, 0)
    env.reset()
    env.step([0])
    assert shapes == [(7, 7, 3)] * 2


@pytest.mark.parametrize(
    "values", [np.zeros(16), np.zeros(15, np.float32), np.zeros((1, 16), np.float32)]
)
def test_an_observer_must_keep_to_its_space(values: Any) -> None:
    class Wrong(Map):
        @property
        def values(self) -> Any:
            return values

    lake(Wrong)
    with pytest.raises(UserError, match="FrozenLake-v1 gave an observation of shape"):
        VectorEnv(LAKE, 1, 0).reset()


# ---------------------------------------------------------------- MiniGrid


def reworded(env: Any, task: Task) -> View:
    view = observe_minigrid(env, task)
    return View(task, b"me" + view.state, f"now {view.mission}", view.carrying)


def test_a_task_that_observes_a_minigrid_in_its_own_way_is_honoured() -> None:
    shipped = task_named("lava-gap")
    task = register_task(Task("own", (LAVA,), shipped.actions, ".", reworded))
    vector = VectorEnv(LAVA, 2, 3)
    assert vector.space.has_agent and vector.space.kind == "grid"
    seen = vector.reset()
    listed = {view.key for view in sample_states(LAVA, None, 0, "all")}
    assert len(listed) == 72
    rng = np.random.default_rng(0)
    for _ in range(60):
        views = vector.views()
        for view, mission in zip(views, seen.mission, strict=True):
            assert view.task is task and view.state[:2] == b"me"
            assert view.mission == mission and mission.startswith("now avoid the lava")
            assert view.key in listed
        seen = vector.step(rng.integers(3, size=2)).obs


def test_what_a_task_hides_is_no_reason_to_miss_a_state() -> None:
    """Layouts that look the same to the teacher are still walked through one by one."""

    def observe(env: Any, task: Task) -> View:
        x, y = env.unwrapped.agent_pos
        return View(task, bytes((x, y)), "go")

    shipped = task_named("lava-gap")
    register_task(Task("blind", (LAVA,), shipped.actions, ".", observe))
    found = {tuple(view.state) for view in sample_states(LAVA, None, 0, "all")}
    assert found == {(x, y) for x in (1, 2, 3) for y in (1, 2, 3)} - {(3, 3)}


def test_the_agents_partial_view_can_be_asked_for() -> None:
    def observe(env: Any, task: Task) -> View:
        return View(task, env.unwrapped.gen_obs()["image"].tobytes(), "go")

    shipped = task_named("lava-gap")
    register_task(Task("partial", (LAVA,), shipped.actions, ".", observe))
    env = VectorEnv(LAVA, 1, 0)
    env.reset()
    assert len(env.views()[0].state) == 7 * 7 * 3
    alone = make_env(LAVA)
    alone.reset(seed=0)
    assert len(view_of(alone).state) == 7 * 7 * 3


# ---------------------------------------------------------------- symbols, old names


def symbols(env: Any) -> Any:
    grid = np.zeros((4, 4, 3), np.int64)
    grid[divmod(env.unwrapped.s, 4)] = 255
    return grid


def plain(env: Any, task: Task) -> View:
    return View(task, bytes([env.unwrapped.s]), "cross")


def test_symbols_are_a_grid_without_an_agent() -> None:
    lake(partial(GridObserver, symbols=symbols), observe=plain)
    vector = VectorEnv(LAKE, 2, 0, is_slippery=False)
    assert vector.space == ObservationSpace("grid", (4, 4, 3), np.dtype(np.uint8))
    vector.reset()
    seen = vector.step([DOWN, RIGHT]).obs
    assert np.argwhere(seen.values[..., 0] == 255).tolist() == [[0, 1, 0], [1, 0, 1]]
    assert seen.mission == ["cross", "cross"]


@pytest.mark.parametrize("value", [256, -1, 0.5])
def test_symbols_are_never_cast(value: float) -> None:
    lake(partial(GridObserver, symbols=lambda env: np.full((2, 2, 3), value)), observe=plain)
    with pytest.raises(UserError, match="integers from 0 to 255"):
        VectorEnv(LAKE, 1, 0)


def test_old_names_work_and_say_the_new_ones() -> None:
    truth: dict[str, Any] = {"agent_row": 1}
    task: Task
    old: dict[str, Any] = {
        "look": lambda env: View(task, bytes([env.unwrapped.s]), "old"),
        "scene": lambda view: truth,
        "still": False,
        "symbols": symbols,
    }
    with pytest.warns(DeprecationWarning) as warned:
        task = register_task(Task("old", ("FrozenLake*",), MOVES, ".", **old))
    said = [str(warning.message) for warning in warned]
    for name, new in (
        *(("look", "observe"), ("scene", "ground_truth")),
        *(("still", "deterministic"), ("symbols", "GridObserver")),
    ):
        assert any(f"Task({name}=...)" in text and new in text for text in said)
    assert all(warning.filename == __file__ for warning in warned)
    vector = VectorEnv(LAKE, 1, 0)
    assert vector.reset().mission == ["old"] and vector.space.kind == "grid"
    assert task.ground_truth is not None
    assert task.ground_truth(vector.views()[0]) is truth and not task.deterministic


def test_a_saved_view_is_read_in_a_process_that_has_done_nothing_else() -> None:
    env = make_env(LAVA)
    env.reset(seed=0)
    view = view_of(env)
    code = (
        "import sys; from lvlm2p.envs import View; "
        f"print(View.from_json({view.to_json()!r}).key, end='')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == view.key
