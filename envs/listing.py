"""What `lvlm2p envs` shows: the environments that a task covers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from lvlm2p.envs.registry import covered_ids, task_for, tasks

if TYPE_CHECKING:
    from rich.table import Table


class EnvsConfig(BaseModel, extra="forbid"):
    """Options of ``lvlm2p envs``: none."""

    def run(self) -> EnvListing:
        """Look."""
        ids: dict[str, list[str]] = {}
        for env_id in covered_ids():
            ids.setdefault(task_for(env_id).name, []).append(env_id)
        rows = [
            EnvRow(t.name, tuple(ids.get(t.name, ())), t.planner is not None, t.action_names)
            for t in tasks()
        ]
        return EnvListing(rows)


@dataclass(frozen=True)
class EnvRow:
    """One task."""

    task: str
    envs: tuple[str, ...]
    """Registered Gymnasium ids that it covers."""
    planner: bool
    """Whether there is an exact one, so that `expert` can teach it and accuracy be measured."""
    actions: tuple[str, ...]


@dataclass(frozen=True)
class EnvListing:
    """All tasks, by name."""

    rows: list[EnvRow]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"tasks": [asdict(row) for row in self.rows]}

    def summary(self) -> Table:
        """A table; below each other the ids, so that they can be copied."""
        from rich.table import Table

        table = Table(box=None)
        for heading in ("task", "planner", "environments"):
            table.add_column(heading, overflow="fold")
        for row in self.rows:
            planner = "exact" if row.planner else "none"
            table.add_row(row.task, planner, "\n".join(row.envs) or "none is registered")
        return table
