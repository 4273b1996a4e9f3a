"""`--symmetry canonical`: many views are the same question, and one answer serves them all."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from lvlm2p.envs import Task, View, canonical
from lvlm2p.teachers.label import Answer, Label
from lvlm2p.teachers.plugin import fingerprint_of
from lvlm2p.teachers.teacher import CostEstimate, Teacher
from lvlm2p.teachers.wrappers.base import TeacherWrapper

REMEMBERED = 100_000
"""Views whose representative is kept in memory."""


def _short(key: str) -> int:
    """64 bits of a key: enough to count with."""
    return int(key[:16], 16)


class CanonicalTeacher(TeacherWrapper):
    """Asks about one representative of all symmetric views and carries the answer back.

    The representative's answer, with its transcript, is what the store keeps; the label that comes
    out here has the probabilities, and no analysis, since that describes another picture.

    ``counts.saved`` is how many distinct questions were answered by another one's answer.
    """

    def __init__(self, inner: Teacher) -> None:
        super().__init__(inner)
        self._known: dict[str, tuple[View, Mapping[str, str]]] = {}
        self._views: set[int] = set()
        self._questions: set[int] = set()
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """Another than the inner teacher's: its answers may be others."""
        return fingerprint_of({"symmetry": "canonical", "of": self.inner.fingerprint})

    def fingerprint_for(self, task: Task) -> str:
        """The same for one task."""
        return fingerprint_of({"symmetry": "canonical", "of": self.inner.fingerprint_for(task)})

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """What the inner teacher says of the representatives."""
        return self.inner.estimate([self._representative(view)[0] for view in views])

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`."""
        found = [self._representative(view) for view in views]
        questions: dict[str, View] = {}
        served: dict[str, list[int]] = {}
        for index, (question, _) in enumerate(found):
            questions.setdefault(question.key, question)
            served.setdefault(question.key, []).append(index)
        with self._lock:
            self._views.update(_short(view.key) for view in views)
            self._questions.update(map(_short, questions))
            self.counts.saved = len(self._views) - len(self._questions)
        asked = list(questions.values())
        for number, answer in self.inner.ask(asked):
            for index in served[asked[number].key]:
                yield index, self._carried(views[index], answer, found[index][1])

    def _representative(self, view: View) -> tuple[View, Mapping[str, str]]:
        found = self._known.get(view.key)
        if found is None:
            question, actions = canonical(view)
            found = (replace(question, blank=view.blank), actions)
            with self._lock:
                if len(self._known) >= REMEMBERED:
                    del self._known[next(iter(self._known))]
                self._known[view.key] = found
        return found

    def _carried(self, view: View, answer: Answer, actions: Mapping[str, str]) -> Answer:
        """The answer in the words of ``view``; ``actions``: {representative's: the view's}."""
        update: dict[str, object] = {"fingerprint": self.fingerprint_for(view.task)}
        if isinstance(answer, Label):
            back = {actions[name]: p for name, p in answer.probabilities.items()}
            update["probabilities"] = {name: back[name] for name in view.task.action_names}
            update["analysis"] = None
        return answer.model_copy(update=update)
