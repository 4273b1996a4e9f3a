"""What all teachers that are asked by a prompt have in common: elicitation and fingerprints."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from lvlm2p.envs import Task, View
from lvlm2p.prompts import Prompt, load_prompt
from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.models.elicit.base import Elicitation
from lvlm2p.teachers.models.elicit.interview import Interview
from lvlm2p.teachers.models.elicit.registry import elicitation_class, elicitation_names
from lvlm2p.teachers.models.options import PromptedOptions
from lvlm2p.teachers.plugin import Context, fingerprint_of
from lvlm2p.teachers.teacher import CostEstimate, Counts, Teacher

RULES = 2
"""Part of every fingerprint: raise it when parsing makes something else of the same answer."""


class PromptedTeacher(Teacher):
    """A model that is asked about each view by a prompt.

    Attributes:
        elicitation: what it is asked for, and how its answers are read.
    """

    def __init__(self, name: str, options: PromptedOptions, context: Context) -> None:
        """Raises ConfigError if ``options`` ask for an elicitation that there is not."""
        self.name = name
        self.counts = Counts()
        self.options = options
        self.context = context
        self.elicitation = self._elicitation()
        self._prompts: dict[Task, tuple[Prompt, str]] = {}
        self._counting = threading.Lock()

    @property
    def elicitations(self) -> tuple[str, ...]:
        """What it can be asked for: values of ``elicit``."""
        return elicitation_names()

    def _elicitation(self) -> Elicitation:
        wanted = self.options.elicit
        if wanted not in elicitation_names():
            raise ConfigError(
                f"teacher {self.name!r} has no elicitation {wanted!r}: "
                f"choose {', '.join(self.elicitations)}"
            )
        try:
            return elicitation_class(wanted)(self.options)
        except ValueError as error:
            raise ConfigError(f"teacher {self.name!r}: {error}") from None

    def facts(self) -> dict[str, Any]:
        """What can change an answer, the prompt's text aside."""
        options = self.options
        own = {name: getattr(options, name) for name in self.elicitation.fingerprinted}
        return {
            "elicit": self.elicitation.name,
            "samples": None,  # the first two that had options of their own, and stay in every
            "smoothing": None,  # fingerprint: labels are stored under them
            **own,
            "temperature": options.temperature,
            "reask": options.reask,
            "rules": RULES,
            **self._shown,
        }

    @property
    def _shown(self) -> dict[str, Any]:
        """What the model gets beside, or in place of, the picture; labels of those that get the
        picture alone were stored before there was a choice."""
        options = self.options
        if options.view == "image":
            return {}
        return {"view": options.view, "coordinates": options.coordinates}

    @property
    def looks(self) -> bool:
        """See :class:`Teacher`."""
        return self.options.view != "text"

    def around(self, teacher: Teacher) -> Teacher:
        """See :class:`Teacher`: where many views are one question, this asks it once."""
        return self.elicitation.around(teacher)

    def supports(self, task: Task) -> str | None:
        """A sentence where the model should read, and the task has no words."""
        if self.options.view != "image" and task.describe is None and task.planning is None:
            return f"there are no words for states of task {task.name!r} (Task.describe)"
        return None

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
            answer = self.elicitation.answer_format
            prompt = load_prompt(
                name,
                task,
                shots=shots,
                elicit=answer,
                shown=self.options.view,
                coordinates=self.options.coordinates,
            )
            fingerprint = fingerprint_of({**self.facts(), "prompt": prompt.fingerprint})
            self._prompts[task] = prompt, fingerprint
        return self._prompts[task]

    def interview(self, view: View) -> Interview:
        """A new interview about ``view``."""
        prompt, fingerprint = self.prompted(view.task)
        return Interview(view, prompt, self.elicitation, self.name, fingerprint)

    def estimate(self, views: Sequence[View]) -> CostEstimate:
        """See :class:`Teacher`; answers that have to be asked again are not foreseen."""
        tasks = {view.key: view.task for view in views}.values()
        calls = sum(map(self.calls_for, tasks))
        return CostEstimate(len(tasks), calls, usd=self.price(len(tasks)))

    def calls_for(self, task: Task) -> int:
        """Calls that one label of ``task`` takes, if each answer is of use."""
        return len(self.prompted(task)[0].questions) - 1 + self.elicitation.calls

    def price(self, labels: int) -> float | None:
        """Dollars for so many labels; None: not known."""
        return None

    def count(self, answer: Answer) -> None:
        """Count one answer; safe from several threads."""
        with self._counting:
            self.counts.add_asked(answer)
