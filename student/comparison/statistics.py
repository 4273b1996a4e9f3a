"""The statistics of learning curves: pure functions of numbers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lvlm2p.teachers.statistics import bootstrap

BLOCK = 256
"""Points of a curve whose resamples are in memory together; each block has the same draws."""

Curve = Mapping[int, float]
"""A value after so many frames, in ascending order."""

Bound = Literal["exact", "at least", "at most"]


def aligned(curves: Sequence[Curve]) -> tuple[list[int], list[list[float]]]:
    """The frames at which every curve has a value, and the values (curves, frames)."""
    common = sorted(set.intersection(*(set(curve) for curve in curves)))
    return common, [[curve[frame] for frame in common] for curve in curves]


def no_common_frame(curves: Sequence[Curve]) -> bool:
    """Whether no frame is common to all curves, so that there is no mean of them."""
    return bool(curves) and not aligned(curves)[0]


def band(
    values: Sequence[Sequence[float]], resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The bootstrap interval of the mean over the rows of ``values`` (seeds, points).

    Whole rows are drawn: (points,) of lower and of upper ends. None where there is one row, which
    says nothing about others.
    """
    rows = np.asarray(values, np.float64)
    if len(rows) < 2:
        return None
    blocks = [rows[:, start : start + BLOCK] for start in range(0, rows.shape[1], BLOCK)]
    ends = [bootstrap(block, resamples=resamples, seed=seed) for block in blocks]
    low, high = (np.concatenate(side) for side in zip(*ends, strict=True))
    return low, high


def iqm(values: Sequence[float]) -> float:
    """The interquartile mean: of the middle half, whole values (Agarwal et al., 2021)."""
    cut = len(values) // 4
    return statistics.fmean(sorted(values)[cut : len(values) - cut])


def frames_to(curve: Curve, threshold: float, since: float = 0) -> int | None:
    """After how many frames the curve first has a value of ``threshold`` or more; None: never.

    What it says before ``since`` frames doesn't count.
    """
    return next(
        (frames for frames, value in curve.items() if frames >= since and value >= threshold), None
    )


@dataclass(frozen=True)
class Reach:
    """How soon the runs of a group reach a threshold.

    A run that did not reach it took longer than it lasted: the median over the runs needs no more
    than that, as long as more than half of them made it.
    """

    threshold: float
    frames: tuple[int | None, ...]
    """By run; None: not reached."""
    lasted: tuple[int, ...]
    """By run: frames until its last value."""

    @classmethod
    def of(cls, curves: Sequence[Curve], threshold: float, since: Sequence[float] = ()) -> Reach:
        """Measured on curves that have at least one value each; each counts ``since`` so many
        frames, or from its beginning."""
        begins = since or [0.0] * len(curves)
        return cls(
            threshold,
            tuple(
                frames_to(curve, threshold, begin)
                for curve, begin in zip(curves, begins, strict=True)
            ),
            tuple(max(curve) for curve in curves),
        )

    @property
    def reached(self) -> int:
        """How many runs did."""
        return sum(frames is not None for frames in self.frames)

    @property
    def median(self) -> float | None:
        """Over all runs; None where too few of them reached it."""
        median = statistics.median(float("inf") if f is None else f for f in self.frames)
        return None if median == float("inf") else float(median)

    @property
    def mean(self) -> float | None:
        """Over all runs; None unless every one of them reached it."""
        known = [frames for frames in self.frames if frames is not None]
        return statistics.fmean(known) if len(known) == len(self.frames) else None

    @property
    def at_least(self) -> float:
        """The median, or what it is surely not below."""
        sure = [
            lasted if frames is None else frames
            for frames, lasted in zip(self.frames, self.lasted, strict=True)
        ]
        return float(statistics.median(sure))

    def as_json(self) -> dict[str, Any]:
        """The numbers of one cell of the table."""
        return {
            "threshold": self.threshold,
            "frames": list(self.frames),
            "reached": self.reached,
            "runs": len(self.frames),
            "median": self.median,
            "mean": self.mean,
            "at_least": self.at_least,
        }


@dataclass(frozen=True)
class Ratio:
    """How many times fewer frames a group needs than the baseline, by the medians."""

    value: float
    bound: Bound

    def as_json(self) -> dict[str, Any]:
        """``bound``: whether the true ratio is the value, or at least or at most that."""
        return {"value": self.value, "bound": self.bound}

    def __str__(self) -> str:
        return {"exact": "", "at least": "≥ ", "at most": "≤ "}[self.bound] + f"{self.value:.2f}×"


def sample_efficiency(group: Reach, baseline: Reach) -> Ratio | None:
    """Frames of ``baseline`` over those of ``group``; None where neither got there."""
    if group.median is None and baseline.median is None:
        return None
    bound: Bound = "exact"
    if baseline.median is None:
        bound = "at least"
    elif group.median is None:
        bound = "at most"
    return Ratio(baseline.at_least / group.at_least, bound)
