"""Teachers that are asked in words: hosted models, local servers, models in this process."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from teachers.chat.in_process import TransformersTeacher
    from teachers.chat.teacher import ChatTeacher

_HOME = {"ChatTeacher": "teacher", "TransformersTeacher": "in_process"}

__all__ = ["ChatTeacher", "TransformersTeacher"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'teachers.chat' has no attribute {name!r}")
    return getattr(import_module(f"teachers.chat.{_HOME[name]}"), name)
