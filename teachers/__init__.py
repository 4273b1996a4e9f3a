"""Who answers: teachers, their labels, and the store that every paid answer goes to.

Nothing heavy is imported until it is used; torch never is by this package's interface.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from teachers.budget import Budget as Budget
    from teachers.context import Context as Context
    from teachers.context import Journal as Journal
    from teachers.context import Status as Status
    from teachers.context import fingerprint_of as fingerprint_of
    from teachers.context import reply_key as reply_key
    from teachers.errors import AnswerError as AnswerError
    from teachers.errors import CheckpointError as CheckpointError
    from teachers.errors import ConfigError as ConfigError
    from teachers.errors import LabelFileError as LabelFileError
    from teachers.errors import Lvlm2pError as Lvlm2pError
    from teachers.errors import MissingLabelsError as MissingLabelsError
    from teachers.errors import RunError as RunError
    from teachers.errors import StoreError as StoreError
    from teachers.errors import TeacherError as TeacherError
    from teachers.errors import TeacherNotReadyError as TeacherNotReadyError
    from teachers.errors import UnknownNameError as UnknownNameError
    from teachers.errors import UserError as UserError
    from teachers.evaluation import Evaluation as Evaluation
    from teachers.evaluation import evaluate_teacher as evaluate_teacher
    from teachers.label import Answer as Answer
    from teachers.label import Failure as Failure
    from teachers.label import Label as Label
    from teachers.label import Turn as Turn
    from teachers.label import Usage as Usage
    from teachers.label import check_probabilities as check_probabilities
    from teachers.registry import available as available
    from teachers.registry import load_teacher as load_teacher
    from teachers.store import LabelStore as LabelStore
    from teachers.store import default_store_path as default_store_path
    from teachers.stored import StoredTeacher as StoredTeacher
    from teachers.teacher import Counts as Counts
    from teachers.teacher import Teacher as Teacher

_HOMES = {
    "Budget": "budget",
    "Context": "context",
    "Journal": "context",
    "Status": "context",
    "fingerprint_of": "context",
    "reply_key": "context",
    "AnswerError": "errors",
    "CheckpointError": "errors",
    "ConfigError": "errors",
    "LabelFileError": "errors",
    "Lvlm2pError": "errors",
    "MissingLabelsError": "errors",
    "RunError": "errors",
    "StoreError": "errors",
    "TeacherError": "errors",
    "TeacherNotReadyError": "errors",
    "UnknownNameError": "errors",
    "UserError": "errors",
    "Evaluation": "evaluation",
    "evaluate_teacher": "evaluation",
    "Answer": "label",
    "Failure": "label",
    "Label": "label",
    "Turn": "label",
    "Usage": "label",
    "check_probabilities": "label",
    "available": "registry",
    "load_teacher": "registry",
    "LabelStore": "store",
    "default_store_path": "store",
    "StoredTeacher": "stored",
    "Counts": "teacher",
    "Teacher": "teacher",
}
"""Public name -> the module of this package that holds it."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
