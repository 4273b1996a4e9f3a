"""``--elicit plans``: asks for plans, each question once, and carries them out in every state."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lvlm2p.envs import Option, Planning, Task, View, question, question_task
from lvlm2p.envs.errors import UserError
from lvlm2p.teachers.errors import AnswerError
from lvlm2p.teachers.label import Answer, Failure, FailureKind, Label, Usage, add_usd
from lvlm2p.teachers.models.options import PromptedOptions
from lvlm2p.teachers.plans.answer import parse_plan
from lvlm2p.teachers.plans.mixture import Plan, lacks_planning, mix, planning_of
from lvlm2p.teachers.plugin import fingerprint_of
from lvlm2p.teachers.teacher import CostEstimate, Teacher, checked_answers
from lvlm2p.teachers.wrappers.base import TeacherWrapper

VERSION = 1
"""Part of every fingerprint: raise it when the same plans come to give other labels."""


class PlannedTeacher(TeacherWrapper):
    """Asks the inner teacher for ``samples`` plans for each sentence (or picture); the next
    actions of the plans, by their votes, are the label of every state that it is said of.

    The inner teacher's answers are to questions (:mod:`lvlm2p.envs.questions`), one for each
    sample, and are what the store keeps; a larger ``samples`` asks for the further ones only.
    Samples that can't be read are left out; if these are more than half, that is a failure.
    """

    def __init__(self, inner: Teacher, options: PromptedOptions) -> None:
        super().__init__(inner)
        self.options = options
        self._answers: dict[str, Answer] = {}
        self._views: set[str] = set()
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """That of the inner teacher, how many plans are mixed, and who carries them out."""
        return fingerprint_of(self._facts(self.inner.fingerprint, self.options.executor))

    def fingerprint_for(self, task: Task) -> str:
        """The same for one task."""
        asked = self.inner.fingerprint_for(question_task(task))
        return fingerprint_of(self._facts(asked, self._executor(task)))

    def _facts(self, of: str, executor: str | None) -> dict[str, str | int | None]:
        samples = self.options.samples
        return {"plans": VERSION, "samples": samples, "executor": executor, "of": of}

    def _executor(self, task: Task) -> str:
        return self.options.executor or planning_of(task).executors[0]

    def supports(self, task: Task) -> str | None:
        """A sentence where the task offers no options, or has no such executor."""
        if task.planning is None:
            return lacks_planning(task)
        try:
            task.planning.check_executor(self._executor(task))
        except UserError as error:
            return f"task {task.name!r}: {error}"
        return super().supports(question_task(task))

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """What the inner teacher says of the questions."""
        asked = {one.key: one for view in views for one in self._questions(view)}
        return self.inner.estimate(list(asked.values()))

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`: what was asked before first, the others as they come."""
        asked = [self._questions(view) for view in views]
        with self._lock:
            self._views.update(view.key for view in views)
            self.counts.saved = max(0, len(self._views) - len(self._answers))
        fresh: dict[str, View] = {}
        waiting: dict[str, list[int]] = {}
        lacking = [0] * len(views)
        for index, questions in enumerate(asked):
            for one in questions:
                if one.key not in self._answers:
                    fresh[one.key] = one
                    waiting.setdefault(one.key, []).append(index)
                    lacking[index] += 1
        found = dict(self._answers)
        for index, missing in enumerate(lacking):
            if not missing:
                yield index, self._label(views[index], [found[one.key] for one in asked[index]])
        todo = list(fresh.values())
        for number, answer in checked_answers(self.inner, todo):
            key = todo[number].key
            found[key] = answer
            if isinstance(answer, Label) or answer.lasting:
                self._answers[key] = answer
            for index in waiting[key]:
                lacking[index] -= 1
                if not lacking[index]:
                    answers = [found[one.key] for one in asked[index]]
                    yield index, self._label(views[index], answers)

    def _questions(self, view: View) -> list[View]:
        shown, coordinates = self.options.view, self.options.coordinates
        return [question(view, shown, coordinates, n) for n in range(self.options.samples)]

    def _label(self, view: View, answers: Sequence[Answer]) -> Answer:
        """The answers carried out in ``view``."""
        planning = planning_of(view.task)
        aliases = planning.aliases(view)
        plans = [_plan_in(answer, planning) for answer in answers]
        read = [_renamed(plan, aliases) for plan in plans if plan is not None]
        unread = len(answers) - len(read)
        if 2 * unread > len(answers):
            failed = (answer for answer in answers if isinstance(answer, Failure))
            first = next(failed, None)
            why = "they can't be read" if first is None else f"the first: {first.message}"
            message = f"{unread} of {len(answers)} plans can't be used; {why}"
            return self._failure(view, answers, first, message)
        shares: dict[Plan, float] = {}
        for plan in read:
            shares[plan] = shares.get(plan, 0.0) + 1 / len(read)
        mixed = mix(
            view, [(share, plan) for plan, share in shares.items()], self._executor(view.task)
        )
        if mixed.probabilities is None:
            return self._failure(view, answers, None, mixed.why)
        return Label(
            probabilities=mixed.probabilities,
            elicitation="plans",
            analysis={**mixed.account, "unread": unread},
            **self._facts_of(view, answers),
        )

    def _failure(
        self, view: View, answers: Sequence[Answer], like: Failure | None, message: str
    ) -> Failure:
        kind: FailureKind = "invalid" if like is None else like.failure
        return Failure(failure=kind, message=message, **self._facts_of(view, answers))

    def _facts_of(self, view: View, answers: Sequence[Answer]) -> dict[str, Any]:
        """Who answered, in which words and at what price: all samples together."""
        first = answers[0]
        usage, cost = Usage(), 0.0 if answers else None
        for answer in answers:
            usage, cost = usage + answer.usage, add_usd(cost, answer.cost_usd)
        said = [turn for answer in answers for turn in answer.transcript if turn.role != "user"]
        return {
            "task": view.task.name,
            "teacher": self.name,
            "fingerprint": self.fingerprint_for(view.task),
            "model": first.model,
            "prompt": first.prompt,
            "transcript": (*first.transcript[:1], *said),
            "usage": usage,
            "cost_usd": cost,
            "latency_s": max(answer.latency_s for answer in answers),
        }


def _plan_in(answer: Answer, planning: Planning[View]) -> Plan | None:
    """The plan of one sample; None: there is none, or what the store holds is no plan any more."""
    if isinstance(answer, Failure) or not answer.transcript:
        return None
    try:
        return parse_plan(answer.transcript[-1].text, planning)
    except AnswerError:
        return None


def _renamed(plan: Plan, aliases: Mapping[str, str]) -> Plan:
    """Things by the names that the sentence has for them."""
    return tuple(
        Option(option.verb, aliases.get(option.thing, option.thing)) if option.thing else option
        for option in plan
    )
