"""What findings are drawn from, beside the scores of the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lvlm2p.teachers.evaluation import intervals
from lvlm2p.teachers.evaluation.analysis import score_analyses
from lvlm2p.teachers.evaluation.plan_scores import score_plans
from lvlm2p.teachers.evaluation.results import (
    AnalysisScores,
    Interval,
    PlanScores,
    Probes,
    Temperature,
)
from lvlm2p.teachers.evaluation.scores import Scores
from lvlm2p.teachers.evaluation.temperature import fit_temperature
from lvlm2p.teachers.label import NOT_ASKED, Answer, Label


@dataclass(frozen=True)
class Outcome:
    """Failures, descriptions, probes and the fitted temperature of one teacher."""

    valid: Interval | None
    """Share of the states asked about that got a label."""
    failures: dict[str, int]
    """Number of states by kind of failure, the most frequent first."""
    analysis: AnalysisScores | None
    probes: Probes
    temperature: Temperature | None
    plans: PlanScores | None = None

    @classmethod
    def of(cls, scored: Scores, answers: Sequence[Answer], probes: Probes) -> Outcome:
        """Counted from the ``answers`` on the state set, of which ``scored`` has the labels."""
        kinds = Counter(answer.failure for answer in answers if not isinstance(answer, Label))
        failures: dict[str, int] = dict(kinds.most_common())
        asked = len(answers) - sum(failures.get(kind, 0) for kind in NOT_ASKED)
        temperature = None
        if scored.optimal is not None:
            temperature = fit_temperature(scored.p, scored.optimal)
        return cls(
            valid=intervals.wilson(len(scored.labels), asked),
            failures=failures,
            analysis=score_analyses(scored.labels, scored.views, scored.right),
            plans=score_plans(scored.labels, scored.views),
            probes=probes,
            temperature=temperature,
        )
