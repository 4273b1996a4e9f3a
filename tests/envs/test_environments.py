"""Environments that work without a line of code: all commands, in each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lvlm2p.cli import main
from lvlm2p.envs import task_for, view_of
from lvlm2p.envs.generic.checked import CHECKED
from lvlm2p.envs.make import make_env
from tools.environments import PAGE, is_there, row

MINIGRID = (
    *("MiniGrid-Empty-5x5-v0", "MiniGrid-Empty-Random-6x6-v0", "MiniGrid-Empty-8x8-v0"),
    *("MiniGrid-DoorKey-5x5-v0", "MiniGrid-DoorKey-6x6-v0", "MiniGrid-Unlock-v0"),
    *("MiniGrid-UnlockPickup-v0", "MiniGrid-KeyCorridorS3R1-v0", "MiniGrid-FourRooms-v0"),
    *("MiniGrid-MultiRoom-N2-S4-v0", "MiniGrid-SimpleCrossingS9N1-v0", "MiniGrid-MemoryS7-v0"),
    *("MiniGrid-LavaCrossingS9N1-v0", "MiniGrid-RedBlueDoors-6x6-v0", "MiniGrid-LavaGapS5-v0"),
    *("MiniGrid-PutNear-6x6-N2-v0", "MiniGrid-ObstructedMaze-1Dl-v0", "MiniGrid-LockedRoom-v0"),
    *("MiniGrid-Dynamic-Obstacles-5x5-v0", "MiniGrid-GoToObject-6x6-N2-v0"),
    *("MiniGrid-Fetch-5x5-N2-v0", "MiniGrid-GoToDoor-5x5-v0", "MiniGrid-DistShift1-v0"),
    *("BabyAI-GoToRedBall-v0", "BabyAI-GoToLocal-v0", "BabyAI-GoToObj-v0", "BabyAI-PickupLoc-v0"),
    *("BabyAI-OpenDoor-v0", "BabyAI-PutNextLocal-v0", "BabyAI-GoToDoor-v0"),
    "LVLM2P-SimpleDoorKey-v0",
)
ALL = (*CHECKED, *MINIGRID)
QUICK = ("FrozenLake-v1?is_slippery=false", "CartPole-v1")


def _check(env_id: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not is_there(env_id):
        pytest.skip("its package is not installed")
    env = ["--env", env_id, "--max-episode-steps", "40"]
    store = ["--store", str(folder / "store"), "--json"]
    run = ["--frames", "64", "--n-envs", "2", "--n-steps", "16", "--eval-every", "0"]
    run += ["--final-episodes", "2", "--run-dir", str(folder / "run"), "--no-progress"]
    assert main(["train", *env, "--teacher", "none", *run, *store]) == 0
    trained = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert trained["frames"] == 64
    assert trained["evaluation"]["success_is"] == task_for(env_id).success_words
    out = str(folder / "labels.parquet")
    assert main(["label", *env, "--teacher", "random", "--states", "8", "--out", out, *store]) == 0
    labelled = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert labelled["rows"] > 0
    again = str(folder / "again.parquet")
    words = ["label", "--teacher", "random", "--from-file", out, "--out", again, *store]
    assert main(words) == 0  # the states in a file are read again
    second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert second["labels"]["cached"] == second["rows"] == labelled["rows"]
    expert = ["expert"] if task_for(env_id).planner is not None else []
    few = ["--states", "4", "--episodes", "1", "--probes", "0"]
    assert main(["evaluate", *env, "--teacher", "random", *expert, *few, *store]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(report["results"]) == 1 + len(expert)
    for result in report["results"]:
        assert (result["top1"] is not None) == bool(expert)
        if result["teacher"] == "expert" and result["top1"] is not None:
            assert result["top1"]["value"] == 1


def test_there_are_at_least_forty() -> None:
    assert len(set(ALL)) >= 40


@pytest.mark.parametrize("env_id", QUICK)
def test_train_label_and_evaluate(
    env_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _check(env_id, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("env_id", [env_id for env_id in ALL if env_id not in QUICK])
def test_train_label_and_evaluate_in_all(
    env_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _check(env_id, tmp_path, capsys)


@pytest.mark.parametrize("env_id", [one for one in CHECKED if not one.startswith(("ALE", "Lunar"))])
def test_the_page_says_what_the_environment_says(env_id: str) -> None:
    assert row(env_id) in PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "episodes"),
    [
        ("FrozenLake-v1?is_slippery=false", 20),
        ("FrozenLake8x8-v1?is_slippery=false", 20),
        ("CliffWalking-v1", 20),
        ("Taxi-v4", 200),
    ],
)
def test_the_planner_always_succeeds(env_id: str, episodes: int) -> None:
    env, task = make_env(env_id), task_for(env_id)
    for seed in range(episodes):
        env.reset(seed=seed)
        distance = task.plan(view_of(env)).distance
        terminated, steps = False, 0
        while not terminated:
            name = sorted(task.plan(view_of(env)).actions)[0]
            _, reward, terminated, truncated, _ = env.step(task.action_named(name).index)
            steps += 1
            assert not truncated
        assert steps == distance
        assert reward in (1, -1, 20)
