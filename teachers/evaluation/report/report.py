"""A report as plain data: what was found, and the states and answers behind it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvlm2p.teachers.evaluation.measuring import Measured
from lvlm2p.teachers.evaluation.results import Interval, Results
from lvlm2p.teachers.evaluation.states import Case
from lvlm2p.teachers.teacher import NEARLY_ALL


@dataclass(frozen=True)
class Report:
    """What was found, and the states and answers behind it."""

    results: Results
    cases: dict[str, list[Case]]
    """Environment -> its states."""
    measured: dict[tuple[str, str], Measured]
    """(environment, teacher) -> its answers; baselines are not in it."""
    out: Path | None = None
    """The folder that it is written to; None: it is not."""

    def trouble(self) -> str | None:
        """Why it was in vain: of every teacher (nearly) all answers failed; None: it was not."""
        rows = [row for row in self.results.results if row.valid is not None]
        if not rows or any(row.valid.value > 1 - NEARLY_ALL for row in rows if row.valid):
            return None
        kinds = sorted({kind for row in rows for kind in row.failures})
        labelled, asked = sum(row.labelled for row in rows), sum(row.states for row in rows)
        where = f"; the report is in {self.out}" if self.out else ""
        return f"{labelled:,} of {asked:,} states got a label ({', '.join(kinds)}){where}"

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints: one row a teacher and environment; where it could not be
        measured, all is null but the ``error`` that says why."""
        rows: list[dict[str, Any]] = [
            {
                "teacher": row.teacher,
                "env": row.env,
                "states": row.states,
                "top1": _json(row.top1),
                "mass": _json(row.mass),
                "success": _json(row.success),
                "valid": _json(row.valid),
                "cost_usd": row.cost_usd,
                "verdict": row.verdict.level,
                "temperature": row.temperature.value if row.temperature else None,
                "error": None,
            }
            for row in self.results.results
        ]
        for lost in self.results.unusable:
            said = {"teacher": lost.teacher, "env": lost.env, "states": 0, "error": lost.why}
            rows.append(dict.fromkeys(rows[0]) | said)
        return {"results": rows, "out": str(self.out) if self.out else None}


def _json(estimate: Interval | None) -> dict[str, float] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
