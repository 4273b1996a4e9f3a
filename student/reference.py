"""A student as the reference of an evaluation: what it would do, state by state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lvlm2p.envs import UserError, VectorEnv
from lvlm2p.envs.limits import Limited
from lvlm2p.student.training.trained import load_student

if TYPE_CHECKING:
    from collections.abc import Callable

    from lvlm2p.envs import View

SIDE_BY_SIDE = 8
MOST_FRAMES = 20_000
KEPT = 1 / 3
"""Probability that a visited state is kept, so that neighbours in an episode are not all taken."""


def student_reference(
    run: str,
) -> Callable[[str, int, int], list[tuple[View, frozenset[str]]]]:
    """The states that the student in the folder ``run`` meets, when half of its actions are drawn
    at random, and what it finds best in them.

    Raises:
        RunError, CheckpointError: there is no student.
    """
    student = load_student(Path(run))

    def reference(env_id: str, n: int, seed: int) -> list[tuple[View, frozenset[str]]]:
        env = VectorEnv(Limited(env_id).env, SIDE_BY_SIDE, seed)
        if env.space != student.encoder.space or env.n_actions != student.policy.actions:
            raise UserError(f"the student in {run} has learned {student.env}, not {env_id}.")
        rng, names = np.random.default_rng(seed), {a.index: a.name for a in env.task.actions}
        found: dict[str, tuple[View, frozenset[str]]] = {}
        observation = env.reset()
        for _ in range(MOST_FRAMES // SIDE_BY_SIDE):
            best = student.act(observation, env.episode_start)
            for view, action in zip(env.views(), best.tolist(), strict=True):
                if action in names and rng.random() < KEPT:
                    found.setdefault(view.key, (view, frozenset({names[action]})))
            if len(found) >= n:
                break
            drawn = rng.choice(list(names), SIDE_BY_SIDE)
            observation = env.step(np.where(rng.random(SIDE_BY_SIDE) < 0.5, drawn, best)).obs
        env.close()
        return list(found.values())[:n]

    return reference
