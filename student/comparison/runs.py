"""Runs read from their folders, and grouped: those that differ in nothing but their seed."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvlm2p.teachers.errors import RunError

ALONE = "no teacher"
OF_A_TEACHER = (
    *("teacher_args", "elicit", "prompt", "shots", "labels", "symmetry"),
    *("ask", "teacher_return", "kl_coef", "kl_schedule", "kl_frames", "kl_target"),
    *("kl_direction", "kl_minibatches"),
)
"""Options that mean nothing where there is no teacher."""


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


def read_run(folder: Path, metrics: Iterable[str]) -> RecordedRun:
    """The run in ``folder``, with the curves of ``metrics``.

    Raises:
        RunError: there is none, or its files can't be read.
    """
    path = folder / "versions.json"
    if not path.is_file():
        raise RunError(f"there is no run in {folder}: each has a versions.json")
    try:
        record = json.loads(path.read_bytes())
        config, teacher = dict(record["config"]), record["teacher"]
        if teacher:
            config["teacher"] = teacher["name"]  # with --labels, whoever made the labels
        env, seed = config.pop("env"), config.pop("seed")
        args = dict(config.pop("teacher_args"))
        seeds = (seed, args.pop("seed", None))
        if config["teacher"] == "none":
            config = {key: value for key, value in config.items() if key not in OF_A_TEACHER}
            args, seeds = {}, (seed, None)
        fingerprint = teacher["fingerprint"] if teacher and seeds[1] is None else None
        named = {str(key): value for key, value in config.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} can't be read: {type(error).__name__}: {error}") from None
    curves = _read_curves(folder / "metrics.csv", tuple(metrics))
    success = _final_success(folder / "result.json")
    return RecordedRun(folder, env, seed, named | args, seeds, fingerprint, curves, success)


def _read_curves(path: Path, metrics: Sequence[str]) -> dict[str, dict[int, float]]:
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise RunError(f"there are no curves in {path.parent}: metrics.csv is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} can't be read: {error}") from None
    whole = text[: text.rfind("\n") + 1]  # a run may be writing, or was killed at it
    curves: dict[str, dict[int, float]] = {metric: {} for metric in metrics}
    for number, row in enumerate(csv.DictReader(whole.splitlines()), start=2):
        try:
            frames = int(row["frames"])
            values = {metric: float(row[metric]) for metric in metrics if row.get(metric)}
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path}, line {number}, is not a row of metrics: {error}") from None
        for metric, value in values.items():
            if math.isfinite(value):
                curves[metric][frames] = value
    if not any(curves.values()):
        raise RunError(f"{path} has no values yet: wait for the run's first update")
    return curves


def _final_success(path: Path) -> float | None:
    try:
        return float(json.loads(path.read_bytes())["evaluation"]["success"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} can't be read: {type(error).__name__}: {error}") from None


def grouped(runs: Sequence[RecordedRun]) -> list[Group]:
    """The groups, in the order of their first runs.

    Raises:
        RunError: two runs are the same, seed and all, and would count as independent.
    """
    groups: dict[str, list[RecordedRun]] = {}
    for run in runs:
        identity = json.dumps([run.env, run.options, run.fingerprint], sort_keys=True)
        for other in groups.setdefault(identity, []):
            if other.seeds == run.seeds:
                raise RunError(
                    f"{other.folder} and {run.folder} have the same configuration and the same "
                    f"seed {run.seed}, so they count once: leave one out"
                )
        groups[identity].append(run)
    firsts = [members[0] for members in groups.values()]
    return [
        Group(members[0].env, name, tuple(members))
        for members, name in zip(groups.values(), names(firsts), strict=True)
    ]


def names(runs: Sequence[RecordedRun]) -> list[str]:
    """What to call each of these configurations: algorithm, teacher, and what else differs."""
    return [_name(run, [other for other in runs if _short(other) == _short(run)]) for run in runs]


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
