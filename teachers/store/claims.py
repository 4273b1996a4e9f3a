"""Locks of in-flight claims: a file whose lock the operating system releases when its process dies.

A claim on a question names the lock of the process that asks. The others must know at once when it
has crashed, and must not think so while it is only slow, suspended or swapped out. A heartbeat gets
one of the two wrong; a lock held by the kernel for the process gets both right. (SQLite's
write-ahead log ties a store to one machine anyway, so the lock need not reach further.)
"""

from __future__ import annotations

import fcntl
import os
import re
import uuid
import weakref
from pathlib import Path

from lvlm2p.envs.untrusted import MalformedDataError, parse_json

FOLDER = "owners"
NAME = re.compile("[0-9A-Za-z]{32}")


class ProcessLock:
    """The lock that this process holds in one store while it has claims there; released by
    ``close`` or by any death.

    Attributes:
        id: what claims name; the name of the lock file.
    """

    def __init__(self, store: Path) -> None:
        folder = store / FOLDER
        folder.mkdir(exist_ok=True)
        self.pid = os.getpid()
        while True:
            self.id = uuid.uuid4().hex
            self._path = folder / self.id
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            if _lock(self._file, fcntl.LOCK_EX) and self._path.exists():
                break  # else somebody tidied up between the two calls: take another name
            os.close(self._file)
        os.write(self._file, f"{self.pid}\n".encode())
        self._end = weakref.finalize(self, _end, self._path, self._file, self.pid)
        _held.add(self)

    def close(self) -> None:
        """Release it: the claims that are left over are free from now on."""
        self._end()


def _end(path: Path, file: int, pid: int) -> None:
    if pid == os.getpid():
        path.unlink(missing_ok=True)
    os.close(file)


_held: weakref.WeakSet[ProcessLock] = weakref.WeakSet()


def _after_fork() -> None:
    """A child must not keep its parent's locks alive: closing its copies leaves the parent's."""
    for lock in list(_held):
        lock.close()


os.register_at_fork(after_in_child=_after_fork)


def lock_id_in(claim: str) -> str:
    """Which lock the row of a claim names; empty where it is damaged."""
    try:
        lock_id = parse_json(claim)
    except MalformedDataError:
        return ""
    return lock_id if isinstance(lock_id, str) else ""


def is_held(store: Path, lock_id: str) -> bool:
    """Whether the process whose lock is called ``lock_id`` still runs."""
    if not NAME.fullmatch(lock_id):  # not one of our names: never a path to open
        return False
    path = store / FOLDER / lock_id
    try:
        file = os.open(path, os.O_RDWR)
    except (FileNotFoundError, IsADirectoryError):
        return False
    try:
        if not _lock(file, fcntl.LOCK_SH):
            return True
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(file)


def tidy(store: Path) -> None:
    """Remove what crashed processes have left."""
    folder = store / FOLDER
    if folder.is_dir():
        for path in folder.iterdir():
            is_held(store, path.name)


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
