"""The labels of a state set beside what is optimal there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lvlm2p.teachers.evaluation import intervals, measures
from lvlm2p.teachers.evaluation.measures import Bools, Floats
from lvlm2p.teachers.evaluation.results import Bin, Confusion, Interval, Stratum
from lvlm2p.teachers.evaluation.states import Case, optimal_sets
from lvlm2p.teachers.label import Answer, Label


class Scores:
    """The labels of a state set beside the optimal sets; failures are left out."""

    def __init__(self, cases: Sequence[Case], answers: Sequence[Answer]) -> None:
        labelled = [
            (case, answer)
            for case, answer in zip(cases, answers, strict=True)
            if isinstance(answer, Label)
        ]
        self.cases = [case for case, _ in labelled]
        self.views = [case.view for case in self.cases]
        self.labels = [label for _, label in labelled]
        self.names = cases[0].view.task.action_names
        rows = [[label.probabilities[name] for name in self.names] for label in self.labels]
        self.p: Floats = np.array(rows, dtype=np.float64).reshape(len(rows), len(self.names))
        planned = cases[0].plan is not None
        self.optimal: Bools | None = None
        if planned:
            self.optimal = optimal_sets(self.cases).reshape(self.p.shape)
        hits = None if self.optimal is None else measures.top1(self.p, self.optimal)
        self.right: list[float] | None = None if hits is None else hits.tolist()
        self.top1 = None if hits is None else intervals.proportion(hits)

    def mean(self, measure: Callable[[Floats, Bools], Floats]) -> Interval | None:
        """The mean of one of :mod:`.measures` over the labels."""
        return None if self.optimal is None else intervals.mean(measure(self.p, self.optimal))

    def ece(self) -> Interval | None:
        """Expected calibration error of the most probable action."""
        if self.right is None or not self.right:
            return None
        pairs = np.stack([self.p.max(axis=1), np.array(self.right)], axis=1)
        return intervals.bootstrap(pairs, measures.ece)

    def reliability(self) -> tuple[Bin, ...]:
        """The bars of the reliability diagram."""
        if self.right is None or not self.right:
            return ()
        return measures.reliability(self.p.max(axis=1), np.array(self.right))

    def confusion(self) -> Confusion | None:
        """Optimal against chosen."""
        if self.optimal is None:
            return None
        counts = measures.confusion(self.p, self.optimal)
        return Confusion(actions=self.names, counts=tuple(map(tuple, counts.tolist())))

    def by_distance(self) -> tuple[Stratum, ...]:
        """Top-1 at each distance to the goal, the nearest first."""
        if self.right is None:
            return ()
        strata: dict[int | None, list[float]] = {}
        for case, hit in zip(self.cases, self.right, strict=True):
            assert case.plan is not None
            strata.setdefault(case.plan.distance, []).append(hit)
        return tuple(
            Stratum(
                distance=distance,
                states=len(hits),
                top1=intervals.proportion(np.array(hits)),
            )
            for distance, hits in sorted(
                strata.items(), key=lambda item: (item[0] is None, item[0] or 0)
            )
        )
