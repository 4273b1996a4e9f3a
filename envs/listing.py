"""What `lvlm2p envs` shows: the environments that a task covers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from lvlm2p.envs.generic.checked import CHECKED
from lvlm2p.envs.registry import covered_ids, task_for, tasks

if TYPE_CHECKING:
    from rich.console import Group


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
        return {"tasks": [asdict(row) for row in self.rows], "others": list(CHECKED)}

    def summary(self) -> Group:
        """A table; below each other the ids, so that they can be copied."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None)
        for heading in ("task", "planner", "environments"):
            table.add_column(heading, overflow="fold")
        for row in self.rows:
            planner = "exact" if row.planner else "none"
            table.add_row(row.task, planner, "\n".join(row.envs) or "none is registered")
        others = (
            "Any other Gymnasium id with discrete actions works as well (lvlm2p task --env ID "
            f"shows how); among those that are tested: {', '.join(CHECKED)}."
        )
        return Group(table, Text(), Text(others))
