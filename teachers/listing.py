"""`lvlm2p teachers`: who there is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from lvlm2p.teachers.plugin import Status
from lvlm2p.teachers.registry import known_names, status_of

if TYPE_CHECKING:
    from rich.console import Group


def available() -> list[Status]:
    """Every teacher there is, ready or not; nothing heavy is imported."""
    return [status_of(name) for name in known_names()]


class TeachersConfig(BaseModel, extra="forbid"):
    """Who can teach."""

    def run(self) -> Listing:
        """Look."""
        return Listing(available())


class Listing:
    """What `lvlm2p teachers` shows."""

    def __init__(self, rows: list[Status]) -> None:
        self.rows = rows

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"teachers": [asdict(row) for row in self.rows]}

    def summary(self) -> Group:
        """A table, and below it what each teacher lacks or says of itself."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None)
        for heading in ("teacher", "model", "elicits", "$/1,000 labels", "ready"):
            table.add_column(heading, overflow="fold", no_wrap=heading in ("teacher", "ready"))
        for row in self.rows:
            price = "unknown" if row.usd_per_1000 is None else f"{row.usd_per_1000:,.2f}"
            ready = "yes" if row.ready else "no"
            table.add_row(row.name, row.model, " ".join(row.elicitations), price, ready)
        notes = [Text(f"{row.name}: {row.note}") for row in self.rows if row.note]
        return Group(table, Text(), *notes)
