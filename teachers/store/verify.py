"""`lvlm2p labels verify`: every row of a store, looked at; repaired only on request."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from diskcache.core import MODE_RAW

from lvlm2p.envs import View, task_named
from lvlm2p.envs.untrusted import parse_json, shorten
from lvlm2p.teachers.errors import StoreError, UnknownNameError, UserError
from lvlm2p.teachers.label import Answer
from lvlm2p.teachers.progress import counted
from lvlm2p.teachers.store.claims import is_held, lock_id_in
from lvlm2p.teachers.store.contents import read_tag
from lvlm2p.teachers.store.database import explained
from lvlm2p.teachers.store.rows import misfit, parse, parts_of, tag_of
from lvlm2p.teachers.store.store import LabelStore

NAMED = 20
"""So many bad rows are described; all are counted."""

ALIEN_VIEW = "not its key's view"
STALE = "claim of a process that is gone"
UNTAGGED = "tag out of date (only `labels stats` reads it)"
"""Repaired in place; every other bad row is taken out and kept in a file."""


@dataclass
class VerifyReport:
    """What was wrong with which rows."""

    path: Path
    rows: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    unknown_tasks: Counter[str] = field(default_factory=Counter)
    """Sound answers about tasks that nobody has registered here."""
    fixed: int = 0
    rejected: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """``clean``: whether nothing is wrong now."""
        return {
            "store": str(self.path),
            "rows": self.rows,
            "problems": dict(self.problems),
            "examples": self.examples,
            "unknown_tasks": dict(self.unknown_tasks),
            "fixed": self.fixed,
            "rejected": None if self.rejected is None else str(self.rejected),
            "clean": self.fixed == sum(self.problems.values()),
        }

    def summary(self) -> str:
        """What was found, in lines."""
        if not self.problems:
            good = f"{self.path}: {self.rows:,} rows, all good."
            return "\n".join([good, *self._unknown()])
        bad = sum(self.problems.values())
        lines = [f"{self.path}: {self.rows:,} rows, {bad:,} of them bad:"]
        lines += [f"  {count:,} x {problem}" for problem, count in self.problems.most_common()]
        lines += [f"    {example}" for example in self.examples]
        lines += self._unknown()
        if self.fixed:
            lines.append(f"{self.fixed:,} repaired or taken out.")
        else:
            lines.append("Nothing was changed; --fix repairs what it can and takes out the rest.")
        if self.rejected is not None:
            lines.append(f"What was taken out is in {self.rejected}.")
        return "\n".join(lines)

    def _unknown(self) -> list[str]:
        return [
            f"{count:,} answers are about the task {task!r}, which is not known here: "
            "nothing is wrong with them, but `labels export` leaves them out until the task is "
            "registered in the entry-point group lvlm2p.tasks (docs/tasks.md)."
            for task, count in self.unknown_tasks.most_common()
        ]


@dataclass(frozen=True)
class _Row:
    rowid: int
    key: Any
    raw: Any
    mode: Any
    filename: Any
    tag: Any
    value: Any


def verify(store: LabelStore, fix: bool = False) -> VerifyReport:
    """Look at every row of ``store``.

    Raises:
        StoreError: the database itself is damaged.
    """
    for (said,) in store.reader.walk("PRAGMA quick_check(1)"):
        if said != "ok":
            raise StoreError(f"the label store {store.path}: its database is damaged ({said})")
    report = VerifyReport(store.path)
    bad: list[tuple[_Row, str]] = []
    known: dict[str, bool] = {}
    for row in counted(_rows(store), "checking", None):
        report.rows += 1
        problem = _problem(store, row)
        if problem is not None:
            report.problems[problem] += 1
            if len(report.examples) < NAMED:
                report.examples.append(f"{str(row.key)[:150]!r}: {problem}")
            if fix:
                bad.append((row, problem))
        else:
            _note_unknown(row, known, report)
    if bad:
        _fix(store, bad, report)
    return report


def _note_unknown(row: _Row, known: dict[str, bool], report: VerifyReport) -> None:
    """Count a sound answer if it is about a task that is not registered here."""
    if not row.key.startswith(("label/", "failure/")):
        return
    tag = read_tag(row.tag)
    if tag is None:
        return
    if tag.task not in known:
        known[tag.task] = _is_known(tag.task)
    if not known[tag.task]:
        report.unknown_tasks[tag.task] += 1


def _is_known(task: str) -> bool:
    try:
        task_named(task)
    except UnknownNameError:
        return False
    return True


def _rows(store: LabelStore) -> Iterator[_Row]:
    query = "SELECT rowid, key, raw, mode, filename, tag, value FROM Cache"
    for values in store.reader.walk(query):
        yield _Row(*values)


def _problem(store: LabelStore, row: _Row) -> str | None:
    """What is wrong with a row; None: nothing."""
    if not row.raw or not isinstance(row.key, str):
        return "a key that lvlm2p never writes (pickled)"
    if row.mode != MODE_RAW or row.filename is not None or not isinstance(row.value, str):
        return "a value that lvlm2p never writes (pickled, or in a file beside the database)"
    kind, _, name = row.key.partition("/")
    try:
        if kind in ("label", "failure"):
            return _answer_problem(store, row, name)
        if kind == "view":
            return None if View.from_json(parse_json(row.value)).key == name else ALIEN_VIEW
        if kind == "claim":
            return None if is_held(store.path, lock_id_in(row.value)) else STALE
        if kind in ("reply", "batch", "hits"):  # hits: counters of earlier versions
            return None if isinstance(parse_json(row.value), dict) else "not JSON"
    except UnknownNameError:  # of a task: nothing wrong with the row
        return None
    except Exception as error:  # whatever is wrong with a row, the others are looked at too
        said = str(error).split(" is damaged ")[-1].split(";")[0]
        return f"not what it should be: {shorten(said)}"
    return "a key of no known kind"


def _answer_problem(store: LabelStore, row: _Row, name: str) -> str | None:
    answer = parse(store.path, row.key, row.value)
    fingerprint, view_key, _ = parts_of(name)
    key = f"view/{view_key}"
    stored = store.reader.rows([key], bad={}).get(key)
    if stored is None:
        return "an answer whose state is not stored"
    wrong = _misfit(answer, stored.text, view_key, fingerprint)
    return wrong or (None if row.tag == tag_of(answer) else UNTAGGED)


def _misfit(answer: Answer, text: str, view_key: str, fingerprint: str) -> str | None:
    """Why an answer does not go with the state in its view's row."""
    try:
        view = View.from_json(parse_json(text))
    except UnknownNameError:
        return None
    except UserError:
        return "an answer whose state is damaged"
    if view.key != view_key:
        return "an answer whose state is another one"
    return misfit(view, answer, fingerprint)


def _fix(store: LabelStore, bad: list[tuple[_Row, str]], report: VerifyReport) -> None:
    """Write the rows to a file, then take them out: nothing is ever only deleted."""
    out = [(row, problem) for row, problem in bad if problem not in (STALE, UNTAGGED)]
    if out:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        report.rejected = store.path / f"rejected-{now}.jsonl"
        with explained(store.path), report.rejected.open("a", encoding="utf-8") as file:
            for row, problem in out:
                line = {"problem": problem} | {k: _plain(v) for k, v in vars(row).items()}
                file.write(json.dumps(line) + "\n")
    for row, problem in bad:
        if problem == UNTAGGED:
            store.retag(row.rowid, tag_of(parse(store.path, row.key, row.value)))
        else:
            store.remove_row(row.rowid)
        report.fixed += 1


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
