"""What a row of a run's metrics says of the run so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from lvlm2p.student.training.run_state import Run


def described(run: Run) -> dict[str, Any]:
    """Time, recent episodes, and labels."""
    row: dict[str, Any] = {"timing/seconds": run.seconds}
    if run.episodes:
        returns, lengths, successes = np.array(run.episodes).T
        row |= {
            "charts/episodic_return": float(returns.mean()),
            "charts/episodic_length": float(lengths.mean()),
            "charts/success": float(successes.mean()),
            "charts/episodes": len(run.episodes),
        }
    if run.labels is not None:
        labelled = run.labels.states["weight"] > 0
        row |= {
            "labels/states": len(labelled),
            "labels/labelled": int(labelled.sum()),
            "labels/failed": int((~labelled).sum()),
            "timing/asked": run.counts.asked,
            "timing/cached": run.counts.cached,
            "timing/cost_usd": run.counts.cost_usd,
        }
    return row
