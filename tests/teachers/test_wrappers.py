"""Teachers around and made of other teachers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

from lvlm2p.envs import Task, View
from lvlm2p.teachers import (
    Answer,
    Budget,
    Context,
    CostEstimate,
    Counts,
    Failure,
    Label,
    LabelStore,
    StoredTeacher,
    Teacher,
    TeacherWrapper,
    fingerprint_of,
    load_teacher,
    registry,
)
from lvlm2p.teachers.errors import ConfigError, MissingLabelsError
from lvlm2p.teachers.wrappers.calibrated import CalibratedTeacher
from lvlm2p.teachers.wrappers.symmetric import CanonicalTeacher
from tests.support.store import FakeTeacher, states


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with LabelStore(tmp_path / "store") as opened:
        yield opened


# ---------------------------------------------------------------- wrappers


class Inner(FakeTeacher):
    """Says something of its own wherever a teacher can."""

    closed = 0

    def fingerprint_for(self, task: Task) -> str:
        return f"{self.fingerprint}-{task.name}"

    @property
    def at_a_time(self) -> int:
        return 17

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        return CostEstimate(len(views), 3 * len(views), 1.5, 0.25)

    def supports(self, task: Task) -> str | None:
        return f"not {task.name}"

    def close(self) -> None:
        self.closed += 1


def test_a_wrapper_that_changes_nothing_is_the_inner_teacher() -> None:
    inner = Inner()
    inner.instant = True
    outer = TeacherWrapper(inner)
    views = states(3)
    task = views[0].task
    assert (outer.name, outer.fingerprint, outer.instant) == ("fake", "fa4e", True)
    assert outer.fingerprint_for(task) == "fa4e-go-to-door" and outer.at_a_time == 17
    assert outer.estimate(views) == inner.estimate(views)
    assert outer.supports(task) == "not go-to-door"
    assert [a.kind for a in outer.label(views)] == ["label"] * 3 and len(inner.asked) == 3
    assert outer.counts is inner.counts
    outer.close()
    assert inner.closed == 1


def test_each_wrapper_of_ours_passes_on_what_it_does_not_change(store: LabelStore) -> None:
    task = states(1)[0].task
    inner = Inner()
    for outer in (
        StoredTeacher(inner, store),
        CanonicalTeacher(inner),
        CalibratedTeacher(inner, {task.name: 2.0}),
    ):
        assert isinstance(outer, TeacherWrapper)
        assert (outer.name, outer.at_a_time) == ("fake", 17)
        assert outer.supports(task) == "not go-to-door"
        assert outer.estimate(states(2)).usd == 0.25
        outer.close()
    assert inner.closed == 3


# ---------------------------------------------------------------- teachers made of teachers


class Member(FakeTeacher):
    """One call a state, within the budget, at half a dollar."""

    budget: Budget | None = None
    everyone: ClassVar[list[Member]] = []

    class Options(BaseModel, extra="forbid"):
        favourite: int = 0

    @classmethod
    def build(cls, name: str, options: Options, context: Context) -> Member:
        def answer(view: View, teacher: FakeTeacher) -> Answer:
            why = context.budget.refusal() if context.budget else None
            if why is not None:
                return teacher.failure_for(view, "budget")
            if context.budget:
                context.budget.charge(0.5)
            names = view.task.action_names
            even = {n: 0.8 if i == options.favourite else 0.2 / 3 for i, n in enumerate(names)}
            return teacher.label_for(view, 0.5).model_copy(update={"probabilities": even})

        member = cls(answer, fingerprint=f"member{options.favourite}")
        member.name = name
        cls.everyone.append(member)
        return member


class Both(Teacher):
    """The mean of two members."""

    def __init__(self, name: str, members: Sequence[Teacher]) -> None:
        self.name, self.members, self.counts = name, members, Counts()

    @classmethod
    def build(cls, name: str, options: BaseModel, context: Context) -> Both:
        return cls(name, [context.load("member", {"favourite": favourite}) for favourite in (1, 3)])

    @property
    def fingerprint(self) -> str:
        return fingerprint_of({"mean of": [member.fingerprint for member in self.members]})

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        columns = [member.label(views) for member in self.members]
        for index, answers in enumerate(zip(*columns, strict=True)):
            said = {"task": views[index].task.name, "teacher": self.name}
            labels = [answer for answer in answers if isinstance(answer, Label)]
            if len(labels) < len(answers):
                (why, *_) = (answer for answer in answers if isinstance(answer, Failure))
                yield index, why.model_copy(update=said | {"fingerprint": self.fingerprint})
                continue
            names = labels[0].probabilities
            mean = {n: sum(la.probabilities[n] for la in labels) / len(labels) for n in names}
            yield (
                index,
                Label(
                    **said, fingerprint=self.fingerprint, probabilities=mean, elicitation="choice"
                ),
            )

    def close(self) -> None:
        for member in self.members:
            member.close()


class Ouroboros(Both):
    """Is made of itself."""

    @classmethod
    def build(cls, name: str, options: BaseModel, context: Context) -> Both:
        return cls(name, [context.load(name)])


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in (Member, Both, Ouroboros):
        monkeypatch.setitem(registry.BUILTIN, cls.__name__.lower(), (__name__, cls.__name__))
    monkeypatch.setattr(Member, "everyone", [])


def test_an_ensemble_and_its_members_are_stored_each_under_its_own_name(store: LabelStore) -> None:
    views = states(4)
    teacher = load_teacher("both", store=store)
    first = teacher.label(views)[0]
    assert isinstance(first, Label)
    middle = 0.1 / 3
    expected = [2 * middle, 0.4 + middle, 2 * middle, 0.4 + middle]
    assert list(first.probabilities.values()) == pytest.approx(expected)
    keys = [view.key for view in views]
    for fingerprint in ("member1", "member3", teacher.fingerprint):
        assert len(store.get_many(fingerprint, keys)) == 4
    again = load_teacher("both", store=store)
    again.label(views)
    assert [len(member.asked) for member in Member.everyone] == [4, 4, 0, 0]
    with store._write() as cache:  # the ensemble's own answers gone, those of its members pay
        for key in keys:
            cache.delete(f"label/{teacher.fingerprint}/{key}")
    load_teacher("both", store=store, offline=True, on_miss="skip").label(views)
    load_teacher("both", store=store).label(views)
    assert [len(member.asked) for member in Member.everyone] == [4, 4, 0, 0, 0, 0, 0, 0]


def test_members_share_budget_and_sample(store: LabelStore) -> None:
    budget = Budget(calls=5)
    teacher = load_teacher("both", store=store, budget=budget, sample=2)
    answers = teacher.label(states(4))
    assert [answer.kind for answer in answers] == ["label", *["failure"] * 3]
    assert (budget.spent_calls, budget.spent_usd) == (5, 2.5)
    key = states(1)[0].key
    for fingerprint in ("member1", "member3", teacher.fingerprint):
        assert store.get(fingerprint, key) is None and store.get(fingerprint, key, 2) is not None
    assert len(store.reader.keys(f"label/{teacher.fingerprint}/")) == 1


def test_offline_members_are_offline(store: LabelStore) -> None:
    teacher = load_teacher("both", store=store, offline=True)
    assert isinstance(teacher, StoredTeacher) and isinstance(teacher.inner, Both)
    with pytest.raises(MissingLabelsError):
        teacher.inner.label(states(1))
    assert Member.everyone[0].asked == []


def test_without_a_store_members_are_asked_each_time() -> None:
    teacher = load_teacher("both")
    teacher.label(states(2))
    teacher.label(states(2))
    assert [len(member.asked) for member in Member.everyone] == [4, 4]


def test_what_can_not_be_loaded_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="'ouroboros' can't be built: it is a member of itself"):
        load_teacher("ouroboros")
    with pytest.raises(ConfigError, match="give its Context a loader"):
        Both.build("both", registry.NoOptions(), Context())
    teacher = Both.build("both", registry.NoOptions(), Context(loader=load_teacher))
    assert len(teacher.label(states(2))) == 2
