"""What students of teachers of known quality reached, as ``benchmarks/acceptance.py`` measured it.

``benchmark.json`` holds the figures of each task with the command that wrote them, and verdicts
quote them and go by their thresholds. The teachers were simulated: their errors are independent
from state to state, while a real model repeats its errors in similar states, and students learn
those. So no threshold is below those of :data:`CAUTIOUS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel

FILE = Path(__file__).with_name("benchmark.json")

FINE = 0.95
"""Success of a student that learned all there is."""


class Thresholds(BaseModel, frozen=True, extra="forbid"):
    """From where on a teacher is strong, and useful."""

    acting: tuple[float, float]
    """Success of the teacher acting on its most probable action: strong, useful."""
    top1: tuple[float, float]
    """The same in the share of states in which that action is optimal, where no episodes were
    played: an episode is many choices."""


CAUTIOUS = Thresholds(acting=(0.85, 0.5), top1=(0.95, 0.8))
"""For tasks without figures; on GoToDoor-6x6 a teacher that succeeds in 0.86 of episodes is right
in 95% of states, one that does in 0.63 in 85%."""


class Taught(BaseModel, frozen=True, extra="forbid"):
    """The students of one simulated teacher."""

    teacher: float
    """Success of the teacher, acting on its most probable action."""
    top1: float
    """Share of states in which it is right."""
    students: tuple[float, float]
    """The least and the greatest success of its greedy students, over seeds."""


class Benchmark(BaseModel, frozen=True, extra="forbid"):
    """The figures of one task."""

    task: str
    env: str
    date: str
    frames: int
    """Environment steps of each run."""
    seeds: int
    alone: tuple[float, float]
    """The least and the greatest success of students without a teacher."""
    taught: tuple[Taught, ...]
    thresholds: Thresholds


class Benchmarks(BaseModel, frozen=True, extra="forbid"):
    """The whole of benchmark.json."""

    command: str
    tasks: tuple[Benchmark, ...]


@cache
def benchmarks() -> Benchmarks:
    """The figures that are shipped."""
    return Benchmarks.model_validate_json(FILE.read_bytes())


def benchmark(task: str) -> Benchmark | None:
    """Those of a task; None: it was not measured."""
    return next((found for found in benchmarks().tasks if found.task == task), None)


def thresholds_of(taught: Sequence[Taught], alone: tuple[float, float]) -> Thresholds:
    """Strong is a teacher whose students all end at :data:`FINE` or better, useful one whose
    students all end above the best that learned alone; better teachers' students must, too. The
    threshold lies halfway between the worst such teacher and the next worse, and is never below
    that of :data:`CAUTIOUS`. A strong teacher is useful, even where those that learned alone ended
    as well: its students get there sooner.
    """
    best_first = sorted(taught, key=lambda each: each.teacher, reverse=True)

    def halfway(enough: float, of: str, least: float) -> float:
        good = [each.students[0] > enough for each in best_first]
        for i, (better, worse) in enumerate(pairwise(best_first)):
            if good[i] and not good[i + 1]:
                middle: float = (getattr(better, of) + getattr(worse, of)) / 2
                return max(least, round(middle, 3))
            if not good[i]:
                break
        return least if all(good) else max(least, round(getattr(best_first[0], of), 3))

    def both(of: str, least: tuple[float, float]) -> tuple[float, float]:
        strong = halfway(FINE - 1e-9, of, least[0])
        return strong, min(strong, halfway(alone[1], of, least[1]))

    return Thresholds(acting=both("teacher", CAUTIOUS.acting), top1=both("top1", CAUTIOUS.top1))
