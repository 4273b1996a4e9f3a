"""The description that a teacher gave before it chose, beside the true scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lvlm2p.envs import View
from lvlm2p.teachers.evaluation import intervals
from lvlm2p.teachers.evaluation.results import AnalysisScores, Interval
from lvlm2p.teachers.label import Label

FIELDS = ("agent_row", "agent_column", "agent_direction", "target", "ahead")
DECISIVE = FIELDS[:4]
"""What has to be right for the description to be called right. What is ahead follows from these
in most tasks, and is worded freely."""


def judge(analysis: Mapping[str, Any], view: View) -> dict[str, bool]:
    """Field by field, whether ``analysis`` is true of ``view``.

    Where several targets count (two balls of the right colour), any of them is right, but row and
    column must be of the same one. Fields that the true scene does not have are left out.
    """
    assert view.task.ground_truth is not None
    scene = view.task.ground_truth(view)
    right = {
        field: _plain(analysis.get(field)) == _plain(scene[field])
        for field in FIELDS
        if scene.get(field) is not None
    }
    targets = scene.get("targets") or [[scene.get("target_row"), scene.get("target_column")]]
    if targets[0][0] is not None:
        stated = [analysis.get("target_row"), analysis.get("target_column")]
        right["target"] = stated in [list(target) for target in targets]
    return right


def score_analyses(
    labels: Sequence[Label], views: Sequence[View], optimal: Sequence[float] | None
) -> AnalysisScores | None:
    """Accuracy of the descriptions, and of the action given a right and a wrong one.

    Args:
        labels: (n,)
        views: (n,) the states that they are about.
        optimal: (n,) 1 where the chosen action was optimal, else 0; None where there is no planner.
    """
    described = [
        (index, judge(label.analysis, view))
        for index, (label, view) in enumerate(zip(labels, views, strict=True))
        if label.analysis is not None and view.task.ground_truth is not None
    ]
    if not described:
        return None
    whole = np.array([all(right[f] for f in DECISIVE if f in right) for _, right in described])
    total = intervals.proportion(whole)
    assert total is not None
    chosen = None if optimal is None else np.array([optimal[index] for index, _ in described])
    return AnalysisScores(
        n=len(described),
        fields=_by_field([right for _, right in described]),
        right=total,
        top1_given_right=None if chosen is None else intervals.proportion(chosen[whole]),
        top1_given_wrong=None if chosen is None else intervals.proportion(chosen[~whole]),
    )


def _by_field(judged: Sequence[Mapping[str, bool]]) -> dict[str, Interval]:
    scores = {}
    for field in FIELDS:
        estimate = intervals.proportion(np.array([j[field] for j in judged if field in j], bool))
        if estimate is not None:
            scores[field] = estimate
    return scores


def _plain(value: object) -> object:
    """Words without case and outer spaces, numbers as they are."""
    return value.strip().casefold() if isinstance(value, str) else value
