"""How a command behaves as a process: what a scheduler, a closed terminal and a pipe do to it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import IO, Any

from lvlm2p.envs.untrusted import plain

LIKE_CTRL_C = (signal.SIGTERM, signal.SIGHUP)
"""What SLURM and Kubernetes send before they kill, and what a terminal sends when it closes."""


@contextlib.contextmanager
def signals_as_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP do what Ctrl-C does; one that is ignored (nohup) stays so."""
    here = threading.current_thread() is threading.main_thread()
    changed = [n for n in LIKE_CTRL_C if here and signal.getsignal(n) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Whatever handles Ctrl-C at this moment; also where a shell's ``&`` has SIGINT ignored."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt


def tolerate_streams() -> None:
    """Printing never ends a command: not on an encoding that lacks a character (it is replaced),
    nor when the terminal has gone away (nothing more is printed). And of what anybody prints, a
    library's warning say, a terminal obeys nothing but colours."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        if stream is not None and not isinstance(stream, _Filter):
            setattr(sys, name, _Filter(_Stream(stream) if stream.isatty() else stream))


COLOURS = re.compile(r"(\x1b\[[0-9;:]*m)")
BARS = re.compile(r"\r(?=[^\r]*$)|\n*(\x1b\[A)+$")
"""How tqdm, with which libraries show downloads, begins a line anew or goes to the one above."""


def _harmless(text: str) -> str:
    """``text`` without what a terminal obeys, colours and tqdm's own movements aside."""
    if text.isprintable():
        return text
    moves = BARS.match(text)
    start = moves[0] if moves is not None else ""
    parts = COLOURS.split(text[len(start) :])
    return start + "".join(plain(p) if i % 2 == 0 else p for i, p in enumerate(parts))


class _Filter:
    """A stream that anybody may print to.

    Attributes:
        unfiltered: the stream behind it, for who has escaped what is foreign and moves the cursor.
    """

    def __init__(self, unfiltered: IO[str] | _Stream) -> None:
        self.unfiltered = unfiltered

    def write(self, text: str) -> int:
        """As a text stream's."""
        self.unfiltered.write(_harmless(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As a text stream's."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)


class _Stream:
    """A terminal that may go away: writing then gives EIO, and from then on goes nowhere."""

    def __init__(self, inner: IO[str]) -> None:
        self._inner = inner

    def write(self, text: str) -> int:
        """As a text stream's."""
        try:
            return self._inner.write(text)
        except OSError:
            self._discard()
            return len(text)

    def flush(self) -> None:
        """As a text stream's."""
        try:
            self._inner.flush()
        except OSError:
            self._discard()

    def _discard(self) -> None:
        """What is buffered, and all that follows, goes to the null device."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._inner.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
