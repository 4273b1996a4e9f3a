"""The report for a terminal, and the progress bar on the way to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from teachers.evaluation.findings import percent
from teachers.evaluation.measuring import Progress
from teachers.evaluation.results import Estimate, Evaluation, Results

if TYPE_CHECKING:
    from rich.console import RenderableType


def summarise(results: Results) -> RenderableType:
    """One table, baselines dimmed, then a verdict and the findings for each teacher."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(caption="in brackets: 95% interval", caption_justify="left")
    table.add_column("teacher")
    table.add_column("environment")
    for title in ("top-1", "mass", "success", "valid", "$ / 1,000"):
        table.add_column(title, justify="right")
    for row in (*results.baselines, *results.results):
        table.add_row(*_cells(row), style="dim" if row.baseline else "")
    lines: list[RenderableType] = [table]
    for row in results.results:
        words = " ".join([row.verdict.text, *(finding.text for finding in row.findings)])
        head = Text(f"\n{row.teacher} on {row.env}: {row.verdict.level}. ", style="bold")
        lines.append(head.append(words, style="not bold"))
    return Group(*lines)


def _cells(row: Evaluation) -> list[str]:
    name = f"{row.teacher} (baseline)" if row.baseline else row.teacher
    shares = [share(value) for value in (row.top1, row.mass, row.success, row.valid)]
    return [name, row.env, *shares, dollars(row.cost.usd_per_1000 if row.cost else None)]


def share(estimate: Estimate | None) -> str:
    """``96% [92, 98]``; a dash where nothing was measured."""
    if estimate is None:
        return "–"
    low, high = (percent(end).rstrip("%") for end in (estimate.low, estimate.high))
    return f"{percent(estimate.value)} [{low}, {high}]"


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
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield tell
