"""What a run writes down: metrics.csv, timing.csv and TensorBoard events, under CleanRL's names.

metrics.csv holds what the seed decides: the same run gives the same bytes, whether it was
interrupted or not. What depends on the machine, or on what the store already had, is in
timing.csv.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from lvlm2p.student.training.checkpoint import check_size
from lvlm2p.student.training.events import Events
from lvlm2p.student.training.tracking import Guarded

METRICS = (
    *("frames", "charts/episodic_return", "charts/episodic_length", "charts/success"),
    "charts/episodes",
    *("losses/policy_loss", "losses/value_loss", "losses/entropy", "losses/approx_kl"),
    *("losses/clipfrac", "losses/explained_variance"),
    *("distill/lambda", "distill/kl", "distill/replayed_kl"),
    *("labels/states", "labels/labelled", "labels/failed"),
    *("eval/success", "eval/return", "eval/length"),
)
TIMING = (
    *("frames", "timing/seconds", "timing/frames_per_second"),
    *("timing/asked", "timing/cached", "timing/cost_usd"),
)


class Table:
    """A CSV file of numbers with fixed columns; what is not there stays empty."""

    def __init__(self, path: Path, columns: tuple[str, ...], size: int) -> None:
        """``size``: how many bytes of an existing file still count; the rest is cut off."""
        self._columns = columns
        self.file: TextIOWrapper = path.open("a", encoding="ascii", newline="")
        self.file.truncate(size)
        if size == 0:
            self.file.write(",".join(columns) + "\n")

    def write(self, row: Mapping[str, float | None]) -> None:
        """Append one row."""
        values = (row.get(column) for column in self._columns)
        self.file.write(",".join("" if v is None else repr(v) for v in values) + "\n")
        self.file.flush()


class Metrics:
    """All three, written together."""

    def __init__(
        self,
        folder: Path,
        sizes: Mapping[str, int],
        frames: int,
        tracker: Guarded | None = None,
    ) -> None:
        """``sizes`` as :meth:`sizes` gave them, ``frames``: where the run continues; ``tracker``
        is told the numbers, too.

        Raises:
            CheckpointError: a file is shorter than it was.
        """
        self._tracker = tracker
        for name, size in sizes.items():
            check_size(folder / name, size)
        self._tables = {
            name: Table(folder / name, columns, sizes.get(name, 0))
            for name, columns in (("metrics.csv", METRICS), ("timing.csv", TIMING))
        }
        # Hidden is what an interrupted run wrote after its last checkpoint, whose own point stays.
        self._events = Events(folder, purge=frames + 1 if frames else None)

    def write(self, row: dict[str, Any]) -> None:
        """One row of numbers, by name, for all who have such a column."""
        for table in self._tables.values():
            table.write(row)
        numbers = {k: float(v) for k, v in row.items() if k != "frames" and v is not None}
        self._events.add(numbers, row["frames"])
        if self._tracker is not None:
            self._tracker(lambda tracker: tracker.numbers(numbers, row["frames"]))

    def sizes(self) -> dict[str, int]:
        """How long the files are, after they are safely on disk."""
        for table in self._tables.values():
            os.fsync(table.file.fileno())
        return {name: os.fstat(t.file.fileno()).st_size for name, t in self._tables.items()}

    def close(self) -> None:
        """Close the files: all of them, though one of them be refused its last bytes."""
        with ExitStack() as each:
            each.callback(self._events.close)
            for table in self._tables.values():
                each.callback(table.file.close)


def read_metrics(path: Path) -> Iterator[dict[str, float]]:
    """The rows of a CSV file that :class:`Table` wrote, without the empty fields."""
    import csv

    with path.open(encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            yield {name: float(value) for name, value in row.items() if value}
