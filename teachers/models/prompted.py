"""What all teachers that are asked in words have in common: prompts and fingerprints."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from lvlm2p.envs import Task, View
from lvlm2p.prompts import Prompt, load_prompt
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.models.elicit.interview import Asking, Manner
from lvlm2p.teachers.models.options import AskingOptions
from lvlm2p.teachers.plugin import Context, fingerprint_of
from lvlm2p.teachers.teacher import CostEstimate, Counts, Teacher

RULES = 2
"""Part of every fingerprint: raise it when parsing makes something else of the same answer."""


class WordsTeacher(Teacher):
    """A teacher that is asked in words."""

    def __init__(self, name: str, options: AskingOptions, context: Context) -> None:
        self.name = name
        self.counts = Counts()
        self.options = options
        self.context = context
        self.manner = Manner(
            teacher=name,
            elicit=options.elicit,
            samples=options.samples,
            smoothing=options.smoothing,
            reask=options.reask,
        )
        self._prompts: dict[Task, tuple[Prompt, str]] = {}
        self._counting = threading.Lock()

    def facts(self) -> dict[str, Any]:
        """What can change an answer, the prompt's words aside."""
        options = self.options
        return {
            "elicit": options.elicit,
            "samples": options.samples if options.elicit == "votes" else None,
            "smoothing": options.smoothing if options.elicit == "choice" else None,
            "temperature": options.temperature,
            "reask": options.reask,
            "rules": RULES,
        }

    @property
    def wording(self) -> tuple[str, int | None]:
        """The prompt's name, and how many examples it shows (None: its default)."""
        return self.options.prompt, self.options.shots

    @property
    def fingerprint(self) -> str:
        """Names the teacher, whatever the task; labels carry :meth:`fingerprint_for`."""
        prompt, shots = self.wording
        return fingerprint_of({**self.facts(), "prompt": prompt, "shots": shots})

    def fingerprint_for(self, task: Task) -> str:
        """See :class:`Teacher`; covers the task's prompt, byte for byte."""
        return self.prompted(task)[1]

    def prompted(self, task: Task) -> tuple[Prompt, str]:
        """The prompt for ``task``, and the fingerprint of labels that it brings."""
        if task not in self._prompts:
            name, shots = self.wording
            prompt = load_prompt(name, task, shots=shots, elicit=self.options.elicit)
            fingerprint = fingerprint_of({**self.facts(), "prompt": prompt.fingerprint})
            self._prompts[task] = prompt, fingerprint
        return self._prompts[task]

    def asking(self, view: View) -> Asking:
        """A new interview about ``view``."""
        prompt, fingerprint = self.prompted(view.task)
        return Asking(view, prompt, self.manner, fingerprint)

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """See :class:`Teacher`; answers that have to be asked again are not foreseen."""
        tasks = {view.key: view.task for view in views}.values()
        calls = sum(map(self.calls_for, tasks))
        return CostEstimate(len(tasks), calls, usd=self.price(len(tasks)))

    def calls_for(self, task: Task) -> int:
        """Calls that one label of ``task`` takes, if each answer is of use."""
        last = self.options.samples if self.options.elicit == "votes" else 1
        return len(self.prompted(task)[0].questions) - 1 + last

    def price(self, labels: int) -> float | None:
        """Dollars for so many labels; None: not known."""
        return None

    def count(self, answer: Answer) -> None:
        """Count one answer; safe from several threads."""
        with self._counting:
            self.counts.add_asked(answer)
