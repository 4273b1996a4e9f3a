"""`lvlm2p labels prune`: take answers out of a store, on purpose and after a dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lvlm2p.envs.untrusted import parse_json
from lvlm2p.teachers.label import add_usd
from lvlm2p.teachers.progress import counted
from lvlm2p.teachers.store.contents import AnswerFilter, answer_rows, count, nothing_chosen
from lvlm2p.teachers.store.rows import chunks
from lvlm2p.teachers.store.store import LabelStore

BATCH = 1_000
"""Rows of one transaction."""


@dataclass
class Pruned:
    """What was, or would be, taken out."""

    applied: bool
    answers: int = 0
    views: int = 0
    cost_usd: float | None = 0.0
    teachers: Counter[str] = field(default_factory=Counter)
    why_none: str = ""
    """Why no answer was chosen, in one sentence."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "applied": self.applied,
            "answers": self.answers,
            "views": self.views,
            "cost_usd": self.cost_usd,
            "teachers": dict(self.teachers),
        }

    def summary(self) -> str:
        """What happened, or would."""
        paid = "an unknown price" if self.cost_usd is None else f"${self.cost_usd:,.4f}"
        who = ", ".join(f"{count:,} of {name}" for name, count in self.teachers.most_common())
        if self.why_none:
            more = f" {self.views:,} states that nothing is said about went." if self.views else ""
            return f"Nothing to take out: {self.why_none}.{more}"
        what = f"{self.answers:,} answers{f' ({who})' if who else ''}, which cost {paid}"
        if self.applied:
            return (
                f"Took out {what}, and {self.views:,} states that nothing is said about any more."
            )
        return f"Would take out {what}. Nothing was changed: --apply does it."


def prune(
    store: LabelStore, wanted: AnswerFilter, older_than_days: float | None, apply: bool = False
) -> Pruned:
    """Take out the chosen answers; without ``apply`` only say which."""
    limit = None
    if older_than_days is not None:
        limit = datetime.now(UTC) - timedelta(days=older_than_days)
    result = Pruned(apply)
    doomed: list[str] = []
    for key, tag, value in counted(answer_rows(store, wanted), "looking", None):
        if limit is not None and not _older(value, limit):
            continue
        result.answers += 1
        result.teachers[tag.teacher] += 1
        result.cost_usd = add_usd(result.cost_usd, tag.cost_usd)
        doomed.append(key)
    if not doomed:
        result.why_none = _why_none(store, wanted, older_than_days)
    if apply:
        for part in chunks(doomed, BATCH):
            store.remove(part)
        result.views = _remove_lonely_views(store)
    return result


def _why_none(store: LabelStore, wanted: AnswerFilter, older_than_days: float | None) -> str:
    chosen = count(store, wanted)
    if not chosen:
        return nothing_chosen(store, wanted)
    return f"none of {chosen:,} answers is older than {older_than_days:g} days"


def _older(value: str, limit: datetime) -> bool:
    try:
        created = datetime.fromisoformat(parse_json(value)["created"])
        return (created if created.tzinfo else created.replace(tzinfo=UTC)) < limit
    except (ValueError, LookupError, TypeError, OverflowError):
        return False  # nobody knows how old it is


def _remove_lonely_views(store: LabelStore) -> int:
    spoken_of: set[str] = set()
    for prefix in ("label/", "failure/", "reply/", "claim/"):
        for key in store.reader.keys(prefix):
            spoken_of.update(key.split("/")[2:3])  # a damaged key may have no such part
    lonely: Sequence[str] = [
        key for key in store.reader.keys("view/") if key.removeprefix("view/") not in spoken_of
    ]
    for part in chunks(lonely, BATCH):
        store.remove(part)
    return len(lonely)
