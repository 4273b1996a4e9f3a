"""How ``store/``, ``store.json`` and ``states.jsonl`` were made, by version 0.1.0 (3c3757b).

    python -m tests.golden.make_store

They are there to show that later versions read what an earlier one has paid for. So don't make
them anew to get a test through: a test that fails here has found labels that would be lost.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from pytest_httpserver import HTTPServer

from lvlm2p.envs import View
from lvlm2p.teachers import Label, LabelStore, load_teacher
from tests.golden.compare import path_of
from tests.golden.questions import TASKS, task_views
from tests.golden.rows import STORE, exported
from tests.support.chat import (
    ANALYSIS,
    CHOICE,
    KEY,
    STATED,
    Script,
    anthropic_body,
    failing,
    letters_body,
    openai_body,
)

PORT = 8123
URL = f"http://127.0.0.1:{PORT}"
OPENAI, CLAUDE = f"{URL}/v1", URL
LOCAL: dict[str, object] = {"model": "some-vl", "api_base": OPENAI, "retries": 0}
LISTED = {"A": -0.5, "B": -1.2, " C": -2.5, "The": -3.5}

ASKED: tuple[tuple[str, dict[str, object], str, slice, int, Sequence[Any]], ...] = (
    *(("expert", {}, task, slice(0, 5), 0, ()) for task in TASKS),
    ("expert", {"error_rate": 0.5, "seed": 3}, "fetch", slice(0, 4), 0, ()),
    ("random", {}, "lava-gap", slice(0, 2), 0, ()),
    *(("tiny-vl", {}, task, slice(0, 3), 0, ()) for task in TASKS),
    ("tiny-vl", {"elicit": "logprobs"}, "go-to-door", slice(0, 3), 0, ()),
    ("gpt-4v", {"api_base": OPENAI}, "go-to-door", slice(0, 3), 0,
     [openai_body(ANALYSIS), openai_body(STATED)] * 3),
    ("gpt-4v", {"api_base": OPENAI}, "go-to-door", slice(0, 2), 2,
     [openai_body(ANALYSIS), openai_body('{"left":0,"right":0,"forward":0,"done":1}')] * 2),
    ("gpt-4v", {"api_base": OPENAI, "elicit": "votes", "samples": 3, "prompt": "direct"},
     "go-to-door", slice(0, 2), 0,
     [openai_body(text) for text in 2 * (CHOICE, "I can't say.", '{"action":"left"}')]),
    ("gpt-4v", {"api_base": OPENAI, "elicit": "choice", "smoothing": 0.2, "prompt": "direct"},
     "go-to-door", slice(0, 2), 0, [openai_body(CHOICE)]),
    ("gpt-4v", {"api_base": OPENAI, "elicit": "logprobs"}, "go-to-door", slice(0, 2), 0,
     [letters_body(LISTED)]),
    ("claude", {"api_base": CLAUDE, "shots": 1}, "go-to-door", slice(0, 2), 0,
     [anthropic_body(ANALYSIS), anthropic_body(STATED)] * 2),
    ("qwen-vl-local", LOCAL, "go-to-door", slice(0, 2), 0,
     [openai_body(ANALYSIS), openai_body(STATED)] * 2),
    ("qwen-vl-local", LOCAL, "go-to-door", slice(2, 3), 0, [openai_body(None, refusal="No.")]),
    ("qwen-vl-local", LOCAL, "go-to-door", slice(3, 4), 0, [openai_body("{", "length")]),
    ("qwen-vl-local", LOCAL, "go-to-door", slice(4, 5), 0,
     [openai_body(ANALYSIS), openai_body("I think that I would go on.")]),
    ("qwen-vl-local", LOCAL, "go-to-door", slice(5, 6), 0, [openai_body("")]),
    ("qwen-vl-local", LOCAL, "go-to-door", slice(6, 7), 0,
     [openai_body(ANALYSIS), failing(503, "busy")]),
    ("qwen-vl-local", LOCAL, "go-to-door", slice(7, 8), 0, [failing(429, "slowly")]),
)  # fmt: skip
"""Teacher, its options, a task, which of its states, the sample, what the server answers."""


def make(folder: Path) -> list[dict[str, Any]]:
    """Fill a store; what was asked and what came of it."""
    asked = []
    with LabelStore(folder) as store:
        for name, options, task, which, sample, replies in ASKED:
            views = task_views(task)[which]
            teacher = load_teacher(name, options=options, store=store, sample=sample)
            with serving(replies):
                # One at a time, so that the replies come in turn.
                answers = [teacher.label([view])[0] for view in views]
            teacher.close()
            question = {"teacher": name, "options": options, "task": task, "sample": sample}
            asked.append({**question, "answers": listed(views, answers)})
    return asked


def listed(views: Sequence[View], answers: Sequence[Any]) -> dict[str, Any]:
    """By state: the probabilities of a label, the kind of a failure."""
    pairs = zip(views, answers, strict=True)
    return {v.key: a.probabilities if isinstance(a, Label) else a.failure for v, a in pairs}


@contextmanager
def serving(replies: Sequence[Any]) -> Iterator[None]:
    """OpenAI's and Anthropic's endpoints, which give ``replies`` in turn."""
    if not replies:
        yield
        return
    with HTTPServer(host="127.0.0.1", port=PORT) as server:
        Script(server, re.compile("/v1/(messages|chat/completions)"), replies)
        server.expect_request("/v1/models").respond_with_json({"data": [{"id": "some-vl"}]})
        yield


def alone(folder: Path) -> None:
    """Everything into cache.db, so that it can be copied as one file."""
    with closing(sqlite3.connect(folder / "cache.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY"), KEY)
        with mock.patch.dict("os.environ", keys):
            asked = make(folder)
        alone(folder)
        shutil.rmtree(STORE, ignore_errors=True)
        STORE.mkdir()
        for file in ("cache.db", "lvlm2p-store.json"):
            shutil.copy(folder / file, STORE / file)
        rows = exported(folder, Path(name) / "all.parquet")
    text = json.dumps({"asked": asked, "exported": rows}, indent=1, ensure_ascii=False)
    path_of("store").write_text(text + "\n", encoding="utf-8")
    lines = [
        json.dumps({"env": "MiniGrid-GoToDoor-5x5-v0", "view": view.to_json()})
        for view in task_views("go-to-door")
    ]
    (STORE.parent / "states.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
