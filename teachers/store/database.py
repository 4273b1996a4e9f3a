"""The label store's storage backend: diskcache with settings under which no label is ever dropped,
and a Disk that neither writes nor reads pickle.

What can be wrong with a folder is found out before anything in it is touched, and everything
SQLite may say becomes one :class:`StoreError` sentence. Why: diskcache's defaults delete the oldest
rows at 1 GiB, and reading a pickled row planted by somebody else would run code (CVE-2025-69872).
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import diskcache
from diskcache.core import DBNAME, DEFAULT_SETTINGS, METADATA, MODE_RAW

from lvlm2p.envs.untrusted import read_json, shorten
from lvlm2p.teachers.errors import StoreError
from lvlm2p.teachers.files import write_atomically

MARKER = "lvlm2p-store.json"
FORMAT = "lvlm2p-labels"
VERSION = 1
MAX_MARKER_BYTES = 10_000
TIMEOUT_S = 60
"""How long a writer waits for the others."""

SETTINGS = {
    **{key: value for key, value in DEFAULT_SETTINGS.items() if key.startswith("sqlite_")},
    "eviction_policy": "none",
    "size_limit": 2**63 - 1,
    "cull_limit": 0,
    "statistics": 0,
    "tag_index": 1,  # `labels stats` reads the index alone
    "disk_min_file_size": 2**62,  # every value is in its row, never in a file beside it
    "disk_pickle_protocol": 0,
}
"""All of diskcache's settings are given: those left out would be taken from the database, where
whoever opened it last has put them."""


class PlainDisk(diskcache.Disk):  # type: ignore[misc]
    """Keys and values are text, in and out; anything else is refused."""

    def put(self, key: object) -> tuple[str, bool]:
        """What the database keeps for ``key``."""
        if not isinstance(key, str):
            raise TypeError(f"a label store's keys are strings, not {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """The key that the database keeps as ``key``."""
        if not raw or not isinstance(key, str):
            refuse(self._directory, "a key")
        return key

    def store(self, value: object, read: bool, key: object = None) -> tuple[int, int, None, str]:
        """(size, mode, file name, value) as the database keeps them."""
        if read or not isinstance(value, str):
            raise TypeError(f"a label store's values are strings, not {type(value).__name__}")
        return len(value), MODE_RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: bool) -> str:
        """The value of a row."""
        if mode != MODE_RAW or filename is not None or not isinstance(value, str):
            refuse(self._directory, "a value")
        return value


def refuse(path: Path | str, what: str) -> NoReturn:
    """A row holds something that lvlm2p never writes."""
    raise StoreError(
        f"the label store {path} holds {what} that lvlm2p never writes (pickled, or kept outside "
        "the database); it was refused and nothing in it was run: `lvlm2p labels verify` names "
        "such rows, and with --fix takes them out"
    )


def open_cache(path: Path, create: bool = True) -> diskcache.Cache:
    """The store in the folder ``path``, made if there is none and ``create`` says so.

    Raises:
        StoreError: the folder is something else, of another version, damaged or can't be written;
            or there is no store and none was to be made.
    """
    with explained(path):
        if not create and not holds_store(path):
            raise StoreError(
                f"there is no label store at {path}: name the folder of one with --store "
                "(`lvlm2p label` and `lvlm2p train` make one)"
            )
        _check_folder(path)
        _check_database(path / DBNAME)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "permission denied")
        return diskcache.Cache(str(path), timeout=TIMEOUT_S, disk=PlainDisk, **SETTINGS)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever the disk or SQLite raises inside comes out as a StoreError."""
    try:
        yield
    except diskcache.Timeout as error:
        raise _sentence(path, _why_no_write(path)) from error
    except (sqlite3.Error, OSError) as error:
        cause = error
        while isinstance(cause.__context__, sqlite3.Error):  # a rollback that failed in its turn
            cause = cause.__context__
        raise _sentence(path, cause) from error


def _sentence(path: Path, error: Exception) -> StoreError:
    said = str(error).lower()
    if "full" in said or "no space" in said or "quota" in said:
        what = f"its disk is full ({error}): free some space and start again; what it holds is safe"
    elif "locked" in said:
        what = f"another process has held its lock for {TIMEOUT_S} s ({error}): try again later"
    elif "malformed" in said or "not a database" in said or "corrupt" in said:
        what = (
            f"its database is damaged ({error}); nothing was changed: put back a copy of the "
            "folder, or save what can be read with "
            f"`sqlite3 {shlex.quote(str(path / DBNAME))} .recover`"
        )
    elif isinstance(error, OSError) or "readonly" in said or "unable to open" in said:
        what = f"it can't be read and written here ({error}): choose another with --store"
    else:
        what = f"its database can't be used ({error}); nothing was changed"
    return StoreError(f"the label store {path}: {what}")


def _why_no_write(path: Path) -> Exception:
    """diskcache says Timeout whatever was wrong: ask SQLite again."""
    try:
        with contextlib.closing(sqlite3.connect(path / DBNAME, timeout=0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except sqlite3.Error as error:
        return error
    return sqlite3.OperationalError("database is locked")


def holds_store(path: Path) -> bool:
    """Whether something is at ``path``, if only what opening it will complain about."""
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _check_folder(path: Path) -> None:
    """It has our marker, or is empty and gets it."""
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file, not a label store: choose another with --store")
    marker = path / MARKER
    if not marker.exists():
        path.mkdir(parents=True, exist_ok=True)
        if any(not entry.name.startswith(f".{MARKER}") for entry in path.iterdir()):
            # Another process may have finished making the store since we looked.
            if marker.exists():
                return
            raise StoreError(
                f"{path} is a folder with other files in it, not a label store (it has no "
                f"{MARKER}): choose another with --store"
            )
        write_atomically(marker, json.dumps({"format": FORMAT, "version": VERSION}) + "\n")
    _check_marker(path, marker)


def _check_marker(path: Path, marker: Path) -> None:
    try:
        found: Any = read_json(marker, MAX_MARKER_BYTES)
        kind, version = found["format"], found["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the label store {path} has a damaged {MARKER}: {error}") from error
    if kind != FORMAT:
        found = shorten(repr(kind), 60)
        raise StoreError(f"{path} is a {found}, not a label store: choose another with --store")
    if version != VERSION:
        raise StoreError(
            f"the label store {path} is of format version {shorten(str(version), 60)} and this "
            f"lvlm2p reads version {VERSION}: update lvlm2p, or choose another store with --store"
        )


def _check_database(database: Path) -> None:
    """Read what diskcache will read before it writes: it would set up its tables in any database,
    and set an attribute for each setting found there.
    """
    if not database.exists() or database.stat().st_size == 0:
        return
    address = f"{database.absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=TIMEOUT_S)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if not tables:
            return  # killed before the first table was made
        if "Settings" not in tables:
            raise StoreError(
                f"{database} is another program's database, not a label store's: choose another "
                "store with --store"
            )
        settings = {key for (key,) in connection.execute("SELECT key FROM Settings")}
    unknown = settings - {*SETTINGS, *METADATA}
    if unknown:
        raise StoreError(
            f"{database} has settings that a label store never has "
            f"({', '.join(map(str, sorted(unknown, key=str)))}): it was not opened"
        )
