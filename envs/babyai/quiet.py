"""BabyAI prints to stdout whenever it draws a level anew; stdout is for results."""

from __future__ import annotations

from typing import Any


def quieten() -> None:
    """Make BabyAI's level generator silent."""
    from minigrid.envs.babyai.core import roomgrid_level

    module: Any = roomgrid_level
    module.print = _nothing


def _nothing(*values: object) -> None:
    """What it prints instead."""
