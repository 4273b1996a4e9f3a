"""`lvlm2p labels export` and `import`: between a store and a Parquet file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvlm2p.teachers.errors import ConfigError, LabelFileError
from lvlm2p.teachers.label import Entry, Label
from lvlm2p.teachers.labelset.parquet import read_rows, write_labels
from lvlm2p.teachers.labelset.schema import from_row
from lvlm2p.teachers.progress import counted
from lvlm2p.teachers.store.contents import AnswerFilter, count, entries, nothing_chosen
from lvlm2p.teachers.store.rows import chunks, name_of
from lvlm2p.teachers.store.store import LabelStore

BATCH = 1_000
"""Rows of one transaction."""

NAMED = 10
"""So many bad rows are described; all are counted."""


@dataclass(frozen=True)
class Exported:
    """What was written where."""

    out: Path
    rows: int
    left_out: int
    """Answers whose state is not stored, or is of a task that nobody has registered here."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"out": str(self.out), "rows": self.rows, "left_out": self.left_out}

    def summary(self) -> str:
        """One line."""
        lost = f"; {self.left_out:,} left out (`lvlm2p labels verify` says why)"
        return f"{self.rows:,} rows written to {self.out}{lost if self.left_out else ''}"


@dataclass
class Imported:
    """What came of the rows of a file."""

    file: Path
    added: int = 0
    known: int = 0
    bad: int = 0
    reasons: list[str] | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        counts = {"added": self.added, "known": self.known, "bad": self.bad}
        return {"file": str(self.file), **counts, "reasons": self.reasons or []}

    def summary(self) -> str:
        """A line, and one for each of the first bad rows."""
        lines = [f"{self.added:,} added, {self.known:,} were there already, {self.bad:,} bad rows"]
        lines += [f"  {reason}" for reason in self.reasons or []]
        if self.bad > NAMED:
            lines.append(f"  and {self.bad - NAMED:,} more")
        return "\n".join(lines)

    def reject(self, row: int, reason: str) -> None:
        """Count a bad row, and keep why if it is one of the first."""
        self.bad += 1
        self.reasons = self.reasons or []
        if len(self.reasons) < NAMED:
            self.reasons.append(f"row {row:,}: {reason}")


def export(
    store: LabelStore,
    out: Path,
    choice: AnswerFilter,
    images: bool = False,
    watch: Callable[[Entry], None] | None = None,
) -> Exported:
    """Write the chosen answers to ``out``, a stream: memory does not grow with the store. ``watch``
    is shown each of them.

    Raises:
        ConfigError: there are none; no file is written.
        LabelFileError: the file can't be written.
    """
    wanted = count(store, choice)
    if not wanted:
        raise ConfigError(f"nothing to export: {nothing_chosen(store, choice)}")
    chosen = entries(store, choice)
    first = next(chosen, None)
    if first is None:
        raise ConfigError(
            f"nothing to export: not one of {wanted:,} answers has a usable state of a task that "
            "is known here (`lvlm2p labels verify` says why)"
        )
    stream = counted(itertools.chain([first], chosen), "exporting", wanted)
    if watch is not None:
        stream = _watched(stream, watch)
    rows = write_labels(out, stream, images)
    return Exported(out, rows, max(0, wanted - rows))


def _watched(stream: Iterator[Entry], watch: Callable[[Entry], None]) -> Iterator[Entry]:
    for entry in stream:
        watch(entry)
        yield entry


def import_file(store: LabelStore, path: Path) -> Imported:
    """Add the rows of ``path``. Each is checked; a bad one is reported and the rest go on.

    What the store has already stays: a label is only ever put where there was none.
    """
    result = Imported(path)
    batch: list[Entry] = []
    for entry in counted(_good_rows(path, result), "importing", None):
        batch.append(entry)
        if len(batch) == BATCH:
            _add(store, batch, result)
            batch = []
    _add(store, batch, result)
    return result


def _good_rows(path: Path, result: Imported) -> Iterator[Entry]:
    for number, row in enumerate(read_rows(path)):
        try:
            yield from_row(row)
        except LabelFileError as error:
            result.reject(number, str(error))


def _add(store: LabelStore, batch: list[Entry], result: Imported) -> None:
    names = [name_of(entry.answer.fingerprint, entry.view.key, entry.sample) for entry in batch]
    there = store.find(names, bad={})  # a damaged row holds nothing: it is put right
    fresh: dict[str, Entry] = {}
    for name, entry in zip(names, batch, strict=True):
        old = fresh[name].answer if name in fresh else there[name][0] if name in there else None
        if old is None or (isinstance(entry.answer, Label) and not isinstance(old, Label)):
            result.added += name not in fresh
            fresh[name] = entry
        else:
            result.known += 1
    for part in chunks(list(fresh.values()), BATCH):
        store.put_entries(part)
