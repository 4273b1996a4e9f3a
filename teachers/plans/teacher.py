"""``--teacher plans:TABLE``: a table of plans, carried out on what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from lvlm2p.envs import Task, View
from lvlm2p.envs.errors import UserError
from lvlm2p.teachers.errors import ConfigError
from lvlm2p.teachers.label import Answer, Failure, Label
from lvlm2p.teachers.plans.mixture import lacks_planning, mix, planning_of
from lvlm2p.teachers.plans.table import PlanTable, shipped_tables
from lvlm2p.teachers.plugin import Context, Status, fingerprint_of
from lvlm2p.teachers.progress import say
from lvlm2p.teachers.teacher import Counts, Teacher

VERSION = 1
"""Part of every fingerprint: raise it when the same table comes to give other labels."""

NAMED = 5
"""Situations without plans that are listed at the end."""


class PlanTableOptions(BaseModel, extra="forbid"):
    """The keys of ``-T key=value``."""

    executor: str | None = None
    """Who carries the plans out (DoorKey: careful, or blind to lava); None: as the table says."""


class PlanTableTeacher(Teacher):
    """Looks up the sentence of what was seen; the plans' next actions, by share, are the label.

    A situation that the table does not have is a failure that names it; all of them are counted,
    and said when the teacher is closed.
    """

    instant = True

    Options = PlanTableOptions

    def __init__(self, name: str, options: PlanTableOptions | None = None) -> None:
        """``name``: ``plans:`` and a shipped table, or a YAML file."""
        self.name = name
        self.counts = Counts()
        self.table = PlanTable(name.partition(":")[2])
        self.executor = (options or PlanTableOptions()).executor or self.table.executor
        self.missing: Counter[str] = Counter()
        self._fingerprints: dict[str, str] = {}

    @classmethod
    def build(cls, name: str, options: PlanTableOptions, context: Context) -> Teacher:
        """See :mod:`lvlm2p.teachers.plugin`."""
        return cls(name, options)

    @classmethod
    def status(cls, name: str) -> Status:
        """See :mod:`lvlm2p.teachers.plugin`."""
        tables = ", ".join(f"plans:{table}" for table in shipped_tables())
        note = f"what to do in each situation: {tables}, or plans:FILE.yaml"
        return Status(name, "a table of plans", ("exact",), 0.0, ready=True, note=note)

    @property
    def looks(self) -> bool:
        """It reads the sentence."""
        return False

    @property
    def fingerprint(self) -> str:
        """The whole table and its executor."""
        return fingerprint_of({task: self._facts(task) for task in sorted(self.table.plans)})

    def fingerprint_for(self, task: Task) -> str:
        """The table for one task and its executor."""
        if task.name not in self._fingerprints:
            self._fingerprints[task.name] = fingerprint_of(self._facts(task.name))
        return self._fingerprints[task.name]

    def _facts(self, task: str) -> dict[str, Any]:
        plans = self.table.plans.get(task, {})
        said = {
            sentence: [[share, [str(option) for option in plan]] for share, plan in mixture]
            for sentence, mixture in plans.items()
        }
        return {
            "teacher": "plans",
            "version": VERSION,
            "task": task,
            "table": said,
            "executor": self.executor,
        }

    def supports(self, task: Task) -> str | None:
        """A sentence where the task offers no options, or the table has none for it."""
        if task.planning is None:
            return lacks_planning(task)
        if task.name not in self.table.plans:
            has = ", ".join(sorted(self.table.plans))
            return f"the plan table {self.table.name!r} has no plans for {task.name}: it has {has}"
        try:
            if self.executor is not None:
                task.planning.check_executor(self.executor)
        except UserError as error:
            return f"task {task.name!r}: {error}"
        return None

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """See :class:`Teacher`.

        Raises:
            ConfigError: a task that :meth:`supports` refuses.
        """
        for task in {view.task for view in views}:
            if (why := self.supports(task)) is not None:
                raise ConfigError(f"teacher {self.name!r}: {why}")
        for index, view in enumerate(views):
            answer = self._answer(view)
            self.counts.add_asked(answer)
            yield index, answer

    def _answer(self, view: View) -> Answer:
        planning = planning_of(view.task)
        sentence = planning.sentence(view, False)
        plans = self.table.plans[view.task.name].get(sentence)
        if plans is None:
            self.missing[sentence] += 1
            return self._failure(view, f"the table has no plans for {sentence!r}")
        mixed = mix(view, plans, self.executor or planning.executors[0])
        if mixed.probabilities is None:
            return self._failure(view, mixed.why)
        return Label(
            task=view.task.name,
            teacher=self.name,
            fingerprint=self.fingerprint_for(view.task),
            model="a table of plans",
            probabilities=mixed.probabilities,
            elicitation="exact",
            analysis=mixed.account,
            cost_usd=0.0,
        )

    def _failure(self, view: View, why: str) -> Failure:
        return Failure(
            task=view.task.name,
            teacher=self.name,
            fingerprint=self.fingerprint_for(view.task),
            model="a table of plans",
            cost_usd=0.0,
            failure="invalid",
            message=why,
        )

    def close(self) -> None:
        """Say which situations the table did not have, and in how many states."""
        if self.missing:
            most = self.missing.most_common(NAMED)
            named = "; ".join(f"{sentence!r} ({n:,})" for sentence, n in most)
            more = f"; and {len(self.missing) - NAMED} more" if len(self.missing) > NAMED else ""
            say(f"{self.name} has no plans for these situations (states): {named}{more}")
            self.missing.clear()
