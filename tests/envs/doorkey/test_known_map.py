"""What is known is what was seen: the map, the View of it, and the student's observation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from minigrid.core.grid import Grid
from minigrid.core.world_object import Wall
from minigrid.minigrid_env import MiniGridEnv

from lvlm2p.envs import ImageStyle, UserError, VectorEnv, View, make_env, view_of
from lvlm2p.envs.doorkey.environment import MapDoorKeyEnv
from lvlm2p.envs.doorkey.known_map import visible, window
from lvlm2p.envs.doorkey.tasks import SETTINGS
from lvlm2p.envs.minigrid.state import DOOR, KEY, decode_state

IDS = list(SETTINGS)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_what_is_seen_is_minigrids_process_vis(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(500):
        opaque = rng.random((size, size)) < rng.choice([0.1, 0.3, 0.6])
        opaque[0, size // 2] = False
        grid = Grid(size, size)  # the agent in the middle of the lowest row, looking up
        for ahead in range(size):
            for side in range(size):
                if opaque[ahead, side]:
                    grid.set(side, size - 1 - ahead, Wall())
        mask = grid.process_vis((size // 2, size - 1))
        bits = sum(1 << i for i, stops in enumerate(opaque.ravel()) if stops)
        expected = [
            ahead * size + side
            for ahead in range(size)
            for side in range(size)
            if mask[side, size - 1 - ahead]
        ]
        assert visible(size, bits) == tuple(expected)


def test_the_window_lies_ahead_of_the_agent() -> None:
    assert window(3, 0) == (
        (0, -1),
        (0, 0),
        (0, 1),
        (1, -1),
        (1, 0),
        (1, 1),
        (2, -1),
        (2, 0),
        (2, 1),
    )
    assert window(3, 3)[:4] == ((-1, 0), (0, 0), (1, 0), (-1, -1))


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("size", [3, 5])
def test_the_map_is_what_minigrids_partial_view_showed_so_far(env_id: str, size: int) -> None:
    env = make_env(env_id, agent_view_size=size, max_steps=60)
    base: Any = env.unwrapped
    rng = np.random.default_rng(1)
    for seed in range(6):
        env.reset(seed=seed)
        seen: set[tuple[int, int]] = set()
        over = False
        while not over:
            _, mask = MiniGridEnv.gen_obs_grid(base)
            for x in range(base.width):
                for y in range(base.height):
                    i, j = base.get_view_coords(x, y)
                    seen |= {(x, y)} if 0 <= i < size and 0 <= j < size and mask[i, j] else set()
            state, true = decode_state(view_of(env).state), base.true_state()
            for x in range(base.width):
                for y in range(base.height):
                    expected = tuple(true.cell(x, y)) if (x, y) in seen else (0, 0, 0)
                    assert tuple(state.cell(x, y)) == expected
            assert (state.x, state.y) == tuple(base.agent_pos)
            assert (state.direction, state.carried) == (base.agent_dir, true.carried)
            action = int(rng.choice([0, 1, 2, 2, 3, 3, 4, 5]))
            _, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated


def test_the_student_and_the_environment_observe_the_same_map() -> None:
    env = make_env("LVLM2P-SimpleDoorKey-v0")
    rng = np.random.default_rng(0)
    carried = 0
    for seed in range(30):
        obs, _ = env.reset(seed=seed)
        for _ in range(100):
            assert env.observation_space.contains(obs)
            observer = env.observer  # type: ignore[attr-defined]
            state = decode_state(observer.view().state)
            cells = np.frombuffer(state.cells, np.uint8).reshape(10, 10, 3)
            at = (state.x, state.y)
            symbols = cells.copy()
            symbols[at] = 10, 0, state.direction
            np.testing.assert_array_equal(observer.values, symbols)
            planes = np.full((10, 10, 4), 4, np.uint8)
            planes[..., :3] = cells
            planes[at] = [*(state.carried if state.carried[0] else (1, 0)), 0, state.direction]
            np.testing.assert_array_equal(obs["image"], planes)
            assert observer.carrying == state.carried
            assert observer.mission == obs["mission"] == "open the door"
            carried += state.carried[0] == KEY
            obs, _, terminated, truncated, _ = env.step(int(rng.choice([0, 1, 2, 2, 3, 4, 5])))
            if terminated or truncated:
                break
    assert carried > 20


@pytest.mark.parametrize(("env_id", "side"), [(IDS[0], 10), (IDS[3], 20)])
def test_students_get_a_grid_with_the_agent(env_id: str, side: int) -> None:
    vector = VectorEnv(env_id, 3, 0)
    first = vector.reset()
    assert (vector.space.kind, vector.space.has_agent) == ("grid", True)
    assert first.values.shape == (3, side, side, 3)
    assert vector.n_actions == 7
    assert ((first.values[..., 0] == 10).sum((1, 2)) == 1).all()
    assert (first.values[..., 0] == 0).sum() > 3 * (side**2 - 9) - 1
    step = vector.step([0, 1, 2])
    for view, values in zip(vector.views(), step.obs.values, strict=True):
        state = decode_state(view.state)
        assert tuple(values[state.x, state.y]) == (10, 0, state.direction)


def test_the_end_of_an_episode_does_not_show_the_next_and_a_new_one_begins_a_new_map() -> None:
    vector = VectorEnv("LVLM2P-LavaDoorKey-v0", 2, 3, max_steps=8)
    vector.reset()
    for _ in range(7):
        vector.step([1, 1])
    step = vector.step([1, 1])
    assert list(step.ended) == [0, 1]
    known_before = (step.final_obs.values[..., 0] > 0).sum()
    known_after = (step.obs.values[..., 0] > 0).sum()
    assert known_before > known_after
    assert not step.successes.any()


def test_unseen_cells_are_hatched_and_all_others_drawn_as_minigrid_draws_them() -> None:
    env = make_env("LVLM2P-ColoredDoorKey-v0")
    env.reset(seed=4)
    for action in (1, 2, 1, 2):
        env.step(action)
    view = view_of(env)
    base: Any = env.unwrapped
    picture, truth = view.image(), base.get_frame(highlight=False)
    assert picture.shape == truth.shape
    state = decode_state(view.state)
    unseen = 0
    for x in range(10):
        for y in range(10):
            part = np.s_[32 * y : 32 * y + 32, 32 * x : 32 * x + 32]
            if state.cell(x, y).kind:
                np.testing.assert_array_equal(picture[part], truth[part])
            else:
                unseen += 1
                assert {tuple(pixel) for pixel in picture[part].reshape(-1, 3)} == {
                    (255, 255, 255),
                    (150, 150, 150),
                }
    assert 60 < unseen < 95
    with_margins = view.image(ImageStyle(tile=16, margins=True))
    assert with_margins.shape == (176, 176, 3)


def test_views_are_kept_and_read_back() -> None:
    env = make_env(IDS[3])
    env.reset(seed=1)
    before = view_of(env)
    for _ in range(4):
        env.step(1)
    after = view_of(env)
    assert before.key != after.key, "the agent looks where it did, but has seen more"
    assert View.from_json(after.to_json()) == after


def test_the_words_tell_what_was_seen_and_nothing_else() -> None:
    env = make_env("LVLM2P-SimpleDoorKey-v0")
    told = 0
    for seed in range(20):
        env.reset(seed=seed)
        view = view_of(env)
        state = decode_state(view.state)
        text = view.text
        assert text is not None
        assert f"You are at row {state.y}, column {state.x}, facing" in text
        for kind, name in ((KEY, "key at row"), (DOOR, "door at row")):
            assert (name in text) == bool(state.where(kind))
            told += name in text
        assert f"({state.y}, {state.x})" in text.split("Free cells")[1]
    assert told


def test_looking_before_the_first_reset_is_refused() -> None:
    with pytest.raises(UserError, match="call reset"):
        view_of(make_env(IDS[0]))
    env = MapDoorKeyEnv()
    assert env.known is None
