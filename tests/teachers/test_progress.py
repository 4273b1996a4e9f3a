"""What is printed on stderr, with a terminal and without one."""

from __future__ import annotations

import io
import sys

import pytest

from lvlm2p.teachers.progress import Bar, counted, say


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
