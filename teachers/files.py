"""Writing files so that a reader finds the old content or the new, and never half of it."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

PART = ".part"
"""How the name of a file ends that is not complete yet."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The name of a new file beside ``path``, which takes its place when the block is left.

    It is on disk before it does, so that a crash or a power cut leaves the old file or the new
    one. Where the block raises, ``path`` is what it was.

    Raises:
        OSError: a file can't be written there.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PART}")
    try:
        yield draft
        _flush(draft)
        draft.replace(path)
        _flush(path.parent)  # the new name, too
    finally:
        with contextlib.suppress(OSError):  # it may be no name that a file can have
            draft.unlink()


def write_atomically(path: Path, data: bytes | str) -> None:
    """All of ``data`` (text: as UTF-8) is on disk as ``path``, or ``path`` is what it was.

    Raises:
        OSError: it can't be written.
    """
    with replacing(path) as draft:
        draft.write_bytes(data.encode() if isinstance(data, str) else data)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
