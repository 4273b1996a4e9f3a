"""Files from elsewhere: each row is checked, and a file that is no label set is one sentence."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from teachers import LabelFileError
from teachers.labelset import ImportConfig, VerifyConfig
from teachers.labelset.parquet import read_rows
from tests.support.labelset import export, make_store


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return export(make_store(tmp_path / "store"), tmp_path / "labels.parquet")


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
