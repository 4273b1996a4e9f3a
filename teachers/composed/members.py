"""What an ensemble and a cascade have in common: members, each behind the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from typing import Annotated, Any

from pydantic import BeforeValidator

from lvlm2p.envs import Task, View
from lvlm2p.teachers.budget import BudgetShare
from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.label import Answer, Failure, Label, Turn, Usage, add_usd
from lvlm2p.teachers.plugin import Context
from lvlm2p.teachers.teacher import CostEstimate, Counts, Teacher


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Numbers = Annotated[tuple[float, ...], BeforeValidator(_split)]
"""An option with several numbers, written ``1,0.5``."""


def member_names(name: str) -> tuple[str, ...]:
    """The members of ``kind:one,other``, by their names.

    Raises:
        ConfigError: there are fewer than two, one is there twice, or one has members itself.
    """
    kind, _, listed = name.partition(":")
    members = tuple(part.strip() for part in listed.split(","))
    if len(members) < 2 or not all(members):
        raise ConfigError(f"{name!r}: at least two teachers are written {kind}:ONE,OTHER")
    twice = sorted({member for member in members if members.count(member) > 1})
    if twice:
        raise ConfigError(f"{name!r} names {twice[0]} twice")
    nested = [member for member in members if member.partition(":")[0] in ("ensemble", "cascade")]
    if nested:
        raise ConfigError(f"{name!r}: a member can't have members itself, as {nested[0]} has")
    return members


def split_options(
    given: Mapping[str, object],
    own: Collection[str],
    members: Sequence[str],
    has: Callable[[str, str], bool],
) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Which of the options ``given`` are a teacher's own, and which its members', by member.

    ``MEMBER.key`` is that member's. A key that the teacher itself has not is every member's, if
    each of them ``has`` it.

    Raises:
        ConfigError: only some of them have it.
    """
    mine: dict[str, object] = {}
    shared: dict[str, object] = {}
    theirs: dict[str, dict[str, object]] = {member: {} for member in members}
    for key, value in given.items():
        owners = [member for member in members if key.startswith(f"{member}.")]
        able = [member for member in members if has(member, key)]
        if owners:
            owner = max(owners, key=len)
            theirs[owner][key.removeprefix(f"{owner}.")] = value
        elif key in own or not able:
            mine[key] = value
        elif len(able) == len(members):
            shared[key] = value
        else:
            lacks = next(member for member in members if member not in able)
            raise ConfigError(
                f"teacher {lacks!r} has no option {key!r}; for one of several members write "
                f"-T {able[0]}.{key}=VALUE"
            )
    return mine, {member: shared | options for member, options in theirs.items()}


def load_members(name: str, context: Context, shares: Sequence[float] = ()) -> list[Teacher]:
    """The members that ``name`` lists; ``shares``: of the budget, one for each, or none.

    Raises:
        UserError: as :func:`lvlm2p.teachers.load_teacher`.
        ConfigError: there are more or fewer shares than members, or one is not in (0, 1].
    """
    names = member_names(name)
    check_one_each(name, "budget_shares", shares, names)
    if any(not 0 < share <= 1 for share in shares):
        raise ConfigError(f"teacher {name!r}, option budget_shares: each is above 0 and at most 1")
    members = []
    for place, member in enumerate(names):
        budget = None
        if context.budget is not None and shares:
            budget = BudgetShare(context.budget, shares[place], member)
        members.append(context.load(member, budget=budget))
    return members


def check_one_each(
    name: str, option: str, numbers: Sequence[float], members: Sequence[object]
) -> None:
    """Whether there is a number for each member, or none at all.

    Raises:
        ConfigError: neither.
    """
    if numbers and len(numbers) != len(members):
        raise ConfigError(
            f"teacher {name!r}, option {option}: {len(numbers)} numbers for {len(members)} members"
        )


class ComposedTeacher(Teacher):
    """A teacher whose answers are made of its members'. Nothing of its own is stored: what the
    members said is, under their own fingerprints, and to put it together costs nothing.

    ``counts.asked`` are the states about which at least one member was asked.
    """

    composed = True

    def __init__(self, name: str, members: Sequence[Teacher]) -> None:
        self.name = name
        self.members = tuple(members)
        self.counts = Counts()
        self.instant = all(member.instant for member in members)
        self._asked = 0

    @classmethod
    def members_in(cls, name: str) -> tuple[str, ...]:
        """See :mod:`lvlm2p.teachers.plugin`."""
        return member_names(name)

    @property
    def at_a_time(self) -> int:
        """As many as the slowest member's."""
        return min(member.at_a_time for member in self.members)

    @property
    def in_flight(self) -> int:
        """All members'."""
        return sum(member.in_flight for member in self.members)

    def supports(self, task: Task) -> str | None:
        """The first member's sentence that can't advise on ``task``."""
        for member in self.members:
            if (why := member.supports(task)) is not None:
                return f"its member {member.name!r} can't: {why}"
        return None

    def check_ready(self) -> None:
        """What the members say."""
        for member in self.members:
            member.check_ready()

    def close(self) -> None:
        """Close the members."""
        for member in self.members:
            member.close()

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """What all members are asked: the states are those that the busiest is asked about."""
        return together([member.estimate(views) for member in self.members])

    def count(self, answer: Answer) -> None:
        """Count one answer that was put together just now."""
        asked = max(member.counts.asked for member in self.members)
        new = asked > self._asked
        self._asked += new
        if isinstance(answer, Failure) and answer.not_asked:
            self.counts.missing += 1
        elif new:
            self.counts.add_asked(answer)
        else:
            self.counts.add_cached(answer)
        self.counts.cost_usd = _sum(member.counts.cost_usd for member in self.members)

    def facts(self, view: View, answers: Sequence[Answer]) -> dict[str, Any]:
        """What a label and a failure that is made of ``answers`` say alike."""
        models = dict.fromkeys(answer.model for answer in answers if answer.model)
        prompts = {answer.prompt for answer in answers}
        return {
            "task": view.task.name,
            "teacher": self.name,
            "fingerprint": self.fingerprint_for(view.task),
            "model": " + ".join(models),
            "prompt": prompts.pop() if len(prompts) == 1 else "",
            "usage": reduce(Usage.__add__, (answer.usage for answer in answers)),
            "cost_usd": _sum(answer.cost_usd for answer in answers),
        }


def _sum(amounts: Iterable[float | None]) -> float | None:
    total: float | None = 0.0
    for amount in amounts:
        total = add_usd(total, amount)
    return total


def said(answer: Answer) -> Turn:
    """A member's answer as a line of the transcript; its own transcript is in the store."""
    if isinstance(answer, Label):
        numbers = {name: round(p, 4) for name, p in answer.probabilities.items()}
        text = f"{answer.teacher}: {json.dumps(numbers)}"
    else:
        text = f"{answer.teacher}: {answer.failure}: {answer.message}"
    return Turn(role="assistant", text=text)


def together(estimates: Iterable[CostEstimate]) -> CostEstimate:
    """What several members are asked side by side: calls and dollars add up."""
    every = list(estimates)
    whole = sum(every, CostEstimate(0, 0, 0.0, 0.0))
    times = [one.seconds for one in every]
    known = [time for time in times if time is not None]
    return CostEstimate(
        max(one.states for one in every),
        whole.calls,
        max(known) if len(known) == len(times) else None,
        whole.usd,
        paid=whole.paid,
        at_least=whole.at_least,
        about=whole.about,
    )
