"""Where a label set may be written: said before anybody is asked, and without loading pyarrow."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lvlm2p.teachers.errors import LabelFileError

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
"""How a URI begins. A name with a colon, such as ``d:x/y``, is a path like any other."""


def writable_file(out: str | Path) -> Path:
    """``out`` as a file that can be made here; no folder is made yet.

    Raises:
        LabelFileError: it is an address or a folder, or nothing can be written there.
    """
    if isinstance(out, str) and ADDRESS.match(out):  # a Path has only one slash left
        raise LabelFileError(
            f"{out} is an address and this writes a file on this machine: give a path "
            "(only `lvlm2p label --engine ray` writes to s3://... and the like)"
        )
    path = Path(out)
    try:
        trouble = _trouble(path)
    except (OSError, ValueError) as error:  # a name too long for the disk, a folder not to be seen
        trouble = str(error)
    if trouble is not None:
        raise LabelFileError(f"{path} can't be written: {trouble}")
    return path


def _trouble(path: Path) -> str | None:
    """Why no file of this name can be made; None: it can, as far as one can see."""
    if path.is_dir():
        return f"it is a folder; name a file in it, such as {path / 'labels.parquet'}"
    if path.exists() and not path.is_file():
        return "it is a device or a pipe, which a finished file would take the place of"
    nearest = next(parent for parent in path.absolute().parents if parent.exists())
    if not nearest.is_dir():
        return f"{nearest} is a file, not a folder"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"you may not write in {nearest}"
    return None
