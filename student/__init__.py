"""Who learns: rollouts, PPO and A2C with distillation, checkpoints, films and plots.

The student learns from labels and rewards and never knows who answered. Names are imported on
first use, so that reading the configuration does not cost an import of torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from student.comparing import CompareConfig, compare
    from student.config import TrainConfig
    from student.playing import PlayConfig, play
    from student.result import TrainResult
    from student.run import train
    from student.trained import Student, load_student

__all__ = [
    "CompareConfig",
    "PlayConfig",
    "Student",
    "TrainConfig",
    "TrainResult",
    "compare",
    "load_student",
    "play",
    "train",
]

_HOME = {
    "CompareConfig": "student.comparing",
    "compare": "student.comparing",
    "TrainConfig": "student.config",
    "PlayConfig": "student.playing",
    "play": "student.playing",
    "Student": "student.trained",
    "TrainResult": "student.result",
    "load_student": "student.trained",
    "train": "student.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'student' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
