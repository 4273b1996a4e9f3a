"""Which tasks there are, and which one an environment belongs to."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from types import ModuleType

from lvlm2p.envs.arguments import TIME_LIMIT, check_arguments, split_arguments, with_arguments
from lvlm2p.envs.errors import UnknownNameError, UserError
from lvlm2p.envs.extras import MissingPackageError, explained
from lvlm2p.envs.questions import SUFFIX, question_task
from lvlm2p.envs.task import Task
from lvlm2p.envs.task import View as View  # reads saved views, once this file is imported

GROUP = "lvlm2p.tasks"
"""Entry points of installed packages: modules, or callables, that call :func:`register_task`."""

BUILTIN = (
    "lvlm2p.envs.minigrid.tasks",
    "lvlm2p.envs.minigrid.families",
    "lvlm2p.envs.babyai.tasks",
    "lvlm2p.envs.doorkey.tasks",
    "lvlm2p.envs.miniworld.tasks",
)
"""The modules whose ``FAMILIES`` are the tasks that are shipped."""

_TASKS: dict[str, Task] = {}

_GENERIC: dict[str, Task] = {}
"""Made for environments that no registered task covers, by name."""

WELL_KNOWN = {
    "ALE/": "ale_py",
    "MinAtar/": "minatar.gym",
    "MiniWorld-": "lvlm2p.envs.miniworld.simulator",
}
"""Beginnings of ids -> the package that registers them."""


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
    """The task called ``name``: a registered one, or that of an environment of this name.

    Raises:
        UnknownNameError: there is none; the sentence names the nearest.
    """
    _builtin()
    if name not in _TASKS and name.endswith(SUFFIX):
        return question_task(task_named(name.removesuffix(SUFFIX)))
    if name not in _TASKS and name not in _GENERIC:
        _installed()
    if name in _TASKS:
        return _TASKS[name]
    why = "Others are made known by register_task."
    try:
        if name in _GENERIC or _names_an_environment(name):
            return _generic(name)
    except UserError as error:  # it may be sound on a machine that has another package
        why = f"The environment of this name is of no use here: {error}"
    raise UnknownNameError("task", name, _TASKS, why)


def task_for(env: str) -> Task:
    """The task that an environment belongs to: a Gymnasium id, with arguments or without
    (``id?key=value``); ``module:id`` imports the module first.

    An environment that no registered task covers gets one of its own, made from what it says of
    itself.

    Raises:
        UnknownNameError: Gymnasium knows no such environment, or it has no such argument; the
            sentence names the nearest.
        UserError: it can't be made, or not be learned from.
    """
    import gymnasium as gym

    _register_environments()
    env_id, arguments = split_arguments(env)
    module, _, name = env_id.rpartition(":")
    if module or name not in gym.registry:
        _register_foreign(module, name, env_id)
    task = _match(name)
    if task is None or name not in gym.registry:
        _installed()
        task = _match(name)
    if name not in gym.registry:
        raise UnknownNameError("environment", env_id, gym.registry)
    if arguments:
        check_arguments(gym.registry[name], arguments)
    if task is None:
        arguments.pop(TIME_LIMIT, None)
        task = _generic(with_arguments(name, arguments))
    return task


def covered_ids() -> list[str]:
    """Every registered Gymnasium id that a task covers."""
    import gymnasium as gym

    _register_environments()
    _builtin()
    _installed()
    return sorted(env_id for env_id in gym.registry if _match(env_id) is not None)


@cache
def _match(env_id: str) -> Task | None:
    """The last registered task whose pattern fits, so that a user's own comes first."""
    _builtin()
    for task in reversed(_TASKS.values()):
        if any(fnmatchcase(env_id, pattern) for pattern in task.env_ids):
            return task
    return None


@contextmanager
def told(envs: Iterable[str], rules: str | None) -> Iterator[None]:
    """Meanwhile the tasks of these environments have ``rules``; with None, their own."""
    if rules is None:
        yield
        return
    names = {task_for(env).name for env in envs}
    homes = {name: _TASKS if name in _TASKS else _GENERIC for name in names}
    own = {name: homes[name][name] for name in names}
    for name, task in own.items():
        homes[name][name] = replace(task, rules=rules)
    _match.cache_clear()
    try:
        yield
    finally:
        for name, task in own.items():
            homes[name][name] = task
        _match.cache_clear()


def _generic(name: str) -> Task:
    """The task of an environment that no other task covers; made once."""
    if name not in _GENERIC:
        from lvlm2p.envs.generic.make import generic_task

        task = generic_task(name)
        _GENERIC[name] = _GENERIC.setdefault(task.name, task)
    return _GENERIC[name]


MOST_SAVED_NAME, MOST_SAVED_NUMBER = 200, 1_000


def _names_an_environment(name: str) -> bool:
    """Whether a task's name, which a stranger may have written, is an environment's that may be
    made for it: one that is known here, with arguments that are words and small numbers."""
    import gymnasium as gym

    if len(name) > MOST_SAVED_NAME:
        return False
    env_id, arguments = split_arguments(name)
    _register_environments()
    if env_id not in gym.registry:
        _register_foreign("", env_id, env_id)
    if env_id not in gym.registry:
        return False
    check_arguments(gym.registry[env_id], arguments)
    for value in arguments.values():
        small = (
            isinstance(value, bool | int | float | None) and abs(value or 0) <= MOST_SAVED_NUMBER
        )
        if not small and not (isinstance(value, str) and value.replace("-", "").isalnum()):
            return False
    return True


def _register_foreign(module: str, name: str, env_id: str) -> None:
    """Import the module that registers an environment, if one is named or well known."""
    if module:
        _import(module, env_id)
        return
    for beginning, package in WELL_KNOWN.items():
        if name.startswith(beginning):
            found = _import(package, env_id)
            getattr(found, "register_envs", lambda: None)()


def _import(module: str, env_id: str) -> ModuleType:
    try:
        here = str(Path.cwd())
        if here not in sys.path and Path(f"{module.replace('.', '/')}.py").is_file():
            sys.path.append(here)  # last, so that it hides nothing
        return importlib.import_module(module)
    except Exception as error:  # a module may raise anything, and so does a name that is none
        if isinstance(error, ModuleNotFoundError):
            clear = explained(error, f"environment {env_id!r}")
            if isinstance(clear, MissingPackageError):
                raise clear from error
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

    from lvlm2p.envs.babyai.quiet import quieten
    from lvlm2p.envs.doorkey.tasks import register_environments
    from lvlm2p.envs.miniworld.tasks import register_environments as register_3d

    quieten()
    register_environments()
    register_3d()


View.find_task = staticmethod(task_named)
