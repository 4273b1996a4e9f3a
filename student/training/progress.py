"""The progress bar on stderr: how fast, how good, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from lvlm2p.teachers import Counts


class Progress:
    """A bar where there is a terminal, else a line now and then; ``shown=False``: neither.

    What is said is said in any case.
    """

    def __init__(self, total: int, shown: bool) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._shown = shown
        self._total = total
        self._bar: Bar | None = None
        self._next_line = 0.0
        if shown and self._console.is_terminal:
            self._bar = _bar(self._console)
            self._task = self._bar.add_task("", total=total, text="")

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """One sentence."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, row: Mapping[str, Any], counts: Counts | None) -> None:
        """Show one row of metrics."""
        text = describe(row, counts)
        if self._bar is not None:
            self._bar.update(self._task, completed=row["frames"], text=text)
        elif self._shown and (row["frames"] >= self._next_line or row["frames"] >= self._total):
            self._next_line = row["frames"] + self._total / 10
            self.say(f"{row['frames']:>9,}/{self._total:,} frames  {text}")


def describe(row: Mapping[str, Any], counts: Counts | None) -> str:
    """One line of what matters."""
    parts = [f"{row['timing/frames_per_second']:,.0f} frames/s"]
    if row.get("charts/episodic_return") is not None:
        parts.append(f"return {row['charts/episodic_return']:.2f}")
        parts.append(f"success {row['charts/success']:.2f}")
    if counts is not None:
        parts.append(f"KL {row.get('distill/kl', 0.0):.3f}")
        parts.append(f"λ {row['distill/lambda']:.2f}")
        parts.append(f"labels {counts.asked} new {counts.cached} cached {counts.failed} failed")
        cost = counts.cost_usd
        parts.append("price unknown" if cost is None else f"${cost:.2f}")
    return "  ".join(parts)


def _bar(console: Any) -> Bar:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        MofNCompleteColumn(),
        BarColumn(bar_width=16),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[text]}"),
        console=console,
    )
