"""Keyword arguments that had other names: they work for one version more, and say so."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

RENAMED = {"look": "observe", "scene": "ground_truth", "still": "deterministic"}
REPLACED = {"symbols": "observer=partial(GridObserver, symbols=...)"}


def accept_old_keywords(cls: type[T]) -> type[T]:
    """A class decorator: ``look``, ``scene``, ``still`` and ``symbols`` of a Task, as before."""
    init: Callable[..., None] = cls.__init__

    @functools.wraps(init)
    def __init__(self: T, *args: Any, **kwargs: Any) -> None:
        for old, new in (RENAMED | REPLACED).items():
            if kwargs.get(old) is not None:
                instead = f"{new}=..." if old in RENAMED else new
                warnings.warn(
                    f"{cls.__name__}({old}=...) is deprecated: say {instead}",
                    DeprecationWarning,
                    stacklevel=2,
                )
        for old, new in RENAMED.items():
            if old in kwargs:
                value = kwargs.pop(old)
                kwargs[new] = _of_env_and_task(value) if old == "look" else value
        init(self, *args, **kwargs)

    setattr(cls, "__init__", __init__)  # noqa: B010  (mypy forbids the plain assignment)
    return cls


def _of_env_and_task(look: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """``look(env)`` as ``observe(env, task)``."""
    return lambda env, task: look(env)
