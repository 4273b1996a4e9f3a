"""The table of a comparison, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvlm2p.student.comparison.result import Comparison, GroupResult
from lvlm2p.student.comparison.statistics import Reach

if TYPE_CHECKING:
    from rich.console import RenderableType


def table(comparison: Comparison) -> RenderableType:
    """Frames to each threshold, how many runs got there, and the ratio to the baseline."""
    from rich import box
    from rich.console import Group as Stack
    from rich.table import Table

    parts: list[RenderableType] = []
    for env in dict.fromkeys(row.group.env for row in comparison.rows):
        rows = [row for row in comparison.rows if row.group.env == env]
        grid = Table(
            box=box.SIMPLE_HEAD, pad_edge=False, title=env, title_justify="left", title_style="bold"
        )
        grid.add_column("", overflow="fold")
        grid.add_column("final\nsuccess", justify="right", no_wrap=True)
        for threshold in comparison.thresholds:
            grid.add_column(f"frames\nto {threshold:g}", justify="right", no_wrap=True)
        for row in rows:
            grid.add_row(row.group.name, _final(row), *_cells(row))
        parts.append(grid)
        for base in dict.fromkeys(row.baseline for row in rows if row.baseline is not None):
            parts.append(f"×: how many times fewer frames than {base}.")
    parts.append(
        f"Frames until {comparison.metric} first is so high: median over the seeds (how many of "
        "them got there). Final success: mean over the seeds and 95% interval."
    )
    parts += comparison.notes
    parts.append(f"{comparison.out / 'curves.png'}  {comparison.out / 'compare.json'}")
    return Stack(*parts)


def _final(row: GroupResult) -> str:
    if row.final is None:
        return "not ended"
    if row.final.low is None or row.final.high is None:
        return f"{row.final.mean:.1%}"
    return f"{row.final.mean:.1%}\n{100 * row.final.low:.1f}–{row.final.high:.1%}"


def _cells(row: GroupResult) -> list[str]:
    cells = [reach_in_words(reach) for reach in row.reaches]
    for i, ratio in enumerate(row.ratios):
        if ratio is not None:
            cells[i] += f"\n{ratio}"
    return cells


def reach_in_words(reach: Reach) -> str:
    """``"4,096 (5/5)"``, or ``"> 20,480 (1/5)"`` where most runs did not get there."""
    sign = "> " if reach.median is None else ""
    return f"{sign}{reach.at_least:,.0f} ({reach.reached}/{len(reach.frames)})"
