"""A label set in parts: a folder, local or in a cloud, to which many workers write at once.

Each part is one batch, named after its states, so that a batch that is done again replaces itself.
What is there is what is done: whoever starts anew skips it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from lvlm2p.envs.untrusted import shorten
from lvlm2p.teachers.errors import LabelFileError
from lvlm2p.teachers.label import Entry
from lvlm2p.teachers.labelset.schema import schema, to_row


class Parts:
    """The parts in a folder (a path or a URI such as ``s3://bucket/labels``), made if missing.

    Raises:
        LabelFileError: the folder is a file, or can't be reached.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        try:
            uri = where if "://" in where else str(Path(where).absolute())
            self.files, self.root = pafs.FileSystem.from_uri(uri)
            if self.files.get_file_info(self.root).type == pafs.FileType.File:
                raise LabelFileError(f"{where} is a file; --engine ray writes a folder of parts")
            self.files.create_dir(self.root, recursive=True)
        except (OSError, pa.ArrowException) as error:
            raise LabelFileError(f"{where} can't be used as a folder of parts: {error}") from error

    def names(self) -> list[str]:
        """The paths of all complete parts."""
        found = self.files.get_file_info(pafs.FileSelector(self.root))
        return sorted(
            info.path
            for info in found
            if info.base_name.startswith("part-") and info.base_name.endswith(".parquet")
        )

    def done(self) -> set[str]:
        """Keys of the states that have a row."""
        keys: set[str] = set()
        for name in self.names():
            try:
                table = pq.read_table(name, columns=["key"], filesystem=self.files)
                keys.update(table["key"].to_pylist())
            except Exception as error:  # of a damaged file pyarrow raises anything
                said = shorten(" ".join(str(error).split()) or type(error).__name__)
                raise LabelFileError(
                    f"{name} can't be read as a part of a label set ({said}): take it away, and "
                    "its states are labelled once more"
                ) from error
        return keys

    def write(self, entries: Sequence[Entry]) -> None:
        """Write one batch; it is complete or not there."""
        if not entries:
            return
        digest = hashlib.sha256("".join(entry.view.key for entry in entries).encode()).hexdigest()
        name = f"{self.root}/part-{digest[:24]}.parquet"
        table = pa.Table.from_pylist([to_row(entry) for entry in entries], schema(images=False))
        local = isinstance(self.files, pafs.LocalFileSystem)
        draft = f"{name}.writing" if local else name  # object stores show complete files only
        try:
            pq.write_table(table, draft, filesystem=self.files, compression="zstd")
            if local:
                self.files.move(draft, name)
        except OSError as error:
            raise LabelFileError(f"{name} can't be written: {error}") from error
