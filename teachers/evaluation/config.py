"""Options of ``lvlm2p evaluate``. Light to import."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from lvlm2p.teachers.options import ANSWERING, BUDGET, STORED, TeacherOptions


class EvaluateConfig(TeacherOptions):
    """Which teachers, on which environments, how thoroughly, and where the report goes."""

    help_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "task": ("env", "states", "states_file", "episodes", "probes", "seed"),
        "teacher": ("teacher", *ANSWERING),
        "budget": BUDGET,
        "store": STORED,
        "run": ("out", "config", "json"),
    }

    teacher: list[str] = Field(min_length=1)
    """Teachers to measure, beside the planner and the uniform baseline, which always are."""
    env: list[str] = Field(min_length=1)
    """Environments: Gymnasium ids, such as MiniGrid-GoToDoor-6x6-v0."""
    states: int = Field(default=200, ge=1)
    """States per environment, spread evenly over the distance to the goal; the same for every
    teacher."""
    states_file: Path | None = None
    """Take the states from this file (the states.jsonl of an earlier report) instead of drawing
    them."""
    episodes: int = Field(default=50, ge=0)
    """Episodes that each teacher plays, once by its most probable action and once by drawing
    from its probabilities. 0: none."""
    probes: int = Field(default=50, ge=0)
    """States that are asked again with a blank picture, turned or mirrored, and word for word, to
    see what the answer depends on. 0: none."""
    seed: int = 0
    """Decides the states, the episodes and the draws."""
    out: Path | None = None
    """Folder for the report: index.html, report.json, report.md, labels.parquet, states.jsonl."""

    @field_validator("teacher", "env")
    @classmethod
    def _once_each(cls, names: list[str]) -> list[str]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is named twice")
        return names
