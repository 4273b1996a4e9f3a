"""What a comparison found, as plain data; nothing here draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvlm2p.student.comparison.config import Metric
from lvlm2p.student.comparison.runs import Group
from lvlm2p.student.comparison.statistics import Ratio, Reach, iqm


@dataclass(frozen=True)
class Final:
    """Success in the evaluations at the end of the runs that have ended."""

    values: tuple[float, ...]
    low: float | None
    """Of the 95% interval of the mean over runs; None: there is one run."""
    high: float | None

    @property
    def mean(self) -> float:
        """Over the runs."""
        return sum(self.values) / len(self.values)

    def as_json(self) -> dict[str, Any]:
        """With the interquartile mean."""
        return {
            "values": list(self.values),
            "mean": self.mean,
            "low": self.low,
            "high": self.high,
            "iqm": iqm(self.values),
        }


@dataclass(frozen=True)
class GroupResult:
    """The numbers of one group."""

    group: Group
    final: Final | None
    """None: none of its runs has ended."""
    reaches: tuple[Reach, ...]
    """By threshold."""
    baseline: str | None
    """Name of the group whose frames are divided by this one's; None: it is the baseline."""
    ratios: tuple[Ratio | None, ...]
    """By threshold; empty for a baseline."""

    def as_json(self) -> dict[str, Any]:
        """One group of compare.json."""
        return {
            "env": self.group.env,
            "name": self.group.name,
            "runs": [str(run.folder) for run in self.group.runs],
            "seeds": [run.seed for run in self.group.runs],
            "final_success": self.final and self.final.as_json(),
            "frames_to": [reach.as_json() for reach in self.reaches],
            "baseline": self.baseline,
            "sample_efficiency": [ratio and ratio.as_json() for ratio in self.ratios],
        }


@dataclass(frozen=True)
class Comparison:
    """What a comparison found."""

    out: Path
    metric: Metric
    thresholds: tuple[float, ...]
    rows: tuple[GroupResult, ...]
    notes: tuple[str, ...]
    """What a reader should know before believing the numbers."""

    def as_json(self) -> dict[str, Any]:
        """The same as in compare.json."""
        return {
            "out": str(self.out),
            "picture": str(self.out / "curves.png"),
            "metric": self.metric,
            "thresholds": list(self.thresholds),
            "groups": [row.as_json() for row in self.rows],
            "notes": list(self.notes),
        }
