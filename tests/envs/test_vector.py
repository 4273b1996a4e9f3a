"""Fast stepping: beside MiniGrid's own, the same to the last bit."""

from __future__ import annotations

import json
import time
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from minigrid.wrappers import FullyObsWrapper

from lvlm2p.envs import Observation, UserError, VectorEnv, make_env, view_of
from lvlm2p.envs.minigrid.fast_reset import BoundedIntegers, start_episode
from tests.support.shipped import WHOLE_GRID_IDS

STEPS = 360  # for each of 4 environments and 15 ids: 21,600 in all
TWO = ["MiniGrid-Dynamic-Obstacles-6x6-v0", "MiniGrid-Fetch-6x6-N2-v0"]


def minigrids_own(env_id: str) -> gym.Env[Any, Any]:
    env: gym.Env[Any, Any] = FullyObsWrapper(gym.make(env_id))
    return env


def seeds(seed: int, i: int) -> list[int]:
    drawn: list[int] = np.random.SeedSequence((seed, i, 0)).generate_state(256).tolist()
    return drawn


@pytest.mark.parametrize("env_id", WHOLE_GRID_IDS)
def test_stepping_equals_minigrids_own(env_id: str) -> None:
    n, seed = 4, 7
    ours = VectorEnv(env_id, n, seed)
    seen = ours.reset()
    theirs = [minigrids_own(env_id) for _ in range(n)]
    episodes = [0] * n
    expected: list[Any] = [env.reset(seed=seeds(seed, i)[0])[0] for i, env in enumerate(theirs)]
    totals, lengths = [0.0] * n, [0] * n
    rng = np.random.default_rng(1)
    for t in range(STEPS):
        for i, view in enumerate(ours.views()):
            np.testing.assert_array_equal(seen.values[i], expected[i]["image"])
            assert seen.mission[i] == expected[i]["mission"]
            if t % 20 == 0:
                assert view == view_of(theirs[i])
        actions = rng.integers(ours.n_actions, size=n)
        step = ours.step(actions)
        ended: list[int] = []
        for i, env in enumerate(theirs):
            observed, reward, terminated, truncated, _ = env.step(int(actions[i]))
            assert step.reward[i] == reward
            assert (step.terminated[i], step.truncated[i]) == (terminated, truncated)
            totals[i] += float(reward)
            lengths[i] += 1
            if terminated or truncated:
                k = len(ended)
                ended.append(i)
                np.testing.assert_array_equal(step.final_obs.values[k], observed["image"])
                assert step.final_obs.mission[k] == observed["mission"]
                assert (step.returns[k], step.lengths[k]) == (totals[i], lengths[i])
                totals[i], lengths[i] = 0.0, 0
                episodes[i] += 1
                observed = env.reset(seed=seeds(seed, i)[episodes[i]])[0]
            expected[i] = observed
        assert step.ended.tolist() == ended
        assert len(step.final_obs) == len(ended)
        seen = step.obs


@pytest.mark.parametrize("env_id", WHOLE_GRID_IDS)
def test_one_environment_observes_what_minigrids_wrapper_does(env_id: str) -> None:
    ours, theirs = make_env(env_id), minigrids_own(env_id)
    assert ours.observation_space["image"] == theirs.observation_space["image"]  # type: ignore[index]
    rng = np.random.default_rng(2)
    for seed in range(3):
        a, b = ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0]
        over: Any = False
        while not over:
            np.testing.assert_array_equal(a["image"], b["image"])
            assert (a["direction"], a["mission"]) == (b["direction"], b["mission"])
            action = rng.integers(ours.action_space.n)  # type: ignore[attr-defined]
            a, *rest = ours.step(action)
            b, *others = theirs.step(action)
            assert rest == others
            over = rest[1] or rest[2]
        np.testing.assert_array_equal(a["image"], b["image"])


def test_episodes_without_a_seed_go_on_as_minigrids_do() -> None:
    ours = make_env("MiniGrid-GoToDoor-8x8-v0")
    theirs = minigrids_own("MiniGrid-GoToDoor-8x8-v0")
    ours.reset(seed=4)
    theirs.reset(seed=4)
    for _ in range(20):
        a, b = ours.reset()[0], theirs.reset()[0]
        np.testing.assert_array_equal(a["image"], b["image"])


