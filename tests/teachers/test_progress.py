"""What is printed on stderr, with a terminal and without one."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import pytest
from rich.console import Console
from rich.progress import Progress, ProgressSample
from rich.table import Table

from lvlm2p.teachers.progress import Bar, FittedLine, asking, clock, counted, say
from lvlm2p.teachers.teacher import Counts


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_bar_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted("abc", "letters", 3)) == ["a", "b", "c"]
    with Bar("letters", 3) as bar:
        bar.reach(2, "note")
        bar.restart("numbers", 1, 9)
    assert capsys.readouterr().err == ""


def test_or_prints_as_many_lines_as_it_was_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("frames", 100, lines=4) as bar:
        for done in range(10, 101, 10):
            bar.reach(done, f"note {done}")
    with Bar("frames", 100, shown=False, lines=4) as bar:
        bar.reach(100)
        say("said in any case")
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert [line[0] for line in lines[:-1]] == ["10/100", "40/100", "70/100", "100/100"]
    assert lines[0][1:] == ["frames", "note", "10"]
    assert lines[-1] == ["said", "in", "any", "case"]


def test_a_terminal_shows_what_is_done_and_a_sentence_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar("letters", 30) as bar:
        bar.advance("first [note]", by=7)
        say("a sentence")
    text = terminal.getvalue()
    assert "7/30" in text and "letters" in text and "first [note]" in text and "a sentence" in text
    with Bar() as bar:
        bar.restart("states", 3, 12)
    assert "3/12" in terminal.getvalue() and "states" in terminal.getvalue()


# ---------------------------------------------------------------- one line, whatever the width

COUNTS = Counts(asked=1_012, cached=40, failed=3, cost_usd=12.3456)
FIELDS = [*asking(COUNTS, waiting=304, in_flight=64), "return 0.51", "success 0.60"]
ALL = (
    "4,000/20,000  $12.35  1,012 asked  304 waiting  64 in flight  frames  1:20  3 failed  "
    "40 stored  return 0.51  success 0.60  [━━━             ]"
)


def drawn(width: int, fields: Sequence[str] = FIELDS, total: int | None = 20_000) -> str:
    """What a terminal of that width shows; rich would wrap what is too long into lines."""
    shown = Progress(get_time=lambda: 20.0, console=Console(file=io.StringIO()))
    shown.add_task("frames", total=total, completed=4_000)
    (task,) = shown.tasks
    task._progress.clear()
    task._progress.extend([ProgressSample(0.0, 0.0), ProgressSample(20.0, 4_000.0)])
    file = io.StringIO()
    console = Console(width=width, file=file, force_terminal=True, color_system=None)
    grid = Table.grid()
    grid.add_row(FittedLine(task, fields))
    console.print(grid)
    (line,) = file.getvalue().splitlines()
    return line.rstrip()


def test_a_wide_terminal_shows_all() -> None:
    assert drawn(200) == ALL
    assert drawn(len(ALL)) == ALL and drawn(len(ALL) - 1) == ALL.partition("  [")[0]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (112, ALL.partition("  success")[0]),
        (80, "4,000/20,000  $12.35  1,012 asked  304 waiting  64 in flight  frames  1:20"),
        (40, "4,000/20,000  $12.35  1,012 asked"),
        (20, "4,000/20,000  $12.35"),
        (19, "4,000/20,000"),
        (12, "4,000/20,000"),
        (9, "4,000/20,"),
    ],
)
def test_fields_are_dropped_by_width_the_important_ones_last(width: int, shown: str) -> None:
    assert drawn(width) == shown


@pytest.mark.parametrize("width", range(13, 160, 7))
def test_nothing_is_wrapped_or_cut(width: int) -> None:
    line = drawn(width)
    assert len(line) <= width and (ALL + "  ").startswith(line + "  ")


def test_wide_characters_are_counted_as_wide() -> None:
    assert drawn(24, ["$1", "状态状态"]) == "4,000/20,000  $1"
    assert drawn(26, ["$1", "状态状态"]) == "4,000/20,000  $1  状态状态"


def test_without_a_total_there_is_no_time_and_no_bar() -> None:
    assert drawn(80, ["$1"], total=None) == "4,000  $1  frames"


def test_what_is_said_of_questions() -> None:
    assert asking(Counts()) == ["$0.00", "0 asked"]
    assert asking(Counts(asked=5, cost_usd=None)) == ["$?", "5 asked"]
    assert asking(Counts(asked=5, cost_usd=0.0123)) == ["$0.0123", "5 asked"]
    assert (clock(42), clock(3723)) == ("0:42", "1:02:03")


def test_fields_are_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fields say changes while nothing is counted."""
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    counts = Counts()
    with Bar("frames", 4_000, live=lambda: asking(counts, in_flight=8)) as bar:
        counts.asked = 700
        assert bar._progress is not None
        bar._progress.refresh()
    assert "0/4,000  $0.00  700 asked  8 in flight  frames" in terminal.getvalue()


def test_a_log_hears_of_questions_while_nothing_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = Counts()
    bar = Bar("frames", 4_000, live=lambda: asking(counts))
    minutes = iter([0, 700, 700, 900])

    def wait(seconds: float) -> bool:
        """A minute passes: so many have been asked by then."""
        asked = next(minutes, None)
        counts.asked = counts.asked if asked is None else asked
        return asked is None

    monkeypatch.setattr(bar._over, "wait", wait)
    bar._break_silence()
    lines = [line.split("  ") for line in capsys.readouterr().err.splitlines()]
    assert [line[-1] for line in lines] == ["700 asked", "900 asked"]
