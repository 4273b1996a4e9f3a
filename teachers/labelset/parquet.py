"""Label sets as Parquet files: written in a stream, read in a stream, never wholly in memory."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from lvlm2p.envs.untrusted import shorten
from lvlm2p.teachers.errors import LabelFileError, Lvlm2pError
from lvlm2p.teachers.files import replacing
from lvlm2p.teachers.label import Entry
from lvlm2p.teachers.labelset.paths import writable_file
from lvlm2p.teachers.labelset.schema import REQUIRED, SCHEMA, UNREADABLE, schema, to_row

GROUP_ROWS = 5_000
"""Rows of a row group: what is in memory at once."""

MAX_CHUNK_BYTES = 2**30
"""A column of a row group that claims to be larger is not read: nothing we write comes near, and
the claim alone would make a reader allocate it."""

HERE = pafs.LocalFileSystem()
"""Said outright: pyarrow takes a path such as ``d:x/y`` for an address otherwise."""

MAX_BATCH_BYTES = 2**26
"""A batch of rows that is larger is decoded row by row."""

MAX_ROW_BYTES = 2**21
"""Of one row: a label has a few thousand. As JSON, escapes and all, the store still takes it."""

NOT_A_FILE_OF_LABELS = (pa.ArrowException, OSError, MemoryError, ValueError)


def write_labels(path: Path, entries: Iterable[Entry], images: bool = False) -> int:
    """Write ``entries``, in their order; the number of rows. The file appears when it is complete.

    Raises:
        LabelFileError: the file can't be written.
    """
    writable_file(path)
    columns = schema(images)
    count = 0
    size = GROUP_ROWS // 10 if images else GROUP_ROWS
    stream = iter(entries)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(path) as draft,
            pq.ParquetWriter(draft, columns, filesystem=HERE, compression="zstd") as writer,
        ):
            while group := list(itertools.islice(stream, size)):
                rows = [to_row(entry, images) for entry in group]
                writer.write_table(pa.Table.from_pylist(rows, columns))
                count += len(group)
    except (OSError, pa.ArrowException) as error:
        raise LabelFileError(f"{path} can't be written: {error}") from error
    return count


def read_rows(
    path: Path, leave_out: Sequence[str] = (), keep: Sequence[str] = SCHEMA.names
) -> Iterator[dict[str, Any]]:
    """The rows of a label set, unchecked (see :func:`lvlm2p.teachers.labelset.schema.from_row`).

    ``path`` is a file, or a folder whose ``.parquet`` files make up the set. Of a row that can't be
    decoded, or is too large, there is only :data:`UNREADABLE`: why.

    Raises:
        LabelFileError: the file is no label set, or is damaged.
    """
    if path.is_dir():
        for part in _parts(path):
            yield from read_rows(part, leave_out, keep)
        return
    with explained(path), pq.ParquetFile(path, filesystem=HERE) as file:
        wanted = [name for name in _columns(path, file) if name in keep and name not in leave_out]
        for batch in file.iter_batches(batch_size=1_000, columns=wanted):
            yield from _decoded(batch)


def _decoded(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows of a batch; one by one where the batch as a whole can't be had."""
    rows = None
    if batch.nbytes <= MAX_BATCH_BYTES:
        with contextlib.suppress(*NOT_A_FILE_OF_LABELS):
            rows = batch.to_pylist()
    if rows is not None:
        yield from rows
        return
    for number in range(batch.num_rows):
        row = batch.slice(number, 1)
        if row.nbytes > MAX_ROW_BYTES:
            yield {UNREADABLE: f"it is larger than {MAX_ROW_BYTES:,} bytes"}
            continue
        try:
            (plain,) = row.to_pylist()
        except NOT_A_FILE_OF_LABELS as error:
            plain = {UNREADABLE: f"it can't be decoded: {shorten(str(error))}"}
        yield plain


def count_rows(path: Path) -> int:
    """How many rows the file, or the files of a folder, say they have."""
    if path.is_dir():
        return sum(count_rows(part) for part in _parts(path))
    with explained(path), pq.ParquetFile(path, filesystem=HERE) as file:
        rows: int = file.metadata.num_rows
    return rows


def _parts(folder: Path) -> list[Path]:
    """The files of a label set that is a folder."""
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        raise LabelFileError(
            f"the folder {folder} has no file *.parquet in it: name one that has, or a file"
        )
    return parts


def _columns(path: Path, file: pq.ParquetFile) -> list[str]:
    """The columns that can be read."""
    found = file.schema_arrow
    twice = sorted({name for name in found.names if found.names.count(name) > 1})
    if twice:
        raise LabelFileError(f"{path}: it has the column {shorten(twice[0], 60)} twice")
    missing = [name for name in REQUIRED if name not in found.names]
    if missing:
        raise LabelFileError(
            f"{path} is not a label set: it lacks the columns {', '.join(missing)} "
            "(docs/labels.md lists them all)"
        )
    wanted = [name for name in SCHEMA.names if name in found.names]
    for name in wanted:
        want, have = SCHEMA.field(name).type, found.field(name).type
        if _family(have) not in (_family(want), "any", "list of any"):
            raise LabelFileError(f"{path}: the column {name} holds {have}, not {want}")
    _refuse_claims(path, file.metadata, set(wanted))
    return wanted


def _refuse_claims(path: Path, metadata: pq.FileMetaData, wanted: set[str]) -> None:
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            claim = max(column.total_uncompressed_size, column.total_compressed_size)
            if column.path_in_schema.split(".")[0] in wanted and claim > MAX_CHUNK_BYTES:
                raise LabelFileError(
                    f"{path}: row group {number} claims {claim / 2**30:,.1f} GiB in the column "
                    f"{column.path_in_schema}, more than {MAX_CHUNK_BYTES // 2**30} GiB: it was "
                    "not read; write it in smaller row groups"
                )


def _family(kind: pa.DataType) -> str:
    """Types that are as good as each other."""
    types = pa.types
    if types.is_null(kind):
        return "any"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return "bytes"
    if types.is_integer(kind) or types.is_floating(kind):
        return "number"
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return f"list of {_family(kind.value_type)}"
    if types.is_struct(kind):
        return f"struct of {sorted(field.name for field in kind)}"
    return str(kind)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever pyarrow says about a file comes out as a LabelFileError."""
    if not path.is_file():
        raise LabelFileError(f"{path}: there is no such file")
    try:
        yield
    except Lvlm2pError:
        raise
    except Exception as error:  # of a damaged file pyarrow raises anything
        said = shorten(" ".join(str(error).split()) or type(error).__name__)
        raise LabelFileError(f"{path} can't be read as Parquet: {said}") from error
