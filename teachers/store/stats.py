"""`lvlm2p labels stats`: what the answers of a store add up to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lvlm2p.teachers.label import add_usd
from lvlm2p.teachers.store.contents import Tag, tags
from lvlm2p.teachers.store.store import LabelStore

if TYPE_CHECKING:
    from rich.table import Table


@dataclass
class Sum:
    """What the answers of one teacher, task, prompt and model add up to."""

    teacher: str
    task: str
    prompt: str
    model: str
    fingerprint: str
    labels: int = 0
    elicitations: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    cost_usd: float | None = 0.0
    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def add(self, tag: Tag, count: int) -> None:
        """Add ``count`` answers, whose tags add up to ``tag``."""
        if tag.kind == "label":
            self.labels += count
            self.elicitations[tag.how] = self.elicitations.get(tag.how, 0) + count
        else:
            self.failures[tag.how] = self.failures.get(tag.how, 0) + count
        self.cost_usd = add_usd(self.cost_usd, tag.cost_usd)
        self.calls += tag.calls
        self.prompt_tokens += tag.prompt_tokens
        self.cached_tokens += tag.cached_tokens
        self.completion_tokens += tag.completion_tokens


@dataclass(frozen=True)
class Stats:
    """What a store holds."""

    path: str
    sums: list[Sum]
    bytes: int

    def as_json(self) -> dict[str, Any]:
        """Totals, and under ``teachers`` those of each with its parts."""
        teachers: dict[str, Any] = {}
        for part in self.sums:
            zero = {"labels": 0, "failures": 0, "cost_usd": 0.0, "parts": []}
            teacher = teachers.setdefault(part.teacher, zero)
            teacher["labels"] += part.labels
            teacher["failures"] += sum(part.failures.values())
            teacher["cost_usd"] = add_usd(teacher["cost_usd"], part.cost_usd)
            teacher["parts"].append({k: v for k, v in asdict(part).items() if k != "teacher"})
        return {
            "labels": sum(part.labels for part in self.sums),
            "failures": sum(sum(part.failures.values()) for part in self.sums),
            "teachers": teachers,
            "bytes": self.bytes,
            "store": self.path,
        }

    def summary(self) -> Table | str:
        """A table, a row for each teacher as it was set, task, prompt and model."""
        from rich.table import Table

        if not self.sums:
            return f"{self.path} holds no labels yet."
        total = self.as_json()
        title = f"{self.path}: {total['labels']:,} labels, {total['failures']:,} failures, "
        table = Table(title=title + f"{self.bytes / 1e6:,.1f} MB", title_justify="left", box=None)
        table.add_column("teacher\n  model\n  (fingerprint)")
        table.add_column("task\n  how\n  (prompt)")
        for name in ("labels", "failures", "dollars", "tokens in\ncached\nout"):
            table.add_column(name, justify="right")
        for part in self.sums:
            table.add_row(*_cells(part))
        return table


def _cells(part: Sum) -> list[str]:
    how = [" ".join(sorted(part.elicitations)), f"({part.prompt[:8]})" if part.prompt else ""]
    tokens = (part.prompt_tokens, part.cached_tokens, part.completion_tokens)
    return [
        f"{part.teacher}\n  {part.model}\n  ({part.fingerprint[:8]})",
        "\n  ".join([part.task, *how]),
        f"{part.labels:,}",
        "\n".join(f"{n:,} {kind}" for kind, n in sorted(part.failures.items())) or "0",
        "unknown" if part.cost_usd is None else f"{part.cost_usd:,.4f}",
        "\n".join(f"{count:,}" for count in tokens) if any(tokens) else "0",
    ]


def stats(store: LabelStore) -> Stats:
    """What ``store`` holds."""
    return Stats(str(store.path), sums(store), size_bytes(store))


def sums(store: LabelStore) -> list[Sum]:
    """One sum for each teacher, task, prompt and model."""
    found: dict[tuple[Any, ...], Sum] = {}
    for tag, number in tags(store):
        group = (tag.teacher, tag.task, tag.prompt, tag.model, tag.fingerprint)
        found.setdefault(group, Sum(*group)).add(tag, number)
    return [found[group] for group in sorted(found)]


def size_bytes(store: LabelStore) -> int:
    """What the store takes on disk."""
    return sum(file.stat().st_size for file in store.path.glob("cache.db*"))
