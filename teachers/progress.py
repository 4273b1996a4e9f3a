"""Progress bars and messages on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")


class Bar:
    """A bar that counts to ``total`` (None: not known).

    Where stderr is no terminal it is silent, or prints ``lines`` lines on the way to the total.
    """

    def __init__(
        self, what: str = "", total: int | None = None, *, shown: bool = True, lines: int = 0
    ) -> None:
        self._what, self._total = what, total
        self._shown, self._lines = shown, lines
        self._next = 0.0
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._shown and sys.stderr.isatty():
            self._progress = _columns()
            self._task = self._progress.add_task(self._what, total=self._total, note="")
            self._progress.start()
        return self

    def advance(self, note: str = "", by: int = 1) -> None:
        """``by`` more are done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=by, note=note)

    def reach(self, done: int, note: str = "") -> None:
        """``done`` of the total are done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, note=note)
        elif self._shown and self._lines and self._total and done >= min(self._next, self._total):
            self._next = done + self._total / self._lines
            say(f"{done:>9,}/{self._total:,} {self._what}  {note}")

    def restart(self, what: str, done: int, total: int) -> None:
        """Count something else from now on, of which ``done`` are done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=what, completed=done, total=total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()


def _columns() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(stderr=True),
    )


def counted(items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
    """``items``, with a bar that counts them."""
    with Bar(what, total) as bar:
        for item in items:
            yield item
            bar.advance()


def say(text: str) -> None:
    """Tell people, not scripts: one sentence on stderr, above a bar that is shown."""
    print(text, file=sys.stderr, flush=True)
