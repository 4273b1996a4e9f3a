"""One line a run: what benchmarks/sample_efficiency.py measured, here and on earlier machines."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lvlm2p.student.comparison.runs import read_run
from lvlm2p.student.comparison.statistics import frames_to

THRESHOLDS = (0.5, 0.8, 0.9)
GREEDY, TRAINING = "eval/return", "charts/episodic_return"
BASELINE = "tuned-none"

ABOUT = ("task", "algo", "row", "quality", "seed", "date", "versions", "cpu_seconds", "command")
NUMBERS = ("frames", "success", "area", "questions", "labels")


@dataclass(frozen=True)
class Measured:
    """One run."""

    about: Mapping[str, Any]
    """Task, algorithm, row, quality of the teacher, seed, date, versions, CPU-seconds, command."""
    greedy: Mapping[int, float]
    """Mean return of the greedy student alone, after so many frames."""
    reached: Mapping[tuple[str, float], int | None]
    """Frames to a threshold of one of the two returns; None: not reached."""
    frames: int
    success: float
    """Of the greedy student in fresh episodes, at the end."""
    area: float
    """Under the greedy curve, as a mean return over the frames."""
    questions: int
    """Distinct questions put to the teacher (answered by it or, from an earlier run, the store)."""
    labels: int

    @property
    def group(self) -> tuple[str, str, str, str]:
        a = self.about
        return a["task"], a["algo"], a["row"], a["quality"]


def measured(out: Path, record: Path) -> list[Measured]:
    """All finished runs in ``out``, and of ``record`` those that are not there; by group."""
    runs = {_key(run): run for run in _recorded(record)}
    runs |= {_key(run): run for run in map(_read, sorted(out.glob("*/bench.json")))}
    return sorted(runs.values(), key=_key)


def _key(run: Measured) -> tuple[Any, ...]:
    task, algo, row, quality = run.group
    return task, algo, row != BASELINE, row, quality, run.about["seed"]


def _read(path: Path) -> Measured:
    about, folder = json.loads(path.read_text()), path.parent
    run = read_run(folder, [GREEDY, TRAINING])
    result = json.loads((folder / "result.json").read_text())
    since = {GREEDY: 0.0, TRAINING: run.window.since}
    reached = {
        (metric, threshold): frames_to(run.curves[metric], threshold, since[metric])
        for metric in (GREEDY, TRAINING)
        for threshold in THRESHOLDS
    }
    labels = result["labels"]
    given = labels["asked"] + labels["cached"]
    curve = {int(frames): value for frames, value in run.curves[GREEDY].items()}
    area = float(np.trapezoid([0.0, *curve.values()], [0, *curve])) / max(curve)
    about |= {
        "date": str(datetime.fromtimestamp(path.stat().st_mtime, UTC).date()),
        "versions": _versions(folder),
    }
    success = result["evaluation"]["success"]
    questions = given - labels["saved"]
    return Measured(about, curve, reached, result["frames"], success, area, questions, given)


def _versions(folder: Path) -> str:
    packages = json.loads((folder / "versions.json").read_text())["packages"]
    return ", ".join(f"{name} {packages[name]}" for name in ("lvlm2p", "torch", "minigrid"))


# ---------------------------------------------------------------- the record


def write_record(runs: Sequence[Measured], path: Path) -> None:
    """A CSV file with a line a run."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(_line(runs[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(_line(run) for run in runs)


def _name(metric: str, threshold: float) -> str:
    return f"{'greedy' if metric == GREEDY else 'training'}_{threshold}"


def _line(run: Measured) -> dict[str, Any]:
    reached = {_name(*key): frames for key, frames in run.reached.items()}
    about = {name: run.about[name] for name in ABOUT if name != "command"}
    numbers = {name: getattr(run, name) for name in NUMBERS} | {"area": round(run.area, 4)}
    curve = " ".join(f"{frames}:{value:.3g}" for frames, value in run.greedy.items())
    return {**about, **numbers, **reached, "command": run.about["command"], "greedy_curve": curve}


def _recorded(path: Path) -> list[Measured]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [_from_line(line) for line in csv.DictReader(file)]


def _from_line(line: Mapping[str, str]) -> Measured:
    about: dict[str, Any] = {name: line[name] for name in ABOUT}
    about |= {"seed": int(line["seed"]), "cpu_seconds": float(line["cpu_seconds"])}
    points = [point.split(":") for point in line["greedy_curve"].split()]
    return Measured(
        about,
        {int(frames): float(value) for frames, value in points},
        {
            (metric, threshold): int(line[_name(metric, threshold)] or 0) or None
            for metric in (GREEDY, TRAINING)
            for threshold in THRESHOLDS
        },
        int(line["frames"]),
        float(line["success"]),
        float(line["area"]),
        int(line["questions"]),
        int(line["labels"]),
    )
