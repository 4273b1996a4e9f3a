"""How accurate tiny-vl is on layouts that training never saw: ``python -m tools.tiny_vl.evaluate``.

Held out are whole layouts (see :mod:`tools.tiny_vl.data`); what is printed is the model card's
table. ``lvlm2p evaluate --teacher tiny-vl`` measures it like any other teacher, on all layouts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lvlm2p.envs import View, make_env, view_of
from lvlm2p.teachers import Label, Teacher, load_teacher
from lvlm2p.teachers.models.local.tiny_vl import CHECKPOINT
from tools.tiny_vl import data, tokens

FIELDS = ("agent_row", "agent_column", "agent_direction", "target_row", "target_column")
SEED = 1_000
"""Far from the seeds of training; what is held out does not depend on any seed."""


def held_out_views(task: str, side: int, n: int, seed: int = SEED) -> list[View]:
    """Up to ``n`` distinct states of held-out layouts (fewer where there are no more)."""
    found: dict[str, View] = {}
    for view, kept in data.poses(task, side, 60 * n, seed):
        if kept:
            found.setdefault(view.key, view)
        if len(found) == n:
            break
    return list(found.values())


def scene_right(view: View, said: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the five fields of an analysis are all right, and whether ``ahead`` is."""
    assert view.task.ground_truth is not None
    truth = view.task.ground_truth(view)
    agent = all(said[name] == truth[name] for name in FIELDS[:3])
    target = [said["target_row"], said["target_column"]] in truth["targets"]
    return agent and target, said["ahead"] == truth["ahead"]


def measure(teacher: Teacher, views: Sequence[View]) -> dict[str, float]:
    """Shares of ``views``: five analysis fields right, ``ahead`` right, best action optimal,
    probability mass on the optimal set, answers of no use; and labels per second."""
    began = time.perf_counter()
    answers = teacher.label(views)
    seconds = time.perf_counter() - began
    scenes, aheads, tops, masses = [], [], [], []
    for view, answer in zip(views, answers, strict=True):
        if not isinstance(answer, Label):
            tops.append(False)
            masses.append(0.0)
            continue
        best = view.task.plan(view).actions
        tops.append(answer.action in best)
        masses.append(sum(answer.probabilities[name] for name in best))
        if answer.analysis is not None:
            five, ahead = scene_right(view, answer.analysis)
            scenes.append(five)
            aheads.append(ahead)
    failed = sum(not isinstance(answer, Label) for answer in answers)
    result = {
        "states": float(len(views)),
        "top1": float(np.mean(tops)),
        "mass": float(np.mean(masses)),
    }
    if scenes:
        result |= {"analysis": float(np.mean(scenes)), "ahead": float(np.mean(aheads))}
    return result | {"failed": failed / len(views), "labels_per_s": len(views) / seconds}


def act(teacher: Teacher, task: str, side: int, episodes: int, seed: int = SEED) -> float:
    """Share of episodes that the teacher's most probable action brings to success.

    Each starts on a held-out layout as the environment sets it up. Where nothing moves, a state
    seen twice ends an episode. (LavaGap at 6x6 has two such episodes: they are counted again.)
    """
    rng = np.random.default_rng([seed, side])
    envs: list[Any] = []
    env_id, kwargs = data.variants(task, side)[0]
    while len(envs) < episodes:
        env = make_env(env_id, **kwargs)
        env.reset(seed=int(rng.integers(2**31)))
        base: Any = env.unwrapped
        if not data.held_out(task, base):
            continue
        envs.append(env)
    seen: list[set[str]] = [set() for _ in envs]
    won = 0
    active = list(range(episodes))
    while active:
        views = [view_of(envs[i]) for i in active]
        answers = teacher.label(views)
        still = []
        for i, view, answer in zip(active, views, answers, strict=True):
            if not isinstance(answer, Label):
                continue
            if task != "dynamic-obstacles" and view.key in seen[i]:
                continue
            seen[i].add(view.key)
            action = view.task.action_named(answer.action).index
            _, reward, terminated, truncated, _ = envs[i].step(action)
            won += bool(terminated and reward > 0)
            if not (terminated or truncated):
                still.append(i)
        active = still
    return won / episodes


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    columns = ("task", "size", "elicit", "states", "analysis", "ahead", "top1", "mass", "success")
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        words = [f"{c:.3f}" if isinstance(c, float) and c <= 1 else str(c) for c in cells]
        lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines)


def write_card(rows: list[dict[str, Any]], states: int, episodes: int) -> None:
    """The checkpoint's README, with what was measured."""
    run = json.loads((CHECKPOINT / "training.json").read_text("utf-8"))
    training = (
        f"{run['steps']:,} steps of {run['batch']} states from seed {run['seed']}, "
        f"{run['seconds'] / 60:.0f} minutes of one CPU core"
    )
    card = (Path(__file__).parent / "card.md").read_text("utf-8")
    for name, text in (
        ("TRAINING", training),
        ("STATES", str(states)),
        ("EPISODES", str(episodes)),
        ("TABLE", table(rows)),
    ):
        card = card.replace(f"@{name}@", text)
    (CHECKPOINT / "README.md").write_text(card, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=500)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--sides", type=int, nargs="+", default=[5, 6, 8])
    parser.add_argument("--elicit", nargs="+", default=["stated", "logprobs", "choice"])
    parser.add_argument("--tasks", nargs="+", default=list(tokens.TASKS))
    parser.add_argument("--card", action="store_true", help="write the checkpoint's README")
    args = parser.parse_args()
    rows = []
    for side in args.sides:
        for task in args.tasks:
            views = held_out_views(task, side, args.states)
            for elicit in args.elicit:
                teacher = load_teacher("tiny-vl", options={"elicit": elicit})
                row: dict[str, Any] = {"task": task, "size": f"{side}x{side}", "elicit": elicit}
                row |= measure(teacher, views)
                row["states"] = len(views)
                if args.episodes:
                    row["success"] = act(teacher, task, side, args.episodes)
                rows.append(row)
                print(json.dumps(row), flush=True)
    print(table(rows))
    if args.card:
        write_card(rows, args.states, args.episodes)


if __name__ == "__main__":
    main()
