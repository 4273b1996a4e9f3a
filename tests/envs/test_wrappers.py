"""Wrappers of a user's own get what a plain ``gymnasium.make`` gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lvlm2p.envs import UserError, VectorEnv, make_env

GAP = "MiniGrid-LavaGapS5-v0"


class Shaper(gym.Wrapper[Any, Any, Any, Any]):
    """Half of every reward, and a little for each wall that is in sight."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.seen: list[Any] = []

    def step(self, action: Any) -> Any:
        observation, reward, *rest = self.env.step(action)
        reward = float(reward)
        self.seen.append(observation)
        bonus = 0.001 * int((observation["image"][..., 0] == 2).sum())
        return observation, reward / 2 + bonus, *rest


@pytest.fixture(autouse=True)
def shaped(own_registry: None) -> Iterator[None]:
    import minigrid  # noqa: F401

    gym.register("Checked-v0", lambda **more: Shaper(gym.make(GAP, **more)))
    gym.register("Shaped-v0", lambda **more: Shaper(gym.make(GAP, disable_env_checker=True)))
    yield
    del gym.registry["Checked-v0"], gym.registry["Shaped-v0"]


@pytest.mark.parametrize("env_id", ["Checked-v0", "Shaped-v0"])
def test_a_shaper_inside_gives_the_rewards_of_a_plain_make(env_id: str) -> None:
    rng = np.random.default_rng(0)
    env = VectorEnv(env_id, 1, 3)
    env.reset()
    plain = Shaper(gym.make(GAP))
    plain.reset(seed=env._seeds[0][0])
    single: Any = make_env(env_id)
    single.reset(seed=env._seeds[0][0])
    for _ in range(60):
        action = int(rng.integers(3))
        step, (seen, reward, *over) = env.step([action]), plain.step(action)[:4]
        assert step.reward[0] == reward
        assert single.step(action)[1] == reward
        if any(over):
            break
        assert env.observe().values[0].shape == (5, 5, 3)
    assert seen["image"].shape == (7, 7, 3)


def test_a_shaper_around_what_make_env_gives() -> None:
    env = Shaper(make_env(GAP))
    env.reset(seed=0)
    env.step(0)
    assert env.seen[0]["image"].shape == (5, 5, 3)


def test_a_wrapper_that_fails_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Shaper, *args: Any, **options: Any) -> Any:
        raise KeyError("image")

    vector, single = VectorEnv("Shaped-v0", 1, 0), make_env("Shaped-v0")
    vector.reset()
    single.reset(seed=0)
    monkeypatch.setattr(Shaper, "step", fail)
    monkeypatch.setattr(Shaper, "reset", fail)
    said = r"(Shaped-v0|lava-gap) failed in .*: KeyError: 'image' \(.*test_wrappers\.py, line"
    for call in (
        lambda: vector.step([0]),
        lambda: vector.reset(),
        lambda: single.step(0),
        lambda: single.reset(seed=1),
    ):
        with pytest.raises(UserError, match=said):
            call()
