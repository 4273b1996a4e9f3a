"""The progress of a run on stderr: how fast, how good, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lvlm2p.teachers.progress import Bar, asking, say

if TYPE_CHECKING:
    from lvlm2p.student.training.run_state import Run


class Progress(Bar):
    """A bar where there is a terminal, else ten lines; ``shown=False``: neither.

    From :meth:`watch` on it says at any moment how many questions were answered, how many are
    waited for and what they cost.
    """

    def __init__(self, total: int, shown: bool) -> None:
        super().__init__("frames", total, shown=shown, lines=10, live=self._now)
        self._row: Mapping[str, Any] = {}
        self._run: Run | None = None

    def watch(self, run: Run) -> None:
        """Show the questions of ``run`` from now on."""
        self._run = run

    def say(self, text: str) -> None:
        """One sentence, whether the bar is shown or not."""
        say(text)

    def update(self, row: Mapping[str, Any]) -> None:
        """Show one row of metrics."""
        self._row = row
        self.reach(row["frames"])

    def _now(self) -> list[str]:
        run, fields = self._run, []
        if run is not None and run.teacher is not None and run.labels is not None:
            fields = asking(run.counts, run.labels.waiting, run.teacher.in_flight)
        return fields + describe(self._row)


def describe(row: Mapping[str, Any]) -> list[str]:
    """What a row of metrics says, the most important first."""
    parts = []
    if row.get("charts/episodic_return") is not None:
        parts.append(f"return {row['charts/episodic_return']:.2f}")
        parts.append(f"success {row['charts/success']:.2f}")
    if "timing/frames_per_second" in row:
        parts.append(f"{row['timing/frames_per_second']:,.0f} frames/s")
    if "labels/states" in row:
        parts.append(f"KL {row.get('distill/kl', 0.0):.3f}")
        parts.append(f"λ {row['distill/lambda']:.2f}")
    return parts
