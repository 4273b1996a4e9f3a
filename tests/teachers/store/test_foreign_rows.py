"""A stranger's Parquet: whatever is in a row costs only that row, whoever reads the file."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvlm2p.teachers import Label, LabelFileError, LabelStore
from lvlm2p.teachers.labelling.states import states_in
from lvlm2p.teachers.labelset import parquet
from lvlm2p.teachers.labelset.parquet import read_rows
from lvlm2p.teachers.labelset.parts import Parts
from lvlm2p.teachers.labelset.schema import SCHEMA, from_row, to_row
from lvlm2p.teachers.labelset.teacher import LabelSetTeacher
from lvlm2p.teachers.store.commands import ExportConfig, ImportConfig, ShowConfig, VerifyConfig
from tests.support.hostile import FUZZ, changed, returns_or_is_a_sentence
from tests.support.labelset import make_store, rich_label
from tests.support.store import FakeTeacher, states

COUNT = 12
NAN = float("nan")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("good")
    with LabelStore(folder / "store") as store:
        fake = FakeTeacher(rich_label)
        store.put_entries((view, rich_label(view, fake), 0) for view in states(COUNT))
    ExportConfig(store=folder / "store", out=str(folder / "out")).run()
    found: list[dict[str, Any]] = pq.read_table(folder / "out").to_pylist()
    return found


def write(path: Path, rows: list[dict[str, Any]], **types: pa.DataType) -> Path:
    """A file of these rows, some columns of other types than ours."""
    schema = SCHEMA
    for name, kind in types.items():
        schema = schema.set(schema.get_field_index(name), pa.field(name, kind))
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


def one_bad_row_costs_only_itself(path: Path, said: str) -> None:
    """The last row is bad: the others are imported, exported, shown, and answered from."""
    store = path.parent / "imported"
    result = ImportConfig(store=store, file=path).run()
    assert (result.added, result.bad) == (COUNT - 1, 1), result.summary()
    assert result.reasons is not None and f"row {COUNT - 1}" in result.reasons[0]
    assert said in result.reasons[0], result.reasons[0]
    assert len(result.reasons[0]) < 600 and "\n" not in result.reasons[0]
    assert VerifyConfig(store=store).run().as_json()["clean"]
    assert ExportConfig(store=store, out=str(path.parent / "again")).run().rows == COUNT - 1
    ShowConfig(store=store, key=states(1)[0].key).run().summary()
    answers = LabelSetTeacher(path, on_miss="skip").label(states(COUNT))
    assert sum(isinstance(answer, Label) for answer in answers) == COUNT - 1


FLOATS, WIDE = {"sample": pa.float64()}, {"sample": pa.int64()}
BAD: dict[str, tuple[dict[str, Any], dict[str, pa.DataType], str]] = {
    "slash in fingerprint": ({"fingerprint": "a/b"}, {}, "fingerprint: it should have no slash"),
    "control in fingerprint": ({"fingerprint": "\x1b[2J"}, {}, "fingerprint: it should have no"),
    "reversed fingerprint": ({"fingerprint": "\u202ea"}, {}, "fingerprint: it should have no"),
    "long fingerprint": ({"fingerprint": "x" * 10_000}, {}, "1 to 1,000 characters"),
    "empty fingerprint": ({"fingerprint": ""}, {}, "1 to 1,000 characters"),
    "sample NaN": ({"sample": NAN}, FLOATS, "sample: Input should be a finite number"),
    "sample 1.5": ({"sample": 1.5}, FLOATS, "sample: Input should be a valid integer"),
    "sample 1e30": ({"sample": 1e30}, FLOATS, "sample: Unable to parse"),
    "sample -1": ({"sample": -1}, {}, "sample: Input should be greater than or equal to 0"),
    "sample 2**31": ({"sample": 2**31}, WIDE, "sample: Input should be less than 2147483648"),
    "calls 1e30": ({"calls": 1e30}, {"calls": pa.float64()}, "usage.calls"),
    "calls NaN": ({"calls": NAN}, {"calls": pa.float64()}, "usage.calls"),
    "tokens -1": ({"prompt_tokens": -1}, {}, "usage.prompt_tokens"),
    "tokens 2**62": ({"cached_tokens": 2**62}, {}, "usage.cached_tokens"),
    "cost NaN": ({"cost_usd": NAN}, {}, "cost_usd"),
    "cost -1": ({"cost_usd": -1.0}, {}, "cost_usd"),
    "cost 1e300": ({"cost_usd": 1e300}, {}, "cost_usd"),
    "latency -1": ({"latency_s": -1.0}, {}, "latency_s"),
    "analysis deep": ({"analysis": "[" * 100_000}, {}, "nested more than 64 deep"),
    "analysis digits": ({"analysis": '{"a": ' + "9" * 5_000 + "}"}, {}, "5,000 digits"),
    "analysis a list": ({"analysis": "[1]"}, {}, "analysis"),
    "analysis half": ({"analysis": '{"a": "\\ud800"}'}, {}, "half a character"),
    "hostile state": ({"state": b"\x01\x01\xff\xff\xff" + bytes(5)}, {}, "not a MiniGrid state"),
    "long mission": ({"mission": "x" * 20_000}, {}, "at most 10,000 characters"),
    "no probabilities": (
        {"actions": [], "probabilities": []},
        {},
        "probabilities: Dict",
    ),
    "actions null": ({"actions": [None, "a", "b", "c"]}, {}, "probabilities"),
    "huge key": ({"key": "f" * 10_000}, {}, "has the key"),
    "huge kind": ({"kind": "label" * 10_000}, {}, "must be label or failure"),
    "huge row": ({"message": "x" * 2**22}, {}, "larger than 2,097,152 bytes"),
    "empty": (dict.fromkeys(("teacher", "task")), {}, "is empty"),
}


@pytest.mark.parametrize(("change", "types", "said"), BAD.values(), ids=BAD)
def test_a_bad_row(
    rows: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    types: dict[str, pa.DataType],
    said: str,
) -> None:
    monkeypatch.setattr(parquet, "MAX_BATCH_BYTES", 2**21)
    nullable = {name: SCHEMA.field(name).type for name, value in change.items() if value is None}
    file = write(tmp_path / "file.parquet", [*rows[:-1], rows[-1] | change], **nullable, **types)
    one_bad_row_costs_only_itself(file, said)


@pytest.mark.parametrize("column", ["mission", "teacher", "message", "analysis", "kind"])
def test_invalid_utf8_in_one_row(rows: list[dict[str, Any]], tmp_path: Path, column: str) -> None:
    good = write(tmp_path / "good.parquet", rows)
    table = pq.read_table(good)
    raw = [(row[column] or "").encode() for row in rows[:-1]] + [b"\xff\xfe"]
    text = pa.array(raw, pa.binary()).view(pa.string())
    index = table.column_names.index(column)
    file = tmp_path / "file.parquet"
    pq.write_table(table.set_column(index, pa.field(column, pa.string()), text), file)
    one_bad_row_costs_only_itself(file, "can't be decoded")


def test_training_is_told_how_many_rows_are_bad(
    rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [row | {"state": b"x"} for row in rows[:3]]
    LabelSetTeacher(write(tmp_path / "some", [*bad, *rows[3:]]))
    assert "3 bad rows are passed over; the first is row 0: this view's" in capsys.readouterr().err
    with pytest.raises(LabelFileError, match="no usable labels; row 0: this view's state"):
        LabelSetTeacher(write(tmp_path / "all", [row | {"state": b"x"} for row in rows]))


def test_states_of_a_file_are_those_that_are_states(
    rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "file", [rows[0] | {"state": b"x"}, *rows[1:]])
    assert len(states_in(file)) == COUNT - 1
    assert "1 bad states are passed over; the first is row 0: not" in capsys.readouterr().err
    with pytest.raises(LabelFileError, match="names no states; row 0: not a state"):
        states_in(write(tmp_path / "file", [rows[0] | {"state": b"x"}]))


def broken_parts(folder: Path, rows: list[dict[str, Any]]) -> None:
    write(folder / "part-1.parquet", rows)
    (folder / "part-2.parquet").write_bytes(b"PAR1" + b"x" * 50)


def test_a_damaged_part_is_named(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    broken_parts(tmp_path, rows)
    with pytest.raises(LabelFileError, match=r"part-2\.parquet can't be read as a part"):
        Parts(str(tmp_path)).done()


def duplicated(table: pa.Table) -> pa.Table:
    return table.append_column("teacher", table["teacher"])


def nested(table: pa.Table) -> pa.Table:
    kind = pa.string()
    for _ in range(20):
        kind = pa.list_(kind)
    return table.append_column("deep", pa.nulls(len(table), kind))


FILES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "a column twice": (duplicated, "has the column teacher twice"),
    "a bool as sample": (
        lambda t: t.set_column(1, "sample", pa.array([True] * len(t))),
        "the column sample holds bool",
    ),
    "a date as cost": (
        lambda t: t.set_column(
            t.column_names.index("cost_usd"), "cost_usd", pa.nulls(len(t), pa.date32())
        ),
        "the column cost_usd holds date32",
    ),
    "no rows": (lambda t: t.slice(0, 0), "holds no labels"),
}


@pytest.mark.parametrize(("change", "said"), FILES.values(), ids=FILES)
def test_a_bad_file_is_one_sentence(
    rows: list[dict[str, Any]],
    tmp_path: Path,
    change: Callable[[pa.Table], pa.Table],
    said: str,
) -> None:
    file = tmp_path / "file.parquet"
    pq.write_table(change(pq.read_table(write(tmp_path / "good", rows))), file)
    with pytest.raises(LabelFileError, match=said):
        LabelSetTeacher(file)


def test_columns_that_nobody_asked_for_do_no_harm(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "file.parquet"
    pq.write_table(nested(pq.read_table(write(tmp_path / "good", rows))), file)
    assert ImportConfig(store=tmp_path / "imported", file=file).run().added == COUNT


def good_row() -> dict[str, Any]:
    """A row as a careless reader would have it: any value in any place."""
    view = states(1)[0]
    from lvlm2p.teachers.label import Entry

    return to_row(Entry(view, rich_label(view, FakeTeacher(rich_label)), 0))


@FUZZ
@given(changed(good_row()))
def test_any_value_in_any_place_of_a_row(row: dict[str, Any]) -> None:
    for name in ("key", "kind", "task", "mission", "state", "teacher", "fingerprint"):
        row.setdefault(name, None)
    returns_or_is_a_sentence(lambda: from_row(row))


@FUZZ
@given(data=st.data())
def test_any_bytes_as_a_file(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A good file with some of its bytes replaced, or cut short."""
    folder = tmp_path_factory.getbasetemp()
    good = folder / "good.parquet"
    if not good.exists():
        write(good, [good_row()])
    content = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = folder / "file.parquet"
    file.write_bytes(content[: data.draw(st.none() | st.integers(0, len(content)))])
    returns_or_is_a_sentence(lambda: list(read_rows(file)))
    returns_or_is_a_sentence(lambda: LabelSetTeacher(file))


def test_what_a_store_was_given_comes_out_of_it(tmp_path: Path) -> None:
    """What is accepted at the border is within what Parquet can hold."""
    store = make_store(tmp_path / "store")
    view = states(1)[0]
    most = {"calls": 2**53, "prompt_tokens": 2**53, "cached_tokens": 0, "completion_tokens": 0}
    label = rich_label(view, FakeTeacher(rich_label)).model_dump(mode="json")
    label |= {"usage": most, "cost_usd": 1e9, "fingerprint": "x" * 1_000, "model": "\x1b" * 5_000}
    assert json.dumps(label)
    with LabelStore(store) as opened:
        opened.put(view, Label.model_validate_json(json.dumps(label)), sample=2**31 - 1)
    ExportConfig(store=store, out=str(tmp_path / "out")).run()
    result = ImportConfig(store=tmp_path / "other", file=tmp_path / "out").run()
    assert (result.added, result.bad) == (36, 0)
    assert base64.b64encode(view.state)
