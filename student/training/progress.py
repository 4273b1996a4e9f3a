"""The progress of a run on stderr: how fast, how good, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lvlm2p.teachers.progress import Bar, say

if TYPE_CHECKING:
    from lvlm2p.teachers import Counts


class Progress(Bar):
    """A bar where there is a terminal, else ten lines; ``shown=False``: neither."""

    def __init__(self, total: int, shown: bool) -> None:
        super().__init__("frames", total, shown=shown, lines=10)

    def say(self, text: str) -> None:
        """One sentence, whether the bar is shown or not."""
        say(text)

    def update(self, row: Mapping[str, Any], counts: Counts | None) -> None:
        """Show one row of metrics."""
        self.reach(row["frames"], describe(row, counts))


def describe(row: Mapping[str, Any], counts: Counts | None) -> str:
    """One line of what matters."""
    parts = [f"{row['timing/frames_per_second']:,.0f} frames/s"]
    if row.get("charts/episodic_return") is not None:
        parts.append(f"return {row['charts/episodic_return']:.2f}")
        parts.append(f"success {row['charts/success']:.2f}")
    if counts is not None:
        parts.append(f"KL {row.get('distill/kl', 0.0):.3f}")
        parts.append(f"λ {row['distill/lambda']:.2f}")
        parts.append(f"labels {counts.asked} new {counts.cached} cached {counts.failed} failed")
        cost = counts.cost_usd
        parts.append("price unknown" if cost is None else f"${cost:.2f}")
    return "  ".join(parts)
