"""Sharpen or soften a teacher's labels with the temperature that an evaluation fitted.

Temperature scaling (Guo et al. 2017) on probabilities instead of logits: p' ∝ p^(1/T). T > 1
softens an overconfident teacher, T < 1 sharpens an underconfident one; the most probable action
stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from lvlm2p.envs import Task, View, task_named
from lvlm2p.envs.untrusted import MalformedDataError, first_problem, read_json, shorten
from lvlm2p.teachers.errors import ConfigError, UnknownNameError
from lvlm2p.teachers.label import Answer, Label
from lvlm2p.teachers.teacher import Teacher
from lvlm2p.teachers.wrappers.base import TeacherWrapper

MAX_REPORT_BYTES = 2**26

FLOOR = 1e-3
"""A stated 0 is read as this much before it is tempered: below the resolution of what models state,
and without it no temperature could soften an answer that names a single action."""


def temper(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """``probabilities`` (..., actions) to the power of 1 / ``temperature``, renormalised.

    Temperature 1 leaves them as they are, except for the floor.
    """
    logits = np.log(np.maximum(probabilities, FLOOR)) / temperature
    logits -= logits.max(axis=-1, keepdims=True)
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)


class CalibratedTeacher(TeacherWrapper):
    """A teacher whose labels are tempered, each task with its own temperature.

    Put it around the store, not inside: what is stored stays what the model said.
    """

    def __init__(
        self, inner: Teacher, temperatures: Mapping[str, float], report: Path | None = None
    ) -> None:
        """``report``: the file that the temperatures come from, where a user named one."""
        super().__init__(inner)
        self.report = report
        self.temperatures = dict(sorted(temperatures.items()))

    @property
    def fingerprint(self) -> str:
        """The inner teacher's, and the temperatures."""
        return self._digest(self.inner.fingerprint, self.temperatures)

    def fingerprint_for(self, task: Task) -> str:
        """The inner teacher's for this task, and the task's temperature."""
        return self._digest(self.inner.fingerprint_for(task), self.temperatures.get(task.name))

    @staticmethod
    def _digest(inner: str, tempered: object) -> str:
        parts = json.dumps({"inner": inner, "tempered": tempered, "floor": FLOOR}, sort_keys=True)
        return hashlib.sha256(parts.encode()).hexdigest()[:32]

    def ask(self, views: Sequence[View]) -> Iterator[tuple[int, Answer]]:
        """The inner teacher's answers, tempered; failures pass unchanged."""
        for index, answer in self.inner.ask(views):
            task = views[index].task
            if isinstance(answer, Label) and task.name in self.temperatures:
                answer = self._tempered(answer, task)
            yield index, answer

    def _tempered(self, label: Label, task: Task) -> Label:
        before = np.array(list(label.probabilities.values()))
        after = temper(before, self.temperatures[task.name]).tolist()
        return label.model_copy(
            update={
                "probabilities": dict(zip(label.probabilities, after, strict=True)),
                "fingerprint": self.fingerprint_for(task),
            },
        )

    def supports(self, task: Task) -> str | None:
        """As the inner teacher; and a task that the evaluation did not cover is refused.

        Raises:
            ConfigError: the same where a report was named: the wrong file, not an unable teacher.
        """
        if task.name not in self.temperatures:
            known = ", ".join(self.temperatures)
            what = f"covers {known}, not {task.name}: evaluate on it first"
            if self.report is not None:
                raise ConfigError(f"the calibration {self.report} {what}")
            return f"the calibration {what}"
        return self.inner.supports(task)


def calibrated(teacher: Teacher, report: Path) -> CalibratedTeacher:
    """``teacher`` with the temperatures that ``report`` (a report.json) holds for it.

    Raises:
        ConfigError: no readable report, or the report did not measure this very teacher.
    """
    temperatures = _by_task(_rows_about(teacher, report))
    if not temperatures:
        raise ConfigError(f"{report} has no temperature for {teacher.name}: it had too few answers")
    return CalibratedTeacher(teacher, temperatures, report)


def reliability_of(teacher: Teacher, report: Path) -> dict[str, list[Reliability]]:
    """The reliability diagrams of ``teacher`` that ``report`` (a report.json) holds: task -> the
    bars of all its environments.

    Raises:
        ConfigError: no readable report, or the report did not measure this very teacher.
    """
    found: dict[str, list[Reliability]] = {}
    for row in _rows_about(teacher, report):
        found.setdefault(row.task, []).extend(row.bars)
    found = {task: bars for task, bars in found.items() if bars}
    if not found:
        raise ConfigError(f"{report} does not say how reliable {teacher.name} is")
    return found


def _rows_about(teacher: Teacher, report: Path) -> list[_Measured]:
    rows = _results(report)
    mine = [row for row in rows if _is_about(teacher, row)]
    if not mine:
        measured = shorten(", ".join(sorted({row.teacher for row in rows}))) or "nobody"
        raise ConfigError(
            f"{report} measured {measured}, but not {teacher.name} as it is configured now: "
            "run lvlm2p evaluate with the same options as this run"
        )
    return mine


class Reliability(BaseModel, allow_inf_nan=False):
    """A bar of a reliability diagram: of ``n`` answers whose confidence is ``low`` or somewhat
    more, the share of ``accuracy`` was right."""

    low: float = Field(ge=0, le=1)
    n: int = Field(gt=0, le=2**53)
    accuracy: float = Field(ge=0, le=1)


class _Fitted(BaseModel, strict=True):
    """Of a report.json, the part about a temperature that is read here."""

    value: float = Field(ge=0.01, le=100)


class _Measured(BaseModel):
    """Of a report.json, the part about one teacher in one environment that is read here."""

    teacher: str
    task: str
    fingerprint: str
    temperature: object = None
    reliability: object = None

    @property
    def bars(self) -> list[Reliability]:
        """The reliability diagram; empty where there is none to be used."""
        try:
            return _BARS.validate_python(self.reliability)
        except ValidationError:
            return []

    @property
    def fitted(self) -> float | None:
        """The temperature; None where there is none to be used."""
        try:
            return _Fitted.model_validate(self.temperature).value
        except ValidationError:
            return None


_BARS = TypeAdapter(list[Reliability])
_RESULTS = TypeAdapter(dict[Literal["results"], list[_Measured]])


def _is_about(teacher: Teacher, row: _Measured) -> bool:
    """Whether ``row`` measured this teacher in this configuration, on a task known here."""
    try:
        task = task_named(row.task)
    except UnknownNameError:
        return False
    return row.fingerprint == teacher.fingerprint_for(task)


def _results(report: Path) -> list[_Measured]:
    try:
        found = read_json(report, MAX_REPORT_BYTES)
        rows = found.get("results") if isinstance(found, dict) else None
        return _RESULTS.validate_python({"results": rows})["results"]
    except OSError as error:
        raise ConfigError(f"can't read the calibration file {report}: {error}") from error
    except (MalformedDataError, ValidationError) as error:
        what = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise ConfigError(
            f"{report} is not a report ({what}): --calibrate takes the report.json of lvlm2p "
            "evaluate"
        ) from error


def _by_task(rows: list[_Measured]) -> dict[str, float]:
    """One temperature a task: the geometric mean over its environments."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.fitted is not None:
            found.setdefault(row.task, []).append(row.fitted)
    return {task: float(np.exp(np.mean(np.log(values)))) for task, values in found.items()}
