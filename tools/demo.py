"""`make demo`: the whole pipeline in a few minutes, without a key, a GPU or a download.

Evaluates a teacher, trains a student with it and one without it for the same frames, and leaves
the comparison picture and an episode as a GIF in runs/demo/.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ENV = "MiniGrid-GoToDoor-6x6-v0"
FRAMES = "20000"
HOME = Path("runs/demo")


def lvlm2p(*args: str | Path) -> dict[str, Any]:
    """Run one command of the product, shown as a user would type it; its JSON result."""
    print("\n$ lvlm2p", *args, flush=True)
    command = [sys.executable, "-m", "lvlm2p", *map(str, args), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def percent(fraction: float) -> str:
    return f"{100 * fraction:.0f}%"


def main() -> None:
    start = time.monotonic()
    shutil.rmtree(HOME, ignore_errors=True)
    # One question for all states that are the same but for rotation, reflection or colours: a
    # model in this process answers hundreds of them in the time that thousands would take.
    asking = ("--store", HOME / "labels", "--symmetry", "canonical")
    teacher = ("--teacher", "tiny-vl", *asking)

    report = lvlm2p(
        "evaluate", *teacher, "--env", ENV, "--states", "100", "--episodes", "20",
        "--probes", "20", "--out", HOME / "report",
    )  # fmt: skip
    common = ("--env", ENV, "--algo", "ppo", "--frames", FRAMES, "--seed", "0")
    taught = lvlm2p("train", *common, *teacher, "--run-dir", HOME / "taught")
    alone = lvlm2p("train", *common, "--teacher", "none", "--run-dir", HOME / "alone")
    lvlm2p("compare", HOME / "taught", HOME / "alone", "--out", HOME / "compare")
    lvlm2p("play", "--run", HOME / "taught", "--out", HOME / "episode.gif", *teacher)

    row = next(r for r in report["results"] if r["teacher"] == "tiny-vl")
    labels = taught["labels"]
    print(
        f"""
In {time.monotonic() - start:.0f} s, on {ENV}:
  The teacher, tiny-vl, is a small vision-language model: it looks at the picture of a state.
  It chooses a best action in {percent(row["top1"]["value"])} of states; acting alone it
  succeeds in {percent(row["success"]["value"])} of episodes. It got {labels["asked"]} questions.
  After {FRAMES} frames the student that it taught succeeds in \
{percent(taught["evaluation"]["success"])} of fresh episodes,
  without the teacher; the student that learned alone in \
{percent(alone["evaluation"]["success"])}.

  {HOME}/compare/curves.png    both learning curves
  {HOME}/episode.gif           the student at work
  {HOME}/report/index.html     how good the teacher is, state by state"""
    )


if __name__ == "__main__":
    main()
