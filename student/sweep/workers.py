"""Runs trained by processes on this machine, several at a time; one that dies is replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from queue import Empty, SimpleQueue
from typing import IO

from pydantic import ValidationError

from lvlm2p.student.sweep.outcome import Assignment, RunOutcome

ATTEMPTS = 3
"""How often a run is begun or gone on with before its process's deaths are its own fault."""

COMMAND = ("-m", "lvlm2p.student.sweep.worker")


def train_here(
    assignments: Sequence[Assignment], workers: int
) -> Generator[tuple[int, RunOutcome]]:
    """The number of each assignment with its outcome, as they come.

    When the iterator is closed, or an exception such as KeyboardInterrupt passes through it, every
    run that is under way is saved first.
    """
    pool = _Workers(assignments)
    threads = [
        threading.Thread(target=pool.serve, daemon=True)
        for _ in range(min(workers, len(assignments)))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in assignments:
            yield pool.outcomes.get()
    finally:
        pool.stop()
        for thread in threads:
            thread.join()


class _Workers:
    """What threads share, each of which has a process of its own."""

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self.outcomes: SimpleQueue[tuple[int, RunOutcome]] = SimpleQueue()
        self._assignments = assignments
        self._waiting: SimpleQueue[int] = SimpleQueue()
        for number in range(len(assignments)):
            self._waiting.put(number)
        self._lock = threading.Lock()
        self._stopped = False
        self._processes: list[subprocess.Popen[str]] = []

    def serve(self) -> None:
        """Have a process train what is left, one run after another."""
        process: subprocess.Popen[str] | None = None
        while not self._stopped:
            try:
                number = self._waiting.get_nowait()
            except Empty:
                break
            for _ in range(ATTEMPTS):
                process = process or self._start()
                if process is None:
                    return
                outcome = _asked(process, self._assignments[number])
                if outcome is not None:
                    break
                code, process = process.wait(), None
                outcome = RunOutcome(error=_death(code), exit_code=1)
                if self._stopped:
                    return
            self.outcomes.put((number, outcome or RunOutcome()))
        if process is not None:
            _end(process)

    def stop(self) -> None:
        """Each process saves what it is training, and ends."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                _close(process.stdin)
            for process in self._processes:
                process.wait()

    def _start(self) -> subprocess.Popen[str] | None:
        """A new process, in a session of its own: a terminal's Ctrl-C reaches the sweep alone."""
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                [sys.executable, *COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **os.environ},
                start_new_session=True,
            )
            self._processes.append(process)
            return process


def _asked(process: subprocess.Popen[str], assignment: Assignment) -> RunOutcome | None:
    """What the process says of it; None: it ended before it said anything."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(assignment.model_dump_json() + "\n")
        process.stdin.flush()
        return RunOutcome.model_validate_json(process.stdout.readline())
    except (OSError, ValueError, ValidationError):  # a pipe without a reader, or half a line
        _end(process)
        return None


def _end(process: subprocess.Popen[str]) -> None:
    _close(process.stdin)
    process.wait()
    _close(process.stdout)


def _close(pipe: IO[str] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except (OSError, ValueError):  # what was buffered has no reader any more
        pass


def _death(code: int) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"its process {how}, {ATTEMPTS} times in a row: is there enough memory?"
