"""The report for a terminal."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from lvlm2p.teachers.evaluation.report.texts import visible
from lvlm2p.teachers.evaluation.results import Evaluation, Results, Unusable
from lvlm2p.teachers.evaluation.wording import bracketed, dollars, short

if TYPE_CHECKING:
    from rich.console import RenderableType


def summarise(results: Results) -> RenderableType:
    """A table for each environment, then a verdict and the findings for each teacher on it."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for env, group in groupby(results.by_environment(), key=lambda row: row.env):
        rows = list(group)
        lost = [row for row in results.unusable if row.env == env]
        parts.append(_table(results, rows, lost))
        for row in rows:
            if not row.baseline:
                words = " ".join([row.verdict.text, *(finding.text for finding in row.findings)])
                head = Text(f"{row.teacher}: {row.verdict.level}. ", style="bold")
                parts.append(head.append(words + "\n", style="not bold"))
        for one in lost:
            head = Text(f"{one.teacher}: not measured. ", style="bold")
            parts.append(head.append(visible(one.why) + "\n", style="not bold"))
    parts += [Text(visible(note)) for note in results.notes]
    parts.append(Text("In brackets: 95% interval. Dimmed: baselines.", style="dim"))
    return Group(*parts)


def _table(results: Results, rows: list[Evaluation], lost: list[Unusable]) -> RenderableType:
    from rich import box
    from rich.table import Table

    title = f"{short(rows[0].env)}, {rows[0].states} states"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("teacher", overflow="fold", min_width=12)
    for name in ("top-1", "mass", "success", "valid", "$/1,000"):
        table.add_column(name, justify="right", no_wrap=True)
    named = {row.teacher for row in results.results}
    for row in rows:
        measures = (row.top1, row.mass, row.success, row.valid)
        shares = [bracketed(value).replace(" ", "\n") for value in measures]
        price = dollars(row.cost.usd_per_1000 if row.cost else None)
        mistakable = row.teacher in named and results.is_baseline(row)
        name = f"{row.teacher} (baseline)" if mistakable else row.teacher
        table.add_row(name, *shares, price, style="dim" if row.baseline else "")
    for one in lost:
        table.add_row(one.teacher, *["–"] * 4, "–")
    return table
