"""Runs read from their folders, and grouped: those that differ in nothing but their seed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvlm2p.envs.untrusted import plain, shorten
from lvlm2p.student.comparison.files import RECORD, final_success, read_record, read_rows
from lvlm2p.student.window import COUNT, Window, windowed
from lvlm2p.teachers.errors import RunError

ALONE = "no teacher"
OF_A_TEACHER = (
    *("teacher_args", "elicit", "view", "view_args", "prompt", "shots", "labels", "symmetry"),
    *("ask", "teacher_return", "kl_coef", "kl_schedule", "kl_frames", "kl_target"),
    *("kl_direction", "kl_minibatches"),
)
"""Options that mean nothing where there is no teacher."""

OF_THE_WINDOW = ("charts/episodic_return", "charts/episodic_length", COUNT)
"""Columns that tell since when the window was full."""


@dataclass(frozen=True)
class RecordedRun:
    """What a folder holds."""

    folder: Path
    env: str
    seed: int
    options: Mapping[str, Any]
    """What was chosen apart from seeds and the environment; a teacher's own options by name."""
    seeds: tuple[Any, ...]
    """Of the student and, where it was given, of the teacher."""
    fingerprint: str | None
    """The teacher's, where it does not depend on the teacher's seed."""
    curves: Mapping[str, Mapping[int, float]]
    """By the name of the metric: value after so many frames."""
    success: float | None
    """In the evaluation at the end; None: the run has not ended."""
    window: Window
    """Since when its charts are means of as many episodes as they should be."""

    @property
    def identity(self) -> str:
        """All that was chosen but the seed."""
        return json.dumps([self.env, self.options, self.fingerprint], sort_keys=True)

    @property
    def alone(self) -> bool:
        """Whether it had no teacher."""
        return bool(self.options["teacher"] == "none")


@dataclass(frozen=True)
class Group:
    """Runs of one configuration and several seeds."""

    env: str
    name: str
    runs: tuple[RecordedRun, ...]

    def curves(self, metric: str) -> list[Mapping[int, float]]:
        """Of the runs that have any value of it."""
        return [run.curves[metric] for run in self.runs if run.curves.get(metric)]

    def counted_since(self, metric: str) -> list[float]:
        """Of the same runs: the frames since which a value of it counts."""
        return [
            run.window.since if windowed(metric) else 0.0
            for run in self.runs
            if run.curves.get(metric)
        ]


def read_runs(
    named: Sequence[Path], metrics: Iterable[str], needed: str | None
) -> tuple[list[RecordedRun], list[str]]:
    """The runs in ``named`` folders, each a run's or one that holds runs, however deep.

    Of the runs in a folder, those that can't be compared (no values yet or, where it is ``needed``,
    none of one metric; the same configuration and seed as another) are left out; what was named
    itself can't be.

    Returns:
        the runs, and for each that was left out a sentence.

    Raises:
        RunError: as :func:`read_run`, or there is nothing to compare.
    """
    runs: dict[Path, RecordedRun] = {}
    left_out: dict[Path, str] = {}
    wanted = tuple(metrics)
    for folder in named:
        inside = _runs_inside(folder)
        for place in inside or [folder]:
            if place.resolve() in runs:
                continue
            try:
                run = read_run(place, wanted)
                if inside:
                    _check_fits(run, runs.values(), needed)
                runs[place.resolve()] = run
            except RunError as error:
                if not inside:
                    raise
                left_out[place] = f"Left out: {error}."
    if not runs:
        raise RunError("nothing to compare: " + " ".join(left_out.values()))
    return list(runs.values()), list(left_out.values())


def _runs_inside(folder: Path) -> list[Path]:
    """The runs below a folder that is none itself, in the order of their names and numbers."""
    if (folder / RECORD).is_file():
        return []
    found = [path.parent for path in folder.rglob(RECORD)]
    return sorted(found, key=lambda path: [_number(part) for part in path.parts])


