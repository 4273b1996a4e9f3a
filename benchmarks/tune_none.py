"""Which settings without a teacher are the best that we know: the choice behind `tuned-none`.

    python benchmarks/tune_none.py [--algos ppo a2c] [--only NAME ...] [--workers N]

Every candidate trains on two tasks with the development seeds 11 to 13; candidates are ordered by
the frames to a mean training return of .8 (never: twice the run's frames), geometric mean over
tasks and seeds. Writes docs/results/tuned_none.md, where the part of an algorithm that was not
asked for stays; a run that is done is not repeated.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

TASKS = {"lava": "MiniGrid-LavaGapS6-v0", "door": "MiniGrid-GoToDoor-6x6-v0"}
SEEDS = (11, 12, 13)
FRAMES = {"ppo": 100_000, "a2c": 200_000}
CANDIDATES = {
    "ppo": {
        "3x128, 12 epochs": "--n-envs 3 --n-steps 128 --epochs 12",
        "3x128, 12 epochs, lr 3e-4": "--n-envs 3 --n-steps 128 --epochs 12 --lr 3e-4",
        "3x128, 12 epochs, ent .03": "--n-envs 3 --n-steps 128 --epochs 12 --ent-coef 0.03",
        "3x128, 24 epochs": "--n-envs 3 --n-steps 128 --epochs 24",
        "3x128, 24 epochs, ent .03": "--n-envs 3 --n-steps 128 --epochs 24 --ent-coef 0.03",
        "8x32, 12 epochs": "--n-envs 8 --n-steps 32 --epochs 12",
        "16x128, 4 epochs": "--n-envs 16 --n-steps 128 --epochs 4",
        "torch-ac's": "--n-envs 16 --n-steps 128 --epochs 4 --lr 1e-3 --batch-size 256",
        "the RL Zoo's for MiniGrid": "--n-envs 8 --n-steps 128 --epochs 10 --batch-size 64"
        " --lr 2.5e-4 --ent-coef 0",
        "Stable-Baselines3's": "--n-envs 1 --n-steps 2048 --epochs 10 --batch-size 64 --lr 3e-4"
        " --ent-coef 0",
    },
    "a2c": {
        "16x5": "--n-envs 16 --n-steps 5",
        "16x5, lr 2e-3": "--n-envs 16 --n-steps 5 --lr 2e-3",
        "16x5, lr 4e-3": "--n-envs 16 --n-steps 5 --lr 4e-3",
        "16x5, ent .03": "--n-envs 16 --n-steps 5 --ent-coef 0.03",
        "16x5, ent .06": "--n-envs 16 --n-steps 5 --ent-coef 0.06",
        "16x16, ent .03": "--n-envs 16 --n-steps 16 --ent-coef 0.03",
        "64x5, ent .03, lr 2e-3": "--n-envs 64 --n-steps 5 --ent-coef 0.03 --lr 2e-3",
        "the paper's": "--n-envs 3 --n-steps 5",
        "torch-ac's": "--n-envs 16 --n-steps 8 --lr 1e-3",
        "Stable-Baselines3's": "--n-envs 8 --n-steps 5 --lr 7e-4 --gae-lambda 1 --ent-coef 0"
        " --opt-eps 1e-5",
    },
}


def command(algo: str, name: str, task: str, seed: int, folder: Path) -> list[str]:
    return [
        *("lvlm2p", "train", "--env", TASKS[task], "--algo", algo, "--teacher", "none"),
        *("--recipe", "tuned-none", *CANDIDATES[algo][name].split(), "--seed", str(seed)),
        *("--frames", str(FRAMES[algo]), "--eval-every", "0", "--final-episodes", "100"),
        *("--no-progress", "--run-dir", str(folder)),
    ]


def frames_to(algo: str, name: str, task: str, seed: int, out: Path) -> int | None:
    """Environment steps to a mean training return of .8 in one run, which is made if need be."""
    from lvlm2p.student.comparison.runs import read_run
    from lvlm2p.student.comparison.statistics import frames_to

    folder = out / f"{algo}-{name.replace(' ', '_')}-{task}-{seed}"
    if not (folder / "result.json").exists():
        line = command(algo, name, task, seed, folder)
        line += ["--resume"] if folder.exists() else []
        print(" ".join(line), file=sys.stderr, flush=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        arguments = [sys.executable, "-m", *line]
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env=environment)
    metric = "charts/episodic_return"
    run = read_run(folder, [metric])
    return frames_to(run.curves[metric], 0.8, run.window.since)


def table(algo: str, found: dict[str, dict[str, list[int | None]]]) -> str:
    """Markdown: the candidates of one algorithm, the best first."""

    def score(name: str) -> float:
        each = [frames for frames_of in found[name].values() for frames in frames_of]
        return math.exp(fmean(math.log(frames or 2 * FRAMES[algo]) for frames in each))

    lines = [
        f"## {algo.upper()}, {FRAMES[algo]:,} frames",
        "",
        "| candidate | geometric mean | " + " | ".join(TASKS) + " | flags |",
        "|---|---|" + "---|" * len(TASKS) + "---|",
    ]
    for name in sorted(found, key=score):
        shown = [
            ", ".join(f"{frames:,}" if frames else "never" for frames in found[name][task])
            for task in TASKS
        ]
        flags = f"`{CANDIDATES[algo][name]}`"
        lines.append(f"| {name} | {score(name):,.0f} | {' | '.join(shown)} | {flags} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algos", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--only", nargs="+", help="names of candidates")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("runs/tune-none"))
    options = parser.parse_args()
    path = Path(__file__).parents[1] / "docs" / "results" / "tuned_none.md"
    parts = {
        part[:3].lower(): f"## {part}".rstrip() for part in path.read_text().split("\n## ")[1:]
    }
    page = [
        "# Settings without a teacher",
        "",
        f"`python benchmarks/tune_none.py`, last on {datetime.now(UTC).date()}: frames to a mean "
        f"training return of .8, development seeds {', '.join(map(str, SEEDS))}; the geometric "
        "mean counts twice the run's frames where that was never reached. The first of each table "
        "is the recipe `tuned-none`. Measured before kinds of cells had vectors of their own.",
    ]
    with ThreadPoolExecutor(options.workers) as pool:
        for algo in options.algos:
            names = [n for n in CANDIDATES[algo] if not options.only or n in options.only]
            jobs = {
                (name, task): [
                    pool.submit(frames_to, algo, name, task, seed, options.out) for seed in SEEDS
                ]
                for name in names
                for task in TASKS
            }
            found = {
                name: {task: [job.result() for job in jobs[name, task]] for task in TASKS}
                for name in names
            }
            parts[algo] = table(algo, found)
            left = [name for name in CANDIDATES[algo] if name not in names]
            parts[algo] += f"\n\nNot run: {'; '.join(left)}." if left else ""
    text = "\n\n".join(["\n".join(page), *(parts[algo] for algo in CANDIDATES if algo in parts)])
    path.write_text(text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
