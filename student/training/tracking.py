"""Where people already look: a run's numbers and pictures in TensorBoard, W&B, MLflow or Aim.

metrics.csv and TensorBoard's numbers are in the run's folder whatever is chosen. A tracker gets in
addition the hyper-parameters, two pictures (curves, an episode of the student) and the final
metrics. It is never a reason to lose a run: what it refuses is said once, and the run goes on.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvlm2p.envs.untrusted import MalformedDataError, read_json, shorten
from lvlm2p.teachers.files import write_atomically

if TYPE_CHECKING:
    from lvlm2p.student.config import TrainConfig

PROJECT = "lvlm2p"
"""What runs are filed under where a tracker wants a project or experiment."""

_SECRET = re.compile(r"key|token|secret|password|auth|base|url|file", re.IGNORECASE)

Value = str | int | float | bool


def hyper_parameters(config: TrainConfig) -> dict[str, Value]:
    """What was chosen, flat. Of the teacher's own options none that may be a key, or an address
    with one in it."""
    found: dict[str, Value] = {"frames": config.frames}
    for name, value in config.what_counts().items():
        if name == "teacher_args":
            options = {key: one for key, one in value.items() if not _SECRET.search(key)}
            found.update((f"teacher_args.{key}", _plain(one)) for key, one in options.items())
        elif value is not None:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Value:
    return value if isinstance(value, str | int | float | bool) else shorten(str(value))


class Tracker(ABC):
    """Where a run is shown. Every method may raise anything: see :class:`Guarded`."""

    @abstractmethod
    def numbers(self, values: Mapping[str, float], frames: int) -> None:
        """Some metrics, after so many frames."""

    @abstractmethod
    def picture(self, name: str, path: Path, frames: int) -> None:
        """A PNG or GIF."""

    @abstractmethod
    def result(self, values: Mapping[str, float]) -> None:
        """The final metrics."""

    @abstractmethod
    def close(self, done: bool) -> None:
        """The end; ``done``: of the whole run."""


class Guarded:
    """A tracker whose errors are said, once, and end the tracking, not the run."""

    def __init__(self, name: str, tracker: Tracker, say: Callable[[str], None]) -> None:
        self._name, self._say = name, say
        self.tracker: Tracker | None = tracker

    def __call__(self, work: Callable[[Tracker], None]) -> None:
        """Let the tracker do something."""
        if self.tracker is None:
            return
        try:
            work(self.tracker)
        except Exception as error:  # of a network, a disk, a package: anything
            self.tracker = None
            self._say(f"--track {self._name} has failed, and the run goes on without: {error}")


def remembered(run_dir: Path, name: str) -> str | None:
    """The tracker's name of this run, from before it was resumed."""
    try:
        found = read_json(run_dir / f"{name}.json")
    except (OSError, MalformedDataError):
        return None
    known = found.get("id") if isinstance(found, dict) else None
    return known if isinstance(known, str) and re.fullmatch(r"[\w-]{1,64}", known) else None


def remember(run_dir: Path, name: str, run: str) -> None:
    """Keep the tracker's name of this run."""
    write_atomically(run_dir / f"{name}.json", f'{{"id": "{run}"}}\n')
