"""Asking several teachers the same at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from queue import SimpleQueue

from lvlm2p.envs import View
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.teacher import Teacher, checked_answers

LAST_ANSWERS_S = 20.0
"""How long, where nobody wants more, the answers that teachers are at are waited for."""

Said = tuple[int, int, Answer]
"""Which teacher, about which view, and what."""

Queue = SimpleQueue[Said | BaseException | None]


def ask_together(teachers: Sequence[Teacher], views: Sequence[View]) -> Generator[Said]:
    """What each of ``teachers`` says about each of ``views``, as it comes: those that compute
    first, then the others side by side, each in a thread of its own.

    Raises:
        TeacherError: see :func:`checked_answers`. What the others had answered by then is in their
            stores.
    """
    slow = [number for number, teacher in enumerate(teachers) if not teacher.instant]
    alone = [n for n in range(len(teachers)) if n not in slow or len(slow) == 1]
    for number in alone:
        for index, answer in checked_answers(teachers[number], views):
            yield number, index, answer
    if len(slow) > 1:
        yield from _side_by_side({number: teachers[number] for number in slow}, views)


def _side_by_side(teachers: dict[int, Teacher], views: Sequence[View]) -> Iterator[Said]:
    came: Queue = SimpleQueue()
    stop = threading.Event()
    threads = [
        threading.Thread(target=_work, args=(*item, views, came, stop), daemon=True)
        for item in teachers.items()
    ]
    try:
        for thread in threads:
            thread.start()
        running = len(threads)
        while running:
            said = came.get()
            if isinstance(said, BaseException):
                raise said
            if said is None:
                running -= 1
            else:
                yield said
    finally:
        stop.set()
        until = time.monotonic() + LAST_ANSWERS_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def _work(
    number: int, teacher: Teacher, views: Sequence[View], came: Queue, stop: threading.Event
) -> None:
    try:
        for index, answer in checked_answers(teacher, views):
            came.put((number, index, answer))
            if stop.is_set():
                return
        came.put(None)
    except BaseException as error:  # whoever waits must hear of it
        came.put(error)
