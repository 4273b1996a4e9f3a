"""The picture of a comparison: learning curves with their confidence bands."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.untrusted import plain, shorten
from lvlm2p.student.comparison.config import CompareConfig
from lvlm2p.student.comparison.runs import Group
from lvlm2p.student.comparison.statistics import aligned, band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, distinguishable with colour-blindness, too."""
GREY = "#5f6368"
"""Of the first group without a teacher."""
LINES = ("-", "--", ":", "-.")

WORDS = {
    "charts/episodic_return": "return in training\n(mean of the last 100 episodes or fewer)",
    "charts/success": "success in training\n(share of the last 100 episodes or fewer)",
    "eval/success": "success of the student alone\n(share of greedy episodes)",
    "eval/return": "return of the student alone\n(mean of greedy episodes)",
}

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa0a6",
    "axes.grid": True,
    "grid.color": "#eceff1",
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "legend.frameon": False,
    "text.parse_math": False,
}


def draw(
    groups: Sequence[Group], metrics: Sequence[str], config: CompareConfig, measured: str
) -> None:
    """Write curves.png: a row of panels for each environment, a panel for each metric.

    Raises:
        OSError: it can't be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    envs = list(dict.fromkeys(group.env for group in groups))
    styles = _styles(groups)
    with rc_context(STYLE):
        size = (5.2 * len(metrics), 3.7 * len(envs) + 0.3 * len(styles) + 0.5)
        figure = Figure(size, dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(len(envs), len(metrics), squeeze=False)
        for env, line in zip(envs, panels, strict=True):
            mine = [group for group in groups if group.env == env]
            for metric, axes in zip(metrics, line, strict=True):
                for group in mine:
                    _curve(axes, group, metric, config, styles[group.name])
                _format_axes(axes, metric, config.thresholds if metric == measured else ())
            line[0].set_title(plain(shorten(env, 60)), loc="left", fontweight="bold", fontsize=11)
        entries: dict[str, Any] = {}
        for axes in panels.flat:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                entries.setdefault(label, handle)
        bands = any(len(group.runs) > 1 for group in groups)
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=1 if max(map(len, entries), default=0) > 40 else 2,
            title="Lines: means over seeds. " * bands
            + "Bands: 95% bootstrap intervals of the mean." * bands,
            title_fontsize=9,
        )
        figure.savefig(config.out / "curves.png")


def _styles(groups: Sequence[Group]) -> dict[str, tuple[str, str]]:
    """A colour and a line for each name: the same in every panel."""
    styles: dict[str, tuple[str, str]] = {}
    colors = cycle(COLORS)
    for group in groups:
        if group.name not in styles:
            grey = group.runs[0].alone and GREY not in {color for color, _ in styles.values()}
            line = LINES[len(styles) // (len(COLORS) + 1) % len(LINES)]
            styles[group.name] = (GREY if grey else next(colors), line)
    return styles


def _curve(
    axes: Axes, group: Group, metric: str, config: CompareConfig, style: tuple[str, str]
) -> None:
    curves = group.curves(metric)
    if not curves:
        return
    color, line = style
    frames, values = aligned(curves)
    n = len(values)
    if not frames:  # no mean, and a group must not vanish
        label = f"{group.name} ({n} seeds, no mean)"
        for curve in curves:
            x, y = list(curve), list(curve.values())
            axes.plot(x, y, line, color=color, lw=1, marker="o", ms=3.5, label=label, zorder=3)
        return
    mean = [sum(column) / n for column in zip(*values, strict=True)]
    label = f"{group.name} ({n} seeds)" if n > 1 else f"{group.name} (1 seed: no band)"
    dots = "o" if len(frames) < 30 else ""
    axes.plot(frames, mean, line, color=color, lw=2, marker=dots, ms=3.5, label=label, zorder=3)
    interval = band(values, config.resamples, config.seed)
    if interval is not None:
        axes.fill_between(frames, *interval, color=color, alpha=0.18, lw=0)


def _format_axes(axes: Axes, metric: str, thresholds: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, PercentFormatter

    axes.set_xlabel("environment frames")
    axes.set_ylabel(WORDS[metric])
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    if metric.endswith("success"):
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    else:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]), top=max(1.0, axes.get_ylim()[1]))
    for threshold in thresholds:
        axes.axhline(threshold, color="#9aa0a6", lw=1, ls=(0, (2, 3)), zorder=1)


def _thousands(frames: float, position: object) -> str:
    if frames >= 1e6:
        return f"{frames / 1e6:g}M"
    return f"{frames / 1e3:g}k" if frames >= 1e3 else f"{frames:g}"
