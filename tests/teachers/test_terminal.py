"""Foreign text on a terminal: escaped wherever it is printed, while our own colours survive."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from lvlm2p import cli
from lvlm2p.envs import View, task_named
from lvlm2p.process import tolerate_streams
from lvlm2p.teachers import LabelStore, StoredTeacher, TeacherError, Turn
from lvlm2p.teachers.progress import Bar, say
from lvlm2p.teachers.terminal import console
from tests.support.hostile import ESCAPES, OBEYED
from tests.support.labelset import rich_label
from tests.support.store import FakeTeacher, states

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    """As a terminal that shows colours."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard output and error, from now on. (A fixture is too early: pytest has its own.)"""
    both = Terminal()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, both)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return both


def obeyed(text: str) -> list[str]:
    """What a terminal would obey in ``text``, our own colours, erasing and moving aside."""
    ours = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*m|1A)|\r\x1b\[2K|\r(?=\n)")
    left = ours.sub("", text)
    return [char for char in OBEYED if char in left]


def test_say(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    say(f"before {ESCAPES}\n\tafter")
    assert obeyed(terminal.getvalue()) == [] and "\x1b" not in terminal.getvalue()
    assert terminal.getvalue().startswith("before \\x1b]0;owned\\x07 \\x1b[2J \\x1b[31m \\x9b1A")
    assert terminal.getvalue().endswith("\n\tafter\n")


def shown(*renderables: Any, stderr: bool = False) -> None:
    for renderable in renderables:
        console(stderr=stderr).print(renderable)


def table() -> Table:
    found = Table(title=f"title {ESCAPES}", caption=ESCAPES)
    found.add_column(f"head {ESCAPES}")
    found.add_row(f"cell {ESCAPES}", style="red")
    found.add_section()
    return found


@pytest.mark.parametrize(
    "renderable", [ESCAPES, table(), Text(ESCAPES), Text("a", style="link https://x/\x1b]0;t\x07")]
)
def test_whatever_rich_prints(monkeypatch: pytest.MonkeyPatch, renderable: Any) -> None:
    terminal = on_terminal(monkeypatch)
    for stderr in (False, True):
        shown(renderable, stderr=stderr)
    assert obeyed(terminal.getvalue()) == [], repr(terminal.getvalue())
    assert "]8;" not in terminal.getvalue()


def test_colours_survive_and_no_text_is_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    shown(Text("warm", style="red"), "[bold]kept[/bold] [/wrong] :smile:", table())
    said = terminal.getvalue()
    assert "\x1b[31mwarm\x1b[0m" in said
    assert "[bold]kept[/bold] [/wrong] :smile:" in said
    assert "┃" in said  # the lines of the table


def test_what_is_measured_is_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the columns of a table would not stand below each other."""
    terminal = on_terminal(monkeypatch)
    found = Table(box=None)
    for cell in ("\x1b[2J\u202e", "x" * 12):
        found.add_row(cell, "|")
    shown(found)
    ends = {len(line.rstrip()) for line in terminal.getvalue().splitlines() if "|" in line}
    assert len(ends) == 1


def test_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    with Bar("what \x1b[2J\nline", 10) as bar:
        bar.reach(5, "field \r\x9b1A")
        say(f"note {ESCAPES}")
        print(f"print {ESCAPES}", file=sys.stderr)
    assert obeyed(terminal.getvalue()) == [], repr(terminal.getvalue())
    assert "5/10  field \\r\\x9b1A  what \\x1b[2J line" in terminal.getvalue()


def test_whatever_else_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a library: its warnings, its logs, its errors. Colours and tqdm's bars are let through."""
    terminal = on_terminal(monkeypatch)
    tolerate_streams()
    tolerate_streams()  # a second command in the process
    print(ESCAPES)
    sys.stderr.writelines([ESCAPES, "\n"])
    print(warnings.formatwarning(ESCAPES, UserWarning, "library.py", 1), file=sys.stderr)
    logging.StreamHandler().emit(logging.makeLogRecord({"msg": ESCAPES}))
    said = terminal.getvalue()
    assert obeyed(said) == [] and "\\x9b1A" in said and "\\x1b[2J" in said
    for bar in ("\r 50%|████", "\n\x1b[A", "\x1b[32mgreen\x1b[0m\n"):
        sys.stderr.write(bar)
        assert terminal.getvalue().endswith(bar)
    assert sys.stderr.write("\rover\rtwice") == 11
    assert terminal.getvalue().endswith("\\rover\\rtwice")
    shown(Text("warm", style="red"))
    assert terminal.getvalue().endswith("\x1b[31mwarm\x1b[0m\n")
    assert sys.stderr.isatty()


def hostile_store(path: Path) -> View:
    view = View(task_named("go-to-door"), states(1)[0].state, f"go to the red door {ESCAPES}")
    fake = FakeTeacher(rich_label)
    fake.name = f"fake {ESCAPES}"
    label = rich_label(view, fake)
    turn = Turn(role="assistant", text=ESCAPES)
    update = {"transcript": (turn,), "model": ESCAPES, "prompt": ESCAPES, "elicitation": ESCAPES}
    with LabelStore(path) as store:
        StoredTeacher(FakeTeacher(lambda *_: label.model_copy(update=update)), store).label([view])
    return view


def broken(*_: object) -> None:
    raise TeacherError(f"the provider says {ESCAPES}")


def commands(tmp_path: Path) -> dict[str, list[str]]:
    view = hostile_store(tmp_path / "store")
    store = ["--store", str(tmp_path / "store")]
    (tmp_path / f"c{ESCAPES.replace('/', '').replace(chr(0), '')}.yaml").write_text("a: [")
    config = next(tmp_path.glob("c*.yaml"))
    return {
        "show": ["labels", "show", view.key, *store],
        "stats": ["labels", "stats", *store],
        "verify": ["labels", "verify", *store],
        "nothing to export": ["labels", "export", "out", "--teacher", ESCAPES, *store],
        "a file's name": ["labels", "stats", "--config", str(config)],
        "an unknown command": [ESCAPES],
        "an unknown key": ["labels", "show", ESCAPES, *store],
        "an unknown prompt": ["label", "--env", "MiniGrid-LavaGapS5-v0", "--teacher", ESCAPES],
    }


NAMES = ("show", "stats", "verify", "nothing to export", "a file's name", "an unknown command")


@pytest.mark.parametrize("name", [*NAMES, "an unknown key", "an unknown prompt"])
def test_commands(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    code = cli.main(commands(tmp_path)[name])
    said = terminal.getvalue()
    assert code in (0, 2) and said.strip()
    assert obeyed(said) == [], repr(said)


def test_errors_that_end_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setitem(cli.COMMANDS, "broken", broken)
    assert cli.main(["broken"]) == 3
    assert terminal.getvalue().startswith("lvlm2p: the provider says \\x1b]0;owned\\x07")
    assert obeyed(terminal.getvalue()) == []


def test_json_is_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts get the text itself, in JSON's own escapes."""
    assert cli.main([*commands(tmp_path)["show"], "--json"]) == 0
    out = capsys.readouterr().out
    assert not [char for char in OBEYED if char in out]
    assert json.loads(out)["answers"][0]["transcript"][0]["text"] == ESCAPES


def in_a_terminal(*arguments: str) -> str:
    """What a command writes on a real terminal of 100 columns."""
    here, there = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "lvlm2p", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=there,
        stdout=there,
        stderr=there,
    )
    os.close(there)
    said = b""
    while True:
        try:
            data = os.read(here, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        said += data
    os.close(here)
    process.wait()
    return said.decode()


@pytest.mark.parametrize("what", ["show", "help"])
def test_on_a_real_terminal(what: str, tmp_path: Path) -> None:
    arguments = commands(tmp_path)["show"] if what == "show" else ["labels", "show", "--help"]
    said = in_a_terminal(*arguments)
    assert obeyed(said) == [], repr(said)
    assert ("\x1b[38;5;241;48;5;241m" if what == "show" else "\x1b[1m") in said
