"""A table that grows."""

from __future__ import annotations

from torch import Tensor


class Columns:
    """Tensors that grow at the end, in step, by doubling."""

    def __init__(self, **columns: Tensor) -> None:
        self.names = tuple(columns)
        self._room = columns
        self._length = len(next(iter(columns.values())))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> Tensor:
        return self._room[name][: self._length]

    def append(self, **rows: Tensor) -> None:
        """Add rows to every column."""
        start = self._length
        self._length += len(rows[self.names[0]])
        for name, column in self._room.items():
            if self._length > len(column):
                column = column.new_empty((2 * self._length, *column.shape[1:]))
                column[:start] = self._room[name][:start]
                self._room[name] = column
            column[start : self._length] = rows[name]
