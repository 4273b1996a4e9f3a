"""The options of teachers that plan, beside those that the task's own planner pursues."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lvlm2p.envs import View
from lvlm2p.teachers.evaluation import intervals
from lvlm2p.teachers.evaluation.results import PlanScores
from lvlm2p.teachers.label import Label


def score_plans(labels: Sequence[Label], views: Sequence[View]) -> PlanScores | None:
    """Options of the labels that came of plans (their ``analysis`` is a mixture's account).

    Args:
        labels: (n,)
        views: (n,) the states that they are about.
    """
    planned = [
        (label.analysis, view)
        for label, view in zip(labels, views, strict=True)
        if view.task.planning is not None and "named_absent" in (label.analysis or {})
    ]
    accounts = [account for account, _ in planned if account is not None]
    if not accounts:
        return None
    right = [
        account["option"] in {str(option) for option in pursued}
        for account, view in planned
        if account is not None and (pursued := _pursued(view))
    ]
    tried = sum(account["options"] for account in accounts)
    absent = sum(account["absent"] for account in accounts)
    return PlanScores(
        n=len(accounts),
        accuracy=intervals.proportion(np.array(right, bool)) if right else None,
        infeasible=intervals.wilson(absent, tried),
        idle=intervals.mean(np.array([account["idle"] for account in accounts])),
    )


def _pursued(view: View) -> frozenset[object]:
    planning = view.task.planning
    return frozenset(planning.pursued(view)) if planning and planning.pursued else frozenset()
