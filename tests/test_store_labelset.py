"""Label sets: Parquet there and back, foreign files, stats, verify, prune, show."""

from __future__ import annotations

import io
import json
import pickle
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from envs import View
from teachers import (
    Answer,
    ConfigError,
    Failure,
    Label,
    LabelFileError,
    LabelStore,
    MissingLabelsError,
    StoredTeacher,
    StoreError,
    Turn,
    Usage,
)
from teachers.labelset import (
    ExportConfig,
    ImportConfig,
    PruneConfig,
    ShowConfig,
    StatsConfig,
    VerifyConfig,
)
from teachers.labelset.contents import Choice, entries
from teachers.labelset.parquet import read_rows
from teachers.labelset.schema import SCHEMA, from_row
from teachers.labelset.teacher import LabelSetTeacher
from tests.support.store import FakeTeacher, failing, states

HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m \u202e \" ' & {{ 7*7 }}"


def rich_label(view: View, teacher: FakeTeacher) -> Answer:
    """A label with something in every field."""
    extra: dict[str, Any] = {
        "model": "models/fake-1",
        "prompt": "9f" * 8,
        "transcript": (
            Turn(role="user", text="What now? [image 12ab]"),
            Turn(role="assistant", text=HOSTILE),
        ),
        "usage": Usage(calls=2, prompt_tokens=900, cached_tokens=800, completion_tokens=70),
        "latency_s": 0.1 + 0.2,
        "analysis": {"agent_row": 1, "ahead": "red door", "odd": 0.1},
        "outside": 1e-17,
    }
    return teacher.label_for(view).model_copy(update=extra)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with 20 labels of one teacher, 10 of another and 5 failures."""
    path = tmp_path / "store"
    with LabelStore(path) as store:
        StoredTeacher(FakeTeacher(rich_label), store).label(states(20))
        StoredTeacher(FakeTeacher(fingerprint="07he4"), store, sample=3).label(states(10))
        StoredTeacher(FakeTeacher(failing("refusal"), fingerprint="5ad"), store).label(states(5))
    return path


@pytest.fixture
def exported(path: Path, tmp_path: Path) -> Path:
    out = tmp_path / "labels.parquet"
    ExportConfig(store=path, out=out).run()
    return out


def everything(path: Path) -> set[tuple[str, str, int]]:
    with LabelStore(path) as store:
        return {
            (entry.view.key, entry.answer.model_dump_json(), entry.sample)
            for entry in entries(store, Choice())
        }


def test_every_field_of_an_answer_has_its_column() -> None:
    known = {*SCHEMA.names, "transcript", "usage"}
    assert {*Label.model_fields, *Failure.model_fields} - known == set()
    assert set(Usage.model_fields) <= set(SCHEMA.names)


def test_round_trip_is_exact(path: Path, exported: Path, tmp_path: Path) -> None:
    result = ImportConfig(store=tmp_path / "other", file=exported).run()
    assert (result.added, result.known, result.bad) == (35, 0, 0)
    assert everything(tmp_path / "other") == everything(path) and len(everything(path)) == 35
    again = ImportConfig(store=tmp_path / "other", file=exported).run()
    assert (again.added, again.known, again.bad) == (0, 35, 0)
    second = tmp_path / "second.parquet"
    ExportConfig(store=tmp_path / "other", out=second).run()
    assert pq.read_table(second).equals(pq.read_table(exported))


def test_offline_from_an_imported_set_is_the_same(exported: Path, tmp_path: Path) -> None:
    ImportConfig(store=tmp_path / "other", file=exported).run()
    fake = FakeTeacher(rich_label)
    with LabelStore(tmp_path / "other") as store:
        offline = StoredTeacher(fake, store, offline=True).label(states(20))
    assert [a.model_dump(exclude={"created"}) for a in offline] == [
        rich_label(view, fake).model_dump(exclude={"created"}) for view in states(20)
    ]


def test_pandas_and_images(path: Path, tmp_path: Path) -> None:
    import pandas as pd

    out = tmp_path / "labels.parquet"
    result = ExportConfig(store=path, out=out, images=True, teacher="fake").run()
    frame = pd.read_parquet(out)
    assert len(frame) == result.rows == 35 and set(frame.kind) == {"label", "failure"}
    first = frame.iloc[0]
    view = next(view for view in states(20) if view.key == first.key)
    assert first.image["bytes"] == view.png()
    assert dict(zip(first.actions, first.probabilities, strict=True))[first.action] == 1.0
    features = json.loads(pq.read_schema(out).metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"} and set(features) == set(frame.columns)
    ImportConfig(store=tmp_path / "other", file=out).run()
    assert everything(tmp_path / "other") == everything(path)


def edited(source: Path, out: Path, **changes: Any) -> Path:
    """The file with columns replaced; a value that is None drops the column."""
    table = pq.read_table(source)
    for name, values in changes.items():
        index = table.column_names.index(name)
        table = table.remove_column(index)
        if values is not None:
            table = table.append_column(name, values)
    pq.write_table(table, out)
    return out


def test_bad_rows_are_reported_and_the_rest_goes_on(exported: Path, tmp_path: Path) -> None:
    rows = pq.read_table(exported).to_pylist()
    rows[0]["probabilities"] = [0.5, 0.1, 0.1, 0.1]
    rows[1]["key"] = "0" * 64
    rows[2]["actions"] = ["left", "right", "forward", "fly"]
    rows[3]["probabilities"] = [float("nan"), 0.0, 0.0, 1.0]
    rows[4]["task"] = "chess"
    rows[5]["kind"] = "guess"
    rows[6]["state"] = b"short"
    rows[7]["elicitation"] = None
    rows[8]["analysis"] = "{"
    rows[9]["sample"] = -1
    rows[10]["probabilities"] = [0.5]
    rows[11]["transcript"] = [{"role": "king", "text": ""}]
    rows[12]["cost_usd"] = float("inf")
    file = tmp_path / "foreign.parquet"
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(exported)), file)
    result = ImportConfig(store=tmp_path / "other", file=file).run()
    assert (result.added, result.bad) == (22, 13)
    assert result.reasons is not None and len(result.reasons) == 10
    said = "\n".join(result.reasons)
    for words in ("row 0: the probabilities sum to 0.8", "has the key", "unknown 'fly'", "chess"):
        assert words in said
    assert "3 more" in result.summary()
    assert VerifyConfig(store=tmp_path / "other").run().as_json()["clean"]


def test_a_foreign_file_without_what_is_needed(exported: Path, tmp_path: Path) -> None:
    file = edited(exported, tmp_path / "foreign.parquet", state=None, mission=None)
    with pytest.raises(LabelFileError, match=r"lacks the columns mission, state .*docs/labels\.md"):
        ImportConfig(store=tmp_path / "other", file=file).run()
    numbers = pa.array([1] * 35)
    file = edited(exported, tmp_path / "foreign.parquet", key=numbers)
    with pytest.raises(LabelFileError, match="column key holds int64, not string"):
        ImportConfig(store=tmp_path / "other", file=file).run()


def test_a_foreign_file_may_leave_out_the_rest(exported: Path, tmp_path: Path) -> None:
    file = edited(
        exported,
        tmp_path / "foreign.parquet",
        **dict.fromkeys(["transcript", "calls", "latency_s", "version", "outside", "analysis"]),
    )
    result = ImportConfig(store=tmp_path / "other", file=file).run()
    assert (result.added, result.bad) == (35, 0)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1", b"x" * 100])
def test_a_file_that_is_no_parquet(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file.parquet"
    file.write_bytes(content)
    with pytest.raises(LabelFileError, match="can't be read as Parquet"):
        ImportConfig(store=tmp_path / "other", file=file).run()
    with pytest.raises(LabelFileError, match="no such file"):
        ImportConfig(store=tmp_path / "other", file=tmp_path / "none").run()


def test_claims_of_10_gigabytes_are_not_believed(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size that the footer gives to a column of a row group, made 10 GB by hand."""
    monkeypatch.setattr("teachers.labelset.parquet.MAX_CHUNK_BYTES", 10_000)
    data = exported.read_bytes()
    length = struct.unpack("<I", data[-8:-4])[0]
    group = pq.read_metadata(exported).row_group(0)
    names = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    size = names["state"].total_uncompressed_size
    footer = data[-8 - length : -8]
    old, new = varint(2 * size), varint(2 * 10 * 2**30)
    assert old in footer
    forged = footer.replace(old, new)
    file = tmp_path / "forged.parquet"
    tail = struct.pack("<I", len(forged)) + b"PAR1"
    file.write_bytes(data[: -8 - length] + forged + tail)
    with pytest.raises(LabelFileError, match=r"claims 10\.0 GiB in the column .*not read"):
        list(read_rows(file))


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def test_damage_within_the_file(exported: Path, tmp_path: Path) -> None:
    data = bytearray(exported.read_bytes())
    data[200:1200] = b"\xff" * 1000
    file = tmp_path / "damaged.parquet"
    file.write_bytes(data)
    with pytest.raises(LabelFileError, match="can't be read as Parquet"):
        ImportConfig(store=tmp_path / "other", file=file).run()


