"""Several seeds of one run in one process (``train --seeds``) against one process for each.

    python benchmarks/together.py [--frames 20000] [--rounds 3] [--seeds 5] [OPTION OF TRAIN ...]

On MiniGrid-LavaGapS6-v0, with the expert (recipe fast) and without a teacher (tuned-none). CPU time
of whole commands, start-up and evaluations included, on one thread; each begins with an empty
label store. Separate runs and runs together take turns, and the table has the medians.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ENV = "MiniGrid-LavaGapS6-v0"


def cpu_seconds(options: Sequence[str]) -> float:
    """Of ``lvlm2p train`` with these options."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "lvlm2p", "train", "--env", ENV, "--no-progress", *options],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(teacher: str, seeds: Sequence[str], options: Sequence[str]) -> tuple[float, float]:
    """CPU-seconds of the seeds one by one, and together."""
    with tempfile.TemporaryDirectory() as name:
        common = ["--teacher", teacher, *options]
        apart = sum(
            cpu_seconds(
                [
                    *(*common, "--seed", seed, "--run-dir", str(Path(name, f"run-{seed}"))),
                    *("--store", str(Path(name, "store-apart"))),
                ]
            )
            for seed in seeds
        )
        folders = ["--run-dir", str(Path(name, "runs")), "--store", str(Path(name, "store"))]
        return apart, cpu_seconds([*common, *folders, "--seeds", *seeds])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--teachers", nargs="+", default=["expert", "none"])
    given, options = parser.parse_known_args()
    seeds = [str(seed) for seed in range(given.seeds)]
    options += ["--frames", str(given.frames)]
    frames = given.frames * given.seeds
    print(f"{given.seeds} seeds of {given.frames:,} frames: frames per CPU-second, all of it\n")
    print("| teacher | separately | together | ratio (of each round) |\n|---|---|---|---|")
    for teacher in given.teachers:
        rounds = [measured(teacher, seeds, options) for _ in range(given.rounds)]
        apart, together = (statistics.median(each) for each in zip(*rounds, strict=True))
        ratios = [one / other for one, other in rounds]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(
            f"| {teacher} | {frames / apart:,.0f} ({apart:.1f} s) | {frames / together:,.0f} "
            f"({together:.1f} s) | {statistics.median(ratios):.2f} ({each}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
