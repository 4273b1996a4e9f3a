"""The distinct states that a run has met, for `lvlm2p label --from-run`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lvlm2p.envs.untrusted import parse_json
from lvlm2p.student.training.checkpoint import check_size

if TYPE_CHECKING:
    from lvlm2p.envs import View


class Visited:
    """visited.jsonl: one view a line, when it is first seen."""

    def __init__(self, path: Path) -> None:
        self._seen: set[str] = set()
        self._path = path
        self._file = path.open("a+b")

    def __call__(self, views: Sequence[View]) -> None:
        """Write down what is new."""
        for view in views:
            if view.key not in self._seen:
                self._seen.add(view.key)
                self._file.write(json.dumps(view.to_json()).encode() + b"\n")

    def size(self) -> int:
        """Bytes that are written."""
        self._file.flush()
        return self._file.tell()

    def cut(self, size: int) -> None:
        """Forget what was written after the first ``size`` bytes.

        Raises:
            CheckpointError: there are not as many.
        """
        from lvlm2p.envs import Lvlm2pError, View

        check_size(self._path, size)
        self._file.truncate(size)
        self._file.seek(0)
        self._seen = set()
        for line in self._file:
            with contextlib.suppress(Lvlm2pError):  # a damaged line is no state that was seen
                self._seen.add(View.from_json(parse_json(line)).key)
        self._file.seek(0, 2)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
