"""The files of a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from teachers.errors import RunError
from teachers.evaluation.states import save_states

if TYPE_CHECKING:
    from teachers.evaluation.run import Report


def write_report(report: Report, out: Path) -> None:
    """Write index.html, report.json, report.md, labels.parquet and states.jsonl into ``out``.

    Raises:
        RunError: ``out`` can't be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        save_states(out / "states.jsonl", report.cases)
        text = report.results.model_dump_json(indent=1)
        (out / "report.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"can't write the report to {out}: {error.strerror or error}") from error
