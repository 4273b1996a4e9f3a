"""Frames per CPU-second on GoToDoor-6x6, one thread, against other projects.

    python -m pip install --constraint constraints.txt --editable '.[bench]'
    python benchmarks/throughput.py           # more than an hour; --quick: minutes, and rougher

1, 16, 64 and 256 environments in rollouts of 2,048 frames, 4 epochs of minibatches of 256, networks
of as many parameters. Every part runs in a process of its own, in turns with the others, so that a
busy machine is as bad for one as for another: the tables have the medians of all rounds, and
ratios are taken within a round. CPU time, not wall time: it does not count what else the machine is
doing (though a busy one makes caches colder). Start-up is left out: each part is run for a short
and for a long time, and the difference counts. A project that is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peers.task import ACTIONS, ENV, EPOCHS, LR, MINIBATCH, ROLLOUT, Peer, full_grid

SHORT = 1
LONG, LONG_QUICK = 5, 2
"""Rollouts."""

Result = dict[str, float]


def speed(run: Callable[[int], object], long: int) -> float:
    """Frames per CPU-second of ``run(frames)``, beyond its start-up.

    The first call is not measured: it imports, and what it fills stays filled.
    """
    run(SHORT * ROLLOUT)
    seconds = []
    for rollouts in (SHORT, long):
        start = time.process_time()
        run(rollouts * ROLLOUT)
        seconds.append(time.process_time() - start)
    return (long - SHORT) * ROLLOUT / (seconds[1] - seconds[0])


# ---------------------------------------------------------------- environments alone


def stepping(n_envs: int, size: int) -> Peer:
    import numpy as np

    from lvlm2p.envs import VectorEnv

    env, rng = VectorEnv(ENV, n_envs, 0), np.random.default_rng(0)
    env.reset()

    def run(frames: int) -> None:
        for _ in range(frames // n_envs):
            env.step(rng.integers(env.n_actions, size=n_envs))

    return run, 0


def stepping_gymnasium(n_envs: int, size: int) -> Peer:
    import gymnasium as gym
    import numpy as np

    env, rng = gym.vector.SyncVectorEnv([full_grid] * n_envs), np.random.default_rng(0)
    env.reset(seed=0)

    def run(frames: int) -> None:
        for _ in range(frames // n_envs):
            env.step(rng.integers(ACTIONS, size=n_envs))

    return run, 0


# ---------------------------------------------------------------- training


def ours(n_envs: int, size: int, teacher: str = "none", epochs: int = EPOCHS) -> Peer:
    from lvlm2p.student import TrainConfig, load_student, train
    from lvlm2p.teachers import LabelStore, load_teacher

    folder = tempfile.TemporaryDirectory()
    store = LabelStore(Path(folder.name) / "store")
    runs = iter(range(100))

    def run(frames: int) -> Path:
        config = TrainConfig(
            env=ENV,
            teacher=teacher,
            frames=frames,
            recipe="fast",  # every setting that makes a difference in speed is given below
            n_envs=n_envs,
            n_steps=ROLLOUT // n_envs,
            n_steps_later=ROLLOUT // n_envs,
            epochs=epochs,
            batch_size=MINIBATCH,
            lr=LR,
            kl_minibatches=64,
            kl_images=0,
            kl_schedule="constant",
            eval_every=0,
            final_episodes=1,
            checkpoint_every=0,
            progress=False,
            run_dir=Path(folder.name) / str(next(runs)),
        )
        train(config, None if teacher == "none" else load_teacher(teacher, store=store))
        return config.run_dir

    # with a teacher: from now on every label is stored
    first = run(ROLLOUT if teacher == "none" else LONG * ROLLOUT)
    return run, sum(p.numel() for p in load_student(first).policy.parameters())


def with_teacher(n_envs: int, size: int) -> Peer:
    return ours(n_envs, size, "expert")


def as_many_steps(n_envs: int, size: int) -> Peer:
    """12 epochs of 8 minibatches are 96 gradient steps: so are 4 epochs and 64 of replay."""
    return ours(n_envs, size, epochs=12)


# ---------------------------------------------------------------- the table

OURS = "lvlm2p"
STEPPING = {"lvlm2p": "stepping", "SyncVectorEnv + FullyObsWrapper": "stepping_gymnasium"}
TEACHING = {"every label stored": "with_teacher", "as many gradient steps": "as_many_steps"}
PPO = {
    OURS: ("ours", "torch"),
    "Stable-Baselines3": ("stable_baselines.stable_baselines", "stable_baselines3"),
    "torch-ac": ("lucas_ac.torch_ac_ppo", "torch_ac"),
    "CleanRL's file": ("one_file.one_file", "torch"),
    "sbx": ("stable_baselines.sbx", "sbx"),
    "TorchRL": ("torchrl_ppo.torchrl", "torchrl"),
    "tianshou": ("tianshou_ppo.tianshou", "tianshou"),
}
"""Each project with its part, a function here or in a file of ``peers/``, and its package."""


def measured(part: str, n_envs: int, size: int, long: int) -> Result:
    """One part, in this process."""
    import torch

    torch.set_num_threads(1)
    file, _, name = part.rpartition(".")
    held = importlib.import_module(f"benchmarks.peers.{file}") if file else sys.modules[__name__]
    run, parameters = getattr(held, name)(n_envs, size)
    result = {"speed": speed(run, long), "parameters": parameters}
    return result | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure(part: str, n_envs: int, size: int, long: int) -> Result:
    """One part, in a process of its own."""
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__, "--part", part, str(n_envs), str(size), str(long)]
    environment = {**os.environ, **one}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


class Rounds:
    """What was measured, by column and number of environments; one result a round."""

    def __init__(self, counts: list[int], rounds: int, long: int, only: list[str]) -> None:
        self.counts = counts
        self.found: dict[tuple[str, str, int], list[Result]] = {}
        self.projects = {
            name: part
            for name, (part, package) in PPO.items()
            if find_spec(package) is not None and (not only or name in {OURS, *only})
        }
        size = int(measure("ours", 16, 0, SHORT + 1)["parameters"])
        parts = [("PPO", name, part, n) for n in counts for name, part in self.projects.items()]
        if not only:
            parts += [("stepping", *one, n) for n in counts for one in STEPPING.items()]
            parts += [("teaching", *one, 16) for one in TEACHING.items()]
        for _ in range(rounds):
            for table, name, part, n in parts:
                result = measure(part, n, size, long)
                self.found.setdefault((table, name, n), []).append(result)
                print(f"{table}, {name}, {n}: {result['speed']:,.0f}", file=sys.stderr)

    def median(self, table: str, name: str, n: int, what: str = "speed") -> float:
        return statistics.median(result[what] for result in self.found[table, name, n])

    def ratio(self, table: str, mine: str, other: str, n: int) -> float:
        pairs = zip(self.found[table, mine, n], self.found[table, other, n], strict=True)
        return statistics.median(one["speed"] / two["speed"] for one, two in pairs)

    def table(self, table: str, names: list[str]) -> str:
        """A row for each number of environments; below, what the networks are."""
        lines = [f"| environments | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for n in self.counts:
            cells = [f"{self.median(table, name, n):,.0f}" for name in names]
            lines.append(f"| {n} | {' | '.join(cells)} |")
        for what, words in (("parameters", "parameters"), ("memory", "peak memory, MB")):
            cells = [f"{self.median(table, name, self.counts[-1], what):,.0f}" for name in names]
            lines.append(f"| {words} | {' | '.join(cells)} |")
        return "\n".join(lines)


def claims(rounds: Rounds, everything: bool) -> list[tuple[str, float, float]]:
    """What is measured against what, the ratio and the least that is wanted."""
    lines = []
    for n in rounds.counts:
        for name in list(rounds.projects)[1:]:
            wanted = 4.0 if name == "Stable-Baselines3" else 1.0
            ratio = rounds.ratio("PPO", OURS, name, n)
            lines.append((f"PPO, {n} environments: lvlm2p / {name}", ratio, wanted))
    if everything:
        mine, other = STEPPING
        for n in rounds.counts:
            ratio = rounds.ratio("stepping", mine, other, n)
            lines.append((f"stepping, {n} environments: {' / '.join(STEPPING)}", ratio, 4.0))
        mine, other = TEACHING
        ratio = rounds.ratio("teaching", mine, other, 16)
        lines.append((f"a teacher, 16 environments: {' / '.join(TEACHING)}", ratio, 0.9))
    return lines


def main() -> int:
    """Measure, print the tables, and say which of the ratios is too small."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--envs", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--only", nargs="+", default=[], choices=list(PPO), help="these projects")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        part, *numbers = given.part
        print(json.dumps(measured(part, *map(int, numbers))))
        return 0
    rounds = Rounds(
        given.envs,
        1 if given.quick else given.rounds,
        LONG_QUICK if given.quick else LONG,
        given.only,
    )
    print("PPO, frames per CPU-second:\n")
    print(rounds.table("PPO", list(rounds.projects)))
    if not given.only:
        print(f"\nStepping alone:\n\n{rounds.table('stepping', list(STEPPING))}")
        teaching = [f"{name} {rounds.median('teaching', name, 16):,.0f}" for name in TEACHING]
        print(f"\nPPO with a teacher, 16 environments: {', '.join(teaching)}")
    print("\n| ratio | measured | wanted |\n|---|---|---|")
    found = claims(rounds, not given.only)
    for words, ratio, wanted in found:
        print(f"| {words} | {ratio:.2f} | {wanted} |")
    return 0 if all(ratio >= wanted for _, ratio, wanted in found) else 1


if __name__ == "__main__":
    sys.exit(main())
