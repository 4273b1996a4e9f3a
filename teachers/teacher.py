"""The interface: a batch of views in, for each view a label or a typed failure out.

A teacher implements one method, :meth:`Teacher.ask`, a generator that yields each answer as soon as
it is there, so that a wrapper (the store, above all) can put it on disk before anyone uses it.
What wraps a teacher is a teacher: store, symmetry, temperature compose like transports.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lvlm2p.envs import Task, View
from lvlm2p.envs.untrusted import shorten
from lvlm2p.teachers.blame import blaming
from lvlm2p.teachers.errors import TeacherError
from lvlm2p.teachers.label import Answer, Failure, Label, add_usd

NEARLY_ALL = 0.9
"""Share of the answers that failed, from which on a command does not end well."""


@dataclass
class Counts:
    """What a teacher did for its caller since it was made.

    ``asked``: states that were put to the model (labelled or failed); ``cached``: answered by the
    store; ``failed``: failures among both; ``missing``: offline and not in the store, or
    not asked because the budget is spent;
    ``cost_usd``: None as soon as the price of one answer is unknown.
    """

    asked: int = 0
    cached: int = 0
    failed: int = 0
    missing: int = 0
    saved: int = 0
    """Questions not asked because a symmetric state had been (``--symmetry canonical``)."""
    cost_usd: float | None = 0.0
    first_failure: str = field(default="", compare=False)
    """Its kind and what was said, where there was one."""

    def add_asked(self, answer: Answer) -> None:
        """Count one answer that the model gave just now."""
        self.asked += 1
        self._note(answer)
        self.cost_usd = add_usd(self.cost_usd, answer.cost_usd)

    def add_cached(self, answer: Answer) -> None:
        """Count one answer that was already there; nothing is paid for it again."""
        self.cached += 1
        self._note(answer)

    def _note(self, answer: Answer) -> None:
        if isinstance(answer, Failure):
            self.failed += 1
            self.first_failure = self.first_failure or f"{answer.failure}: {answer.message}"

    def trouble(self, written: str) -> str | None:
        """That (nearly) all answers failed, why, and what was ``written`` all the same, in one
        sentence; None where enough of them are of use."""
        answers = self.asked + self.cached
        if not answers or self.failed < NEARLY_ALL * answers:
            return None
        return (
            f"{self.failed:,} of {answers:,} answers failed, the first: {self.first_failure}; "
            f"written all the same: {written}"
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            asked=self.asked + other.asked,
            cached=self.cached + other.cached,
            failed=self.failed + other.failed,
            missing=self.missing + other.missing,
            saved=self.saved + other.saved,
            cost_usd=add_usd(self.cost_usd, other.cost_usd),
            first_failure=self.first_failure or other.first_failure,
        )

    def __sub__(self, other: Counts) -> Counts:
        """What came after ``other``, an earlier reading."""
        return Counts(
            asked=self.asked - other.asked,
            cached=self.cached - other.cached,
            failed=self.failed - other.failed,
            missing=self.missing - other.missing,
            saved=self.saved - other.saved,
            cost_usd=None if other.cost_usd is None else add_usd(self.cost_usd, -other.cost_usd),
            first_failure=self.first_failure,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class CostEstimate:
    """What asking would take.

    ``states``: distinct questions not answered yet; ``calls``: to the model; ``seconds`` and
    ``usd``: None where nobody can tell.
    """

    states: int
    calls: int
    seconds: float | None = None
    usd: float | None = None
    paid: bool = False
    """Whether the model sends bills, be its price known or not."""
    at_least: bool = False
    """``usd`` is a lower bound: what the model thinks, unseen, before it answers is not in it."""
    about: bool = False
    """The number of states is a forecast."""
    batches: int = 0
    """Through a batch API, at half the price: so many batches one after the other, each of which
    takes a day at most. 0: asked one by one."""

    def __str__(self) -> str:
        if not self.states:
            return "every answer is there already: nothing to ask"
        about = "about " if self.about else ""
        time = "unknown" if self.seconds is None else _duration(self.seconds)
        if self.batches:
            time = f"at most {24 * self.batches} h (by batch, at half the price)"
        return (
            f"{about}{self.states:,} states to ask, {self.calls:,} calls, time {time}, "
            f"price {self.price}"
        )

    @property
    def price(self) -> str:
        """In words: ``$1.20``, ``at least $1.20`` or ``unknown``."""
        if self.usd is None:
            return "unknown"
        return f"{'at least ' if self.at_least and self.usd else ''}${self.usd:,.2f}"

    def __add__(self, other: CostEstimate) -> CostEstimate:
        """Both, one after the other."""
        seconds = None
        if self.seconds is not None and other.seconds is not None:
            seconds = self.seconds + other.seconds
        return CostEstimate(
            self.states + other.states,
            self.calls + other.calls,
            seconds,
            add_usd(self.usd, other.usd),
            paid=self.paid or other.paid,
            at_least=self.at_least or other.at_least,
            about=self.about or other.about,
            batches=max(self.batches, other.batches),
        )

    def scaled(self, states: int) -> CostEstimate:
        """The same for so many states, about."""
        times = states / self.states if self.states else 0.0
        return replace(
            self,
            states=states,
            calls=round(self.calls * times),
            seconds=None if self.seconds is None else self.seconds * times,
            usd=None if self.usd is None else self.usd * times,
            about=True,
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Teacher(ABC):
    """Whoever answers.

    Attributes:
        name: as on the command line.
        counts: what was asked so far.
    """

    name: str
    counts: Counts
    instant: bool = False
    """Whether answers are computed here, at once and for free: they are stored a batch at a time,
    and nobody need wait for another process to compute them."""
    composed: bool = False
    """Whether answers are made of other teachers', which are stored: they are not stored again."""

    by_batch: bool = False
    """Whether questions go to the provider's batch API: for half the price, within a day. Then all
    of them are best asked at once."""

    @property
    def looks(self) -> bool:
        """Whether it is shown pictures, so that a blank one should change its answers."""
        return True

    def around(self, teacher: Teacher) -> Teacher:
        """What stands around ``teacher``, this one behind its store: it may put other questions
        than the views, and make labels of the answers."""
        return teacher

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Everything that can change an answer, and nothing else, as a short hexadecimal digest."""

    def fingerprint_for(self, task: Task) -> str:
        """The fingerprint where ``task`` is asked about: what labels carry and are stored under.

        A teacher asked in words adds the task's own prompt (rules, actions, examples), so that a
        change to one task's words leaves the labels of the others valid.
        """
        return self.fingerprint

    @property
    def at_a_time(self) -> int:
        """How many questions are answered side by side, at most."""
        return 1

    @property
    def in_flight(self) -> int:
        """Requests to a model that are under way at this moment; for a progress bar."""
        return 0

    @abstractmethod
    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """Yield ``(index into views, answer)`` once for each view, in any order, as they come.

        Trouble with a provider is yielded as a Failure, never raised; what is raised
        (:class:`lvlm2p.teachers.errors.TeacherError`) means that no view at all can be answered.
        Whoever asks a teacher that may be a third party's does so by :func:`checked_answers`.
        """

    def label(self, views: Sequence[View]) -> list[Label | Failure]:
        """All answers, in the order of ``views``.

        Raises:
            TeacherError: see :func:`checked_answers`.
        """
        answers: dict[int, Answer] = dict(checked_answers(self, views))
        return [answers[index] for index in range(len(views))]

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """What :meth:`ask` would take; a wrapper leaves out what it needs not ask."""
        states = len({view.key for view in views})
        if self.instant:
            return CostEstimate(states, 0, usd=0.0)
        return CostEstimate(states, states)

    def supports(self, task: Task) -> str | None:
        """Why this teacher can't advise on ``task``, in one sentence; None where it can."""
        return None

    def check_ready(self) -> None:  # noqa: B027 (most have no key to look for)
        """Find out, asking nobody, whether this teacher could be asked now.

        Raises:
            TeacherNotReadyError: it could not: a key is missing, say.
        """

    def close(self) -> None:  # noqa: B027 (nothing to let go of is the usual case)
        """Let go of connections, threads and memory."""


def checked_answers(teacher: Teacher, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
    """What ``teacher.ask(views)`` yields, held to its contract: each index once and none missing.

    Raises:
        TeacherError: the contract is broken, or the teacher raised what is no error of ours, in one
            sentence that names it.
    """
    missing = set(range(len(views)))
    with blaming(teacher.name):
        for index, answer in teacher.ask(views):
            if index not in missing or not isinstance(answer, Label | Failure):
                raise _broken(teacher, _what_is_wrong(index, answer, len(views)))
            missing.remove(index)
            yield index, answer
    if missing:
        raise _broken(teacher, f"it gave no answer to {len(missing):,} of {len(views):,} views")


def _broken(teacher: Teacher, what: str) -> TeacherError:
    return TeacherError(f"teacher {teacher.name!r} has a bug: {what}")


def _what_is_wrong(index: object, answer: object, views: int) -> str:
    if not isinstance(answer, Label | Failure):
        return f"it yielded {type(answer).__name__!r} as an answer, not a Label or a Failure"
    if isinstance(index, int) and 0 <= index < views:
        return f"it answered twice about view {index}"
    about = shorten(repr(index))
    return f"it answered about view {about}, and was asked about {views:,} (0 to {views - 1:,})"
