"""One teacher on one environment: asks, plays, probes, and puts the numbers together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lvlm2p.envs import Task
from lvlm2p.teachers.evaluation import measures
from lvlm2p.teachers.evaluation.acting import act
from lvlm2p.teachers.evaluation.findings import find
from lvlm2p.teachers.evaluation.outcome import Outcome
from lvlm2p.teachers.evaluation.probes import probe
from lvlm2p.teachers.evaluation.questions import Questioner, Tick
from lvlm2p.teachers.evaluation.results import (
    Acting,
    Cost,
    Evaluation,
    Probes,
)
from lvlm2p.teachers.evaluation.scores import Scores
from lvlm2p.teachers.evaluation.states import Case
from lvlm2p.teachers.evaluation.verdict import judge_teacher
from lvlm2p.teachers.evaluation.wording import short
from lvlm2p.teachers.label import Answer, Label, add_usd
from lvlm2p.teachers.teacher import Teacher

Progress = Callable[[str, int, int], None]
"""Told (what is going on, done, total)."""


@dataclass(frozen=True)
class EvalSpec:
    """What is done with every teacher in one environment."""

    env: str
    cases: Sequence[Case]
    episodes: int
    probes: int
    seed: int

    @property
    def task(self) -> Task:
        """The task of the environment."""
        return self.cases[0].view.task


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
    spec: EvalSpec,
    uniform: Evaluation | None = None,
    *,
    baseline: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> Measured:
    """Measure one teacher.

    Args:
        teacher: who is asked.
        again: the same teacher, made to give a fresh sample; None: the repeat probe is left out.
        spec: the environment, its states, how many episodes and probes.
        uniform: the evaluation of uniformly random answers under the same ``spec``.
        baseline: marks the planner and the uniform baseline; they are not probed.
        progress: told how far it is.
    """

    def tick(part: str) -> Tick:
        what = f"{teacher.name} on {short(spec.env)}: {part}"
        return lambda done, total: progress(what, done, total)

    paid_before = _paid(teacher, again)
    questioner = Questioner(teacher)
    views = [case.view for case in spec.cases]
    answers = questioner.ask(views, tick("states"))
    probes = Probes(blank=None, symmetry=None, repeat=None)
    if spec.probes and not baseline:
        repeated = Questioner(again) if again else None
        probes = probe(questioner, repeated, views[: spec.probes], tick("probes"))
    acted, sampled = (
        act(questioner, spec.env, spec.episodes, spec.seed, how, tick(f"episodes, {how}"))
        for how in ("argmax", "sampled")
    )
    evaluation = _evaluation(
        teacher,
        spec,
        answers,
        probes,
        acted,
        sampled,
        uniform,
        baseline=baseline,
        cost_usd=_difference(paid_before, _paid(teacher, again)),
    )
    return Measured(evaluation, answers, questioner)


def _evaluation(
    teacher: Teacher,
    spec: EvalSpec,
    answers: Sequence[Answer],
    probes: Probes,
    acting: Acting | None,
    acting_sampled: Acting | None,
    uniform: Evaluation | None,
    *,
    baseline: bool,
    cost_usd: float | None,
) -> Evaluation:
    """All the numbers of one teacher, from its answers and its episodes."""
    scored = Scores(spec.cases, answers)
    task = spec.cases[0].view.task
    outcome = Outcome.of(scored, answers, probes)
    return Evaluation(
        teacher=teacher.name,
        fingerprint=teacher.fingerprint_for(task),
        model=_common(answer.model for answer in answers),
        prompt=_common(answer.prompt for answer in answers),
        elicitation=_common(label.elicitation for label in scored.labels),
        task=task.name,
        env=spec.env,
        baseline=baseline,
        states=len(answers),
        labelled=len(scored.labels),
        valid=outcome.valid,
        failures=outcome.failures,
        top1=scored.top1,
        mass=scored.mean(measures.mass),
        nll=scored.mean(measures.nll),
        brier=scored.mean(measures.brier),
        ece=scored.ece(),
        reliability=scored.reliability(),
        confusion=scored.confusion(),
        by_distance=scored.by_distance(),
        acting=acting,
        acting_sampled=acting_sampled,
        analysis=outcome.analysis,
        plans=outcome.plans,
        probes=probes,
        cost=_cost(answers, len(scored.labels)),
        cost_usd=cost_usd,
        temperature=outcome.temperature,
        findings=find(scored, outcome),
        verdict=judge_teacher(
            len(scored.labels), outcome.valid, scored.top1, acting, acting_sampled, uniform
        ),
    )


def _common(values: Iterable[str]) -> str:
    """What most of ``values`` are; empty where none says."""
    counts = Counter(value for value in values if value)
    return counts.most_common(1)[0][0] if counts else ""


def _cost(answers: Sequence[Answer], labelled: int) -> Cost | None:
    """What a label takes, as it was when it was made; wasted answers are paid for too."""
    paid = [answer for answer in answers if isinstance(answer, Label) or not answer.not_asked]
    if not labelled:
        return None
    usd = _total(answer.cost_usd for answer in paid)
    waits = np.array([answer.latency_s for answer in paid])
    p50, p95 = np.quantile(waits, [0.5, 0.95]).tolist()

    def each(field: str) -> float:
        return float(sum(getattr(answer.usage, field) for answer in paid) / labelled)

    return Cost(
        usd_per_1000=None if usd is None else 1000 * usd / labelled,
        calls=each("calls"),
        prompt_tokens=each("prompt_tokens"),
        cached_tokens=each("cached_tokens"),
        completion_tokens=each("completion_tokens"),
        latency_p50_s=p50,
        latency_p95_s=p95,
    )


def _paid(*teachers: Teacher | None) -> float | None:
    return _total(teacher.counts.cost_usd for teacher in set(teachers) if teacher is not None)


def _total(prices: Iterable[float | None]) -> float | None:
    total: float | None = 0.0
    for price in prices:
        total = add_usd(total, price)
    return total


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else max(0.0, after - before)