def test_a_label_set_is_a_teacher(exported: Path, path: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.parquet"
    with LabelStore(tmp_path / "one") as store:
        labels = StoredTeacher(FakeTeacher(rich_label), store).label(states(20))
    ExportConfig(store=tmp_path / "one", out=one).run()
    teacher = LabelSetTeacher(one)
    assert teacher.name == "fake" and teacher.fingerprint == "fa4e"
    answers = teacher.label([*states(20), states(1)[0]])
    assert [a.model_dump(exclude={"transcript"}) for a in answers] == [
        a.model_dump(exclude={"transcript"}) for a in [*labels, labels[0]]
    ]
    with pytest.raises(MissingLabelsError, match="10 of 30 states"):
        teacher.label(states(30))
    skipping = LabelSetTeacher(one, on_miss="skip")
    assert [answer.kind for answer in skipping.label(states(22))][-3:] == [
        "label",
        *["failure"] * 2,
    ]
    assert skipping.counts.missing == 2 and skipping.counts.cached == 20
    with pytest.raises(LabelFileError, match="different options"):
        LabelSetTeacher(exported)


def test_several_teachers_in_a_set_must_be_chosen_from(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "store") as store:
        other = FakeTeacher(fingerprint="07he4")
        other.name = "other"
        for fake in (FakeTeacher(), other):
            StoredTeacher(fake, store).label(states(4))
    out = tmp_path / "two.parquet"
    ExportConfig(store=tmp_path / "store", out=out).run()
    assert LabelSetTeacher(out, "other").fingerprint == "07he4"
    with pytest.raises(ConfigError, match="fake, other: name one"):
        LabelSetTeacher(out, "third")


def test_stats(path: Path) -> None:
    stats = StatsConfig(store=path).run()
    data = stats.as_json()
    assert (data["labels"], data["failures"]) == (30, 5) and data["bytes"] > 10_000
    fake = data["teachers"]["fake"]
    assert (fake["labels"], fake["failures"]) == (30, 5)
    assert fake["cost_usd"] == pytest.approx(0.03)
    rich = next(part for part in fake["parts"] if part["fingerprint"] == "fa4e")
    assert (
        rich["calls"] == 40 and rich["prompt_tokens"] == 18_000 and rich["cached_tokens"] == 16_000
    )
    assert rich["model"] == "models/fake-1" and rich["elicitations"] == {"choice": 20}
    refused = next(part for part in fake["parts"] if part["fingerprint"] == "5ad")
    assert refused["failures"] == {"refusal": 5} and refused["labels"] == 0
    json.dumps(data, allow_nan=False)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(stats.summary())
    assert "5 refusal" in console.export_text()


def test_an_unknown_price_is_not_nothing(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "store") as store:
        fake = FakeTeacher(lambda view, teacher: teacher.label_for(view, cost_usd=None))
        StoredTeacher(fake, store).label(states(3))
    stats = StatsConfig(store=tmp_path / "store").run()
    assert stats.as_json()["teachers"]["fake"]["cost_usd"] is None


def test_stats_of_an_empty_store(tmp_path: Path) -> None:
    stats = StatsConfig(store=tmp_path / "store").run()
    assert stats.as_json()["labels"] == 0 and "no labels yet" in str(stats.summary())


@pytest.fixture
def spoilt(path: Path) -> Iterator[Path]:
    """The store with one row of every kind of trouble."""
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
    yield path


def dump(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path / "cache.db")) as database:
        query = "SELECT key, raw, mode, tag, value FROM Cache ORDER BY rowid"
        return database.execute(query).fetchall()


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


