"""How good a teacher is on its own: measures, probes, a verdict and a report worth sharing.

Names are loaded on first use: ``lvlm2p evaluate --help`` needs the configuration alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from teachers.evaluation.config import EvaluateConfig as EvaluateConfig
    from teachers.evaluation.results import Estimate as Estimate
    from teachers.evaluation.results import Evaluation as Evaluation
    from teachers.evaluation.run import Report as Report
    from teachers.evaluation.run import evaluate as evaluate
    from teachers.evaluation.run import evaluate_teacher as evaluate_teacher

_HOMES = {
    "EvaluateConfig": "config",
    "Estimate": "results",
    "Evaluation": "results",
    "Report": "run",
    "evaluate": "run",
    "evaluate_teacher": "run",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