def _number(name: str) -> list[tuple[int, str]]:
    """What makes ``train-10`` come after ``train-9``."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _check_fits(run: RecordedRun, others: Iterable[RecordedRun], needed: str | None) -> None:
    if needed is not None and not run.curves[needed]:
        raise RunError(f"{run.folder} has no values of {needed}")
    for other in others:
        if (other.identity, other.seeds) == (run.identity, run.seeds):
            raise RunError(f"{run.folder} is the same run as {other.folder}, seed and all")


def read_run(folder: Path, metrics: Iterable[str]) -> RecordedRun:
    """The run in ``folder``, with the curves of ``metrics``.

    Raises:
        RunError: there is none, or its files can't be read.
    """
    path = folder / RECORD
    if not path.is_file():
        raise RunError(f"there is no run in {folder}: each has a {RECORD}")
    record = read_record(path)
    config, teacher = record.config.model_dump(), record.teacher
    if teacher is not None:
        config["teacher"] = teacher.name  # with --labels, whoever made the labels
    env, seed, args = config.pop("env"), config.pop("seed"), config.pop("teacher_args")
    seeds = (seed, args.pop("seed", None))
    if config["teacher"] == "none":
        config = {key: value for key, value in config.items() if key not in OF_A_TEACHER}
        args, seeds = {}, (seed, None)
    fingerprint = teacher.fingerprint if teacher is not None and seeds[1] is None else None
    rows = read_rows(folder / "metrics.csv", {*metrics, *OF_THE_WINDOW})
    curves = {
        metric: {int(row["frames"]): row[metric] for row in rows if metric in row}
        for metric in metrics
    }
    if not any(curves.values()):
        raise RunError(
            f"{folder / 'metrics.csv'} has no values yet: wait for the run's first update"
        )
    n_envs = config.get("n_envs")
    window = Window.of(rows, n_envs if isinstance(n_envs, int) else 0)
    success = final_success(folder / "result.json")
    options = config | args
    return RecordedRun(folder, env, seed, options, seeds, fingerprint, curves, success, window)


def grouped(runs: Sequence[RecordedRun]) -> list[Group]:
    """The groups, in the order of their first runs.

    Raises:
        RunError: two runs are the same, seed and all, and would count as independent.
    """
    groups: dict[str, list[RecordedRun]] = {}
    for run in runs:
        for other in groups.setdefault(run.identity, []):
            if other.seeds == run.seeds:
                raise RunError(
                    f"{other.folder} and {run.folder} have the same configuration and the same "
                    f"seed {run.seed}, so they count once: leave one out"
                )
        groups[run.identity].append(run)
    firsts = [members[0] for members in groups.values()]
    return [
        Group(members[0].env, name, tuple(members))
        for members, name in zip(groups.values(), names(firsts), strict=True)
    ]


def names(runs: Sequence[RecordedRun]) -> list[str]:
    """What to call each of these configurations: algorithm, teacher, and what else differs."""
    namesakes = ([other for other in runs if _short(other) == _short(run)] for run in runs)
    return [plain(shorten(_name(run, alike))) for run, alike in zip(runs, namesakes, strict=True)]


def _short(run: RecordedRun) -> str:
    return f"{run.options['algo']} · {ALONE if run.alone else run.options['teacher']}"


def _name(run: RecordedRun, namesakes: Sequence[RecordedRun]) -> str:
    """``namesakes``: the configurations, this among them, of the same algorithm and teacher."""
    parts = [_short(run)]
    for key in sorted({key for other in namesakes for key in other.options}):
        if key in run.options and any(
            other.options.get(key, _ABSENT) != run.options[key] for other in namesakes
        ):
            value = run.options[key]
            parts.append(f"{key}={value if isinstance(value, str) else json.dumps(value)}")
    alike = [other for other in namesakes if (other.env, other.options) == (run.env, run.options)]
    if any(other.fingerprint != run.fingerprint for other in alike):
        parts.append(f"version {(run.fingerprint or 'unknown')[:6]}")
    return " · ".join(parts)


_ABSENT = object()
