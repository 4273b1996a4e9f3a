"""A teacher of your own, complete: put your model in place of ``probabilities_of``.

The store, resuming, --offline, --symmetry, ensembles and `lvlm2p evaluate` come with it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, Field

from lvlm2p.envs import View
from lvlm2p.teachers import (
    Answer,
    AnswerError,
    Budget,
    Context,
    Counts,
    Failure,
    Label,
    Status,
    Teacher,
    check_probabilities,
    fingerprint_of,
)

MODEL = "my-model-1"


def probabilities_of(
    picture: Any, mission: str, actions: Sequence[str], sure: float
) -> dict[str, float]:
    """Your model: ``picture`` is RGB, (height, width, 3) of uint8. This one likes the middle."""
    favourite = actions[int(picture.mean()) % len(actions)]
    rest = (1 - sure) / (len(actions) - 1)
    return {name: sure if name == favourite else rest for name in actions}


class MyOptions(BaseModel, extra="forbid"):
    """The keys of ``-T key=value``; they are checked for you."""

    sure: float = Field(default=0.8, ge=0, le=1)


class MyTeacher(Teacher):
    Options = MyOptions

    def __init__(self, name: str, options: MyOptions, budget: Budget | None) -> None:
        self.name, self.options, self.budget = name, options, budget
        self.counts = Counts()

    @classmethod
    def build(cls, name: str, options: MyOptions, context: Context) -> Teacher:
        """No key, server or heavy import is needed yet."""
        return cls(name, options, context.budget)

    @property
    def fingerprint(self) -> str:
        """All that can change an answer, and nothing else."""
        return fingerprint_of({"teacher": "my-teacher", "version": 1, **self.options.model_dump()})

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """(index, answer) as they come, in any order."""
        for index, view in enumerate(views):
            answer = self._answer(view)
            self.counts.add_asked(answer)
            yield index, answer

    def _answer(self, view: View) -> Answer:
        fingerprint = self.fingerprint_for(view.task)
        said: dict[str, Any] = {"teacher": self.name, "fingerprint": fingerprint}
        said |= {"task": view.task.name, "cost_usd": 0.0}
        spent = self.budget.refusal() if self.budget else None  # before each call
        if spent:
            return Failure(failure="budget", message=spent, **said)
        names = view.task.action_names
        stated = probabilities_of(view.image(), view.mission, names, self.options.sure)
        if self.budget:
            self.budget.charge(0.0)  # what the call cost; None: nobody knows
        try:
            checked = check_probabilities(view.task, stated)  # every action, sum 1, no NaN
        except AnswerError as error:
            return Failure(failure="invalid", message=str(error), **said)
        return Label(probabilities=checked, elicitation="stated", model=MODEL, **said)

    @classmethod
    def status(cls, name: str) -> Status:
        """Its row in `lvlm2p teachers`; optional."""
        return Status(name, MODEL, ("stated",), usd_per_1000=0.0, ready=True)
