"""What students of teachers of known quality reached, as ``benchmarks/acceptance.py`` measured it.

``benchmark.json`` holds the figures with the command that wrote them, and verdicts quote them. The
teachers were simulated: their errors are independent from state to state, while a real model
repeats its errors in similar states, and students learn those.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import BaseModel

FILE = Path(__file__).with_name("benchmark.json")


class Taught(BaseModel, frozen=True, extra="forbid"):
    """The students of one simulated teacher."""

    teacher: float
    """Success of the teacher, acting on its most probable action."""
    students: tuple[float, float]
    """The least and the greatest success of its greedy students, over seeds."""


class Benchmark(BaseModel, frozen=True, extra="forbid"):
    """The whole of benchmark.json."""

    command: str
    date: str
    env: str
    frames: int
    """Environment steps of each run."""
    seeds: int
    alone: tuple[float, float]
    """The least and the greatest success of students without a teacher."""
    taught: tuple[Taught, ...]


@cache
def benchmark() -> Benchmark:
    """The figures that are shipped."""
    return Benchmark.model_validate_json(FILE.read_bytes())
