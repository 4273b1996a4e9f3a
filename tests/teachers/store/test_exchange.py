"""Label sets as Parquet: there and back, and read by others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lvlm2p.teachers import (
    ConfigError,
    Failure,
    Label,
    LabelFileError,
    LabelStore,
    StoredTeacher,
    Usage,
)
from lvlm2p.teachers.labelset.parquet import read_rows
from lvlm2p.teachers.labelset.schema import SCHEMA, from_row
from lvlm2p.teachers.store.commands import ExportConfig, ImportConfig
from tests.support.labelset import everything, export, make_store, rich_label
from tests.support.store import FakeTeacher, states


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_store(tmp_path / "store")


@pytest.fixture
def exported(path: Path, tmp_path: Path) -> Path:
    return export(path, tmp_path / "labels.parquet")


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


def test_nothing_to_export_is_said_and_not_written(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.parquet"
    for options in ({"teacher": "foo"}, {"task": "fetch"}, {"prompt": "123", "teacher": "fake"}):
        with pytest.raises(ConfigError, match=r"nothing to export: .*, only those of fake about"):
            ExportConfig.model_validate({"store": path, "out": out, **options}).run()
    LabelStore(tmp_path / "empty").close()
    with pytest.raises(ConfigError, match="holds no labels yet"):
        ExportConfig(store=tmp_path / "empty", out=out).run()
    assert not out.exists()


def test_a_file_is_a_file_here(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("s3://foo/b.parquet", "http://foo/y"):
        with pytest.raises(LabelFileError, match=rf"^{address} is an address and .* give a path"):
            ExportConfig(store=path, out=address).run()
    (tmp_path / "file").touch()
    for out, words in (
        ("store", "it is a folder"),
        ("file/x/y", "/file is a file, not a folder"),
        ("/dev/null", "it is a device"),
    ):
        with pytest.raises(LabelFileError, match=f"^{out} can't be written: .*{words}"):
            ExportConfig(store=path, out=out).run()
    for name in (
        "x" * 250,
        "y" * 300,
    ):  # its draft, and itself, have longer names than a disk takes
        with pytest.raises(LabelFileError, match=f"^{name} can't be written: .*too long"):
            ExportConfig(store=path, out=name).run()
    assert {entry.name for entry in tmp_path.iterdir()} == {"store", "file"}
    assert ExportConfig(store=path, out="d:x/y").run().rows == 35
    assert ImportConfig(store=Path("other"), file=Path("d:x/y")).run().added == 35


def test_help_loads_nothing_heavy() -> None:
    heavy = ("pyarrow", "diskcache", "numpy", "sqlite3", "gymnasium", "torch")
    code = (
        "import sys; from lvlm2p import cli\n"
        "try: cli.main(['labels', 'export', '--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_folder_without_labels_is_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(LabelFileError, match=r"folder has no file \*\.parquet in it"):
        ImportConfig(store=tmp_path / "other", file=tmp_path / "folder").run()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("images", [False, True])
def test_hugging_face_datasets_reads_it(
    images: bool, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels and failures, and back: what `datasets` writes again is still the same label set."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    datasets = pytest.importorskip("datasets", reason="the extra `dev` has the package datasets")
    out, again = tmp_path / "labels.parquet", tmp_path / "again.parquet"
    ExportConfig(store=path, out=out, images=images).run()
    loaded = datasets.load_dataset(
        "parquet", data_files=str(out), split="train", cache_dir=str(tmp_path / "cache")
    )
    rows = list(read_rows(out))
    assert loaded.num_rows == len(rows) == 35
    assert [{name: row[name] for name in SCHEMA.names} for row in loaded] == rows
    if images:
        view = next(view for view in states(20) if view.key == loaded[0]["key"])
        assert np.array_equal(np.asarray(loaded[0]["image"]), view.image())
    loaded.to_parquet(str(again))
    ImportConfig(store=tmp_path / "other", file=again).run()
    assert everything(tmp_path / "other") == everything(path)


def test_a_rows_checks_are_the_imports_checks(exported: Path) -> None:
    for row in read_rows(exported):
        from_row(row)
