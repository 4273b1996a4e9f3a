"""Every answer that was ever paid for, on disk: the :class:`LabelStore`.

A folder with diskcache's ``cache.db`` and a marker file. Several processes and threads may use it
at once. What a method has put is on disk when it returns and survives ``kill -9``; a label, its
view, and the end of the claim on it are one transaction.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from diskcache.core import DBNAME

from lvlm2p.envs import View
from lvlm2p.envs.untrusted import MalformedDataError, parse_json
from lvlm2p.teachers.errors import UnknownNameError, UserError
from lvlm2p.teachers.label import Answer, Failure, Label, add_usd
from lvlm2p.teachers.store.claims import ProcessLock, is_held, lock_id_in, tidy
from lvlm2p.teachers.store.database import TIMEOUT_S, explained, open_cache
from lvlm2p.teachers.store.rows import RowReader, damaged, encoded, name_of, tag_of


def default_store_path() -> Path:
    """``$LVLM2P_STORE``, else a folder in the user's cache."""
    named = os.environ.get("LVLM2P_STORE")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lvlm2p" / "labels"


def store_path(directory: str | Path | None) -> Path:
    """The folder meant by ``directory``: variables and ~ filled in; None: the default's."""
    named = str(directory if directory is not None else default_store_path())
    return Path(os.path.expandvars(named)).expanduser().absolute()


