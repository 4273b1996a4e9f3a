"""The report as Markdown, for a README or a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from lvlm2p.teachers.evaluation.report.texts import visible
from lvlm2p.teachers.evaluation.results import Evaluation, Results
from lvlm2p.teachers.evaluation.wording import bracketed, dollars


def markdown(results: Results) -> str:
    """One table, then a verdict and the findings for each teacher and environment."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield "# Teacher evaluation"
    yield ""
    yield f"Measured {results.created[:10]} by lvlm2p {results.tool}, seed {results.seed}. "
    yield "In brackets: 95% interval."
    yield ""
    yield "| teacher | environment | top-1 | mass | success | valid | $ / 1,000 labels |"
    yield "|---|---|---|---|---|---|---|"
    for row in results.by_environment():
        yield _row(row, baseline=results.is_baseline(row))
    for lost in results.unusable:
        yield f"| {_plain(lost.teacher)} | {lost.env} | not measured | | | | |"
    yield ""
    for row in results.results:
        yield f"**{_plain(row.teacher)} on {row.env}: {row.verdict.level}.** {row.verdict.text}"
        yield from (f"- {finding.text}" for finding in row.findings)
        yield ""
    yield from (f"- {_plain(note)}" for note in results.notes)
    yield ""
    for lost in results.unusable:
        yield f"**{_plain(lost.teacher)} on {lost.env}: not measured.** {_plain(lost.why)}"
        yield ""


def _row(row: Evaluation, *, baseline: bool) -> str:
    name = f"*{row.teacher}* (baseline)" if baseline else _plain(row.teacher)
    shares = [bracketed(value) for value in (row.top1, row.mass, row.success, row.valid)]
    cells = [name, row.env, *shares, dollars(row.cost.usd_per_1000 if row.cost else None)]
    return "| " + " | ".join(cells) + " |"


def _plain(text: str) -> str:
    """A name that can't end a table cell or start markup."""
    return "".join(f"\\{c}" if c in "|*_<>[]`" else c for c in visible(text))
