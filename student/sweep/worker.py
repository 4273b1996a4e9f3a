"""A process that trains the runs of a sweep: ``python -m lvlm2p.student.sweep.worker``.

A line of JSON on stdin is an :class:`~lvlm2p.student.sweep.outcome.Assignment`, and for each a
line on stdout is its :class:`~lvlm2p.student.sweep.outcome.RunOutcome`. When stdin ends, be it that
the sweep was stopped or killed, the run is saved and the process ends; so it does on Ctrl-C and
SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from queue import SimpleQueue
from types import FrameType

from lvlm2p.envs.untrusted import parse_json
from lvlm2p.student.sweep.outcome import Assignment


class _Inbox:
    """What comes on stdin; its end interrupts the run that is being trained."""

    def __init__(self) -> None:
        self.lines: SimpleQueue[str | None] = SimpleQueue()
        self.busy, self.ended = threading.Event(), threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self.lines.put(line)
        self.ended.set()
        self.lines.put(None)
        if self.busy.is_set():
            os.kill(os.getpid(), signal.SIGINT)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def main() -> int:
    """Train what comes, until nothing does; the value is the exit code."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no reply
    signal.signal(signal.SIGTERM, _interrupt)
    inbox = _Inbox()
    try:
        while (line := inbox.lines.get()) is not None:
            assignment = Assignment.model_validate(parse_json(line))
            inbox.busy.set()
            if inbox.ended.is_set():
                return 0
            outcome = assignment.carry_out()
            inbox.busy.clear()
            replies.write(outcome.model_dump_json() + "\n")
            replies.flush()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
