"""A label store with something of everything in it, for the tests of label sets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from lvlm2p.envs import View
from lvlm2p.teachers import Answer, LabelStore, StoredTeacher, Turn, Usage
from lvlm2p.teachers.store.commands import ExportConfig
from lvlm2p.teachers.store.contents import AnswerFilter, entries
from tests.support.store import FakeTeacher, failing, states

HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m \u202e \" ' & {{ 7*7 }}"


def rich_label(view: View, teacher: FakeTeacher) -> Answer:
    """A label with something in every field."""
    extra: dict[str, Any] = {
        "model": "models/fake-1",
        "prompt": "9f" * 8,
        "transcript": (
            Turn(role="user", text="What now? [image 12ab]"),
            Turn(role="assistant", text=HOSTILE),
        ),
        "usage": Usage(calls=2, prompt_tokens=900, cached_tokens=800, completion_tokens=70),
        "latency_s": 0.1 + 0.2,
        "analysis": {"agent_row": 1, "ahead": "red door", "odd": 0.1},
        "outside": 1e-17,
        "weight": 0.1 if int(view.key, 16) % 2 else 1.0,
    }
    return teacher.label_for(view).model_copy(update=extra)


def make_store(path: Path) -> Path:
    """A store with 20 labels of one teacher, 10 of another and 5 failures."""
    with LabelStore(path) as store:
        StoredTeacher(FakeTeacher(rich_label), store).label(states(20))
        StoredTeacher(FakeTeacher(fingerprint="07he4"), store, sample=3).label(states(10))
        StoredTeacher(FakeTeacher(failing("refusal"), fingerprint="5ad"), store).label(states(5))
    return path


def export(store: Path, out: Path) -> Path:
    """All that is in the store, as a label set."""
    ExportConfig(store=store, out=out).run()
    return out


def everything(path: Path) -> set[tuple[str, str, int]]:
    """What is in a store, to be compared."""
    with LabelStore(path) as store:
        return {
            (entry.view.key, entry.answer.model_dump_json(), entry.sample)
            for entry in entries(store, AnswerFilter())
        }


def dump(path: Path) -> list[Any]:
    """All rows of a store, as they are on disk."""
    with closing(sqlite3.connect(path / "cache.db")) as database:
        query = "SELECT key, raw, mode, tag, value FROM Cache ORDER BY rowid"
        return database.execute(query).fetchall()
