"""Members of ensembles and cascades: teachers that say what they are told, behind a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lvlm2p.teachers import Answer, Context, LabelStore, StoredTeacher, Teacher
from lvlm2p.teachers.budget import Budget
from lvlm2p.teachers.composed.cascade import CascadeTeacher
from lvlm2p.teachers.composed.ensemble import EnsembleTeacher
from tests.support.store import FakeTeacher, states

VIEWS = states(4)
"""Four states of GoToDoor, with the actions left, right, forward and done."""

Says = Sequence[float] | str
"""The probability of left, right, forward and done; or how a teacher fails."""


def member(name: str, says: Sequence[Says], cost_usd: float | None = 0.25) -> FakeTeacher:
    """It says the n-th of ``says`` about the n-th state."""
    places = {view.key: place for place, view in enumerate(VIEWS)}

    def answer(view: Any, teacher: FakeTeacher) -> Answer:
        told = says[places[view.key]]
        if isinstance(told, str):
            return teacher.failure_for(view, told)
        probabilities = dict(zip(view.task.action_names, told, strict=True))
        update = {"probabilities": probabilities, "cost_usd": cost_usd}
        return teacher.label_for(view).model_copy(update=update)

    teacher = FakeTeacher(answer, fingerprint=f"f-{name}")
    teacher.name = name
    return teacher


def _load(
    members: Mapping[str, FakeTeacher], store: LabelStore | None, name: str, **how: Any
) -> Teacher:
    assert how["options"] == {}
    budget: Budget | None = how.get("budget")
    found = members[name]
    return found if store is None else StoredTeacher(found, store, budget=budget)


def context(members: Sequence[FakeTeacher], store: LabelStore | None = None) -> Context:
    """What loads these members, each behind ``store``."""
    by_name = {one.name: one for one in members}
    return Context(store, loader=partial(_load, by_name, store))


def ensemble(
    members: Sequence[FakeTeacher], store: LabelStore | None = None, **options: Any
) -> EnsembleTeacher:
    """Of these members."""
    name = "ensemble:" + ",".join(one.name for one in members)
    built = EnsembleTeacher.build(
        name, EnsembleTeacher.Options.model_validate(options), context(members, store)
    )
    assert isinstance(built, EnsembleTeacher)
    return built


def cascade(
    members: Sequence[FakeTeacher], store: LabelStore | None = None, **options: Any
) -> CascadeTeacher:
    """Of these members."""
    name = "cascade:" + ",".join(one.name for one in members)
    built = CascadeTeacher.build(
        name, CascadeTeacher.Options.model_validate(options), context(members, store)
    )
    assert isinstance(built, CascadeTeacher)
    return built
