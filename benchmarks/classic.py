"""Rewards alone: our PPO and Stable-Baselines3's, each as it comes, after the same frames.

    python -m pip install --constraint constraints.txt --editable '.[bench]'
    python benchmarks/classic.py CartPole-v1:50000 'FrozenLake-v1?is_slippery=false:20000' --seeds 3

Each student plays 100 fresh episodes by its most probable actions; the table has the mean return
and its spread over seeds. `--ours "--lr 3e-4 --epochs 10"` gives options to our side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks.peers.minatar_ids

EPISODES = 100


def ours(env: str, frames: int, seed: int, options: list[str]) -> float:
    """The mean return of a student of `lvlm2p train --teacher none`."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--env", env, "--teacher", "none", "--frames", str(frames), "--seed", str(seed)]
        words += ["--eval-every", "0", "--final-episodes", str(EPISODES), "--json"]
        words += ["--no-progress", "--run-dir", str(Path(folder) / "run"), *options]
        command = [sys.executable, "-m", "lvlm2p", "train", *words]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(json.loads(said.splitlines()[-1])["evaluation"]["return"])


def theirs(env: str, frames: int, seed: int) -> float:
    """That of Stable-Baselines3's PPO, as it comes."""
    import gymnasium as gym
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    from lvlm2p.envs.arguments import split_arguments
    from lvlm2p.envs.limits import Limited

    def make() -> Any:
        env_id, arguments = split_arguments(Limited(env).env)
        return Monitor(gym.make(env_id, **arguments))

    torch.set_num_threads(1)
    model = PPO("MlpPolicy", make(), seed=seed, device="cpu")
    model.learn(frames)
    mean, _ = evaluate_policy(model, make(), n_eval_episodes=EPISODES, deterministic=True)
    return float(mean)  # type: ignore[arg-type] # a list only with return_episode_rewards


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="+", metavar="ENV:FRAMES")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ours", default="")
    given = parser.parse_args()
    print("| environment | frames | lvlm2p | Stable-Baselines3 |\n|---|---|---|---|")
    for task in given.tasks:
        env, _, frames = task.rpartition(":")
        seeds = range(given.seeds)
        sides = (
            [ours(env, int(frames), seed, given.ours.split()) for seed in seeds],
            [theirs(env, int(frames), seed) for seed in seeds],
        )
        cells = [f"{statistics.mean(side):.3g} ± {statistics.pstdev(side):.2g}" for side in sides]
        print(f"| `{env}` | {int(frames):,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
