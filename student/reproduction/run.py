"""A figure from its command to its picture and tables.

``figure.png``, ``curves.csv`` (every value of every run) and ``table.md``, which sets the papers'
numbers beside ours, are written into the folder of the runs. Given once more, the command goes on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.untrusted import plain
from lvlm2p.student.comparison.runs import RecordedRun, read_run
from lvlm2p.student.comparison.show import reach_in_words
from lvlm2p.student.comparison.statistics import Reach, sample_efficiency
from lvlm2p.student.reproduction.figures import ALONE, FIGURES, QUICK, FigurePlan, grids_of
from lvlm2p.student.reproduction.picture import draw_figure
from lvlm2p.student.sweep.plan import PlannedRun, plan
from lvlm2p.student.sweep.result import SweepResult
from lvlm2p.student.sweep.run import carry_out
from lvlm2p.teachers.errors import Lvlm2pError, RunError
from lvlm2p.teachers.files import write_atomically

if TYPE_CHECKING:
    from lvlm2p.student.reproduction.config import ReproduceConfig
    from lvlm2p.teachers.spending import Approve

METRIC = "charts/episodic_return"
"""What the papers draw: the mean return in training."""
THRESHOLDS = (0.5, 0.8, 0.9)

Panel = tuple[str, str]
"""Environment and algorithm."""
Lines = Mapping[str, Sequence[RecordedRun]]


@dataclass(frozen=True)
class Reproduction:
    """What came of it."""

    out: Path
    table: str
    sweep: SweepResult

    def as_json(self) -> dict[str, Any]:
        """The contract of ``lvlm2p reproduce --json``."""
        files = {"picture": "figure.png", "curves": "curves.csv", "table": "table.md"}
        return {**self.sweep.as_json(), **{key: str(self.out / f) for key, f in files.items()}}

    def trouble(self) -> Lvlm2pError | None:
        """As that of the sweep."""
        return self.sweep.trouble()


def reproduce(config: ReproduceConfig, approve: Approve | None = None) -> Reproduction:
    """Train the runs of a figure, draw it, and write its tables.

    Raises:
        UserError: an option or the folder can't be used.
        RunError: not one run has ended well.
    """
    figure, out = FIGURES[config.figure], config.folder
    line_of: dict[str, str] = {}
    planned: dict[str, PlannedRun] = {}
    for line, grids in grids_of(config, figure).items():
        for run in plan(QUICK if config.quick else {}, grids, out, config.figure):
            planned[run.name] = run
            line_of[str(run.config.run_dir)] = line
    result = carry_out(list(planned.values()), config.as_sweep(), approve)
    panels: dict[Panel, dict[str, list[RecordedRun]]] = {}
    for row in result.rows:
        made = row.run.config
        lines = panels.setdefault((made.env, made.algo), {name: [] for name in figure.lines})
        if row.status == "done":
            lines[line_of[str(made.run_dir)]].append(read_run(made.run_dir, [METRIC]))
    if not any(runs for lines in panels.values() for runs in lines.values()):
        raise result.trouble() or RunError(f"no run in {out} has ended")
    table = markdown(config, figure, panels)
    try:
        write_atomically(out / "table.md", table)
        write_atomically(out / "curves.csv", curves(panels))
        draw_figure(out / "figure.png", figure.title, panels, METRIC)
    except OSError as error:
        raise RunError(f"{out} can't be written: {error.strerror}") from None
    return Reproduction(out, table, result)


def curves(panels: Mapping[Panel, Lines]) -> str:
    """Every value of every run, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["env", "algo", "line", "seed", "frames", METRIC])
    for (env, algo), lines in panels.items():
        for line, runs in lines.items():
            for run in runs:
                for frames, value in run.curves[METRIC].items():
                    writer.writerow([env, algo, line, run.seed, frames, value])
    return text.getvalue()


def reach(runs: Sequence[RecordedRun], threshold: float) -> Reach | None:
    """Frames of these runs to a mean training return; None where none has a curve."""
    with_curves = [run for run in runs if run.curves[METRIC]]
    if not with_curves:
        return None
    since = [run.window.since for run in with_curves]
    return Reach.of([run.curves[METRIC] for run in with_curves], threshold, since)


def markdown(config: ReproduceConfig, figure: FigurePlan, panels: Mapping[Panel, Lines]) -> str:
    """The table of a figure: ours, and what the paper says of the same line."""
    said = {(each.env, each.algo, each.line): each.says for each in figure.reported}
    heads = [f"frames to {threshold:g}" for threshold in THRESHOLDS]
    out = [
        f"# {figure.title}",
        "",
        f"`{command(config)}`; teacher: {plain(config.teacher or figure.teacher)}. "
        "Frames until the mean training return over 100 episodes first is so high: median over "
        f"the seeds (how many got there); × is against `{ALONE}` of the same algorithm. Success: "
        "of the greedy student in fresh episodes at the end, mean over the seeds.",
        "",
        "| environment | algorithm | | " + " | ".join(heads) + " | success | the paper |",
        "|---|---|---|" + "---|" * (len(heads) + 2),
    ]
    for (env, algo), lines in panels.items():
        for name, runs in lines.items():
            cells = [_cell(runs, lines[ALONE], each, name == ALONE) for each in THRESHOLDS]
            ends = [run.success for run in runs if run.success is not None]
            success = f"{sum(ends) / len(ends):.3f}" if ends else ""
            row = [env, algo, name, *cells, success, said.get((env, algo, name), "")]
            out.append("| " + " | ".join(row) + " |")
    out += ["", *(f"- {note}" for note in figure.notes)]
    if config.quick:
        out.append("- Made with `--quick`: the runs are too short to compare with anything.")
    return "\n".join(out) + "\n"


def _cell(
    runs: Sequence[RecordedRun], alone: Sequence[RecordedRun], threshold: float, is_base: bool
) -> str:
    mine, base = reach(runs, threshold), reach(alone, threshold)
    if mine is None:
        return ""
    ratio = None if is_base or base is None else sample_efficiency(mine, base)
    return reach_in_words(mine) + (f" {ratio}" if ratio is not None else "")


def command(config: ReproduceConfig) -> str:
    """The command line that makes this figure again."""
    words = ["lvlm2p reproduce", config.figure]
    words += [f"--teacher {plain(config.teacher)}"] if config.teacher else []
    words += [f"--seeds {config.seeds}"] if config.seeds else []
    return " ".join([*words, *(["--quick"] if config.quick else [])])
