"""Label sets: what is in a label store, looked at, carried elsewhere, checked and cleared out."""

from __future__ import annotations

from teachers.labelset.commands import (
    ExportConfig,
    ImportConfig,
    PruneConfig,
    ShowConfig,
    StatsConfig,
    VerifyConfig,
)

__all__ = [
    "ExportConfig",
    "ImportConfig",
    "PruneConfig",
    "ShowConfig",
    "StatsConfig",
    "VerifyConfig",
]
