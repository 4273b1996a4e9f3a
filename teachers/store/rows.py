"""What the rows of a label store are called, what is in them, and how they are read.

    label/<fingerprint>/<view key>[/<sample>]     a Label, as JSON
    failure/<fingerprint>/<view key>[/<sample>]   a Failure, as JSON
    view/<view key>                               the View, as JSON, once
    reply/<fingerprint>/<view key>/<sample>/...   one provider reply, until the label is there
    claim/<fingerprint>/<view key>[/<sample>]     who is asking right now
    batch/<nonce>                                 questions that are in a provider's batch API

The tag column repeats what `labels stats` adds up, so that it need not open the rows. Reading goes
around diskcache's own ``get``: one query a batch, on a connection that can't write.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from diskcache.core import DBNAME, MODE_RAW
from pydantic import TypeAdapter, ValidationError

from lvlm2p.envs import View
from lvlm2p.envs.untrusted import first_problem, is_text, shorten
from lvlm2p.teachers.errors import AnswerError, StoreError
from lvlm2p.teachers.label import Answer, Failure, Label, StoredAnswer, check_probabilities
from lvlm2p.teachers.store.database import TIMEOUT_S, explained, refuse

SEE_VERIFY = "`lvlm2p labels verify` lists all such rows"

LONGEST_ROW = 2**27
"""Characters of an answer: a provider's longest reply, each character escaped, is shorter."""

PRECISION = 1e-6
"""How far from 1 stored probabilities may sum."""

_ANSWER: TypeAdapter[Answer] = TypeAdapter(StoredAnswer)
T = TypeVar("T")


class StoredRow(NamedTuple):
    """A value and the time (seconds since 1970) at which it was stored."""

    text: str
    time: float


def name_of(fingerprint: str, view_key: str, sample: int = 0) -> str:
    """The part of a row's key that says which question it is about."""
    return f"{fingerprint}/{view_key}" + (f"/{sample}" if sample else "")


def parts_of(name: str) -> tuple[str, str, int]:
    """(fingerprint, view key, sample): the inverse of :func:`name_of`.

    Raises:
        ValueError: it is no such name.
    """
    fingerprint, view_key, *rest = name.split("/")
    sample = int(rest[0]) if rest else 0
    if name_of(fingerprint, view_key, sample) != name or sample < 0:
        raise ValueError("it is no name of an answer")
    return fingerprint, view_key, sample


def misfit(view: View, answer: Answer, fingerprint: str) -> str | None:
    """Why ``answer`` can't be one about ``view`` under a key with ``fingerprint``; None: it can."""
    if answer.fingerprint != fingerprint:
        return "a fingerprint that is not its key's"
    if answer.task != view.task.name:
        return "an answer about another task than its state's"
    if isinstance(answer, Label):
        try:
            check_probabilities(view.task, answer.probabilities, PRECISION)
        except AnswerError as error:
            return f"probabilities that are none: {shorten(str(error))}"
        if tuple(answer.probabilities) != view.task.action_names:
            return "probabilities in another order than its task's actions"
    return None


def tag_of(answer: Answer) -> str:
    """What `labels stats` adds up, as a JSON list."""
    usage = answer.usage
    what = [answer.kind, answer.task, answer.teacher, answer.fingerprint, answer.prompt]
    how = answer.elicitation if isinstance(answer, Label) else answer.failure
    tokens = [usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens]
    facts = [*what, answer.model, how, answer.cost_usd, usage.calls, *tokens]
    return json.dumps(facts, separators=(",", ":"))


def encoded(answer: Answer) -> tuple[Answer, str]:
    """The answer fit for UTF-8, and as JSON: half characters (lone surrogates) become question
    marks."""
    try:
        return answer, answer.model_dump_json()
    except (ValueError, UnicodeError):
        answer = type(answer).model_validate(_encodable(answer.model_dump()))
        return answer, answer.model_dump_json()


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    return value


def parse(path: Path, key: str, text: str) -> Answer:
    """The answer in a row.

    Raises:
        StoreError: the row is not an answer.
    """
    try:
        if len(text) > LONGEST_ROW:
            raise damaged(path, key, f"it has more than {LONGEST_ROW:,} characters")
        if key.startswith("label/"):
            return Label.model_validate_json(text)
        return Failure.model_validate_json(text)
    except ValidationError as error:
        raise damaged(path, key, first_problem(error)) from error


def damaged(path: Path, key: str, what: str) -> StoreError:
    """That ``what`` is wrong with a row, as a sentence."""
    return StoreError(
        f"the label store {path}: the row {shorten(key)} is damaged ({what}); {SEE_VERIFY}"
    )


class RowReader:
    """Looks rows up and walks over them; can't change anything. Threads share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    def rows(self, keys: Iterable[str], bad: dict[str, str] | None = None) -> dict[str, StoredRow]:
        """The rows there are under ``keys``, in one query.

        Args:
            bad: gets the keys of rows that lvlm2p never writes, with what is wrong; without it
                one of them is an error.
        """
        query = (
            "SELECT key, mode, filename, value, store_time FROM Cache"
            " WHERE raw = 1 AND key IN (SELECT value FROM json_each(?))"
        )
        found: dict[str, StoredRow] = {}
        for key, mode, filename, value, time in self._all(query, json.dumps(list(keys))):
            if mode == MODE_RAW and filename is None and type(value) is str:
                found[key] = StoredRow(value, time if isinstance(time, float) else 0.0)
            elif bad is None:
                refuse(self.path, f"in the row {key} a value")
            else:
                bad[key] = f"the row {key} has a value that lvlm2p never writes"
        return found

    def answers(
        self, prefix: str, names: Iterable[str], bad: dict[str, str] | None = None
    ) -> dict[str, tuple[Answer, float]]:
        """The answers in the rows ``prefix + name``, and when they were stored, by name.

        Args:
            bad: gets the names whose row is damaged, with what is wrong; without it one of them is
                a StoreError.
        """
        refused: dict[str, str] = {}
        keys = (prefix + name for name in names)
        found = {}
        for key, row in self.rows(keys, None if bad is None else refused).items():
            try:
                found[key.removeprefix(prefix)] = parse(self.path, key, row.text), row.time
            except StoreError as error:
                if bad is None:
                    raise
                refused[key] = str(error)
        if bad is not None:
            bad.update((key.removeprefix(prefix), what) for key, what in refused.items())
        return found

    def keys(self, prefix: str, limit: int = -1) -> list[str]:
        """All keys (or ``limit`` of them) that begin with ``prefix``."""
        if not is_text(prefix):
            return []
        query = "SELECT key FROM Cache WHERE raw = 1 AND key >= ? AND key < ? ORDER BY key LIMIT ?"
        found = self._all(query, prefix, prefix + "\U0010ffff", limit)
        return [key for (key,) in found if isinstance(key, str)]

    def _all(self, query: str, *values: object) -> list[Any]:
        with explained(self.path), self._lock:
            return self._connect().execute(query, values).fetchall()

    def walk(self, query: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Stream the rows of a query from a connection of its own."""
        with explained(self.path):
            connection = self._open()
            try:
                yield from connection.execute(query, values)
            finally:
                connection.close()

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None or self._pid != os.getpid():  # none crosses a fork
            self._pid = os.getpid()
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path / DBNAME, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = _text
        connection.execute("PRAGMA query_only = 1")
        connection.execute("PRAGMA mmap_size = 67108864")
        return connection

    def close(self) -> None:
        """Close the connection; the next lookup opens another."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None


def _text(data: bytes) -> str | bytes:
    """A text of the database; as bytes, which no row of ours has, where it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """``items`` in pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
