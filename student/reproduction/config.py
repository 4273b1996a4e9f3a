"""Options of ``lvlm2p reproduce``. Light to import."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import tyro
from pydantic import BaseModel, ConfigDict, Field

from lvlm2p.student.sweep.config import SweepConfig

FigureName = Literal["figure3", "figure4", "table-llm4teach"]


class ReproduceConfig(BaseModel):
    """Options of ``lvlm2p reproduce``."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )

    help_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "figure": ("figure", "teacher", "seeds", "quick", "out", "workers"),
        "budget": ("budget_usd", "budget_calls", "yes"),
    }

    figure: tyro.conf.Positional[FigureName]
    """figure3: four tasks, PPO and A2C, with and without a teacher; figure4: soft labels against
    hard ones, and several lambdas (both Lee et al. 2025); table-llm4teach: the DoorKey tasks of
    Zhou et al. 2024."""

    teacher: str | None = None
    """Who teaches; None: expert with errors, so that it succeeds about as often as the paper's
    (0.96), and plans:original for table-llm4teach."""

    seeds: int | None = Field(default=None, ge=1)
    """Seeds of each run; None: 5, with --quick 1."""

    quick: bool = False
    """A few thousand frames of each run: whether it works, not how good it gets."""

    out: Path | None = None
    """Folder of the runs and the results; None: runs/ and the figure's name."""

    workers: int | None = Field(default=None, ge=1)
    """Runs that are trained at the same time; None: one for each CPU."""

    budget_usd: float | None = Field(default=None, ge=0)
    """Stop asking when all runs together have spent this many dollars."""

    budget_calls: int | None = Field(default=None, ge=0)
    """Stop asking after this many calls to the model by all runs together."""

    yes: bool = False
    """Ask the teacher, whatever it costs, without a question about it first."""

    @property
    def folder(self) -> Path:
        """Where runs and results are."""
        name = self.figure + ("-quick" if self.quick else "")
        return self.out if self.out is not None else Path("runs") / name

    def as_sweep(self) -> SweepConfig:
        """How the runs are carried out."""
        return SweepConfig(
            file=Path(self.figure),
            out=self.folder,
            workers=self.workers,
            budget_usd=self.budget_usd,
            budget_calls=self.budget_calls,
            yes=self.yes,
        )
