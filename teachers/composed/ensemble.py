"""``ensemble:ONE,OTHER,...``: several teachers are asked, and their probabilities pooled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from lvlm2p.envs import Task, View
from lvlm2p.teachers.composed.members import (
    ComposedTeacher,
    Numbers,
    check_one_each,
    load_members,
    said,
)
from lvlm2p.teachers.composed.together import ask_together
from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.label import Answer, Failure, Label, Turn
from lvlm2p.teachers.plugin import Context, Status, fingerprint_of
from lvlm2p.teachers.teacher import Teacher


def pooled(
    probabilities: Sequence[Mapping[str, float]], weights: Sequence[float]
) -> dict[str, float]:
    """The weighted mean of several distributions over the same actions (a linear opinion pool)."""
    total = sum(weights)
    return {
        name: sum(w * p[name] for w, p in zip(weights, probabilities, strict=True)) / total
        for name in probabilities[0]
    }


def agreement(probabilities: Sequence[Mapping[str, float]]) -> float:
    """The probability that several distributions have in common: the sum over actions of the
    least that any gives. 1: they are the same, 0: they share nothing; of two it is 1 less their
    total variation distance."""
    return min(1.0, sum(min(p[name] for p in probabilities) for name in probabilities[0]))


class EnsembleOptions(BaseModel, extra="forbid"):
    """The keys of ``-T key=value``; ``-T MEMBER.key=value`` is a member's own."""

    weights: Numbers = ()
    """What each member's probabilities count for, in order, such as 2,1; as much as each
    other's where it is left out."""
    quorum: int | None = Field(default=None, ge=1)
    """How many members must have answered for a label; None: all of them."""
    disagreement: Literal["keep", "weigh", "mask"] = "keep"
    """What becomes of a label where members disagree. weigh: it counts in the distillation
    loss for as much as they agree; mask: it is a failure where they agree for less than
    min_agreement. (Agreement: the probability that their answers have in common.)"""
    min_agreement: float = Field(default=0.5, ge=0, le=1)
    """For disagreement=mask."""
    budget_shares: Numbers = ()
    """The share of the budget that each member may spend, in order, such as 0.8,0.2; where it
    is left out, whoever comes first spends it."""

    @model_validator(mode="after")
    def _weights_that_weigh(self) -> EnsembleOptions:
        if any(not 0 < weight < 1e6 for weight in self.weights):
            raise ValueError("weights should be above 0")
        return self


class EnsembleTeacher(ComposedTeacher):
    """Asks every member, side by side, and pools what they say.

    A state has a label where at least ``quorum`` members have one; else it fails as one of them
    did, by preference in a way that passes, so that it is asked about again.
    """

    Options = EnsembleOptions

    def __init__(self, name: str, members: Sequence[Teacher], options: EnsembleOptions) -> None:
        super().__init__(name, members)
        check_one_each(name, "weights", options.weights, members)
        self.options = options
        self.weights = options.weights or (1.0,) * len(members)
        self.quorum = len(members) if options.quorum is None else options.quorum
        if self.quorum > len(members):
            raise ConfigError(
                f"teacher {name!r}, option quorum={self.quorum}: it has {len(members)} members"
            )

    @classmethod
    def build(cls, name: str, options: EnsembleOptions, context: Context) -> Teacher:
        """See :mod:`lvlm2p.teachers.plugin`."""
        return cls(name, load_members(name, context, options.budget_shares), options)

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        note = "several teachers, pooled: ensemble:ONE,OTHER, each kept under its own name"
        return Status(name, "its members'", ("ensemble",), None, ready=True, note=note)

    @property
    def fingerprint(self) -> str:
        """The members', and how they are pooled."""
        return self._digest([member.fingerprint for member in self.members])

    def fingerprint_for(self, task: Task) -> str:
        """The same for one task."""
        return self._digest([member.fingerprint_for(task) for member in self.members])

    def _digest(self, members: Sequence[str]) -> str:
        facts = {"teacher": "ensemble", "version": 1, "of": list(members)}
        how = {"weights": list(self.weights), "quorum": self.quorum}
        masks = self.options.disagreement == "mask"
        return fingerprint_of(
            {
                **facts,
                **how,
                "disagreement": self.options.disagreement,
                "min_agreement": self.options.min_agreement if masks else None,
            }
        )

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`: each state as soon as the last member has answered."""
        answers: list[dict[int, Answer]] = [{} for _ in views]
        with closing(ask_together(self.members, views)) as coming:
            for member, index, answer in coming:
                answers[index][member] = answer
                if len(answers[index]) == len(self.members):
                    every = [answers[index][n] for n in range(len(self.members))]
                    whole = self.combined(views[index], every)
                    self.count(whole)
                    yield index, whole

    def combined(self, view: View, answers: Sequence[Answer]) -> Answer:
        """One answer of the members' ``answers``, which are in their order."""
        given = [
            (answer, weight)
            for answer, weight in zip(answers, self.weights, strict=True)
            if isinstance(answer, Label)
        ]
        facts = self.facts(view, answers)
        facts["latency_s"] = max(answer.latency_s for answer in answers)
        lines = [said(answer) for answer in answers]
        if len(given) < self.quorum:
            failures = [answer for answer in answers if isinstance(answer, Failure)]
            worst = min(failures, key=lambda failure: (not failure.not_asked, failure.lasting))
            message = f"{worst.teacher}: {worst.message}"
            return Failure(**facts, transcript=lines, failure=worst.failure, message=message)
        probabilities = [label.probabilities for label, _ in given]
        weights = [weight for _, weight in given]
        common = agreement(probabilities)
        lines.append(Turn(role="assistant", text=f"{self.name}: agreement {common:.3f}"))
        if self.options.disagreement == "mask" and common < self.options.min_agreement:
            why = f"the members agree for {common:.2f}, less than {self.options.min_agreement:g}"
            return Failure(**facts, transcript=lines, failure="disagreement", message=why)
        counts = sum(w * label.weight for label, w in given) / sum(weights)
        if self.options.disagreement == "weigh":
            counts *= common
        return Label(
            **facts,
            transcript=lines,
            probabilities=pooled(probabilities, weights),
            elicitation="ensemble",
            weight=min(1.0, counts),
        )
