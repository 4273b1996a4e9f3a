"""``cascade:CHEAP,DEAR,...``: each teacher is asked only where those before it were unsure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, Field

from lvlm2p.envs import Task, View
from lvlm2p.teachers.composed.members import ComposedTeacher, Numbers, load_members, said, together
from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.label import Answer, Failure, Label
from lvlm2p.teachers.plugin import Context, Status, fingerprint_of
from lvlm2p.teachers.teacher import CostEstimate, Teacher, checked_answers
from lvlm2p.teachers.wrappers.calibrated import Reliability, reliability_of

NEVER = 2.0
"""A threshold that no confidence reaches."""


def threshold_from(bars: Sequence[Reliability], target: float) -> float:
    """The lowest confidence such that of all answers which are as sure or surer a share of
    ``target`` was right; NEVER, where there is none.

    ``bars``: of a reliability diagram, in any order.
    """
    right, n, found = 0.0, 0, NEVER
    for bar in sorted(bars, key=lambda bar: bar.low, reverse=True):
        right, n = right + bar.n * bar.accuracy, n + bar.n
        if n and right / n >= target - 1e-9:
            found = bar.low
    return found


def share_below(bars: Sequence[Reliability], threshold: float) -> float:
    """The share of the answers whose confidence is below ``threshold``; 1 where there are none."""
    n = sum(bar.n for bar in bars)
    return sum(bar.n for bar in bars if bar.low < threshold - 1e-9) / n if n else 1.0


class CascadeOptions(BaseModel, extra="forbid"):
    """The keys of ``-T key=value``; ``-T MEMBER.key=value`` is a member's own."""

    threshold: float = Field(default=0.8, ge=0, le=1)
    """How probable its best action must be for a member's answer to be taken."""
    calibration: Path | None = None
    """A report.json of lvlm2p evaluate in which all members but the last were measured: their
    thresholds come from it, one for each task."""
    target: float = Field(default=0.95, ge=0, le=1)
    """With a calibration: a member's answers are taken from the confidence on from which this
    share of them was right."""
    budget_shares: Numbers = ()
    """The share of the budget that each member may spend, in order, such as 0.2,0.8."""


class CascadeTeacher(ComposedTeacher):
    """Asks the first member about everything, and each further one where all before it failed or
    gave no action a probability of at least the threshold. The last one's word is final.

    A label is that of the member who was asked last; its price is that of all who were asked.
    """

    Options = CascadeOptions

    def __init__(self, name: str, members: Sequence[Teacher], options: CascadeOptions) -> None:
        super().__init__(name, members)
        self.options = options
        self._bars: list[Mapping[str, Sequence[Reliability]]] = []
        if options.calibration is not None:
            self._bars = [reliability_of(one, options.calibration) for one in members[:-1]]

    @classmethod
    def build(cls, name: str, options: CascadeOptions, context: Context) -> Teacher:
        """See :mod:`lvlm2p.teachers.plugin`."""
        return cls(name, load_members(name, context, options.budget_shares), options)

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        note = "cascade:CHEAP,DEAR: the dear one is asked only where the cheap one is unsure"
        return Status(name, "its members'", ("as its members",), None, ready=True, note=note)

    def threshold(self, member: int, task: Task) -> float:
        """From which confidence on the answer of a member, by its number, is taken."""
        if not self._bars:
            return self.options.threshold
        return threshold_from(self._bars[member][task.name], self.options.target)

    @property
    def fingerprint(self) -> str:
        """The members', and where each is taken at its word."""
        members = [member.fingerprint for member in self.members]
        if not self._bars:
            return self._digest(members, [self.options.threshold])
        tasks = [
            sorted((task, threshold_from(bars, self.options.target)) for task, bars in one.items())
            for one in self._bars
        ]
        return self._digest(members, tasks)

    def fingerprint_for(self, task: Task) -> str:
        """The same for one task."""
        members = [member.fingerprint_for(task) for member in self.members]
        return self._digest(members, [self.threshold(n, task) for n in range(len(members) - 1)])

    @staticmethod
    def _digest(members: Sequence[str], thresholds: object) -> str:
        facts = {"teacher": "cascade", "version": 1, "of": list(members)}
        return fingerprint_of({**facts, "thresholds": thresholds})

    def supports(self, task: Task) -> str | None:
        """As the members; and a task that the calibration does not cover is refused.

        Raises:
            ConfigError: it is not: the wrong file, not an unable teacher.
        """
        for bars in self._bars:
            if task.name not in bars:
                raise ConfigError(
                    f"the calibration {self.options.calibration} covers {', '.join(bars)}, not "
                    f"{task.name}: evaluate on it first"
                )
        return super().supports(task)

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """What the members are asked, if they are as sure as their calibration says. Where there
        is none nobody knows that: then all are counted for all states."""
        estimates, share = [], 1.0
        for number, member in enumerate(self.members):
            estimate = member.estimate(views)
            if share < 1:
                estimate = estimate.scaled(round(share * estimate.states))
            estimates.append(estimate)
            if self._bars and number < len(self._bars) and views:
                task = views[0].task
                bars = self._bars[number][task.name]
                share *= share_below(bars, self.threshold(number, task))
        return together(estimates)

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`: first those of which the first member is sure."""
        answers: list[list[Answer]] = [[] for _ in views]
        todo = list(range(len(views)))
        for number, member in enumerate(self.members):
            unsure = []
            for place, answer in checked_answers(member, [views[index] for index in todo]):
                index = todo[place]
                answers[index].append(answer)
                if self._is_final(number, views[index].task, answer):
                    whole = self.passed_on(views[index], answers[index])
                    self.count(whole)
                    yield index, whole
                else:
                    unsure.append(index)
            todo = unsure

    def _is_final(self, member: int, task: Task, answer: Answer) -> bool:
        if member == len(self.members) - 1:
            return True
        if isinstance(answer, Failure):
            return False
        return max(answer.probabilities.values()) >= self.threshold(member, task) - 1e-9

    def passed_on(self, view: View, answers: Sequence[Answer]) -> Answer:
        """The last of ``answers`` as the cascade's own; what the others said is before it."""
        *before, last = answers
        facts = self.facts(view, answers)
        facts["latency_s"] = sum(answer.latency_s for answer in answers)
        facts["model"], facts["prompt"] = last.model, last.prompt
        facts["transcript"] = (*map(said, before), *last.transcript)
        if isinstance(last, Label):
            return last.model_copy(update=facts)
        return last.model_copy(update=facts | {"message": f"{last.teacher}: {last.message}"})
