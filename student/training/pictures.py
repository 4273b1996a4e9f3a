"""Two pictures of a run, for trackers: its curves, and an episode of the student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from lvlm2p.student.training.metrics import read_metrics
from lvlm2p.student.training.result import TrainResult
from lvlm2p.student.training.tracking import Guarded, Tracker

Draw: TypeAlias = Callable[[Path, Path], None]

CURVES = (
    ("return", "charts/episodic_return", "eval/return"),
    ("success", "charts/success", "eval/success"),
    ("distillation", "distill/kl", "distill/lambda"),
)
"""Panels: a title, and two columns of metrics.csv."""

EPISODES = 2


def draw_curves(run_dir: Path, out: Path) -> None:
    """The curves in ``run_dir/metrics.csv`` as a PNG.

    Raises:
        OSError: a file can't be read or written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = list(read_metrics(run_dir / "metrics.csv"))
    figure = Figure(figsize=(10, 3), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, *names) in enumerate(CURVES, start=1):
        panel = figure.add_subplot(1, len(CURVES), place)
        for name in names:
            points = [(row["frames"], row[name]) for row in rows if name in row]
            if points:
                panel.plot(*zip(*points, strict=True), label=name)
        panel.set_title(title)
        panel.set_xlabel("frames")
        if panel.lines:
            panel.legend(fontsize="small")
    figure.savefig(out, format="png", dpi=100)


def draw_episodes(run_dir: Path, out: Path) -> None:
    """Some episodes of the finished student as a GIF.

    Raises:
        UserError: there is no student, or the file can't be written.
    """
    from lvlm2p.student.playback.play import PlayConfig, play

    play(PlayConfig(run=run_dir, out=out, episodes=EPISODES))


def show_result(tracker: Guarded, result: TrainResult) -> None:
    """Tell a tracker what the run came to: final metrics, then the pictures, which are left in the
    run's folder."""
    run_dir, frames, evaluation = result.run_dir, result.frames, result.evaluation
    final = {
        "final/success": evaluation.success,
        "final/return": evaluation.mean_return,
        "final/length": evaluation.mean_length,
    }
    tracker(lambda to: to.result(final))
    for name, draw, file in (
        ("curves", draw_curves, "curves.png"),
        ("episodes", draw_episodes, "episodes.gif"),
    ):

        def show(to: Tracker, name: str = name, draw: Draw = draw, file: str = file) -> None:
            draw(run_dir, run_dir / file)
            to.picture(name, run_dir / file, frames)

        tracker(show)
