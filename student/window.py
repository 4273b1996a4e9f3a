"""The window of recent episodes that a run's charts are means of, and since when it was full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

RECENT = 100
"""Episodes that the charts are means of, once so many have ended."""

COUNT = "charts/episodes"
"""How many episodes the charts of a row of metrics.csv are means of."""


def windowed(metric: str) -> bool:
    """Whether ``metric`` is a mean over the recent episodes of training."""
    return metric.startswith("charts/")


@dataclass(frozen=True)
class Window:
    """Since when the charts of a run say what their name says: a mean over a few episodes is luck,
    and mostly of the short ones, which end first."""

    since: float
    """Frames after which it was full; infinity: it never was."""
    estimated: bool
    """The run was recorded before the count was."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, float]], n_envs: int) -> Window:
        """Of a run of ``n_envs`` environments, by the rows of its metrics.csv.

        Without a count it is estimated: that many episodes of the mean length, and one more under
        way in each environment, have to fit into the frames.

        Args:
            rows: in their order; what is empty is left out.
            n_envs: environments that were stepped together.
        """
        estimated = False
        for row in rows:
            if COUNT in row:
                full = row[COUNT] >= RECENT
            elif "charts/episodic_return" in row:
                estimated = True
                length = row.get("charts/episodic_length", 0.0)
                full = (RECENT + n_envs) * length <= row["frames"]
            else:
                full = False
            if full:
                return cls(row["frames"], estimated)
        return cls(float("inf"), estimated)
