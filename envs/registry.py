"""Which tasks there are, and which one an environment belongs to."""

from __future__ import annotations

import importlib
from fnmatch import fnmatchcase
from functools import cache

from lvlm2p.envs.errors import UnknownNameError, UserError
from lvlm2p.envs.questions import SUFFIX, question_task
from lvlm2p.envs.task import Task
from lvlm2p.envs.task import View as View  # reads saved views, once this file is imported

GROUP = "lvlm2p.tasks"
"""Entry points of installed packages: modules, or callables, that call :func:`register_task`."""

BUILTIN = ("lvlm2p.envs.minigrid.tasks", "lvlm2p.envs.doorkey.tasks")
"""The modules whose ``FAMILIES`` are the tasks that are shipped."""

_TASKS: dict[str, Task] = {}


def register_task(task: Task) -> Task:
    """Make a task known; a task of the same name is replaced. Returns it.

    Raises:
        UserError: it has no action, or two of the same name; it does not say what is seen.
    """
    if task.observe is None and task.observer is None:
        raise UserError(f"task {task.name!r} needs observe or observer, to say what is seen.")
    names = task.action_names
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"task {task.name!r} needs at least one action and distinct names, not {names}."
        )
    _builtin()
    _TASKS.pop(task.name, None)
    _TASKS[task.name] = task
    _match.cache_clear()
    return task


def tasks() -> list[Task]:
    """All tasks, by name."""
    _builtin()
    return [task for _, task in sorted(_TASKS.items())]


def task_named(name: str) -> Task:
    """The task called ``name``.

    Raises:
        UnknownNameError: there is none; the sentence names the nearest.
    """
    _builtin()
    if name not in _TASKS and name.endswith(SUFFIX):
        return question_task(task_named(name.removesuffix(SUFFIX)))
    if name not in _TASKS:
        _installed()
    if name not in _TASKS:
        raise UnknownNameError("task", name, _TASKS, "Others are made known by register_task.")
    return _TASKS[name]


def task_for(env_id: str) -> Task:
    """The task that a Gymnasium id belongs to (``module:id`` imports the module first).

    Raises:
        UnknownNameError: Gymnasium knows no such environment; the sentence names the nearest.
        UserError: it does, but no task covers it.
    """
    import gymnasium as gym

    _register_environments()
    module, _, name = env_id.rpartition(":")
    if module:
        _import(module, env_id)
    task = _match(name)
    if task is None or name not in gym.registry:
        _installed()
        task = _match(name)
    if name not in gym.registry:
        raise UnknownNameError("environment", env_id, covered_ids())
    if task is None:
        raise UserError(
            f"no Task is registered for {env_id!r}: describe it with "
            f"register_task (docs/tasks.md); there are tasks for {', '.join(_patterns())}."
        )
    return task


def covered_ids() -> list[str]:
    """Every registered Gymnasium id that a task covers."""
    import gymnasium as gym

    _register_environments()
    _builtin()
    _installed()
    return sorted(env_id for env_id in gym.registry if _match(env_id) is not None)


def _patterns() -> list[str]:
    return [pattern for task in tasks() for pattern in task.env_ids]


@cache
def _match(env_id: str) -> Task | None:
    """The last registered task whose pattern fits, so that a user's own comes first."""
    _builtin()
    for task in reversed(_TASKS.values()):
        if any(fnmatchcase(env_id, pattern) for pattern in task.env_ids):
            return task
    return None


def _import(module: str, env_id: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:  # a module may raise anything, and so does a name that is none
        why = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise UserError(f"environment {env_id!r}: can't import {module!r}: {why}.") from error


@cache
def _installed() -> None:
    """Make the tasks of other packages known, once: the search takes a tenth of a second."""
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        try:
            register = point.load()
            if callable(register):
                register()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise UserError(f"the entry point {point.name!r} in {GROUP} fails: {why}.") from error


@cache
def _builtin() -> None:
    """Make the shipped tasks known, once."""
    for module in BUILTIN:
        for task in importlib.import_module(module).FAMILIES:
            _TASKS.setdefault(task.name, task)


def _register_environments() -> None:
    """Make the ids of MiniGrid and of our own environments known to Gymnasium."""
    import minigrid  # noqa: F401  (registers its ids)

    from lvlm2p.envs.doorkey.tasks import register_environments

    register_environments()


View.find_task = staticmethod(task_named)
