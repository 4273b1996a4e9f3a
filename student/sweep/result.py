"""What a sweep came to, run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lvlm2p.envs.untrusted import plain, shorten
from lvlm2p.student.sweep.outcome import RunOutcome
from lvlm2p.student.sweep.plan import PlannedRun
from lvlm2p.teachers.errors import Lvlm2pError, RunError, TeacherError

if TYPE_CHECKING:
    from rich.console import RenderableType

OF_A_RESULT = ("frames", "evaluation", "labels", "cost_usd", "seconds")
"""What of ``train --json`` is in a row, as it is there."""

Status = Literal["done", "failed", "open"]


@dataclass(frozen=True)
class SweepRow:
    """One run."""

    run: PlannedRun
    outcome: RunOutcome | None
    """None: it has not ended yet."""
    earlier: bool = False
    """It had ended before this sweep began."""

    @property
    def status(self) -> Status:
        """``open``: the same command goes on with it."""
        if self.outcome is None:
            return "open"
        return "failed" if self.outcome.error is not None else "done"

    def as_json(self) -> dict[str, Any]:
        """A row of sweep.json; what only a finished run knows is None before."""
        result: Mapping[str, Any] = (self.outcome.result if self.outcome else None) or {}
        return {
            "run_dir": str(self.run.config.run_dir),
            "status": self.status,
            "error": self.outcome.error if self.outcome else None,
            "options": dict(self.run.chosen),
            **{name: result.get(name) for name in OF_A_RESULT},
        }


@dataclass(frozen=True)
class SweepResult:
    """All of it."""

    out: Path
    rows: Sequence[SweepRow]
    seconds: float
    """Of this process, start to end."""

    def count(self, status: Status) -> int:
        """How many runs there are of it."""
        return sum(row.status == status for row in self.rows)

    @property
    def cost_usd(self) -> float | None:
        """Of all runs that have ended, now or earlier; None: not known of one of them."""
        results = [row.outcome.result for row in self.rows if row.outcome is not None]
        costs = [result["cost_usd"] for result in results if result is not None]
        return None if None in costs else float(sum(costs))

    def as_json(self) -> dict[str, Any]:
        """The contract of ``lvlm2p sweep --json``; the same is in sweep.json."""
        return {
            "out": str(self.out),
            "done": self.count("done"),
            "failed": self.count("failed"),
            "open": self.count("open"),
            "cost_usd": self.cost_usd,
            "seconds": round(self.seconds, 3),
            "runs": [row.as_json() for row in self.rows],
        }

    def trouble(self) -> Lvlm2pError | None:
        """What to leave with where a run has failed; None: none has."""
        failed = [row.outcome for row in self.rows if row.outcome and row.status == "failed"]
        if not failed:
            return None
        kind = TeacherError if all(outcome.exit_code == 3 for outcome in failed) else RunError
        return kind(
            f"{len(failed)} of {len(self.rows)} runs have failed; the first: {failed[0].error} "
            "(the same command tries them once more)"
        )

    def table(self) -> RenderableType:
        """A row for each run, for a terminal."""
        from rich import box
        from rich.console import Group
        from rich.table import Table

        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        grid.add_column("run", overflow="fold")
        for name in ("success", "return", "asked", "$", "s"):
            grid.add_column(name, justify="right", no_wrap=True)
        grid.add_column("", overflow="fold")
        for row in self.rows:
            grid.add_row(plain(row.run.name), *_cells(row))
        words = f"{self.count('done')} of {len(self.rows)} runs are done"
        return Group(grid, f"{words}. Curves: lvlm2p compare {plain(str(self.out))}")


def _cells(row: SweepRow) -> list[str]:
    """Success, return, questions, dollars, seconds, and what is wrong."""
    wrong: str = row.status if row.status == "open" else ""
    if row.outcome is not None and row.outcome.error is not None:
        wrong = plain(shorten(f"failed: {row.outcome.error}"))
    found = row.outcome.result if row.outcome is not None else None
    if found is None:
        return ["", "", "", "", "", wrong]
    missing = found["labels"]["missing"]
    if missing and not wrong:
        wrong = f"{missing:,} labels missing"
    cost = found["cost_usd"]
    return [
        f"{found['evaluation']['success']:.1%}",
        f"{found['evaluation']['return']:.3f}",
        f"{found['labels']['asked']:,}",
        "?" if cost is None else f"{cost:,.2f}",
        f"{found['seconds']:,.0f}",
        wrong,
    ]
