"""What benchmarks/sample_efficiency.py measured, as a table, CSV and a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.efficiency_record import (
    BASELINE,
    GREEDY,
    THRESHOLDS,
    TRAINING,
    Measured,
    write_record,
)
from lvlm2p.student.comparison.statistics import iqm
from lvlm2p.student.window import RECENT
from lvlm2p.teachers.statistics import bootstrap


def _middle(values: Sequence[float]) -> str:
    """The interquartile mean with its bootstrap interval, where there is more than one value."""
    text = f"{iqm(values):.3g}" if max(values) < 100 else f"{iqm(values):,.0f}"
    if len(values) < 2:
        return text

    def statistic(samples: Any) -> Any:
        return np.apply_along_axis(lambda row: iqm(row.tolist()), 1, samples)

    low, high = bootstrap(np.array(values, float), statistic)
    ends = f"{low:.3g} to {high:.3g}" if max(values) < 100 else f"{low:,.0f} to {high:,.0f}"
    return f"{text} ({ends})"


def _frames(runs: Sequence[Measured], metric: str, threshold: float) -> tuple[float, str]:
    """The median over the seeds (infinity: most never did), and the cell that shows it."""
    each = [run.reached[metric, threshold] for run in runs]
    middle = median(math.inf if frames is None else frames for frames in each)
    missed = sum(frames is None for frames in each)
    shown = f"{middle:,.0f}" if middle < math.inf else f"> {min(run.frames for run in runs):,}"
    return middle, shown + (f" ({missed} of {len(each)} never)" if missed else "")


def table(runs: Sequence[Measured]) -> str:
    """Markdown: a line for each task, algorithm, row and teacher."""
    lines = [
        "| task | row | teacher | seeds | greedy .5 | greedy .8 | greedy .9 | training .8 "
        "| ratio at greedy .8 | success at the end | area | questions | labels | CPU s |",
        "|" + "---|" * 14,
    ]
    groups = {key: list(members) for key, members in groupby(runs, key=lambda run: run.group)}
    for (task, algo, row, quality), members in groups.items():
        greedy = [_frames(members, GREEDY, threshold) for threshold in THRESHOLDS]
        training = _frames(members, TRAINING, 0.8)
        alone = groups.get((task, algo, BASELINE, ""))
        ratio = _ratio(members, alone) if alone and row != BASELINE else ""
        cells = [
            *(f"{task}, {algo}", f"`{row}`", quality or "none", str(len(members))),
            *(shown for _, shown in greedy),
            *(training[1], ratio, _middle([run.success for run in members])),
            *(_middle([run.area for run in members]),),
            *(f"{median(run.questions for run in members):,.0f}",),
            *(f"{median(run.labels for run in members):,.0f}",),
            *(f"{median(run.about['cpu_seconds'] for run in members):,.0f}",),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ratio(members: Sequence[Measured], alone: Sequence[Measured]) -> str:
    """How many times fewer frames than the baseline, by the medians."""
    mine, other = _frames(members, GREEDY, 0.8)[0], _frames(alone, GREEDY, 0.8)[0]
    if mine == math.inf:
        return "" if other == math.inf else "-"
    if other == math.inf:
        return f"> {min(run.frames for run in alone) / mine:.0f}"
    return f"{other / mine:.1f}"


def write(runs: Sequence[Measured], folder: Path) -> None:
    """sample_efficiency.md, .csv and .png."""
    folder.mkdir(parents=True, exist_ok=True)
    write_record(runs, folder / RECORD)
    versions = "; ".join(sorted({run.about["versions"] for run in runs}))
    (folder / "sample_efficiency.md").write_text(
        f"""# Sample efficiency

Measured with {versions}, by `python benchmarks/sample_efficiency.py --write`; every run's date and
command line are in [{RECORD}]({RECORD}).

