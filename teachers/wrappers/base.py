"""What wraps a teacher is a teacher: store, symmetry and temperature compose like transports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lvlm2p.envs import Task, View
from lvlm2p.teachers.blame import blaming
from lvlm2p.teachers.errors import TeacherError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.teacher import CostEstimate, Teacher


class TeacherWrapper(Teacher):
    """A teacher around another one. Everything is the inner teacher's; a subclass overrides what it
    changes. An inner teacher that raises what is no error of ours is named in a TeacherError.

    A wrapper whose answers may differ from the inner teacher's overrides both fingerprints.

    Attributes:
        inner: the teacher that is wrapped.
        counts: the inner teacher's, the same object.
    """

    def __init__(self, inner: Teacher) -> None:
        self.inner = inner
        self.name = inner.name
        self.counts = inner.counts
        self.instant = inner.instant

    @property
    def fingerprint(self) -> str:
        """The inner teacher's."""
        with blaming(self.name):
            return self.inner.fingerprint

    def fingerprint_for(self, task: Task) -> str:
        """The inner teacher's."""
        with blaming(self.name):
            return self.inner.fingerprint_for(task)

    @property
    def looks(self) -> bool:
        """The inner teacher's."""
        with blaming(self.name):
            return self.inner.looks

    @property
    def at_a_time(self) -> int:
        """The inner teacher's."""
        with blaming(self.name):
            return self.inner.at_a_time

    @property
    def in_flight(self) -> int:
        """The inner teacher's."""
        with blaming(self.name):
            return self.inner.in_flight

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """The inner teacher's answers."""
        return self.inner.ask(views)

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """The inner teacher's."""
        with blaming(self.name):
            return self.inner.estimate(views)

    def supports(self, task: Task) -> str | None:
        """What the inner teacher says."""
        with blaming(self.name):
            return self.inner.supports(task)

    def check_ready(self) -> None:
        """What the inner teacher says."""
        with blaming(self.name):
            self.inner.check_ready()

    def close(self) -> None:
        """Close the inner teacher. All is done by now: trouble with that is only said."""
        try:
            with blaming(self.name):
                self.inner.close()
        except TeacherError as error:
            say(str(error))
