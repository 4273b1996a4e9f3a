"""States to ask about: distinct, in play, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from lvlm2p.envs import UserError, make_env, sample_states, view_of
from lvlm2p.envs.sampling import Policy
from tests.support.shipped import WHOLE_GRID_IDS

TWO = ["MiniGrid-Fetch-6x6-N2-v0", "MiniGrid-Dynamic-Obstacles-6x6-v0"]


@pytest.mark.parametrize("policy", ["random", "expert", "mixed"])
@pytest.mark.parametrize(
    "env_id", ["MiniGrid-Fetch-6x6-N2-v0", "MiniGrid-Dynamic-Obstacles-6x6-v0"]
)
def test_the_seed_decides(env_id: str, policy: Policy) -> None:
    one, same, other = (sample_states(env_id, 60, seed, policy) for seed in (1, 1, 2))
    assert one == same != other
    assert len({view.key for view in one}) == 60


@pytest.mark.parametrize("env_id", WHOLE_GRID_IDS)
def test_drawn_states_are_ones_in_which_the_episode_goes_on(env_id: str) -> None:
    for view in sample_states(env_id, 40, 0, "mixed"):
        assert view.task.ground_truth is not None
        scene = view.task.ground_truth(view)
        agent = [scene["agent_row"], scene["agent_column"]]
        assert agent not in scene["targets"]
        assert view.carrying is None


@pytest.mark.parametrize(("size", "states"), [(5, 72), (6, 384), (7, 1200)])
def test_all_states_of_lava_gap(size: int, states: int) -> None:
    """Layouts (n-4)(n-2) times the cells that are neither lava nor goal, in four directions."""
    found = sample_states(f"MiniGrid-LavaGapS{size}-v0", None, 0, "all")
    assert len({view.key for view in found}) == len(found) == states
    keys = {view.key for view in found}
    env = make_env(f"MiniGrid-LavaGapS{size}-v0")
    rng = np.random.default_rng(size)
    for seed in range(60):
        env.reset(seed=seed)
        over = False
        while not over:
            assert view_of(env).key in keys
            _, _, terminated, truncated, _ = env.step(rng.integers(7))
            over = terminated or truncated


def test_a_number_of_all_states() -> None:
    some = sample_states("MiniGrid-LavaGapS6-v0", 100, 3, "all")
    assert len({view.key for view in some}) == 100
    assert some == sample_states("MiniGrid-LavaGapS6-v0", 100, 3, "all")
    assert len(sample_states("MiniGrid-LavaGapS5-v0", 500, 3, "all")) == 72


def test_large_and_moving_tasks_have_no_list_of_all_states() -> None:
    with pytest.raises(UserError, match="starts in more than"):
        sample_states("MiniGrid-GoToDoor-6x6-v0", None, 0, "all")
    with pytest.raises(UserError, match="moves by itself"):
        sample_states("MiniGrid-Dynamic-Obstacles-5x5-v0", None, 0, "all")


@pytest.mark.parametrize(
    "env_id",
    ["MiniGrid-LavaGapS6-v0", "MiniGrid-GoToDoor-8x8-v0", "MiniGrid-Dynamic-Obstacles-8x8-v0"],
)
def test_stratified_states_cover_every_distance_alike(env_id: str) -> None:
    views = sample_states(env_id, 120, 0, "mixed", stratified=True)
    assert len({view.key for view in views}) == 120
    counts = Counter(view.task.plan(view).distance for view in views)
    plain = Counter(
        view.task.plan(view).distance for view in sample_states(env_id, 120, 0, "mixed")
    )
    assert len(counts) >= len(plain) - 1
    most = max(counts.values())
    assert sum(count >= most - 1 for count in counts.values()) > len(counts) / 2
    assert sample_states(env_id, 120, 0, "mixed", stratified=True) == views


def test_fewer_come_back_where_there_are_fewer() -> None:
    few = sample_states("MiniGrid-LavaGapS5-v0", 500, 0, "mixed")
    assert 50 < len(few) <= 72


def test_keyword_variants_are_sampled_too() -> None:
    views = sample_states("MiniGrid-GoToDoor-5x5-v0", 10, 0, size=9)
    assert all(view.state[:2] == b"\x09\x09" for view in views)


def test_wrong_input_is_one_sentence() -> None:
    with pytest.raises(UserError, match="at least 1"):
        sample_states("MiniGrid-LavaGapS5-v0", 0, 0)
    with pytest.raises(UserError, match="how many"):
        sample_states("MiniGrid-LavaGapS5-v0", None, 0)
    with pytest.raises(UserError, match="not from 'best'"):
        sample_states("MiniGrid-LavaGapS5-v0", 1, 0, "best")  # type: ignore[arg-type]
