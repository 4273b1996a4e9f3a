"""Label sets are paid for: one is replaced by one with all its answers, or where one says so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lvlm2p.teachers.errors import LabelFileError

Answered = tuple[str, str]
"""Whom an answer is from and what it is about: the teacher's fingerprint and the view's key."""


def check_replaceable(path: Path, replacement: Iterable[Answered]) -> None:
    """Whether ``replacement`` has every answer of the label set ``path``; nothing is read of it
    where there is no such file, or an empty one.

    Raises:
        LabelFileError: it lacks some, or the file is no label set.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return
    from lvlm2p.teachers.labelset.parquet import read_rows

    advice = "--overwrite replaces it; or name another file"
    try:
        lost = {
            (row.get("fingerprint"), row.get("key"))  # None of a damaged row, which counts as lost
            for row in read_rows(path, keep=("fingerprint", "key"))
        }
    except LabelFileError as error:
        raise LabelFileError(f"{path} is there and can't be read ({error}): {advice}") from None
    total = len(lost)
    for answered in replacement:
        lost.discard(answered)
    if lost:
        raise LabelFileError(
            f"{path} is there and {len(lost):,} of its {total:,} answers, of another teacher or "
            f"about other states, would not be in the new one: {advice}"
        )