def test_prune_is_a_dry_run_first(path: Path) -> None:
    before = dump(path)
    dry = PruneConfig(store=path, prompt="9f9f").run()
    assert dry.answers == 20 and not dry.applied and dump(path) == before
    assert "Nothing was changed" in dry.summary()
    done = PruneConfig(store=path, prompt="9f9f", apply=True).run()
    assert (done.answers, done.views) == (20, 10)
    assert StatsConfig(store=path).run().as_json()["labels"] == 10
    assert VerifyConfig(store=path).run().as_json()["clean"]
    with pytest.raises(ConfigError, match="at least one of"):
        PruneConfig(store=path).run()


def test_prune_by_age_and_teacher(path: Path) -> None:
    assert PruneConfig(store=path, older_than=1).run().answers == 0
    assert PruneConfig(store=path, older_than=0, teacher="nobody").run().answers == 0
    with LabelStore(path) as store:
        old = FakeTeacher().label_for(states(40)[39])
        store.put(states(40)[39], old.model_copy(update={"created": "2020-01-01T00:00:00+00:00"}))
    assert PruneConfig(store=path, older_than=300, apply=True).run().answers == 1
    with LabelStore(path) as store:
        assert store.view(states(40)[39].key) is None


def test_show_in_a_terminal_and_as_a_page(path: Path, tmp_path: Path) -> None:
    view = states(1)[0]
    html = tmp_path / "page" / "label.html"
    shown = ShowConfig(store=path, key=view.key[:8], html=html).run()
    assert len(shown.answers) == 3 and len(shown.as_json()["answers"]) == 3
    for system, colours in (("truecolor", True), (None, False)):
        out = tmp_path / "out.txt"
        with out.open("w", encoding="utf-8") as file:
            console = Console(
                file=file,
                width=200,
                color_system=system,  # type: ignore[arg-type]
                force_terminal=colours,
            )
            console.print(shown.summary(), markup=False, highlight=False)
        text = out.read_text(encoding="utf-8")
        assert "\\x1b[31mred" in text and "\x1b[31mred" not in text and "\u202e" not in text
        assert ("▀" in text) == colours
        assert view.mission in text and "models/fake-1" in text and "it was refusal" in text
    page = html.read_text(encoding="utf-8")
    assert (
        "<script" not in page and "&lt;script&gt;" in page and "49" not in page.split("7*7")[0][-9:]
    )
    assert "data:image/png;base64," in page and "default-src &#39;none&#39;" not in page
    json.dumps(shown.as_json(), allow_nan=False)


def test_show_needs_one_state(path: Path) -> None:
    with pytest.raises(StoreError, match="no state whose key begins 'xyz'"):
        ShowConfig(store=path, key="xyz").run()
    with pytest.raises(StoreError, match="states have keys that begin"):
        ShowConfig(store=path, key="").run()


def test_a_rows_checks_are_the_imports_checks(exported: Path) -> None:
    for row in read_rows(exported):
        from_row(row)
