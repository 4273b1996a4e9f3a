"""Ask a teacher in a thread while a training loop goes on stepping its environments.

    with Prefetcher(teacher) as ahead:
        for update in range(updates):
            for step in range(steps):
                ahead.submit([view_of(env)])    # returns at once
                ...
            ahead.wait()                        # every answer is in ahead.answers, by view.key

Nothing depends on how fast anybody was: no answer is seen before :meth:`Prefetcher.wait`.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from lvlm2p.envs import View
from lvlm2p.teachers.blame import ended
from lvlm2p.teachers.errors import Lvlm2pError, TeacherError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.teacher import Teacher, checked_answers

GATHER_S = 0.05
"""Seconds in which views are gathered into one batch while nobody waits: nothing to a model, and a
stored label costs half as much in a batch of hundreds as in one of sixteen."""

STOP_POLL_S = 0.2
"""How often :meth:`Prefetcher.wait` looks whether it is to stop."""

LAST_BATCH_S = 20.0
"""How long :meth:`Prefetcher.close` waits for the answer that the teacher is at."""


class Prefetcher:
    """Puts views to a teacher in a thread of its own, each distinct view once.

    Closing it, by hand or as a context manager, ends the thread; Python's exit does so too, since
    PyTorch aborts the process if a thread is still computing then. One thread may use it.

    Attributes:
        answers: ``{view.key: Label or Failure}`` as of the last :meth:`wait`. A view whose key is
            in it is not asked about again; remove an entry to save memory or to ask once more.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.answers: dict[str, Answer] = {}
        self._teacher = teacher
        self._open: set[str] = set()  # keys submitted since the last wait() that came to its end
        self._queue: list[View] = []
        self._came: dict[str, Answer] = {}
        self._waiting = self._closing = False
        self._trouble: Lvlm2pError | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="teacher", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    @property
    def waiting(self) -> int:
        """Submitted views that have no answer yet."""
        return len(self._open) - len(self._came)

    def submit(self, views: Iterable[View]) -> list[str]:
        """Have these views asked about; returns their keys, at once."""
        keys = []
        new = []
        for view in views:
            key = view.key
            keys.append(key)
            if key not in self.answers and key not in self._open:
                self._open.add(key)
                new.append(view)
        if new:
            with self._changed:
                if not self._queue:
                    self._changed.notify_all()
                self._queue += new
        return keys

    def wait(self, stop: threading.Event | None = None) -> bool:
        """Block until everything submitted is in :attr:`answers`; False where ``stop`` was set
        before that.

        Raises:
            TeacherError: what the teacher raised, or how it broke its contract (see
                :meth:`Teacher.ask`), or that this prefetcher has been closed.
            UserError: what a wrapper of the teacher raised, such as a StoreError.
        """
        with self._changed:
            self._waiting = True
            self._changed.notify_all()
            try:
                while len(self._came) < len(self._open) and self._trouble is None:
                    if self._closing:
                        raise TeacherError(
                            f"teacher {self._teacher.name!r}: its prefetcher was closed before "
                            f"{len(self._open) - len(self._came):,} answers had come"
                        )
                    if stop is not None and stop.is_set():
                        return False
                    self._changed.wait(None if stop is None else STOP_POLL_S)
            finally:
                self._waiting = False
            if self._trouble is not None:
                raise self._trouble
            self.answers |= self._came
            self._came = {}
            self._open = set()
        return True

    def close(self) -> None:
        """End the thread, after the answer that it is at. Answers that were not waited for are
        lost here, but not in a store behind the teacher. The teacher stays open."""
        atexit.unregister(self.close)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=LAST_BATCH_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---------------------------------------------------------------- in the thread

    def _work(self) -> None:
        try:
            while views := self._next_batch():
                self._ask(views)
        except Lvlm2pError as error:
            self._end(error)
        except BaseException as error:  # whatever it is, the thread that waits must hear of it
            trouble = ended(self._teacher.name, error)
            trouble.__cause__ = error
            self._end(trouble)

    def _next_batch(self) -> list[View]:
        """All views that are queued, so that slow teachers get batches; none: it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            self._changed.wait_for(lambda: self._waiting or self._closing, timeout=GATHER_S)
            views, self._queue = self._queue, []
            return [] if self._closing else views

    def _ask(self, views: list[View]) -> None:
        for index, answer in checked_answers(self._teacher, views):
            if self._closing:
                return
            with self._changed:
                self._came[views[index].key] = answer
        with self._changed:
            self._changed.notify_all()

    def _end(self, trouble: Lvlm2pError) -> None:
        with self._changed:
            self._trouble = trouble
            self._changed.notify_all()
