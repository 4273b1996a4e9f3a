"""What a student keeps of its teacher's help when it asks about fewer states.

    python benchmarks/ask.py [RULE ...] [--seeds 3] [--out runs/ask]

Each run is one command line, printed before it runs; a run that is already there is not repeated.
"Kept" is (rule - none) / (all - none): of the success of the student alone on 500 fresh episodes
at the end, and of the mean of its success in all evaluations on the way (the area under the curve,
which still tells rules apart when all of them get there in the end).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import NamedTuple

TRAIN = ["train", "--env", "MiniGrid-GoToDoor-6x6-v0", "--frames", "20000"]
EXPERT = ["--teacher", "expert", "-T", "error_rate=0.0105"]
RULES = ["random:0.25", "entropy:0.25", "budget:3000"]
GOOD = 0.8


class Outcome(NamedTuple):
    """A rule's means over the seeds, and what each seed came to."""

    asked: float
    success: float
    area: float
    successes: list[float]
    frames: list[int | None]
    """To a success of GOOD in an evaluation on the way."""


def outcome(rule: str, seeds: int, out: Path) -> Outcome:
    folders = [run(rule, seed, out / f"{rule.replace(':', '-')}-{seed}") for seed in range(seeds)]
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    curves = [curve(folder / "metrics.csv") for folder in folders]
    successes = [result["evaluation"]["success"] for result in results]
    return Outcome(
        asked=mean(sum(result["labels"][how] for how in ("asked", "cached")) for result in results),
        success=mean(successes),
        area=mean(mean(success for _, success in points) for points in curves),
        successes=successes,
        frames=[next((f for f, success in points if success >= GOOD), None) for points in curves],
    )


def run(rule: str, seed: int, folder: Path) -> Path:
    if not (folder / "result.json").exists():
        who = ["--teacher", "none"] if rule == "none" else [*EXPERT, "--ask", rule]
        line = [*TRAIN, *who, "--seed", str(seed), "--final-episodes", "500"]
        line += ["--eval-episodes", "200", "--no-progress", "--run-dir", str(folder)]
        line += ["--store", str(folder.parent / "store")]
        print("lvlm2p", *line, file=sys.stderr, flush=True)
        program = Path(sys.executable).with_name("lvlm2p")
        subprocess.run([str(program), *line], check=True, stdout=subprocess.DEVNULL)
    return folder


def curve(metrics: Path) -> list[tuple[int, float]]:
    """(frames, success of the greedy student) of each evaluation."""
    with metrics.open() as file:
        rows = list(csv.DictReader(file))
    return [(int(r["frames"]), float(r["eval/success"])) for r in rows if r["eval/success"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rules", nargs="*", default=RULES, metavar="RULE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/ask"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    none, full = (outcome(rule, options.seeds, options.out) for rule in ("none", "all"))
    print("| --ask | labels | success at the end | kept | success on the way | kept | to 0.8 |")
    print("|---|---|---|---|---|---|---|")
    for rule in ["none", "all", *options.rules]:
        found = outcome(rule, options.seeds, options.out)
        end = (found.success - none.success) / (full.success - none.success)
        way = (found.area - none.area) / (full.area - none.area)
        seeds = " ".join(f"{value:.3f}" for value in found.successes)
        frames = " ".join("-" if f is None else f"{f:,}" for f in found.frames)
        print(
            f"| {rule} | {found.asked:,.0f} | {found.success:.3f} ({seeds}) | {end:.0%} | "
            f"{found.area:.3f} | {way:.0%} | {frames} |"
        )


if __name__ == "__main__":
    main()
