"""What is no number never reaches a weight, a checkpoint or a report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from minigrid.envs.lavagap import LavaGapEnv

from lvlm2p.cli import main
from lvlm2p.student import TrainConfig, train
from lvlm2p.student.training import checkpoint
from lvlm2p.teachers.errors import RunError

ENV = "MiniGrid-LavaGapS5-Broken-v0"
SMALL: dict[str, Any] = {
    "n_envs": 2, "n_steps": 8, "frames": 320, "eval_every": 0, "final_episodes": 1,
    "progress": False, "teacher": "none", "checkpoint_every": 32,
}  # fmt: skip


class Broken(LavaGapEnv):
    """In its 40th step and later, whatever episode that is in, the reward is ``value``."""

    value = math.nan
    healthy = 40

    def __init__(self, **options: Any) -> None:
        super().__init__(size=5, **options)
        self.taken = 0

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        self.taken += 1
        if self.taken >= self.healthy:
            reward = self.value
        return observation, reward, terminated, truncated, info


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gym.registry, ENV, gym.envs.registration.EnvSpec(ENV, entry_point=Broken))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_no_number(
    value: float,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Broken, "value", value)
    options = ["--n-envs", "2", "--n-steps", "8", "--frames", "320", "--checkpoint-every", "32"]
    code = main(
        [
            "train",
            "--env",
            ENV,
            "--teacher",
            "none",
            "--run-dir",
            str(tmp_path / "run"),
            *options,
            "--eval-every",
            "0",
            "--no-progress",
            "--json",
        ]
    )
    out, said = capsys.readouterr()
    assert (code, out) == (2, "")
    assert said.startswith(f"lvlm2p: {ENV!r} gave the reward {value} in step ")
    assert said.count("\n") == 1
    loaded = checkpoint.load(tmp_path / "run" / "checkpoint")
    assert loaded is not None and loaded[1]["frames"] == 64, "the last one before it"
    assert all(tensor.double().isfinite().all() for tensor in loaded[0].values())
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_a_loss_that_is_no_number(
    algo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Broken, "value", 1e38)  # finite, and its square is not
    config = TrainConfig(env=ENV, algo=algo, run_dir=tmp_path / "run", **SMALL)
    with pytest.raises(RunError, match=r"training diverged: the loss is (inf|nan)"):
        train(config)
    loaded = checkpoint.load(tmp_path / "run" / "checkpoint")
    assert loaded is not None
    assert all(tensor.double().isfinite().all() for tensor in loaded[0].values())
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_teacher_that_acts_meets_it_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Broken, "healthy", 0)
    options = ["--states", "5", "--episodes", "3", "--probes", "0", "--out", str(tmp_path / "out")]
    code = main(["evaluate", "--teacher", "random", "--env", ENV, *options, "--json"])
    assert code == 2 and "gave the reward nan in step 1 of" in capsys.readouterr().err
