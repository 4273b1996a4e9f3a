"""The picture of a figure: a panel for each environment and algorithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lvlm2p.student.comparison.curves import COLORS, GREY, STYLE
from lvlm2p.student.comparison.runs import RecordedRun
from lvlm2p.student.comparison.statistics import aligned, band

RESAMPLES = 1_000


def draw_figure(
    path: Path,
    title: str,
    panels: Mapping[tuple[str, str], Mapping[str, Sequence[RecordedRun]]],
    metric: str,
) -> None:
    """Write a PNG: environments in columns, algorithms in rows; means and 95% intervals.

    Raises:
        OSError: it can't be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    envs = list(dict.fromkeys(env for env, _ in panels))
    algos = list(dict.fromkeys(algo for _, algo in panels))
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colors = {name: (GREY, *COLORS)[i % (len(COLORS) + 1)] for i, name in enumerate(names)}
    with rc_context(STYLE):
        size = (3.6 * len(envs), 2.9 * len(algos) + 0.9)
        figure = Figure(size, dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(algos), len(envs), squeeze=False)
        for (env, algo), lines in panels.items():
            panel = axes[algos.index(algo)][envs.index(env)]
            panel.set_title(f"{env.removeprefix('MiniGrid-')}, {algo.upper()}", fontsize=10)
            panel.set_xlabel("environment frames")
            panel.set_ylabel("return in training")
            for name, runs in lines.items():
                curves = [run.curves[metric] for run in runs if run.curves[metric]]
                if not curves:
                    continue
                frames, values = aligned(curves)
                mean = [sum(column) / len(values) for column in zip(*values, strict=True)]
                panel.plot(frames, mean, color=colors[name], label=name)
                interval = band(values, RESAMPLES, 0)
                if interval is not None:
                    panel.fill_between(frames, *interval, color=colors[name], alpha=0.18, lw=0)
        entries = {
            label: handle
            for panel in axes.flat
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        figure.suptitle(title)
        figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=4)
        figure.savefig(path, format="png")
