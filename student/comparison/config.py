"""Options of ``lvlm2p compare``. Light to import."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro
from pydantic import BaseModel, ConfigDict, Field, field_validator

Metric = Literal["eval/success", "eval/return", "charts/success", "charts/episodic_return"]
SHOWN: tuple[Metric, ...] = ("charts/episodic_return", "eval/success")
"""Always drawn, where a run has it."""


class CompareConfig(BaseModel):
    """Options of ``lvlm2p compare``."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    runs: tyro.conf.Positional[list[Path]]
    """Folders of runs, or folders that hold runs, such as runs/. Those that differ only in their
    seeds are one group."""

    out: Path = Path("compare")
    """Folder for curves.png and compare.json."""

    metric: Metric | None = None
    """What the thresholds are about. None: eval/success, the success of the greedy student alone,
    where every run was evaluated during training; else charts/episodic_return."""

    thresholds: tuple[float, ...] = (0.5, 0.8, 0.9)
    """Values of the metric; counted are the frames until a run first has as much."""

    resamples: int = Field(default=2_000, ge=100)
    """Bootstrap samples behind each 95% interval."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Decides the bootstrap samples."""

    @field_validator("runs")
    @classmethod
    def _some(cls, runs: list[Path]) -> list[Path]:
        if not runs:
            raise ValueError("name the folder of at least one run")
        return runs

    @field_validator("thresholds")
    @classmethod
    def _ascending(cls, thresholds: tuple[float, ...]) -> tuple[float, ...]:
        if not thresholds:
            raise ValueError("it should name at least one value")
        return tuple(sorted(set(thresholds)))
