"""Asking a teacher, each question once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lvlm2p.envs import View
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.teacher import Teacher, checked_answers

Tick = Callable[[int, int], None]
"""Told (done, total) as answers come."""


class Questioner:
    """A teacher that remembers what it answered, so that an episode that stands still is cheap.

    It has no part in resuming: that is the label store's, which sits inside ``teacher``.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self.answers: dict[str, Answer] = {}
        """View key -> answer, of everything asked so far."""
        self.views: dict[str, View] = {}

    def ask(self, views: Sequence[View], tick: Tick | None = None) -> list[Answer]:
        """The answers, in the order of ``views``; only new ones are put to the teacher."""
        fresh = {view.key: view for view in views if view.key not in self.answers}
        batch = list(fresh.values())
        for done, (index, answer) in enumerate(checked_answers(self.teacher, batch), start=1):
            self.answers[batch[index].key] = answer
            if tick:
                tick(done, len(batch))
        self.views.update(fresh)
        return [self.answers[view.key] for view in views]
