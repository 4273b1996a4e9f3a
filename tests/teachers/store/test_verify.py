"""`labels verify` finds every kind of bad row, and repairs only on request."""

from __future__ import annotations

import json
import pickle
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lvlm2p.teachers import ConfigError, LabelStore
from lvlm2p.teachers.store.commands import ExportConfig, VerifyConfig
from tests.support.labelset import dump, make_store
from tests.support.store import FakeTeacher, states


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


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"probabilities": {"left": 0.5, "right": 0.5, "forward": 0.5, "done": 0.0}}, "sum to 1.5"),
        ({"probabilities": {"left": 0.5, "right": 0.5}}, "missing forward, done"),
        ({"task": "fetch"}, "about another task than its state's"),
    ],
)
def test_verify_reads_what_labels_say(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    path, (view,) = tmp_path / "store", states(1)
    with LabelStore(path) as store:
        store.put(view, FakeTeacher().label_for(view))
        key = f"label/fa4e/{view.key}"
        store._cache[key] = json.dumps({**json.loads(store._cache[key]), **change})
    (problem,) = VerifyConfig(store=path).run().problems
    assert complaint in problem


def test_labels_of_a_task_that_is_not_known_are_named(tmp_path: Path) -> None:
    """They are sound, and what `labels export` leaves out is accounted for."""
    ours, lake = states(3), replace(states(1)[0].task, name="frozen-lake")
    theirs = [replace(view, task=lake) for view in ours]
    with LabelStore(tmp_path / "store") as store:
        store.put_entries((view, FakeTeacher().label_for(view), 0) for view in theirs)
        store.put(states(4)[3], FakeTeacher().label_for(states(4)[3]))
    report = VerifyConfig(store=tmp_path / "store").run()
    said = report.summary()
    assert "all good" in said and report.as_json()["clean"]
    assert "3 answers are about the task 'frozen-lake', which is not known here" in said
    assert "lvlm2p.tasks" in said and report.as_json()["unknown_tasks"] == {"frozen-lake": 3}
    exported = ExportConfig(store=tmp_path / "store", out=tmp_path / "out").run()
    assert (exported.rows, exported.left_out) == (1, 3) and "labels verify" in exported.summary()
    with pytest.raises(ConfigError, match=r"not one of 3 answers .*`lvlm2p labels verify` says"):
        ExportConfig(store=tmp_path / "store", out=tmp_path / "2", task="frozen-lake").run()
    assert not (tmp_path / "2").exists()
    with closing(sqlite3.connect(tmp_path / "store" / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET tag = 'x' WHERE key LIKE 'label/%'")
    assert VerifyConfig(store=tmp_path / "store", fix=True).run().fixed == 4


def test_verify_fix_leaves_a_clean_store_and_keeps_what_it_took(spoilt: Path) -> None:
    report = VerifyConfig(store=spoilt, fix=True).run()
    assert report.fixed == 13 and report.rejected is not None
    lines = [json.loads(line) for line in report.rejected.read_text().splitlines()]
    assert len(lines) == 11 and all(line["problem"] for line in lines)
    again = VerifyConfig(store=spoilt).run()
    assert again.as_json()["clean"] and again.rows == report.rows - 12
    with LabelStore(spoilt) as store:
        assert len(store.get_many("fa4e", [view.key for view in states(20)])) == 15
