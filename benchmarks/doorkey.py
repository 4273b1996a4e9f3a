"""How often each player opens the door in the DoorKey tasks, and how far the door is.

    python benchmarks/doorkey.py [--episodes 500] [--tables 1000] [PLAYER ...]

Players: ``shortest`` (the whole grid known), ``random``, ``explorer`` (the map of what was seen),
``original`` and ``good`` (plan tables, one plan drawn for each step).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from lvlm2p.envs import View, make_env, task_for, view_of
from lvlm2p.envs.doorkey.exact import shortest_plan
from lvlm2p.envs.doorkey.options import WAIT
from lvlm2p.envs.doorkey.tasks import SETTINGS
from lvlm2p.teachers import Label
from lvlm2p.teachers.plans.teacher import PlanTableTeacher

Player = Callable[[View, np.random.Generator], str]


def random_player(view: View, rng: np.random.Generator) -> str:
    return str(rng.choice(view.task.action_names))


def explorer(view: View, rng: np.random.Generator) -> str:
    actions = sorted(view.task.plan(view).actions)
    return actions[rng.integers(len(actions))]


class TablePlayer:
    """Draws from the label of a plan table, which is to draw one of its plans; idle where the
    teacher has no label. ``teacher.missing`` counts the situations that the table does not have."""

    def __init__(self, name: str) -> None:
        self.teacher = PlanTableTeacher(f"plans:{name}")

    def __call__(self, view: View, rng: np.random.Generator) -> str:
        (answer,) = self.teacher.label([view])
        if not isinstance(answer, Label):
            return WAIT
        return str(rng.choice(view.task.action_names, p=list(answer.probabilities.values())))


def play(env_id: str, player: Player, episodes: int, **kwargs: Any) -> str:
    """Success, deaths, and steps of the successes."""
    env = make_env(env_id, **kwargs)
    rng = np.random.default_rng(0)
    lengths: list[int] = []
    dead = 0
    for seed in range(episodes):
        env.reset(seed=seed)
        over, steps, reward = False, 0, 0.0
        while not over:
            action = task_for(env_id).action_named(player(view_of(env), rng))
            _, reward, terminated, truncated, _ = env.step(action.index)  # type: ignore[assignment]
            over, steps = terminated or truncated, steps + 1
        if reward > 0:
            lengths.append(steps)
        elif terminated:
            dead += 1
    mean = statistics.fmean(lengths) if lengths else float("nan")
    return f"{len(lengths) / episodes:.3f}  {mean:6.1f} steps  {dead} dead"


def shortest(env_id: str, episodes: int) -> str:
    """Mean length of the shortest way, and layouts that have none."""
    env = make_env(env_id)
    base: Any = env.unwrapped
    ways = []
    for seed in range(episodes):
        env.reset(seed=seed)
        ways.append(shortest_plan(base.true_state()))
    found = [len(way) for way in ways if way is not None]
    return f"{statistics.fmean(found):6.2f} steps  {len(ways) - len(found)} unsolvable"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = ["shortest", "random", "explorer", "original", "good"]
    parser.add_argument("players", nargs="*", help="all, if none is named")
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--tables", type=int, default=1000, help="episodes of the plan tables")
    args = parser.parse_args()
    for name in args.players or names:
        for env_id in SETTINGS:
            if name == "shortest":
                row = shortest(env_id, args.episodes)
            elif name in ("random", "explorer"):
                player = random_player if name == "random" else explorer
                row = play(env_id, player, args.episodes)
            else:
                table = TablePlayer(name)
                row = play(env_id, table, args.tables)
                missing = table.teacher.missing
                row += f"  missing: {dict(missing)}" if missing else ""
            print(f"{name:9} {env_id:26} {row}", flush=True)


if __name__ == "__main__":
    main()
