"""Students with and without a teacher on the environments of docs/performance.md, five seeds each.

    python benchmarks/acceptance.py [NAME ...] [--seeds 5] [--out runs/acceptance] [--verdicts]

Each row is one command line, printed before it runs. A run that is already there is not repeated.
Beside the student stands its teacher, acting on the same 500 episodes. --verdicts runs the rows of
VERDICTS alone (or those of them that are named) and writes what `lvlm2p evaluate` quotes:
teachers/evaluation/benchmark.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EPISODES = 500

LONG_ROLLOUTS = [  # the defaults before there were recipes, with which all this was measured
    *("--recipe", "fast", "--n-envs", "16", "--n-steps", "128", "--n-steps-later", "128"),
    *("--epochs", "4", "--kl-minibatches", "64", "--kl-images", "0", "--kl-floor", "0.2"),
]
DOOR = ["--env", "MiniGrid-GoToDoor-6x6-v0", "--frames", "20000"]
LAVA = ["--env", "MiniGrid-LavaGapS6-v0", "--frames", "20000"]
EXPERT = ["--teacher", "expert", "-T", "error_rate=0.0105"]
LAVA_EXPERT = ["--teacher", "expert", "-T", "error_rate=0.005", "-T", "seed={seed}"]
WORSE = ["--teacher", "expert", "-T", "seed={seed}", "-T"]
NOBODY = ["--teacher", "none"]
FETCH = ["--env", "MiniGrid-Fetch-6x6-N2-v0", "--frames", "20000"]
DODGE = ["--env", "MiniGrid-Dynamic-Obstacles-6x6-v0", "--frames", "20000"]
TINY = ["--teacher", "tiny-vl", "--symmetry", "canonical", "--frames", "30000"]
LONGER = [*NOBODY, "--frames", "30000"]
SHORT = ["--n-steps", "5", "--n-steps-later", "5", "--kl-minibatches", "4"]
A2C = ["--algo", "a2c", "--frames", "40000", *SHORT]  # flags given twice: the last one counts

ROWS: dict[str, tuple[list[str], float | None]] = {
    # name: flags, and the greedy success that at least 4 of 5 seeds must reach
    "door-expert": ([*DOOR, *EXPERT], 0.95),
    "door-none": ([*DOOR, *NOBODY], None),
    "door-none-equal-steps": ([*DOOR, *NOBODY, "--epochs", "12"], None),
    "door-worse": ([*DOOR, *WORSE, "error_rate=0.05"], None),
    "door-bad": ([*DOOR, *WORSE, "error_rate=0.15"], None),
    "door-poor": ([*DOOR, *WORSE, "error_rate=0.4"], None),
    "lava-expert": ([*LAVA, *LAVA_EXPERT], 0.9),
    "lava-worse": ([*LAVA, *WORSE, "error_rate=0.05"], None),
    "lava-bad": ([*LAVA, *WORSE, "error_rate=0.1"], None),
    "lava-poor": ([*LAVA, *WORSE, "error_rate=0.2"], None),
    "lava-none": ([*LAVA, *NOBODY], None),
    "lava-none-equal-steps": ([*LAVA, *NOBODY, "--epochs", "12"], None),
    "lava-a2c-expert": ([*LAVA[:2], *A2C, *LAVA_EXPERT], 0.85),
    "lava-a2c-none": ([*LAVA[:2], *A2C, *NOBODY], None),
    "fetch-expert": ([*FETCH, *WORSE, "error_rate=0.012"], None),
    "fetch-worse": ([*FETCH, *WORSE, "error_rate=0.05"], None),
    "fetch-bad": ([*FETCH, *WORSE, "error_rate=0.15"], None),
    "fetch-poor": ([*FETCH, *WORSE, "error_rate=0.4"], None),
    "fetch-none": ([*FETCH, *NOBODY], None),
    "dodge-expert": ([*DODGE, *WORSE, "error_rate=0.01"], None),
    "dodge-worse": ([*DODGE, *WORSE, "error_rate=0.05"], None),
    "dodge-bad": ([*DODGE, *WORSE, "error_rate=0.12"], None),
    "dodge-poor": ([*DODGE, *WORSE, "error_rate=0.3"], None),
    "dodge-none": ([*DODGE, *NOBODY], None),
    "door-tiny-vl": ([*DOOR[:2], *TINY], 0.9),
    "door-none-30000": ([*DOOR[:2], *LONGER], None),
    "lava-tiny-vl": ([*LAVA[:2], *TINY], 0.9),
    "lava-none-30000": ([*LAVA[:2], *LONGER], None),
}


VERDICTS = {"go-to-door": "door", "lava-gap": "lava", "fetch": "fetch",
            "dynamic-obstacles": "dodge"}  # fmt: skip
"""How the rows of a task begin whose figures stand in verdicts."""
TAUGHT = ("expert", "worse", "bad", "poor")
"""How they end: teachers of less and less success."""


def command(name: str, seed: int, folder: Path) -> list[str]:
    flags = [flag.format(seed=seed) for flag in ROWS[name][0]]
    return [
        *(
            "lvlm2p",
            "train",
            *LONG_ROLLOUTS,
            *flags,
            "--seed",
            str(seed),
            "--final-episodes",
            str(EPISODES),
        ),
        *("--no-progress", "--run-dir", str(folder)),
    ]


def run(name: str, seed: int, out: Path) -> dict[str, Any]:
    folder = out / f"{name}-{seed}"
    if not (folder / "result.json").exists():
        line = command(name, seed, folder)
        print(" ".join(line), file=sys.stderr, flush=True)
        program = Path(sys.executable).with_name("lvlm2p")
        subprocess.run([str(program), *line[1:]], check=True, stdout=subprocess.DEVNULL)
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    result["frames_to_0.8"] = frames_to_return(folder, 0.8)
    return result


def frames_to_return(folder: Path, threshold: float) -> int | None:
    """When the mean return of the last 100 episodes first was so high; of fewer, it says nothing.

    None: it never was.
    """
    from lvlm2p.student.comparison.runs import read_run
    from lvlm2p.student.comparison.statistics import frames_to

    metric = "charts/episodic_return"
    found = read_run(folder, [metric])
    return frames_to(found.curves[metric], threshold, found.window.since)


def teachers_own(folder: Path) -> float | None:
    """How often the run's teacher succeeds where its student was measured; None without one."""
    import yaml

    from lvlm2p.student import TrainConfig
    from lvlm2p.student.training.evaluation import FINAL_SEED, Advised, evaluate

    config = TrainConfig.model_validate(yaml.safe_load((folder / "config.yaml").read_text()))
    if config.teacher == "none":
        return None
    policy = Advised(config.load_teacher(config.teacher), config.seed, threading.Event())
    return evaluate(policy, config.env, EPISODES, FINAL_SEED + config.seed).success


