"""Frames to a good student, by task, algorithm and recipe: every table in docs/results.

    python benchmarks/sample_efficiency.py [--tasks lava door] [--algos ppo a2c] [--rows fast ...]
        [--quality good poor] [--seeds 100 101 102 103 104] [--workers N] [--out runs/efficiency]
        [--write] [--quick]

Each run is one command line, printed before it starts; one that is done is not repeated, and one
that was stopped goes on. Seeds from 100 on were used for nothing but this. --write adds the runs to
docs/results/sample_efficiency.csv, whose other lines stay, and makes from all of its lines the
tables and pictures there and in the README. --quick runs one task with two seeds in minutes and
prints its ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import efficiency_report as report
from benchmarks.efficiency_record import measured as all_measured

TASKS = {
    "lava": "MiniGrid-LavaGapS6-v0",
    "door": "MiniGrid-GoToDoor-6x6-v0",
    "fetch": "MiniGrid-Fetch-6x6-N2-v0",
    "balls": "MiniGrid-Dynamic-Obstacles-6x6-v0",
    "lava5": "MiniGrid-LavaGapS5-v0",
    "lava7": "MiniGrid-LavaGapS7-v0",
    "door8": "MiniGrid-GoToDoor-8x8-v0",
    "fetch8": "MiniGrid-Fetch-8x8-N3-v0",
    "balls8": "MiniGrid-Dynamic-Obstacles-8x8-v0",
    "doorkey": "MiniGrid-DoorKey-8x8-v0",
    "unlock": "MiniGrid-UnlockPickup-v0",
    "corridor": "MiniGrid-KeyCorridorS3R3-v0",
    "rooms": "MiniGrid-MultiRoom-N4-S5-v0",
    "maze": "MiniGrid-ObstructedMaze-1Dlh-v0",
}
ERRORS = {  # of the expert, by task: success of its most probable action about .96, about .7
    "good": {"lava": 0.005, "door": 0.0105, "fetch": 0.0105, "balls": 0.0105}
    | {"lava5": 0.005, "lava7": 0.005, "door8": 0.0105, "fetch8": 0.0105, "balls8": 0.012},
    "poor": {"lava": 0.05, "lava5": 0.05, "door": 0.1, "fetch": 0.08, "balls": 0.1},
    "perfect": dict.fromkeys(TASKS, 0.0),
    # one minus the share of right subgoals that "Words as Beacons" published for Llama
    "published": {"corridor": 0.02, "rooms": 0.45, "maze": 0.01},
}


class Row(NamedTuple):
    """One column of the comparison."""

    recipe: str
    taught: bool
    flags: tuple[str, ...] = ()


ROWS = {
    "tuned-none": Row("tuned-none", False),
    "step-matched": Row("fast", False),  # as many gradient steps as fast takes, by --epochs
    "paper-none": Row("paper", False),
    "paper": Row("paper", True),
    "original-code": Row("original-code", True),
    "original-code-fresh": Row("original-code", True, ("--no-stale-labels",)),
    "fast": Row("fast", True),
    "frugal": Row("frugal", True),
}
FRAMES_TAUGHT, FRAMES_ALONE = 2_048, 100_000
EVALUATED_TAUGHT, EVALUATED_ALONE = 64, 2_000
EPISODES = "20"


class Cell(NamedTuple):
    """One run: what is compared, and its seed."""

    task: str
    algo: str
    row: str
    quality: str
    """Of the teacher; "" without one."""
    seed: int

    @property
    def name(self) -> str:
        return "-".join(
            filter(None, [self.task, self.algo, self.row, self.quality, str(self.seed)])
        )


def command(cell: Cell, folder: Path, frames: tuple[int, int]) -> list[str]:
    """The command line of one run; ``frames``: with a teacher, without."""
    row = ROWS[cell.row]
    recipe = row.recipe
    long = not row.taught or row.recipe in ("paper", "original-code")
    evaluated = EVALUATED_ALONE if long else max(EVALUATED_TAUGHT, frames[False] // 100)
    line = [
        *("lvlm2p", "train", "--env", TASKS[cell.task], "--algo", cell.algo, "--recipe", recipe),
        *("--frames", str(frames[long]), "--seed", str(cell.seed), *row.flags),
        *("--eval-every", str(evaluated), "--eval-episodes", EPISODES, "--no-progress"),
        *("--run-dir", str(folder), "--store", str(folder.parent / "labels")),
    ]
    if row.taught:
        error = ERRORS[cell.quality][cell.task]
        return [*line, "-T", f"error_rate={error}", "-T", f"seed={cell.seed}"]
    line += ["--teacher", "none"]
    if cell.row == "step-matched":
        line += ["--epochs", str(epochs_as_many_steps(cell))]
    return line


def epochs_as_many_steps(cell: Cell) -> int:
    """Passes over a rollout that are as many gradient steps as ``fast`` takes with its replays."""
    from lvlm2p.student import TrainConfig

    config = TrainConfig.model_validate(
        {"env": TASKS[cell.task], "algo": cell.algo, "recipe": ROWS[cell.row].recipe}
    )
    assert config.n_steps is not None and config.kl_minibatches is not None
    minibatches = -(-config.n_envs * config.n_steps // config.batch_size)
    return config.epochs + config.kl_minibatches // minibatches


def run(cell: Cell, out: Path, frames: tuple[int, int]) -> None:
    """Train, unless that is done; beside the run's files lies what it cost."""
    folder = out / cell.name
    if (folder / "bench.json").exists():
        return
    line = command(cell, folder, frames)
    print(" ".join(line), file=sys.stderr, flush=True)
    resumed = ["--resume"] if folder.exists() else []
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", *line, *resumed], stdout=subprocess.DEVNULL, env=one_thread
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{cell.name} ended with exit code {os.waitstatus_to_exitcode(status)}")
    record: dict[str, Any] = {
        **cell._asdict(),
        "command": " ".join(line),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "seconds": round(time.monotonic() - began, 1),
        "resumed": bool(resumed),
    }
    (folder / "bench.json").write_text(json.dumps(record, indent=1) + "\n")


