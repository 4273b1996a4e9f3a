"""`labels verify` finds every kind of bad row, and repairs only on request."""

from __future__ import annotations

import json
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from teachers import LabelStore
from teachers.labelset import VerifyConfig
from tests.support.labelset import dump, make_store
from tests.support.store import states


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """The store with one row of every kind of trouble."""
    path = make_store(tmp_path / "store")
    keys = [view.key for view in states(20)]
    with closing(sqlite3.connect(path / "cache.db")) as database, database:
        edit = database.execute
        edit("UPDATE Cache SET mode = 4 WHERE key = ?", (f"label/fa4e/{keys[0]}",))
        edit("UPDATE Cache SET value = '{}' WHERE key = ?", (f"label/fa4e/{keys[1]}",))
        edit("UPDATE Cache SET tag = 'x' WHERE key = ?", (f"label/fa4e/{keys[2]}",))
        edit(
            "UPDATE Cache SET key = 'label/other/' || ? WHERE key = ?",
            (keys[3], f"label/fa4e/{keys[3]}"),
        )
        edit("DELETE FROM Cache WHERE key = ?", (f"view/{keys[4]}",))
        edit("UPDATE Cache SET key = 'view/f00' WHERE key = ?", (f"view/{keys[19]}",))
        edit("INSERT INTO Cache (key, raw, mode, value) VALUES (?, 0, 1, '')", (pickle.dumps(1),))
        edit("INSERT INTO Cache (key, raw, mode, value) VALUES ('odd/1', 1, 1, '')")
        edit("INSERT INTO Cache (key, raw, mode, value) VALUES ('claim/a/b', 1, 1, '\"gone\"')")
        edit("INSERT INTO Cache (key, raw, mode, value) VALUES ('reply/a/b/0/1', 1, 1, 'no')")
    return path


def test_verify_names_everything_and_changes_nothing(spoilt: Path) -> None:
    before = dump(spoilt)
    report = VerifyConfig(store=spoilt).run()
    said = report.summary()
    for words in ("pickled", "tag out of date", "not its key's", "state is not stored", "is gone"):
        assert words in said, said
    # keys 4 (its two answers and the failure have lost their state), and the nine others
    assert sum(report.problems.values()) == 13, said
    assert not report.as_json()["clean"] and report.fixed == 0
    assert dump(spoilt) == before


def test_verify_fix_leaves_a_clean_store_and_keeps_what_it_took(spoilt: Path) -> None:
    report = VerifyConfig(store=spoilt, fix=True).run()
    assert report.fixed == 13 and report.rejected is not None
    lines = [json.loads(line) for line in report.rejected.read_text().splitlines()]
    assert len(lines) == 11 and all(line["problem"] for line in lines)
    again = VerifyConfig(store=spoilt).run()
    assert again.as_json()["clean"] and again.rows == report.rows - 12
    with LabelStore(spoilt) as store:
        assert len(store.get_many("fa4e", [view.key for view in states(20)])) == 15
