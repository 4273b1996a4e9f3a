"""Runs side by side: learning curves with confidence bands, and their sample efficiency."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lvlm2p.student.comparison.curves import (
    Ratio,
    Reach,
    apart_from_each_other,
    bootstrap,
    iqm,
    sample_efficiency,
)
from lvlm2p.student.comparison.runs import Group, grouped, read_run
from lvlm2p.teachers.errors import RunError

if TYPE_CHECKING:
    from rich.console import RenderableType

Metric = Literal["eval/success", "eval/return", "charts/success", "charts/episodic_return"]
SHOWN: tuple[Metric, ...] = ("charts/episodic_return", "eval/success")
"""Always drawn, where a run has it."""

FEW = 5
"""Fewer runs than this give intervals that are too narrow."""


class CompareConfig(BaseModel):
    """Options of ``lvlm2p compare``."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    runs: tyro.conf.Positional[list[Path]]
    """Folders of runs. Those that differ only in their seeds are one group."""

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
class Row:
    """What is said of one group."""

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
    """The result of :func:`compare`."""

    out: Path
    metric: Metric
    thresholds: tuple[float, ...]
    rows: tuple[Row, ...]
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

    def summary(self) -> RenderableType:
        """The table, for a terminal."""
        from lvlm2p.student.comparison.show import table

        return table(self)


def compare(config: CompareConfig) -> Comparison:
    """Group the runs, draw their curves and count the frames they needed.

    Raises:
        RunError: a folder holds no run, the runs can't be compared, or ``out`` can't be written.
    """
    from lvlm2p.student.comparison.show import draw

    folders = list(dict.fromkeys(folder.resolve() for folder in config.runs))
    named = {folder.resolve(): folder for folder in reversed(config.runs)}
    wanted = dict.fromkeys((*SHOWN, config.metric or SHOWN[0]))
    groups = grouped([read_run(named[folder], wanted) for folder in folders])
    metric = config.metric or default_metric(groups)
    for group in groups:
        for run in group.runs:
            if not run.curves[metric]:
                raise RunError(
                    f"{run.folder} has no values of {metric}: it was trained with --eval-every 0, "
                    "or not for long enough; choose another --metric"
                )
    rows = measure(groups, metric, config)
    panels = [name for name in wanted if any(group.curves(name) for group in groups)]
    said = notes(groups, metric, panels)
    result = Comparison(config.out, metric, config.thresholds, rows, said)
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        draw(groups, panels, config, metric)
        text = json.dumps(result.as_json(), indent=2, allow_nan=False)
        (config.out / "compare.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{config.out} can't be written: {error.strerror}") from None
    return result


def default_metric(groups: Sequence[Group]) -> Metric:
    """The student's own success where every run knows it, else the training return."""
    evaluated = all(run.curves["eval/success"] for group in groups for run in group.runs)
    return "eval/success" if evaluated else "charts/episodic_return"


def measure(groups: Sequence[Group], metric: str, config: CompareConfig) -> tuple[Row, ...]:
    """A row for each group; environments are kept apart, each in the order of its first group."""
    envs = {group.env: i for i, group in reversed(list(enumerate(groups)))}
    reaches = {
        id(group): tuple(Reach.of(group.curves(metric), t) for t in config.thresholds)
        for group in groups
    }
    rows = []
    for group in sorted(groups, key=lambda group: envs[group.env]):
        base = baseline_of(group, [other for other in groups if other.env == group.env])
        ratios: tuple[Ratio | None, ...] = ()
        if base is not group:
            pairs = zip(reaches[id(group)], reaches[id(base)], strict=True)
            ratios = tuple(sample_efficiency(*pair) for pair in pairs)
        name = None if base is group else base.name
        rows.append(Row(group, final(group, config), reaches[id(group)], name, ratios))
    return tuple(rows)


def baseline_of(group: Group, groups: Sequence[Group]) -> Group:
    """Among the groups of its environment: the first of its algorithm without a teacher.

    Where there is none, the first of all without a teacher; or else the first.
    """
    alone = [other for other in groups if other.runs[0].alone]
    algo = group.runs[0].options["algo"]
    same = [other for other in alone if other.runs[0].options["algo"] == algo]
    return [*same, *alone, *groups][0]


def final(group: Group, config: CompareConfig) -> Final | None:
    """How good the group's students were in the end."""
    values = tuple(run.success for run in group.runs if run.success is not None)
    if not values:
        return None
    band = bootstrap([[value] for value in values], config.resamples, config.seed)
    if band is None:
        return Final(values, None, None)
    return Final(values, float(band[0][0]), float(band[1][0]))


def notes(groups: Sequence[Group], metric: str, panels: Sequence[str]) -> tuple[str, ...]:
    """What limits the numbers on ``metric`` and the curves in ``panels``, each a sentence."""
    said = []
    frames = [list(curve) for group in groups for curve in group.curves(metric)]
    coarsest = max(max(b - a for a, b in pairwise([0, *each])) for each in frames)
    said.append(f"{metric} is known every {coarsest:,} frames: no count is finer than that.")
    single = [group.name for group in groups if len(group.runs) == 1]
    if single:
        said.append(
            f"One seed only, so no interval: {', '.join(dict.fromkeys(single))}. "
            "Another seed may do much better or worse."
        )
    if any(1 < len(group.runs) < FEW for group in groups):
        said.append(f"Intervals from fewer than {FEW} seeds are too narrow: add seeds.")
    unfinished = [str(run.folder) for group in groups for run in group.runs if run.success is None]
    if unfinished:
        said.append(f"Not ended, or interrupted: {', '.join(unfinished)}.")
    for group in groups:
        lengths = {max(curve) for curve in group.curves(metric)}
        apart = [name for name in panels if apart_from_each_other(group.curves(name))]
        if apart:
            said.append(
                f"Runs of {group.name} on {group.env} have no frame in common at which "
                f"{' and '.join(apart)} is known: each is drawn by itself, without mean or band."
            )
        elif len(lengths) > 1:
            said.append(
                f"Runs of {group.name} on {group.env} differ in length: {min(lengths):,} to "
                f"{max(lengths):,} frames; their mean curve ends with the shortest."
            )
    return tuple(said)
