"""The report for a terminal, and the progress bar on the way to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from lvlm2p.teachers.evaluation.findings import percent
from lvlm2p.teachers.evaluation.measuring import Progress
from lvlm2p.teachers.evaluation.results import Estimate, Evaluation, Results

if TYPE_CHECKING:
    from rich.console import RenderableType


def summarise(results: Results) -> RenderableType:
    """A table for each environment, then a verdict and the findings for each teacher on it."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for env, group in groupby(results.by_environment(), key=lambda row: row.env):
        rows = list(group)
        parts.append(_table(env, rows))
        for row in rows:
            if not row.baseline:
                words = " ".join([row.verdict.text, *(finding.text for finding in row.findings)])
                head = Text(f"{row.teacher}: {row.verdict.level}. ", style="bold")
                parts.append(head.append(words + "\n", style="not bold"))
    parts.append(Text("In brackets: 95% interval. Dimmed: baselines.", style="dim"))
    return Group(*parts)


def _table(env: str, rows: list[Evaluation]) -> RenderableType:
    from rich import box
    from rich.table import Table

    title = f"{short(env)}, {rows[0].states} states"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("teacher", overflow="fold", min_width=12)
    for name in ("top-1", "mass", "success", "valid", "$/1,000"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        measures = (row.top1, row.mass, row.success, row.valid)
        shares = [share(value).replace(" ", "\n") for value in measures]
        price = dollars(row.cost.usd_per_1000 if row.cost else None)
        table.add_row(row.teacher, *shares, price, style="dim" if row.baseline else "")
    return table


def short(env_id: str) -> str:
    """``GoToDoor-6x6-v0``: what all share says nothing."""
    return env_id.removeprefix("MiniGrid-")


def share(estimate: Estimate | None) -> str:
    """``96% [92–98]``; a dash where nothing was measured."""
    if estimate is None:
        return "–"
    low, high = (percent(end).rstrip("%") for end in (estimate.low, estimate.high))
    return f"{percent(estimate.value)} [{low}–{high}]"


def dollars(price: float | None) -> str:
    """``$1.20``, ``free``, or a question mark where the price is not known."""
    if price is None:
        return "?"
    return "free" if price == 0 else f"${price:,.2f}"


@contextmanager
def progress_bar(progress: Progress | None) -> Iterator[Progress]:
    """``progress`` itself, or a bar on stderr for as long as the context lasts."""
    if progress is not None:
        yield progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield tell
