"""What is seen and done: tasks, views, environments, the exact planner.

The lowest floor: nothing here imports from the rooms above. Names are loaded on first use, so that
importing :mod:`envs` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.errors import Lvlm2pError, UnknownNameError, UserError
    from envs.making import make_env, view_of
    from envs.registry import covered_ids, register_task, task_for, task_named, tasks
    from envs.sampling import sample_states
    from envs.symmetry import canonical, mirror
    from envs.task import Action, ImageStyle, Plan, Symmetry, Task
    from envs.vector import Observation, Step, VectorEnv
    from envs.view import DRAWING_VERSION, View

_HOME = {
    "DRAWING_VERSION": "envs.view",
    "Action": "envs.task",
    "ImageStyle": "envs.task",
    "Lvlm2pError": "envs.errors",
    "Plan": "envs.task",
    "Symmetry": "envs.task",
    "Task": "envs.task",
    "UnknownNameError": "envs.errors",
    "UserError": "envs.errors",
    "Observation": "envs.vector",
    "Step": "envs.vector",
    "VectorEnv": "envs.vector",
    "View": "envs.view",
    "canonical": "envs.symmetry",
    "covered_ids": "envs.registry",
    "make_env": "envs.making",
    "mirror": "envs.symmetry",
    "register_task": "envs.registry",
    "sample_states": "envs.sampling",
    "task_for": "envs.registry",
    "task_named": "envs.registry",
    "tasks": "envs.registry",
    "view_of": "envs.making",
}

__all__ = [
    "DRAWING_VERSION",
    "Action",
    "ImageStyle",
    "Lvlm2pError",
    "Observation",
    "Plan",
    "Step",
    "Symmetry",
    "Task",
    "UnknownNameError",
    "UserError",
    "VectorEnv",
    "View",
    "canonical",
    "covered_ids",
    "make_env",
    "mirror",
    "register_task",
    "sample_states",
    "task_for",
    "task_named",
    "tasks",
    "view_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'envs' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