def error_rate(name: str) -> float:
    """Of the row's simulated teacher."""
    return float(next(f for f in ROWS[name][0] if f.startswith("error_rate=")).partition("=")[2])


def write_verdicts(success: dict[str, list[float]], own: dict[str, list[float]]) -> None:
    """Write the figures of each task with rows into benchmark.json, from the students' and the
    teachers' own success, by row and seed; the figures of other tasks stay."""
    from lvlm2p.teachers.evaluation import benchmark
    from lvlm2p.teachers.files import write_atomically

    def span(name: str) -> tuple[float, float]:
        return round(min(success[name]), 3), round(max(success[name]), 3)

    found = {}
    for task, short in VERDICTS.items():
        rows = [f"{short}-{end}" for end in TAUGHT if f"{short}-{end}" in own]
        alone = f"{short}-none"
        if not rows or alone not in success:
            continue
        taught = tuple(
            benchmark.Taught(
                teacher=round(sum(own[name]) / len(own[name]), 3),
                top1=1 - error_rate(name),
                students=span(name),
            )
            for name in rows
        )
        found[task] = benchmark.Benchmark(
            task=task,
            date=datetime.now(UTC).date().isoformat(),
            env=ROWS[alone][0][1],
            frames=int(ROWS[alone][0][3]),
            seeds=min(len(success[name]) for name in (*rows, alone)),
            alone=span(alone),
            taught=taught,
            thresholds=benchmark.thresholds_of(taught, span(alone)),
        )
    before = {figures.task: figures for figures in benchmark.benchmarks().tasks}
    command = "python benchmarks/acceptance.py --verdicts"
    whole = benchmark.Benchmarks(command=command, tasks=tuple((before | found).values()))
    write_atomically(benchmark.FILE, whole.model_dump_json(indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(ROWS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/acceptance"))
    parser.add_argument("--verdicts", action="store_true")
    options = parser.parse_args()
    names = options.names
    if options.verdicts:
        every = [f"{short}-{end}" for short in VERDICTS.values() for end in (*TAUGHT, "none")]
        names = [name for name in every if options.names == list(ROWS) or name in options.names]
    options.out.mkdir(parents=True, exist_ok=True)
    print(
        "| run | greedy success, seeds 0.. | the teacher's own | frames to training return 0.8 "
        "| states asked about |\n|---|---|---|---|---|"
    )
    good = True
    successes: dict[str, list[float]] = {}
    own: dict[str, list[float]] = {}
    for name in names:
        results = [run(name, seed, options.out) for seed in range(options.seeds)]
        success = successes[name] = [result["evaluation"]["success"] for result in results]
        frames = " ".join(str(result["frames_to_0.8"] or "-") for result in results)
        labels = [result["labels"]["asked"] + result["labels"]["cached"] for result in results]
        asked = f"{sum(labels) / len(labels):,.0f}"
        wanted = ROWS[name][1]
        verdict = ""
        if wanted is not None:
            enough = sum(value >= wanted for value in success) >= 0.8 * len(success)
            good = good and enough
            verdict = f" ({'at least' if enough else 'NOT'} {wanted} in 4 of 5)"
        shown = " ".join(f"{value:.3f}" for value in success)
        acting = [teachers_own(options.out / f"{name}-{seed}") for seed in range(options.seeds)]
        own[name] = [value for value in acting if value is not None]
        theirs = " ".join(f"{value:.3f}" for value in own[name])
        print(f"| {name} | {shown}{verdict} | {theirs} | {frames} | {asked} |", flush=True)
    if options.verdicts:
        write_verdicts(successes, own)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
