"""What is on disk: the rows of a label store and the columns of a label set."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lvlm2p.envs import View
from lvlm2p.teachers import Answer, Failure, Label, LabelStore, Turn, Usage, reply_key
from tests.golden.commands import silently
from tests.golden.compare import FOLDER
from tests.golden.questions import task_views

STORE = FOLDER / "store"
"""A store that version 0.1.0 wrote."""

FINGERPRINT = "0123456789abcdef"
COMMON: dict[str, Any] = {
    "teacher": "gpt-4v",
    "fingerprint": FINGERPRINT,
    "created": "2025-01-02T03:04:05+00:00",
    "version": "0.1.0",
}
REPLY = {"text": "ü", "usage": {"calls": 1}, "cost_usd": None}


def answers() -> list[tuple[View, Answer, int]]:
    """One answer of each sort, with everything in it or nothing: (state, answer, sample)."""
    views = task_views("go-to-door")
    usage = Usage(calls=2, prompt_tokens=900, cached_tokens=800, completion_tokens=70)
    said = (Turn(role="user", text="What now? [image 12ab]"), Turn(role="assistant", text="ü\n"))
    full: dict[str, Any] = {
        **COMMON,
        "task": "go-to-door",
        "model": "gpt-as-served",
        "prompt": "9f" * 32,
        "transcript": said,
        "usage": usage,
        "cost_usd": 0.125,
        "latency_s": 0.1 + 0.2,
    }
    bare = {**COMMON, "task": "go-to-door"}
    even = {"left": 0.25, "right": 0.25, "forward": 0.25, "done": 0.25}
    some = {"left": 0.1, "right": 0.0, "forward": 0.7, "done": 0.2}
    analysis = {"agent_row": 1, "ahead": "red door"}
    blank = View(views[0].task, views[0].state, views[0].mission, blank=True)
    return [
        (views[0], Label(**full, probabilities=some, elicitation="stated", analysis=analysis), 0),
        (views[0], Label(**full, probabilities=some, elicitation="logprobs", outside=1e-17), 2),
        (views[1], Label(**bare, probabilities=even, elicitation="exact"), 0),
        (blank, Label(**bare, probabilities=even, elicitation="votes"), 0),
        (views[2], Failure(**full, failure="refusal", message="It won't."), 0),
        (views[3], Failure(**bare, failure="timeout", message="It is late."), 3),
    ]


def rows(folder: Path) -> dict[str, Any]:
    """Every kind of row, as the database holds it, by its key."""
    with LabelStore(folder / "store") as store:
        for view, answer, sample in answers():
            store.put_entries([(view, answer, sample)])
        key = task_views("go-to-door")[4].key
        for turn in (1, "2/0"):
            store.put_reply(reply_key(FINGERPRINT, key, 0, turn), REPLY)
        store.claim([f"{FINGERPRINT}/{key}", f"{FINGERPRINT}/{key}/1"])
        found = database(folder / "store")
        marker = json.loads((folder / "store" / "lvlm2p-store.json").read_text())
    return {"rows": found, "marker": {key: marker[key] for key in ("format", "version")}}


def database(folder: Path) -> dict[str, Any]:
    """The rows of a store, read without our own code. A claim's owner is by chance."""
    with closing(sqlite3.connect(folder / "cache.db")) as connection:
        query = "SELECT key, raw, mode, filename, tag, value FROM Cache ORDER BY key"
        listed = connection.execute(query).fetchall()
    return {
        key: {
            "raw": raw,
            "mode": mode,
            "filename": filename,
            "tag": tag,
            "value": "OWNER" if key.startswith("claim/") else json.loads(value),
        }
        for key, raw, mode, filename, tag, value in listed
    }


def copied(folder: Path) -> Path:
    """The old store, to be opened: opening writes."""
    return Path(shutil.copytree(STORE, folder / "old-store"))


def parquet(folder: Path) -> dict[str, Any]:
    """The columns of a label set without and with pictures, in order, and the file's metadata."""
    store, found = copied(folder), {}
    for name, flags in (("plain", []), ("images", ["--images"])):
        out = folder / f"{name}.parquet"
        silently("labels", "export", out, "--store", store, *flags)
        columns: pa.Schema = pq.read_schema(out)
        metadata = columns.metadata or {}
        found[name] = {
            "columns": {field.name: str(field.type) for field in columns},
            "required": {field.name: not field.nullable for field in columns},
            "metadata": {key.decode(): json.loads(metadata[key]) for key in metadata
                         if key != b"ARROW:schema"},
        }  # fmt: skip
    return found


def exported(store: Path, out: Path) -> list[dict[str, Any]]:
    """All rows of a store as `labels export` writes them; long texts as digests."""
    silently("labels", "export", out, "--store", store)
    listed = [short(row) for row in pq.read_table(out).to_pylist()]
    return sorted(listed, key=lambda row: (row["fingerprint"], row["key"], row["sample"]))


def short(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON values, with digests of its state and of each turn."""
    turns = [[turn["role"], digest(turn["text"].encode())] for turn in row["transcript"]]
    return {**row, "state": digest(row["state"]), "transcript": turns}


def digest(data: bytes) -> str:
    """Eight bytes that name ``data``."""
    return hashlib.sha256(data).hexdigest()[:16]