def cells(options: argparse.Namespace) -> list[Cell]:
    """All runs that are wanted, so that every comparison soon has its first seed."""
    found = []
    for seed in options.seeds:
        for task in options.tasks:
            for algo in options.algos:
                for name in options.rows:
                    if name == "step-matched" and algo == "a2c":
                        continue  # it takes one step on each rollout, by definition
                    qualities = options.quality if ROWS[name].taught else [""]
                    found += [
                        Cell(task, algo, name, quality, seed)
                        for quality in qualities
                        if not quality or task in ERRORS[quality]
                    ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["lava", "door"])
    parser.add_argument("--algos", nargs="+", choices=["ppo", "a2c"], default=["ppo", "a2c"])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--quality", nargs="+", choices=ERRORS, default=["good"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[100, 101, 102, 103, 104])
    parser.add_argument("--frames-taught", type=int, default=FRAMES_TAUGHT)
    parser.add_argument("--frames-alone", type=int, default=FRAMES_ALONE)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("runs/efficiency"))
    parser.add_argument("--write", action="store_true", help="docs/results, from all runs in --out")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.tasks, options.algos, options.seeds = ["lava"], ["ppo"], [100, 101]
        options.rows, options.out = ["tuned-none", "paper", "fast"], options.out / "quick"
        options.frames_taught, options.frames_alone = 2_048, 50_000
    options.out.mkdir(parents=True, exist_ok=True)
    frames = (options.frames_taught, options.frames_alone)
    with ThreadPoolExecutor(options.workers) as pool:
        for done in [pool.submit(run, cell, options.out, frames) for cell in cells(options)]:
            done.result()
    results = Path(__file__).parents[1] / "docs" / "results"
    kept = options.out / "none" if options.quick else results / report.RECORD
    measured = all_measured(options.out, kept)
    print(report.table(measured))
    if options.write:
        report.write(measured, results)
        report.write_summary(measured, Path("README.md"), Path("docs/curves.png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
