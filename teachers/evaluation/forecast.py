"""What an evaluation will ask of a teacher, before any of it is paid for.

The states and their probes are known. How many states its episodes will visit is not: it is taken
to be what episodes of the planner and of random play visit, half of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lvlm2p.envs import View, make_env, view_of
from lvlm2p.teachers.evaluation.candidates import Candidate
from lvlm2p.teachers.evaluation.measuring import EvalSpec
from lvlm2p.teachers.evaluation.probes import images_of
from lvlm2p.teachers.teacher import CostEstimate, Teacher

PLAYED = 4
"""Episodes of each kind from which the length of all is estimated."""


def forecast(candidate: Candidate, spec: EvalSpec) -> CostEstimate:
    """What measuring it under ``spec`` will ask; what is stored already does not count."""
    assert candidate.teacher is not None
    if candidate.members:  # which are asked about the states in any case
        none = CostEstimate(0, 0, 0.0, 0.0)
        return _acting(candidate.teacher, spec) if spec.episodes else none
    views = [case.view for case in spec.cases]
    probed = views[: spec.probes]
    blank = [replace(view, blank=True) for view in probed if view.task.draw is not None]
    total = candidate.teacher.estimate([*views, *blank, *images_of(probed)])
    if candidate.again is not None:
        total += candidate.again.estimate(probed)
    if spec.episodes:
        total += _acting(candidate.teacher, spec)
    return total


def _acting(teacher: Teacher, spec: EvalSpec) -> CostEstimate:
    """Of the episodes: each is played twice from the same start."""
    task = spec.cases[0].view.task
    kinds = (True, False) if task.planner is not None else (False,)
    episodes = [_visited(spec, n, skilled) for skilled in kinds for n in range(PLAYED)]
    estimate = teacher.estimate([view for episode in episodes for view in episode])
    return estimate.scaled(round(estimate.states * 2 * spec.episodes / len(episodes)))


def _visited(spec: EvalSpec, number: int, skilled: bool) -> Sequence[View]:
    """The distinct states of one episode by the planner or by random actions."""
    rng = np.random.default_rng([spec.seed, number])
    env = make_env(spec.env)
    env.reset(seed=int(rng.integers(2**31)))
    seen: dict[str, View] = {}
    over = False
    while not over:
        view = view_of(env)
        seen.setdefault(view.key, view)
        best = sorted(view.task.plan(view).actions) if skilled else []
        names = best or view.task.action_names
        action = view.task.action_named(names[rng.integers(len(names))])
        _, _, terminated, truncated, _ = env.step(action.index)
        over = terminated or truncated
    env.close()
    return list(seen.values())
