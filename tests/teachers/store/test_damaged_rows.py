"""One bad row of a store costs only itself: everything else is shown, exported, asked, mended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvlm2p.teachers import Failure, Label, LabelStore, StoredTeacher, StoreError, reply_key
from lvlm2p.teachers.store.commands import (
    ExportConfig,
    PruneConfig,
    ShowConfig,
    StatsConfig,
    VerifyConfig,
)
from tests.support.hostile import FUZZ, JSON_BYTES, NUMBERS, anything, as_json
from tests.support.labelset import make_store
from tests.support.store import FakeTeacher, states

VIEWS = states(20)
ONE = VIEWS[15]
"""A state that only one answer is about."""
KEY = f"label/fa4e/{ONE.key}"
GOOD = json.loads(FakeTeacher().label_for(ONE).model_dump_json())
VIEW = json.dumps(ONE.to_json())

INSERT = "INSERT INTO Cache (key, raw, mode, tag, value) VALUES (?, 1, 1, ?, CAST(? AS TEXT))"


def edit(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path / "cache.db")) as database, database:
        assert database.execute(statement, values).rowcount == 1


def set_value(path: Path, value: bytes, key: str = KEY) -> None:
    edit(path, "UPDATE Cache SET value = CAST(? AS TEXT) WHERE key = ?", value, key)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("clean") / "store")


@pytest.fixture
def path(clean: Path, tmp_path: Path) -> Path:
    return copy(clean, tmp_path / "store")


def copy(clean: Path, to: Path) -> Path:
    to.mkdir()
    for file in clean.iterdir():
        if file.is_file():
            (to / file.name).write_bytes(file.read_bytes())
    return to


def exported(path: Path) -> int:
    """How many rows `labels export` writes."""
    return ExportConfig(store=path, out=str(path.parent / "out"), overwrite=True).run().rows


def all_else_goes_on(path: Path, rows: int = 34) -> None:
    """Every command on a store with one bad row among its answers; then it is mended."""
    StatsConfig(store=path).run().summary()
    assert exported(path) == rows
    for view in (VIEWS[0], ONE):
        try:
            ShowConfig(store=path, key=view.key).run().summary()
        except StoreError as error:
            assert view is ONE and "damaged" in str(error)
    PruneConfig(store=path, older_than=1).run().summary()
    with LabelStore(path) as store:
        answers = StoredTeacher(FakeTeacher(), store).label(VIEWS)
        assert sum(isinstance(answer, Label) for answer in answers) >= 19
        store.typical("fa4e")
    report = VerifyConfig(store=path, fix=True).run()
    assert sum(report.problems.values()) >= 1 and report.fixed >= 1, report.summary()
    assert VerifyConfig(store=path).run().as_json()["clean"]
    assert exported(path) in (rows, rows + 1)


DAMAGE: dict[str, dict[str, Any]] = {
    "a slash in the fingerprint": {"fingerprint": "a/b"},
    "a long fingerprint": {"fingerprint": "x" * 10_000},
    "an escape in the fingerprint": {"fingerprint": "\x1b[2J"},
    "huge usage": {"usage": {"calls": 10**30}},
    "negative usage": {"usage": {"prompt_tokens": -1}},
    "fractional usage": {"usage": {"prompt_tokens": 1.5}},
    "a cost below nothing": {"cost_usd": -1.0},
    "an endless cost": {"cost_usd": float("inf")},
    "no number as a cost": {"cost_usd": float("nan")},
    "a time before it began": {"latency_s": -1.0},
    "deep analysis": {"analysis": {"a": json.loads("[" * 500 + "]" * 500)}},
    "a list of words": {"task": ["go-to-door"]},
    "no probabilities": {"probabilities": {}},
    "other actions": {"probabilities": {"fly": 1.0}},
    "no distribution": {"probabilities": dict.fromkeys(GOOD["probabilities"], 0.5)},
    "another task": {"task": "fetch"},
    "another fingerprint": {"fingerprint": "07he4"},
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_answer(path: Path, change: dict[str, Any]) -> None:
    set_value(path, json.dumps({**GOOD, **change}).encode())
    all_else_goes_on(path)


@pytest.mark.parametrize("value", JSON_BYTES)
def test_an_answer_that_is_no_json(path: Path, value: bytes) -> None:
    set_value(path, value)
    all_else_goes_on(path)


@pytest.mark.parametrize("name", ["", "a", "a/b/c", "a/b/-1", "a/b/01"])
def test_a_key_that_names_no_question(path: Path, name: str) -> None:
    tag = json.dumps([*["label", "go-to-door", "fake", "a", "", "", "choice"], 0.0, 1, 1, 1, 1])
    edit(path, INSERT, f"label/{name}", tag.replace(" ", ""), json.dumps(GOOD).encode())
    all_else_goes_on(path, rows=35)


@pytest.mark.parametrize("value", [b"\xff\xfe", *JSON_BYTES[:10], b"[" * 900 + b"]" * 900])
@pytest.mark.parametrize("kind", ["claim", "reply"])
def test_a_damaged_claim_or_reply(path: Path, kind: str, value: bytes) -> None:
    name = f"fa4e/{ONE.key}" if kind == "claim" else f"fa4e/{ONE.key}/0/1"
    edit(path, INSERT, f"{kind}/{name}", kind, value)
    with LabelStore(path) as store:
        assert store.claim([f"fa4e/{ONE.key}"]) == {f"fa4e/{ONE.key}"}
        store.release([f"fa4e/{ONE.key}"])
        if kind == "reply" and value != b"{}":
            assert store.get_reply(reply_key("fa4e", ONE.key, 0, 1)) is None
    if value != b"{}" or kind == "claim":
        edit(path, "DELETE FROM Cache WHERE key LIKE ?", f"{kind}/%") if kind == "reply" else None
        report = VerifyConfig(store=path, fix=True).run()
        assert VerifyConfig(store=path).run().as_json()["clean"], report.summary()


def hostile_view(state: bytes) -> bytes:
    import base64

    return json.dumps({**json.loads(VIEW), "state": base64.b64encode(state).decode()}).encode()


@pytest.mark.parametrize(
    "value",
    [
        *JSON_BYTES,
        hostile_view(b"\x01\x01\xff\xff\xff\x00\x00\x00\x00\x00"),
        hostile_view(b"\xff"),
        json.dumps({**json.loads(VIEW), "mission": 5}).encode(),
    ],
)
def test_a_damaged_view(path: Path, value: bytes) -> None:
    set_value(path, value, f"view/{ONE.key}")
    with pytest.raises(StoreError, match=rf"view/{ONE.key} (is damaged|a value that)"):
        ShowConfig(store=path, key=ONE.key).run()
    all_else_goes_on(path)


def test_a_new_answer_puts_its_view_right(path: Path) -> None:
    set_value(path, b"{", f"view/{ONE.key}")
    with LabelStore(path) as store:
        store.put(ONE, FakeTeacher().label_for(ONE))
        assert store.view(ONE.key) == ONE
    assert VerifyConfig(store=path).run().as_json()["clean"]


TAGS = [
    *[json.dumps(["label", *words, 0.0, 1, 1, 1, 1]) for words in (["x"] * 5, [None] * 6, [1] * 6)],
    *[
        json.dumps(["label", *["x"] * 6, number, number, 1, 1, 1])
        for number in (*NUMBERS, 1e308, 2**62)
    ],
    '["label",' + "[" * 2_000,
    '["label",9e999,9e999,9e999,9e999,9e999,9e999,9e999,9e999,9e999,9e999,9e999]',
]


@pytest.mark.parametrize("tag", TAGS)
def test_a_damaged_tag(path: Path, tag: str) -> None:
    edit(path, "UPDATE Cache SET tag = ? WHERE key = ?", tag.replace(", ", ","), KEY)
    StatsConfig(store=path).run().summary()
    json.dumps(StatsConfig(store=path).run().as_json(), allow_nan=False)
    assert exported(path) >= 34
    assert VerifyConfig(store=path, fix=True).run().fixed == 1
    assert exported(path) == 35


CELLS = {"key": KEY, "tag": "x", "value": "{}", "mode": 1, "store_time": 1.0, "filename": None}


@pytest.mark.parametrize("column", CELLS)
@pytest.mark.parametrize("cell", [None, 7, 1.5, b"\xff", "\x00", "CAST(x'ff' AS TEXT)"])
def test_any_value_in_any_column(path: Path, column: str, cell: Any) -> None:
    into = cell if isinstance(cell, str) and cell.startswith("CAST") else "?"
    values = [] if into != "?" else [cell]
    edit(path, f"UPDATE Cache SET {column} = {into} WHERE key = ?", *values, KEY)
    StatsConfig(store=path).run().summary()
    assert exported(path) >= 34
    ShowConfig(store=path, key=VIEWS[0].key).run().summary()
    with LabelStore(path) as store:
        answers = StoredTeacher(FakeTeacher(), store).label(VIEWS)
    assert sum(isinstance(answer, Label) for answer in answers) >= 19
    VerifyConfig(store=path, fix=True).run()
    assert VerifyConfig(store=path).run().as_json()["clean"]


def test_training_is_told_of_damaged_rows_and_goes_on(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for view in VIEWS[12:15]:
        set_value(path, b"{", f"label/fa4e/{view.key}")
    fake = FakeTeacher()
    with LabelStore(path) as store:
        teacher = StoredTeacher(fake, store)
        for view in VIEWS:
            teacher.label([view])
        teacher.close()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and f"label/fa4e/{VIEWS[12].key} is damaged" in said[0]
    assert "verify" in said[0] and said[1].startswith("3 damaged rows of")
    assert fake.asked == [] and teacher.counts.failed == 3
    with LabelStore(path) as store:
        answers = StoredTeacher(fake, store, retry_failures=True).label(VIEWS)
        assert all(isinstance(answer, Label) for answer in answers)
        assert fake.asked == [view.key for view in VIEWS[12:15]]
        offline = StoredTeacher(fake, store, offline=True).label(VIEWS)
        assert not [answer for answer in offline if isinstance(answer, Failure)]


def test_a_lock_that_is_a_folder(path: Path) -> None:
    (path / "owners" / ("a" * 32)).mkdir(parents=True)
    with LabelStore(path) as store:
        assert store.claim(["a/b"]) == {"a/b"}


def test_keys_from_a_command_line_may_be_anything(path: Path) -> None:
    for key in ("\udcff", "\x00", "../..", "x" * 10_000, "%"):
        with pytest.raises(StoreError, match="no state whose key begins"):
            ShowConfig(store=path, key=key).run()


def fuzzed(strategy: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    return lambda test: FUZZ(given(value=strategy)(test))


@fuzzed(anything | st.fixed_dictionaries({"usage": anything, "fingerprint": anything}))
def test_any_value_as_a_row(clean: Path, value: Any) -> None:
    """On one store, in which each example takes the place of the last one."""
    path = clean.parent / "fuzzed"
    if not path.exists():
        copy(clean, path)
    if isinstance(value, dict):
        value = {**GOOD, **value}
    for key in (KEY, f"view/{ONE.key}"):
        set_value(path, as_json(value), key)
        StatsConfig(store=path).run().summary()
        assert exported(path) >= 34
        report = VerifyConfig(store=path).run()
        assert report.rows and report.summary()
        set_value(path, VIEW.encode(), f"view/{ONE.key}")


def test_any_marker_is_a_sentence(path: Path) -> None:
    for value in (*JSON_BYTES, b'{"format": "' + b"x" * 5_000 + b'", "version": 1}'):
        (path / "lvlm2p-store.json").write_bytes(value)
        with pytest.raises(StoreError) as caught:
            LabelStore(path)
        assert len(str(caught.value)) < 500
