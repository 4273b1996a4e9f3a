"""A child process that is started in a group of its own and leaves nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lvlm2p.teachers.errors import ConfigError, TeacherNotReadyError

STOP_TIMEOUT_S = 15.0  # between SIGTERM and SIGKILL


def launch(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start ``command`` with its output in ``log``; it is asked to stop when we are killed.

    Raises:
        ConfigError: the log can't be written.
        TeacherNotReadyError: the command can't be run.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("wb")
    except OSError as error:
        raise ConfigError(f"--log {log} can't be written: {error.strerror}") from None
    with output:
        try:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, so that all of it can be ended
                preexec_fn=_stop_with_parent(),
            )
        except OSError as error:
            raise TeacherNotReadyError(f"{command[0]} can't be run: {error.strerror}") from None


def _stop_with_parent() -> Callable[[], None] | None:
    """Make the child stop when we are killed outright; Linux only."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork: little is safe after it
    parent, pr_set_pdeathsig = os.getpid(), 1

    def in_child() -> None:
        libc.prctl(pr_set_pdeathsig, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return in_child


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End every process of the group; its leader being dead says nothing about the others."""
    for number, timeout_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C: do not wait any longer
            if _gone_after(number, timeout_s, process):
                return


def _gone_after(number: int, timeout_s: float, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + timeout_s
    try:
        os.killpg(process.pid, number)
        while time.monotonic() < deadline:
            process.poll()  # reaps the leader: a zombie would keep the group alive
            os.killpg(process.pid, 0)
            time.sleep(0.05)
    except ProcessLookupError:
        process.poll()
        return True
    return False


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log that are not blank."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        text = file.read().decode(errors="replace")
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