Frames are environment steps, all environments together, counted to the first evaluation (greedy,
the student alone, 20 fixed episodes) or the first mean over the last {RECENT} training episodes
that reaches the threshold; medians over the seeds. Success at the end (100 fresh episodes) and the
area under the greedy curve are interquartile means with 95% bootstrap intervals. Teachers are the
exact planner with errors that depend on the state. Acting in 200 episodes, seeds 100 to 104, "good"
succeeded in 1.00 of lava (eight layouts, and these seeds' errors are in none of them), .97 of door
and of fetch, .98 of balls; "poor" in .58, .72, .76 and .71. A ratio is the frames of
`{BASELINE}` over the row's.

{table(runs)}

The same by frames, drawn by `python benchmarks/sample_efficiency.py --write`:

![Greedy return by frames](sample_efficiency.png)
"""
    )
    _draw(runs, folder / "sample_efficiency.png")


RECORD = "sample_efficiency.csv"
NAMES = {
    "lava": "LavaGapS6",
    "door": "GoToDoor-6x6",
    "fetch": "Fetch-6x6-N2",
    "balls": "Dynamic-Obstacles-6x6",
    "lava5": "LavaGapS5",
    "lava7": "LavaGapS7",
    "door8": "GoToDoor-8x8",
    "fetch8": "Fetch-8x8-N3",
    "balls8": "Dynamic-Obstacles-8x8",
    "doorkey": "DoorKey-8x8",
    "unlock": "UnlockPickup",
    "corridor": "KeyCorridorS3R3",
    "rooms": "MultiRoom-N4-S5",
    "maze": "ObstructedMaze-1Dlh",
}
LABELS = {("fast", "good"): "taught (fast)", (BASELINE, ""): "no teacher, tuned"}
BEGIN, END = "<!-- sample efficiency: by benchmarks/sample_efficiency.py -->\n", "<!-- end -->"


def summary(runs: Sequence[Measured]) -> str:
    """The README's rows: `fast` beside the baseline, frames to a greedy return of .8."""
    groups = {key: list(members) for key, members in groupby(runs, key=lambda run: run.group)}
    lines = [
        "| task | algorithm | taught | no teacher, tuned | times fewer | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for (task, algo, row, quality), members in groups.items():
        alone = groups.get((task, algo, BASELINE, ""))
        if (row, quality) != ("fast", "good") or not alone:
            continue
        frames = [_frames(some, GREEDY, 0.8)[1] for some in (members, alone)]
        seeds = f"{len(members)}, {len(alone)}"
        cells = [NAMES[task], algo.upper(), *frames, _ratio(members, alone), seeds]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_summary(runs: Sequence[Measured], readme: Path, picture: Path) -> None:
    """The README's table, between its two comments, and the picture beside it."""
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest[rest.index(END) :]
    readme.write_text(f"{before}{BEGIN}{summary(runs)}{after}", encoding="utf-8")
    mine = [run for run in runs if run.about["algo"] == "ppo"]
    tasks = {run.group[0] for run in mine if run.group[2:] == ("fast", "good")}
    shown = [("fast", "good"), (BASELINE, "")]
    _draw([run for run in mine if run.group[0] in tasks and run.group[2:] in shown], picture)


def _draw(runs: Sequence[Measured], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys(run.group[:2] for run in runs))
    rows = list(dict.fromkeys(run.group[2:] for run in runs))
    columns = 2 if len(panels) > 3 else len(panels)
    lines = -(-len(panels) // columns)
    figure = Figure((5.2 * columns, 3.6 * lines), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid, panels, strict=False):
        for number, row in enumerate(rows):
            mine = [run for run in runs if run.group == (*panel, *row)]
            for run in mine:
                axes.plot(
                    list(run.greedy), list(run.greedy.values()), color=f"C{number}", lw=0.9,
                    alpha=0.8, label=LABELS.get(row, " ".join(row)) if run is mine[0] else None,
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_title(f"{NAMES[panel[0]]}, {panel[1].upper()}")
        axes.set_xlabel("frames")
        axes.set_ylabel("greedy return, one line a seed")
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