def test_other_minigrid_environments_are_encoded_at_every_step() -> None:
    """Nobody says when a DoorKey's grid changes: toggling a door, dropping a key, all is seen."""
    from lvlm2p.envs.minigrid.observation import FullGrid

    ours = FullGrid(gym.make("MiniGrid-DoorKey-6x6-v0", disable_env_checker=True))
    theirs = minigrids_own("MiniGrid-DoorKey-6x6-v0")
    rng = np.random.default_rng(0)
    for seed in range(5):
        ours.reset(seed=seed)
        theirs.reset(seed=seed)
        for _ in range(100):
            action = rng.integers(7)
            a, *_ = ours.step(action)
            b, *_ = theirs.step(action)
            np.testing.assert_array_equal(a["image"], b["image"])


def test_what_is_carried_is_observed() -> None:
    vector = VectorEnv("MiniGrid-Fetch-5x5-N2-v0", 8, 0)
    vector.reset()
    taken = 0
    for _ in range(100):
        views = vector.views()
        actions = [view.task.action_named(min(view.task.plan(view).actions)) for view in views]
        step = vector.step([action.index for action in actions])
        for k, i in enumerate(step.ended):
            if actions[i].name == "pickup":
                taken += 1
                kind, color = step.final_obs.carrying[k]
                names = {5: "key", 6: "ball"}
                colors = ["red", "green", "blue", "purple", "yellow", "grey"]
                mission = step.final_obs.mission[k]
                assert mission.endswith(f"{colors[color]} {names[int(kind)]}")
        assert not step.obs.carrying.any()
    assert taken > 50


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_bounded_integers_are_numpys_generator(seed: int) -> None:
    ours, numpys = BoundedIntegers(seed), np.random.default_rng(seed)
    shape = np.random.default_rng(1)
    for _ in range(5000):
        low = int(shape.integers(-5, 50))
        high = low + int(shape.choice([1, 2, 3, 5, 6, 10, 1000, 2**31 + 12345]))
        assert ours.draw(low, high) == numpys.integers(low, high)
    with pytest.raises(ValueError, match="low >= high"):
        ours.draw(3, 3)


@pytest.mark.parametrize("size", [5, 6, 8, 12])
def test_rooms_with_doors_are_minigrids_own(size: int) -> None:
    ours = gym.make("MiniGrid-GoToDoor-5x5-v0", size=size).unwrapped
    theirs: Any = gym.make("MiniGrid-GoToDoor-5x5-v0", size=size).unwrapped
    base: Any = ours
    for seed in range(300):
        start_episode(base, seed)
        theirs.reset(seed=seed)
        np.testing.assert_array_equal(base.grid.encode(), theirs.grid.encode())
        assert tuple(base.agent_pos) == tuple(theirs.agent_pos)
        assert tuple(base.target_pos) == tuple(theirs.target_pos)
        for name in ("agent_dir", "mission", "target_color", "carrying", "step_count"):
            assert getattr(base, name) == getattr(theirs, name)


def equal(a: Observation, b: Observation) -> bool:
    return (
        np.array_equal(a.values, b.values)
        and np.array_equal(a.carrying, b.carrying)
        and a.mission == b.mission
    )


