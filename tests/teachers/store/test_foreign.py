"""Files from elsewhere: each row is checked, and a file that is no label set is one sentence."""

from __future__ import annotations

import resource
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lvlm2p.teachers import LabelFileError
from lvlm2p.teachers.labelset.parquet import read_rows
from lvlm2p.teachers.store.commands import ImportConfig, VerifyConfig
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


def forged(file: Path, out: Path, old: bytes, new: bytes) -> Path:
    """The file with ``old`` replaced in its footer, and the footer's length put right."""
    data = file.read_bytes()
    start = len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]
    footer = data[start:-8]
    assert old in footer
    footer = footer.replace(old, new)
    out.write_bytes(data[:start] + footer + struct.pack("<I", len(footer)) + b"PAR1")
    return out


def varint(number: int) -> bytes:
    """As Parquet's metadata has its numbers."""
    out, number = b"", 2 * number
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def test_claims_of_10_gigabytes_are_not_believed(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size that the footer gives to a column of a row group, made 10 GB by hand."""
    monkeypatch.setattr("lvlm2p.teachers.labelset.parquet.MAX_CHUNK_BYTES", 10_000)
    group = pq.read_metadata(exported).row_group(0)
    names = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    size = varint(names["state"].total_uncompressed_size)
    file = forged(exported, tmp_path / "forged.parquet", size, varint(10 * 2**30))
    with pytest.raises(LabelFileError, match=r"claims 10\.0 GiB in the column .*not read"):
        list(read_rows(file))


def test_other_claims_take_no_memory_either(exported: Path, tmp_path: Path) -> None:
    """Ten thousand million rows, a page of 2 GiB, a footer of 4 GiB."""
    count, many = b"\x16" + varint(35), b"\x16" + varint(10**10)
    rows = forged(exported, tmp_path / "rows.parquet", count, many)
    assert len(list(read_rows(rows))) == 35
    data = exported.read_bytes()
    size = pq.read_metadata(exported).row_group(0).column(0).dictionary_page_offset + 3
    end = size + next(i for i in range(9) if data[size + i] < 128) + 1
    page, footer = tmp_path / "page.parquet", tmp_path / "footer.parquet"
    page.write_bytes(data[:size] + varint(2**31 - 1) + data[end:])
    footer.write_bytes(data[:-8] + struct.pack("<I", 2**32 - 1) + b"PAR1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for file in (page, footer):
        with pytest.raises(LabelFileError, match="can't be read as Parquet"):
            list(read_rows(file))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_damage_within_the_file(exported: Path, tmp_path: Path) -> None:
    data = bytearray(exported.read_bytes())
    data[200:1200] = b"\xff" * 1000
    file = tmp_path / "damaged.parquet"
    file.write_bytes(data)
    with pytest.raises(LabelFileError, match="can't be read as Parquet"):
        ImportConfig(store=tmp_path / "other", file=file).run()
