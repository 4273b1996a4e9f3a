"""An episode that has ended, and whether it was a success."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Episode:
    """An episode that has ended."""

    total_return: float
    """Undiscounted sum of rewards."""
    length: int
    """Steps."""
    terminated: bool
    """It ended by its own rules."""
    truncated: bool
    """It was cut off."""


def positive_return(episode: Episode) -> bool:
    """What is a success unless a task says otherwise."""
    return episode.total_return > 0