@pytest.mark.parametrize(
    "env_id", ["MiniGrid-Dynamic-Obstacles-6x6-v0", "MiniGrid-Fetch-6x6-N2-v0"]
)
def test_a_run_goes_on_from_its_state_bit_for_bit(env_id: str) -> None:
    rng = np.random.default_rng(3)
    one = VectorEnv(env_id, 3, 11)
    one.reset()
    for steps in (0, 1, 37, 300):
        for _ in range(steps):
            one.step(rng.integers(one.n_actions, size=3))
        other = VectorEnv(env_id, 3, 11)
        assert equal(other.restore(json.loads(json.dumps(one.state()))), one.observe())
        assert other.views() == one.views()
        twin = np.random.default_rng(steps)
        for _ in range(60):
            actions = twin.integers(one.n_actions, size=3)
            a, b = one.step(actions), other.step(actions)
            assert equal(a.obs, b.obs) and equal(a.final_obs, b.final_obs)
            for name in ("reward", "terminated", "truncated", "ended", "returns", "lengths"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_seeds_decide_every_episode_and_differ_between_environments() -> None:
    a, b = (VectorEnv("MiniGrid-GoToDoor-8x8-v0", 4, 5).reset() for _ in range(2))
    other = VectorEnv("MiniGrid-GoToDoor-8x8-v0", 4, 6).reset()
    assert equal(a, b) and not equal(a, other)
    assert len({grid.tobytes() for grid in a.values}) == 4


def test_observations_belong_to_the_caller() -> None:
    vector = VectorEnv("MiniGrid-LavaGapS5-v0", 2, 0)
    first = vector.reset()
    before = first.values.copy()
    vector.step([1, 1])
    np.testing.assert_array_equal(first.values, before)
    first.values[:] = 0
    assert vector.observe().values.any()


def test_many_episodes_go_beyond_one_block_of_seeds() -> None:
    vector = VectorEnv("MiniGrid-GoToDoor-5x5-v0", 1, 0)
    vector.reset()
    for _ in range(600):
        vector.step([6])  # done: each episode takes one step
    other = VectorEnv("MiniGrid-GoToDoor-5x5-v0", 1, 0)
    assert vector.state()["episodes"] == [600]
    assert equal(other.restore(vector.state()), vector.observe())


def test_wrong_input_is_one_sentence() -> None:
    with pytest.raises(UserError, match="at least one"):
        VectorEnv("MiniGrid-LavaGapS5-v0", 0, 0)
    vector = VectorEnv("MiniGrid-LavaGapS5-v0", 2, 0)
    vector.reset()
    with pytest.raises(UserError, match="3 actions for 2 environments"):
        vector.step([0, 0, 0])
    with pytest.raises(UserError, match="belongs to 2 of MiniGrid-LavaGapS5-v0 with seed 0"):
        VectorEnv("MiniGrid-LavaGapS5-v0", 2, 1).restore(vector.state())


def test_a_time_limit_is_a_truncation() -> None:
    vector = VectorEnv("MiniGrid-LavaGapS5-v0", 2, 0, max_steps=3)
    vector.reset()
    steps = [vector.step([0, 0]) for _ in range(3)]
    assert steps[2].truncated.all() and not steps[2].terminated.any()
    assert steps[2].lengths.tolist() == [3, 3]
    outer = VectorEnv("MiniGrid-LavaGapS5-v0", 1, 0, max_episode_steps=2)
    outer.reset()
    assert not outer.step([0]).truncated[0] and outer.step([0]).truncated[0]


def cpu_seconds(work: Any, steps: int) -> float:
    start = time.process_time()
    for _ in range(steps):
        work()
    return (time.process_time() - start) / steps


def test_it_is_several_times_faster_than_minigrids_own() -> None:
    """A coarse guard (the measured ratio is in docs/performance.md): noise must not fail it."""
    env_id, n = "MiniGrid-GoToDoor-6x6-v0", 8
    rng = np.random.default_rng(0)
    ours = VectorEnv(env_id, n, 0)
    ours.reset()
    theirs = gym.vector.SyncVectorEnv([lambda: minigrids_own(env_id) for _ in range(n)])
    theirs.reset(seed=0)
    ratios = []
    for _ in range(3):
        fast = cpu_seconds(lambda: ours.step(rng.integers(7, size=n)), 150)
        slow = cpu_seconds(lambda: theirs.step(rng.integers(7, size=n)), 100)
        ratios.append(slow / fast)
    assert max(ratios) > 3
    assert cpu_seconds(lambda: [view.key for view in ours.views()], 200) / n < 100e-6


def test_no_training_environment_is_an_evaluations() -> None:
    """Seeds are strung together in words of 32 bits: (3, 512) and 2**41 + 3 read the same."""
    env_id = "MiniGrid-LavaGapS5-v0"
    for seed, large in ((0, 2**40), (3, 2**41 + 3)):
        one, other = (VectorEnv(env_id, n, s) for n, s in ((514, seed), (2, large)))
        one.reset()
        other.reset()
        for i, mine in enumerate(other._seeds):
            assert mine not in (one._seeds[256 + i], one._seeds[512 + i])
        usual = np.random.SeedSequence((seed, 255, 0)).generate_state(len(mine)).tolist()
        assert one._seeds[255] == usual
        one.close()
        other.close()
