"""One teacher on one environment: asks, plays, probes, and puts the numbers together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lvlm2p.teachers.evaluation import intervals, measures
from lvlm2p.teachers.evaluation.acting import How, act
from lvlm2p.teachers.evaluation.analysis import score_analyses
from lvlm2p.teachers.evaluation.findings import find
from lvlm2p.teachers.evaluation.probes import probe
from lvlm2p.teachers.evaluation.questions import Questioner
from lvlm2p.teachers.evaluation.results import (
    Acting,
    Cost,
    Evaluation,
    Probes,
)
from lvlm2p.teachers.evaluation.scores import Scores
from lvlm2p.teachers.evaluation.states import Case
from lvlm2p.teachers.evaluation.temperature import fit_temperature
from lvlm2p.teachers.evaluation.verdict import judge_teacher
from lvlm2p.teachers.label import Answer, Label
from lvlm2p.teachers.teacher import Teacher

Progress = Callable[[str, int, int], None]
"""Told (what is going on, done, total)."""

UNASKED = frozenset({"budget", "missing"})
"""Failures that say nothing about the teacher: nobody asked it."""


@dataclass(frozen=True)
class Course:
    """What is done with every teacher in one environment."""

    env: str
    cases: Sequence[Case]
    episodes: int
    probes: int
    seed: int


@dataclass(frozen=True)
class Measured:
    """The numbers, and the answers behind them."""

    evaluation: Evaluation
    answers: list[Answer]
    """On the state set, in its order."""
    questioner: Questioner
    """Everything that was asked, episodes and probes too."""


def measure(
    teacher: Teacher,
    again: Teacher | None,
    course: Course,
    chance: Evaluation | None = None,
    *,
    baseline: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> Measured:
    """Measure one teacher.

    Args:
        teacher: who is asked.
        again: the same teacher, made to give a fresh sample; None: the repeat probe is left out.
        course: the environment, its states, how many episodes and probes.
        chance: the evaluation of uniformly random answers under the same course.
        baseline: marks the planner and chance; they are not probed.
        progress: told how far it is.
    """
    where = f"{teacher.name} on {course.env}: "
    paid_before = _paid(teacher, again)
    asker = Questioner(teacher)
    views = [case.view for case in course.cases]
    answers = asker.ask(views, lambda done, total: progress(where + "states", done, total))
    probes = Probes(blank=None, symmetry=None, repeat=None)
    if course.probes and not baseline:
        probes = probe(
            asker,
            Questioner(again) if again else None,
            views[: course.probes],
            lambda done, total: progress(where + "probes", done, total),
        )
    acted = _act(asker, course, "argmax", progress)
    sampled = _act(asker, course, "sampled", progress)
    scored = Scores(course.cases, answers)
    failures: dict[str, int] = dict(
        Counter(answer.failure for answer in answers if not isinstance(answer, Label)).most_common()
    )
    asked = len(answers) - sum(failures.get(kind, 0) for kind in UNASKED)
    valid = intervals.wilson(len(scored.labels), asked)
    temperature = None
    if scored.optimal is not None:
        temperature = fit_temperature(scored.p, scored.optimal)
    analysis = score_analyses(scored.labels, scored.views, scored.right)
    task = views[0].task
    evaluation = Evaluation(
        teacher=teacher.name,
        fingerprint=teacher.fingerprint_for(task),
        model=_common(answer.model for answer in answers),
        prompt=_common(answer.prompt for answer in answers),
        elicitation=_common(label.elicitation for label in scored.labels),
        task=task.name,
        env=course.env,
        baseline=baseline,
        states=len(views),
        labelled=len(scored.labels),
        valid=valid,
        failures=failures,
        top1=scored.top1,
        mass=scored.mean(measures.mass),
        nll=scored.mean(measures.nll),
        brier=scored.mean(measures.brier),
        ece=scored.ece(),
        reliability=scored.reliability(),
        confusion=scored.confusion(),
        by_distance=scored.by_distance(),
        acting=acted,
        acting_sampled=sampled,
        analysis=analysis,
        probes=probes,
        cost=_cost(answers, len(scored.labels)),
        cost_usd=_difference(paid_before, _paid(teacher, again)),
        temperature=temperature,
        findings=find(
            task.action_names,
            scored.p,
            scored.optimal,
            valid,
            failures,
            analysis,
            probes,
            temperature,
        ),
        verdict=judge_teacher(
            len(scored.labels),
            scored.top1,
            acted,
            sampled,
            chance.top1 if chance else None,
            chance.success if chance else None,
        ),
    )
    return Measured(evaluation, answers, asker)


def _act(asker: Questioner, course: Course, how: How, progress: Progress) -> Acting | None:
    what = f"{asker.teacher.name} on {course.env}: episodes, {how}"
    return act(
        asker,
        course.env,
        course.episodes,
        course.seed,
        how,
        lambda done, total: progress(what, done, total),
    )


def _common(values: Iterable[str]) -> str:
    """What most of ``values`` are; empty where none says."""
    counts = Counter(value for value in values if value)
    return counts.most_common(1)[0][0] if counts else ""


def _cost(answers: Sequence[Answer], labelled: int) -> Cost | None:
    """What a label takes, as it was when it was made; wasted answers are paid for too."""
    paid = [
        answer for answer in answers if isinstance(answer, Label) or answer.failure not in UNASKED
    ]
    if not labelled:
        return None
    prices = [answer.cost_usd for answer in paid]
    known = [price for price in prices if price is not None]
    waits = np.array([answer.latency_s for answer in paid])
    p50, p95 = np.quantile(waits, [0.5, 0.95]).tolist()

    def each(field: str) -> float:
        return float(sum(getattr(answer.usage, field) for answer in paid) / labelled)

    return Cost(
        usd_per_1000=1000 * sum(known) / labelled if len(known) == len(prices) else None,
        calls=each("calls"),
        prompt_tokens=each("prompt_tokens"),
        cached_tokens=each("cached_tokens"),
        completion_tokens=each("completion_tokens"),
        latency_p50_s=p50,
        latency_p95_s=p95,
    )


def _paid(*teachers: Teacher | None) -> float | None:
    prices = [teacher.counts.cost_usd for teacher in set(teachers) if teacher is not None]
    return None if None in prices else sum(price for price in prices if price is not None)


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)
