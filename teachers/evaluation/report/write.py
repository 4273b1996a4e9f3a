"""The files of a report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lvlm2p.teachers.errors import RunError
from lvlm2p.teachers.evaluation.report.markdown import markdown
from lvlm2p.teachers.evaluation.report.page import page
from lvlm2p.teachers.evaluation.report.report import Report
from lvlm2p.teachers.evaluation.states import save_states
from lvlm2p.teachers.files import write_atomically

if TYPE_CHECKING:
    from lvlm2p.teachers.label import Entry


def write_report(report: Report, out: Path) -> None:
    """Write index.html, report.json, report.md, labels.parquet and states.jsonl into ``out``.

    Raises:
        RunError: ``out`` can't be written.
    """
    from lvlm2p.teachers.labelset.parquet import write_labels

    try:
        out.mkdir(parents=True, exist_ok=True)
        save_states(out / "states.jsonl", report.cases)
        write_atomically(out / "report.json", report.results.model_dump_json(indent=1) + "\n")
        write_atomically(out / "report.md", markdown(report.results))
        write_labels(out / "labels.parquet", _entries(report))
        write_atomically(out / "index.html", page(report))
    except OSError as error:
        raise RunError(f"can't write the report to {out}: {error.strerror or error}") from error


def _entries(report: Report) -> Iterator[Entry]:
    """Every answer, of episodes and turned states too; but not those to blank pictures, which are
    no labels to train on."""
    from lvlm2p.teachers.label import Entry
    from lvlm2p.teachers.store.rows import encoded

    for measured in report.measured.values():
        for key, answer in measured.questioner.answers.items():
            view = measured.questioner.views[key]
            if not view.blank:
                yield Entry(view, encoded(answer)[0], 0)
