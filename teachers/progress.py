"""Progress bars and messages on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from lvlm2p.envs.untrusted import plain
from lvlm2p.teachers.terminal import console

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.progress import Progress, Task, TaskID

    from lvlm2p.teachers.teacher import Counts

T = TypeVar("T")

FIRST_FIELDS = 4
"""Fields that are more important than what is counted and the time that is left."""

BAR = 16
"""Columns of the bar itself."""

SILENCE_S = 60.0
"""Without a terminal: a line so often, however long the next one is in coming."""


class Bar:
    """A bar that counts to ``total`` (None: not known).

    Beside the count stand fields, the most important first; on a narrow terminal the last are left
    out. Where stderr is no terminal it is silent, or prints ``lines`` lines on the way to the
    total.

    Args:
        live: gives the fields at any moment, so that they change while nothing is counted; it is
            called from another thread, and where there is no terminal once a minute. None: they are
            what :meth:`advance` and :meth:`reach` were last told.
    """

    def __init__(
        self,
        what: str = "",
        total: int | None = None,
        *,
        shown: bool = True,
        lines: int = 0,
        live: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self._what, self._total, self._done = what, total, 0
        self._shown, self._lines = shown, lines
        self._next = 0.0
        self._fields: Sequence[str] = ()
        self._last_line = ""
        self._over = threading.Event()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self.live = live

    def __enter__(self) -> Self:
        if not self._shown:
            return self
        if sys.stderr.isatty():
            self._progress = _one_line(self)
            self._task = self._progress.add_task(self._what, total=self._total)
            self._progress.start()
        elif self.live is not None:
            threading.Thread(target=self._break_silence, name="progress", daemon=True).start()
        return self

    @property
    def fields(self) -> Sequence[str]:
        """What stands beside the count now."""
        return self._fields if self.live is None else self.live()

    def advance(self, *fields: str, by: int = 1) -> None:
        """``by`` more are done."""
        self._show(self._done + by, fields)

    def reach(self, done: int, *fields: str) -> None:
        """``done`` of the total are done."""
        self._show(done, fields)
        printed = self._progress is None and self._shown and self._lines > 0
        if printed and self._total and done >= min(self._next, self._total):
            self._next = done + self._total / self._lines
            self._print_line()

    def restart(self, what: str, done: int, total: int) -> None:
        """Count something else from now on, of which ``done`` are done."""
        self._what, self._total = what, total
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=what, total=total)
        self._show(done, self._fields)

    def _show(self, done: int, fields: Sequence[str]) -> None:
        self._done, self._fields = done, fields
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done)

    def _print_line(self) -> None:
        total = "" if self._total is None else f"/{self._total:,}"
        self._last_line = f"{self._done:>9,}{total} {self._what}  {'  '.join(self.fields)}"
        say(self._last_line)

    def _break_silence(self) -> None:
        before = self._last_line, self.fields
        while not self._over.wait(SILENCE_S):
            now = self._last_line, self.fields
            if now[0] == before[0] and now[1] != before[1]:
                self._print_line()
            before = self._last_line, now[1]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._progress is not None:
            self._progress.stop()


def _one_line(bar: Bar) -> Progress:
    from rich.progress import Progress, ProgressColumn

    class Line(ProgressColumn):
        def render(self, task: Task) -> Any:
            return FittedLine(task, bar.fields)

    return Progress(Line(), console=console(stderr=True), expand=True)


class FittedLine:
    """The count and as much beside it as there is room for, the most important first."""

    def __init__(self, task: Task, fields: Sequence[str]) -> None:
        self.task, self.fields = task, fields

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it, for rich."""
        from rich.text import Text

        text = self.fitted(options.max_width, "-" if options.ascii_only else "━")
        yield Text(text, no_wrap=True, overflow="crop", end="")

    def fitted(self, width: int, stroke: str = "━") -> str:
        """At most ``width`` columns of it; nothing is cut in two but a count that has no room."""
        from rich.cells import cell_len, set_cell_size

        task = self.task
        total = "" if task.total is None else f"/{int(task.total):,}"
        count = f"{int(task.completed):,}{total}"
        shown = (" ".join(plain(piece).splitlines()) for piece in self._by_importance(stroke))
        pieces = [piece for piece in shown if piece]
        for kept in range(len(pieces), -1, -1):
            line = "  ".join([count, *pieces[:kept]])
            if cell_len(line) <= width:
                return line
        return set_cell_size(count, width)

    def _by_importance(self, stroke: str) -> Iterator[str]:
        task = self.task
        yield from self.fields[:FIRST_FIELDS]
        yield task.description
        seconds = task.elapsed if task.finished else task.time_remaining
        yield "" if seconds is None else clock(seconds)
        yield from self.fields[FIRST_FIELDS:]
        if task.total:
            filled = round(BAR * min(1.0, task.completed / task.total))
            yield f"[{stroke * filled:<{BAR}}]"


def clock(seconds: float) -> str:
    """``0:42`` or ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def asking(counts: Counts, waiting: int = 0, in_flight: int = 0) -> list[str]:
    """What a bar says of the questions: dollars, answered, ``waiting`` for their answers, and
    ``in_flight`` to the model at this moment."""
    cost = counts.cost_usd
    parts = ["$?" if cost is None else f"${cost:,.{4 if 0 < cost < 1 else 2}f}"]
    parts.append(f"{counts.asked:,} asked")
    if waiting:
        parts.append(f"{waiting:,} waiting")
    if in_flight:
        parts.append(f"{in_flight:,} in flight")
    if counts.failed:
        parts.append(f"{counts.failed:,} failed")
    if counts.cached:
        parts.append(f"{counts.cached:,} stored")
    return parts


def counted(items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
    """``items``, with a bar that counts them."""
    with Bar(what, total) as bar:
        for item in items:
            yield item
            bar.advance()


def say(text: str) -> None:
    """Tell people, not scripts: one sentence on stderr, above a bar that is shown."""
    print(plain(text), file=sys.stderr, flush=True)
