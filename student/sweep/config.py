"""Options of ``lvlm2p sweep``. Light to import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Literal

import tyro
from pydantic import BaseModel, ConfigDict, Field


class SweepConfig(BaseModel):
    """Options of ``lvlm2p sweep``."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )

    help_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "runs": ("file", "out", "engine", "workers", "ray_address"),
        "budget": ("budget_usd", "budget_calls", "yes"),
    }

    file: tyro.conf.Positional[Path]
    """YAML file of options of `lvlm2p train`; where one has a list, each of its values is trained
    with each value of the others."""

    out: Path | None = None
    """Folder of the runs, for `lvlm2p compare`; None: runs/ and the file's name. Give the same
    command once more to go on with what is there."""

    engine: Literal["local", "ray"] = "local"
    """Processes on this machine, or trials of Ray Tune (extra `ray`)."""

    workers: int | None = Field(default=None, ge=1)
    """Runs that are trained at the same time; None: one for each CPU."""

    ray_address: str | None = None
    """A Ray cluster to use, e.g. auto or ray://head:10001; None: a local one."""

    budget_usd: float | None = Field(default=None, ge=0)
    """Stop asking when all runs together have spent this many dollars; what is not labelled then
    is trained without distillation."""

    budget_calls: int | None = Field(default=None, ge=0)
    """Stop asking after this many calls to the models by all runs together."""

    yes: bool = False
    """Ask the teachers, whatever it costs, without a question about it first."""

    @property
    def folder(self) -> Path:
        """Where the runs are."""
        return self.out if self.out is not None else Path("runs") / self.file.stem

    @property
    def at_once(self) -> int:
        """How many runs are trained at the same time."""
        return self.workers or len(os.sched_getaffinity(0))
