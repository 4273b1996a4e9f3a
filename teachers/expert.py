"""Teachers that cost nothing: the exact planner as a soft teacher, and the uniform baseline.

``expert`` is a *simulated* teacher. It reads the simulator's state, not a picture, and no large
model is behind it. With ``confidence`` and ``error_rate`` it stands in for a model of any quality.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, Field

from lvlm2p.envs import Task, View
from lvlm2p.teachers.label import Answer, Failure, Label
from lvlm2p.teachers.plugin import Context, Status, fingerprint_of
from lvlm2p.teachers.teacher import Counts, Teacher


class _Computed(Teacher):
    """A teacher that computes its answers, at once and for free."""

    instant = True

    def __init__(self, name: str, facts: dict[str, Any]) -> None:
        self.name = name
        self.counts = Counts()
        self._fingerprint = fingerprint_of({"teacher": name, **facts})

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        for index, view in enumerate(views):
            answer = self._answer(view)
            self.counts.add_asked(answer)
            yield index, answer

    @abstractmethod
    def _answer(self, view: View) -> Answer: ...

    def _label(self, view: View, probabilities: dict[str, float], model: str) -> Label:
        return Label(
            task=view.task.name,
            teacher=self.name,
            fingerprint=self._fingerprint,
            model=model,
            probabilities=probabilities,
            elicitation="exact",
            cost_usd=0.0,
        )


class ExpertTeacher(_Computed):
    """The task's planner, made soft and, if wanted, fallible.

    It reads the simulator's state: use it to test a pipeline or to simulate a teacher of known
    quality, not as evidence about any model.
    """

    class Options(BaseModel, extra="forbid"):
        """The keys of ``-T key=value``."""

        confidence: float = Field(default=0.9, ge=0, le=1)
        """Probability mass shared evenly by the optimal actions; the others share the rest."""
        error_rate: float = Field(default=0.0, ge=0, le=1)
        """Share of states where a wrong action takes the optimal ones' place. Which states, and
        which action, is a fixed function of the state and the seed, as a cached model's errors are.
        """
        seed: int = 0
        """Which states it errs on."""

    def __init__(self, options: Options | None = None, name: str = "expert") -> None:
        self.options = options or self.Options()
        super().__init__(name, {"version": 1, **self.options.model_dump()})

    @classmethod
    def build(cls, name: str, options: Options, context: Context) -> Teacher:
        """See :mod:`lvlm2p.teachers.plugin`."""
        return cls(options, name)

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        note = "a planner, not a model: reads the simulator's state, looks at no picture"
        return Status(name, "exact planner", ("exact",), 0.0, ready=True, note=note)

    def supports(self, task: Task) -> str | None:
        """A sentence where the task has no planner."""
        if task.planner is None:
            return f"the expert needs a planner, and task {task.name!r} has none"
        return None

    def _answer(self, view: View) -> Answer:
        plan = view.task.plan(view)
        optimal = plan.actions
        if not optimal or plan.gave_up:
            return Failure(
                task=view.task.name,
                teacher=self.name,
                fingerprint=self._fingerprint,
                cost_usd=0.0,
                failure="invalid",
                message=plan.gave_up
                or "the planner knows no action that leads to success from here",
            )
        names = [action.name for action in view.task.actions]
        chosen = self._err(view.key, names, optimal)
        return self._label(view, _shared(names, chosen, self.options.confidence), "exact planner")

    def _err(self, key: str, names: Sequence[str], optimal: Collection[str]) -> Collection[str]:
        """The optimal actions, or a single wrong one where this teacher errs."""
        wrong = [name for name in names if name not in optimal]
        digest = hashlib.sha256(f"{self.options.seed}/{key}".encode()).digest()
        errs = int.from_bytes(digest[:8]) < self.options.error_rate * 2**64
        return [wrong[digest[8] % len(wrong)]] if errs and wrong else optimal


class RandomTeacher(_Computed):
    """The same probability for every action: what any teacher has to beat."""

    def __init__(self, name: str = "random") -> None:
        super().__init__(name, {"version": 1})

    @classmethod
    def build(cls, name: str, options: BaseModel, context: Context) -> Teacher:
        """See :mod:`lvlm2p.teachers.plugin`."""
        return cls(name)

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        note = "a baseline: every action equally likely"
        return Status(name, "chance", ("exact",), 0.0, ready=True, note=note)

    def _answer(self, view: View) -> Answer:
        names = [action.name for action in view.task.actions]
        return self._label(view, _shared(names, names, 1.0), "chance")


def _shared(names: Sequence[str], chosen: Collection[str], mass: float) -> dict[str, float]:
    """``mass`` shared evenly by ``chosen``, the rest by the others."""
    others = len(names) - len(chosen)
    high = (mass if others else 1.0) / len(chosen)
    low = (1.0 - mass) / others if others else 0.0
    return {name: high if name in chosen else low for name in names}
