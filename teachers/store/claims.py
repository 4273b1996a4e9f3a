"""Who is asking: a file with a lock that the operating system lets go of when its process dies.

A claim on a question names its owner. The others must know at once when the owner has crashed, and
must not think so while it is only slow, suspended or swapped out. A heartbeat gets one of the two
wrong; a lock held by the kernel for the process gets both right. (SQLite's write-ahead log ties a
store to one machine anyway, so the lock need not reach further.)
"""

from __future__ import annotations

import fcntl
import os
import uuid
import weakref
from pathlib import Path

FOLDER = "owners"


class Owner:
    """This process, as it signs its claims in one store. Let go of by ``close`` or by any death."""

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
        _owners.add(self)

    def close(self) -> None:
        """The claims that are left over are free from now on."""
        self._end()


def _end(path: Path, file: int, pid: int) -> None:
    if pid == os.getpid():
        path.unlink(missing_ok=True)
    os.close(file)


_owners: weakref.WeakSet[Owner] = weakref.WeakSet()


def _after_fork() -> None:
    """A child must not keep its parent's locks alive: closing its copies leaves the parent's."""
    for owner in list(_owners):
        owner.close()


os.register_at_fork(after_in_child=_after_fork)


def is_alive(store: Path, owner: str) -> bool:
    """Whether the process that signed as ``owner`` still runs."""
    if len(owner) != 32 or not owner.isalnum():  # not one of our names: never a path to open
        return False
    path = store / FOLDER / owner
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
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
            is_alive(store, path.name)


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