class LabelStore:
    """Labels, failures, views and provider replies, by teacher fingerprint and view key.

    Args:
        directory: the folder; None: :func:`default_store_path`.
        create: make the store if there is none; else that is an error.

    Raises:
        StoreError: from every method: the folder or the disk under it can't be used, in one
            sentence; what is in it was left as it was.
    """

    def __init__(self, directory: str | Path | None = None, *, create: bool = True) -> None:
        self.path = store_path(directory)
        self._cache = open_cache(self.path, create)
        self.reader = RowReader(self.path)
        self._writing = threading.RLock()
        self._lock: ProcessLock | None = None
        self._in_flight: dict[str, int] = {}  # name -> the thread of ours that asks
        with explained(self.path):
            tidy(self.path)

    # Answers

    def get(self, fingerprint: str, view_key: str, sample: int = 0) -> Answer | None:
        """The answer to one question: its label, else its failure, else None."""
        return self.get_many(fingerprint, [view_key], sample).get(view_key)

    def get_many(
        self, fingerprint: str, view_keys: Sequence[str], sample: int = 0
    ) -> dict[str, Answer]:
        """The answers there are, by view key."""
        found = self.find(name_of(fingerprint, key, sample) for key in view_keys)
        return {name.split("/")[1]: answer for name, (answer, _) in found.items()}

    def find(
        self, names: Iterable[str], bad: dict[str, str] | None = None
    ) -> dict[str, tuple[Answer, float]]:
        """Answers and when they were stored (seconds since 1970), by :func:`rows.name_of`.

        Args:
            bad: gets the names whose row is damaged, with what is wrong; without it one of them is
                a StoreError.
        """
        wanted = list(names)
        answers = self.reader.answers("label/", wanted, bad)
        if len(answers) < len(wanted):
            rest = [name for name in wanted if name not in answers and name not in (bad or ())]
            answers.update(self.reader.answers("failure/", rest, bad))
        return answers

    def put(self, view: View, answer: Answer, sample: int = 0) -> Answer:
        """Store one answer; it is on disk when this returns. See :meth:`put_entries`."""
        (stored,) = self.put_entries([(view, answer, sample)])
        return stored

    def put_entries(self, entries: Iterable[tuple[View, Answer, int]]) -> list[Answer]:
        """Store answers, each with its sample number, in one transaction: all, or on an error none.

        Returns:
            the answers as they are stored: text that UTF-8 can't hold has become question marks.
        """
        with self._write() as cache:
            return [self._put(cache, view, answer, sample) for view, answer, sample in entries]

    def _put(self, cache: Any, view: View, answer: Answer, sample: int) -> Answer:
        name = name_of(answer.fingerprint, view.key, sample)
        answer, text = encoded(answer)
        cache.set(f"{answer.kind}/{name}", text, tag=tag_of(answer))
        self._put_view(cache, view)
        if isinstance(answer, Label):
            cache.delete(f"failure/{name}")
        if isinstance(answer, Label) or answer.lasting:
            # The answer holds the whole transcript. What a passing failure was paid for is kept.
            for key in self.reader.keys(f"reply/{answer.fingerprint}/{view.key}/{sample}/"):
                cache.delete(key)
        if self._in_flight.pop(name, None) is not None:
            cache.delete(f"claim/{name}")
        return answer

    def _put_view(self, cache: Any, view: View) -> None:
        """Unless it is there as it should be."""
        key, text = f"view/{view.key}", json.dumps(view.to_json())
        stored = self.reader.rows([key], bad={}).get(key)
        if stored is None or stored.text != text:
            cache.set(key, text, tag="view")

    def view(self, view_key: str) -> View | None:
        """The view that a key belongs to.

        Raises:
            StoreError: its row is damaged.
            UnknownNameError: it is of a task that nobody has registered.
        """
        key = f"view/{view_key}"
        row = self.reader.rows([key]).get(key)
        if row is None:
            return None
        try:
            return View.from_json(parse_json(row.text))
        except UnknownNameError:
            raise
        except UserError as error:
            raise damaged(self.path, key, str(error)) from error

    # Journal

    def get_reply(self, key: str) -> dict[str, Any] | None:
        """The provider's reply put under ``key`` (:func:`lvlm2p.teachers.reply_key`), or None,
        also where its row is damaged: it is asked for again."""
        row = self.reader.rows([f"reply/{key}"], bad={}).get(f"reply/{key}")
        with contextlib.suppress(MalformedDataError):
            reply = None if row is None else parse_json(row.text)
            return reply if isinstance(reply, dict) else None
        return None

    def put_reply(self, key: str, reply: Mapping[str, Any]) -> None:
        """Keep a reply until the answer that it is a part of is stored."""
        self.put_row(f"reply/{key}", reply, "reply")

    def put_row(self, key: str, row: Mapping[str, Any], tag: str) -> None:
        """Put a JSON object under any key."""
        with self._write() as cache:
            cache.set(key, json.dumps(dict(row)), tag=tag)

    # Claims: of all processes and threads, one asks

    def claim(self, names: Collection[str]) -> set[str]:
        """Those of ``names`` that the caller, and nobody else, is to ask about now.

        A claim ends when its answer is put, when it is released, or when its process dies.
        Whoever has claimed must look once more whether the answer has come meanwhile.
        """
        if not self._free(names):
            return set()  # the usual case while waiting: no write lock needed to know it
        with self._write() as cache:
            free = self._free(names)
            if free:
                lock_id = self._own_lock().id
                for name in free:
                    cache.set(f"claim/{name}", json.dumps(lock_id), tag="claim")
                self._in_flight.update(dict.fromkeys(free, threading.get_ident()))
        return free

    def _free(self, names: Collection[str]) -> set[str]:
        """Names that no living process, and no other thread of ours, is asking about."""
        held = self.reader.rows((f"claim/{name}" for name in names), bad={})
        own, held_by = self._lock, dict[str, bool]()
        free = set()
        for name in names:
            row = held.get(f"claim/{name}")
            if row is not None:
                lock_id = lock_id_in(row.text)
                if own is not None and lock_id == own.id and own.pid == os.getpid():
                    # Our own thread's unfinished question: waiting for ourselves never ends.
                    if self._in_flight.get(name, threading.get_ident()) != threading.get_ident():
                        continue
                else:
                    if lock_id not in held_by:
                        held_by[lock_id] = is_held(self.path, lock_id)
                    if held_by[lock_id]:
                        continue
            free.add(name)
        return free

    def release(self, names: Collection[str]) -> None:
        """Give up claims without an answer; those that have ended already are left alone."""
        mine = [name for name in names if name in self._in_flight]
        if mine:
            with self._write() as cache:
                for name in mine:
                    cache.delete(f"claim/{name}")
                    self._in_flight.pop(name, None)

    def _own_lock(self) -> ProcessLock:
        if self._lock is None or self._lock.pid != os.getpid():
            self._lock = ProcessLock(self.path)
            self._in_flight.clear()
        return self._lock

    def typical(self, fingerprint: str, batch: bool | None = None) -> tuple[float | None, ...]:
        """Mean latency (seconds) and cost (dollars) of some stored labels; None: not known.
        ``batch``: of those alone that did or didn't come in a batch, at once and half the price."""
        keys = self.reader.keys(f"label/{fingerprint}/", limit=200)
        found = self.find((key.removeprefix("label/") for key in keys), bad={})
        labels = [one for one, _ in found.values() if batch in (None, one.latency_s == 0)]
        if not labels:
            return None, None
        costs: list[float | None] = [0.0, *(label.cost_usd for label in labels)]
        total = reduce(add_usd, costs)
        mean_cost = None if total is None else total / len(labels)
        return sum(label.latency_s for label in labels) / len(labels), mean_cost

    # Clearing out

    def remove(self, keys: Iterable[str]) -> None:
        """Take rows out, in one transaction."""
        with self._write() as cache:
            for key in keys:
                cache.delete(key)

    def remove_row(self, rowid: int) -> None:
        """Take out a row whose key may be anything."""
        self._execute("DELETE FROM Cache WHERE rowid = ?", (rowid,))

    def retag(self, rowid: int, tag: str) -> None:
        """Put a row's tag right."""
        self._execute("UPDATE Cache SET tag = ? WHERE rowid = ?", (tag, rowid))

    def _execute(self, statement: str, values: tuple[object, ...]) -> None:
        """One statement that diskcache has no method for."""
        with self._writing, explained(self.path):
            database = sqlite3.connect(self.path / DBNAME, timeout=TIMEOUT_S)
            with contextlib.closing(database), database:
                database.execute(statement, values)

    # Writing and closing

    @contextlib.contextmanager
    def _write(self) -> Iterator[Any]:
        """One transaction. On any error nothing of it is kept."""
        with self._writing, explained(self.path):
            try:
                with self._cache.transact():
                    yield self._cache
            except BaseException:
                # A commit that failed (full disk) leaves its transaction open: end it.
                with contextlib.suppress(Exception):
                    self._cache.close()
                raise

    def close(self) -> None:
        """Close the files; claims that are left over are free from now on."""
        self.reader.close()
        self._cache.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def is_final(answer: Answer) -> bool:
    """Whether a later run should take the answer as it is rather than ask again."""
    return not isinstance(answer, Failure) or answer.lasting
