"""Runs side by side: learning curves with confidence bands, and their sample efficiency."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

from lvlm2p.student.comparison.config import SHOWN, CompareConfig, Metric
from lvlm2p.student.comparison.result import Comparison, Final, GroupResult
from lvlm2p.student.comparison.runs import Group, RecordedRun, grouped, read_runs
from lvlm2p.student.comparison.statistics import (
    Ratio,
    Reach,
    band,
    no_common_frame,
    sample_efficiency,
)
from lvlm2p.student.window import RECENT, windowed
from lvlm2p.teachers.errors import RunError
from lvlm2p.teachers.files import write_atomically

FEW = 5
"""Fewer runs than this give intervals that are too narrow."""


def compare(config: CompareConfig) -> Comparison:
    """Group the runs, draw their curves and count the frames they needed.

    Raises:
        RunError: a folder holds no run, the runs can't be compared, or ``out`` can't be written.
    """
    from lvlm2p.student.comparison.curves import draw

    wanted = dict.fromkeys((*SHOWN, config.metric or SHOWN[0]))
    runs, left_out = read_runs(config.runs, wanted, config.metric)
    groups = grouped(runs)
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
    limits = (*notes(groups, metric, panels), *left_out)
    result = Comparison(config.out, metric, config.thresholds, rows, limits)
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        draw(groups, panels, config, metric)
        text = json.dumps(result.as_json(), indent=2, allow_nan=False)
        write_atomically(config.out / "compare.json", text + "\n")
    except OSError as error:
        raise RunError(f"{config.out} can't be written: {error.strerror}") from None
    return result


def default_metric(groups: Sequence[Group]) -> Metric:
    """The student's own success where every run knows it, else the training return."""
    evaluated = all(run.curves["eval/success"] for group in groups for run in group.runs)
    return "eval/success" if evaluated else "charts/episodic_return"


def measure(groups: Sequence[Group], metric: str, config: CompareConfig) -> tuple[GroupResult, ...]:
    """A result for each group; environments are kept apart, in the order of their first groups."""
    envs = {group.env: i for i, group in reversed(list(enumerate(groups)))}
    reaches = {
        id(group): tuple(
            Reach.of(group.curves(metric), threshold, group.counted_since(metric))
            for threshold in config.thresholds
        )
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
        rows.append(GroupResult(group, final(group, config), reaches[id(group)], name, ratios))
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
    interval = band([[value] for value in values], config.resamples, config.seed)
    if interval is None:
        return Final(values, None, None)
    low, high = interval
    return Final(values, float(low[0]), float(high[0]))


def notes(groups: Sequence[Group], metric: str, panels: Sequence[str]) -> tuple[str, ...]:
    """What limits the numbers on ``metric`` and the curves in ``panels``, each a sentence."""
    lines = []
    frames = [list(curve) for group in groups for curve in group.curves(metric)]
    coarsest = max(max(b - a for a, b in pairwise([0, *each])) for each in frames)
    lines.append(f"{metric} is known every {coarsest:,} frames: no count is finer than that.")
    if windowed(metric):
        lines += _on_windows([run for group in groups for run in group.runs], metric)
    single = [group.name for group in groups if len(group.runs) == 1]
    if single:
        lines.append(
            f"One seed only, so no interval: {', '.join(dict.fromkeys(single))}. "
            "Another seed may do much better or worse."
        )
    if any(1 < len(group.runs) < FEW for group in groups):
        lines.append(f"Intervals from fewer than {FEW} seeds are too narrow: add seeds.")
    unfinished = [str(run.folder) for group in groups for run in group.runs if run.success is None]
    if unfinished:
        lines.append(f"Not ended, or interrupted: {', '.join(unfinished)}.")
    for group in groups:
        lengths = {max(curve) for curve in group.curves(metric)}
        apart = [name for name in panels if no_common_frame(group.curves(name))]
        if apart:
            lines.append(
                f"Runs of {group.name} on {group.env} have no frame in common at which "
                f"{' and '.join(apart)} is known: each is drawn by itself, without mean or band."
            )
        elif len(lengths) > 1:
            lines.append(
                f"Runs of {group.name} on {group.env} differ in length: {min(lengths):,} to "
                f"{max(lengths):,} frames; their mean curve ends with the shortest."
            )
    return tuple(lines)


def _on_windows(runs: Sequence[RecordedRun], metric: str) -> list[str]:
    """Since when the values of ``metric``, a mean over recent episodes, count."""
    lines = [f"{metric} counts towards a threshold once {RECENT} episodes have ended."]
    never = [str(run.folder) for run in runs if run.window.since == float("inf")]
    if never:
        lines.append(f"In {', '.join(never)} fewer have ended: no threshold counts as reached.")
    guessed = [str(run.folder) for run in runs if run.window.estimated]
    if guessed:
        lines.append(
            f"{', '.join(guessed)}: recorded without the number of episodes; when {RECENT} had "
            "ended is estimated from their mean length."
        )
    return lines
