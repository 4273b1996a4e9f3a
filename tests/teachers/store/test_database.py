"""What can be wrong with the folder under a label store."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lvlm2p.teachers import LabelStore, StoreError
from tests.support.store import FakeTeacher, states

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with ten labels, closed."""
    path = tmp_path / "store"
    fill(path, 10)
    return path


def fill(path: Path, count: int) -> None:
    teacher = FakeTeacher()
    with LabelStore(path) as store:
        store.put_entries([(view, teacher.label_for(view), 0) for view in states(count)])


def snapshot(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.name.endswith("-shm") and file.stat().st_size
    }


def refused(path: Path, *words: str) -> None:
    """Opening fails in one sentence that has ``words``, and changes nothing."""
    before = snapshot(path) if path.is_dir() else None
    with pytest.raises(StoreError) as caught:
        LabelStore(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    for word in words:
        assert word in message
    if before is not None:
        assert snapshot(path) == before


def test_answers_come_back_as_they_were(folder: Path) -> None:
    teacher = FakeTeacher()
    with LabelStore(folder) as store:
        found = store.get_many(teacher.fingerprint, [view.key for view in states(12)])
        assert len(found) == 10
        for view in states(10):
            assert found[view.key].model_dump(exclude={"created"}) == teacher.label_for(
                view
            ).model_dump(exclude={"created"})
            assert store.view(view.key) == view


def test_no_setting_ever_drops_a_label(folder: Path) -> None:
    LabelStore(folder).close()
    with closing(sqlite3.connect(folder / "cache.db")) as database:
        settings = dict(database.execute("SELECT key, value FROM Settings"))
    assert settings["eviction_policy"] == "none"
    assert settings["cull_limit"] == 0
    assert settings["size_limit"] == 2**63 - 1


def test_rows_are_plain_json_text(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "cache.db")) as database:
        query = "SELECT json_extract(value, '$.teacher') FROM Cache WHERE key LIKE 'label/%'"
        assert database.execute(query).fetchall() == [("fake",)] * 10


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, (f"touch {self.target}",))


@pytest.fixture
def sprung(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "sprung"
    yield target
    assert not target.exists()


def test_a_pickled_value_is_refused_and_not_run(folder: Path, sprung: Path) -> None:
    view = states(1)[0]
    with closing(sqlite3.connect(folder / "cache.db")) as database, database:
        database.execute(
            "UPDATE Cache SET mode = 4, value = ? WHERE key = ?",
            (pickle.dumps(Bomb(sprung)), f"label/fa4e/{view.key}"),
        )
    with LabelStore(folder) as store:
        with pytest.raises(StoreError, match="never writes"):
            store.get("fa4e", view.key)
        with pytest.raises(StoreError, match="never writes"):
            store._cache.get(f"label/fa4e/{view.key}")


def test_a_pickled_key_is_refused_and_not_run(folder: Path, sprung: Path) -> None:
    with closing(sqlite3.connect(folder / "cache.db")) as database, database:
        database.execute(
            "INSERT INTO Cache (key, raw, mode, value) VALUES (?, 0, 1, 'x')",
            (pickle.dumps(Bomb(sprung)),),
        )
    with LabelStore(folder) as store, pytest.raises(StoreError, match="never writes"):
        list(store._cache)


def test_a_value_in_a_file_beside_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    view = states(1)[0]
    with closing(sqlite3.connect(folder / "cache.db")) as database, database:
        database.execute(
            "UPDATE Cache SET mode = 3, filename = '../secret', value = NULL WHERE key = ?",
            (f"label/fa4e/{view.key}",),
        )
    with LabelStore(folder) as store, pytest.raises(StoreError, match="never writes"):
        store.get("fa4e", view.key)


def test_a_damaged_row_is_named(folder: Path) -> None:
    view = states(1)[0]
    with closing(sqlite3.connect(folder / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET value = '{}' WHERE key = ?", (f"label/fa4e/{view.key}",))
    with LabelStore(folder) as store, pytest.raises(StoreError, match=f"label/fa4e/{view.key}"):
        store.get("fa4e", view.key)


def test_a_store_of_a_later_version(folder: Path) -> None:
    (folder / "lvlm2p-store.json").write_text('{"format": "lvlm2p-labels", "version": 2}')
    refused(folder, "version 2", "update lvlm2p")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "lvlm2p-labels"}'])
def test_a_damaged_marker(folder: Path, text: str) -> None:
    (folder / "lvlm2p-store.json").write_text(text)
    refused(folder, "lvlm2p-store.json")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    refused(tmp_path, "not a label store", "--store")
    (tmp_path / "lvlm2p-store.json").write_text('{"format": "photos", "version": 1}')
    refused(tmp_path, "not a label store")


def test_a_diskcache_of_something_else(tmp_path: Path) -> None:
    import diskcache

    with diskcache.Cache(str(tmp_path / "cache")) as cache:
        cache["a"] = 1
    refused(tmp_path / "cache", "not a label store")


def test_another_programs_database(tmp_path: Path) -> None:
    store = tmp_path / "store"
    LabelStore(store).close()
    (store / "cache.db").unlink()
    with closing(sqlite3.connect(store / "cache.db")) as database, database:
        database.execute("CREATE TABLE songs (title)")
    refused(store, "another program's database")


def test_settings_that_were_planted(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "cache.db")) as database, database:
        database.execute("INSERT INTO Settings VALUES ('_disk', 'x')")
    refused(folder, "_disk")


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "is a file")


def test_a_database_that_is_none(folder: Path) -> None:
    (folder / "cache.db").write_bytes(b"not a database" * 1000)
    refused(folder, "damaged", "nothing was changed")


def test_a_corrupted_page(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    fill(folder, 300)
    database = folder / "cache.db"
    data = bytearray(database.read_bytes())
    for page in range(8, len(data) // 4096):  # the head is spared: the store still opens
        data[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    database.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"), LabelStore(folder) as store:
        store.get_many("fa4e", [view.key for view in states(300)])
    assert database.read_bytes()[8 * 4096 :] == bytes(data[8 * 4096 :])


def as_nobody(code: str, *args: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code without the superuser's rights, which no permission bit stops."""
    drop = "import os\nif os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
    early = (  # readable by root only
        "import sys, pydantic, lvlm2p.teachers.wrappers.stored, lvlm2p.teachers.store.show\n"
        "from lvlm2p.teachers.store.store import LabelStore\n"
    )
    return subprocess.run(
        [sys.executable, "-c", f"{early}{drop}{code}", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


OPEN = """
from lvlm2p.teachers.errors import StoreError
try: LabelStore(sys.argv[1])
except StoreError as error: print(error)
"""


def test_a_folder_that_can_not_be_written(folder: Path) -> None:
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    folder.chmod(0o555)
    done = as_nobody(OPEN, folder)
    folder.chmod(0o755)
    assert "can't be read and written here" in done.stdout, done.stderr


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    done = as_nobody(OPEN, tmp_path / "new" / "store")
    assert "can't be read and written here" in done.stdout, done.stderr


def test_a_full_disk(folder: Path) -> None:
    """SQLite's own limit on pages says what a full disk says."""
    teacher = FakeTeacher()
    with LabelStore(folder) as store:
        pages = store._cache._sql("PRAGMA page_count").fetchone()[0]
        store._cache._sql(f"PRAGMA max_page_count = {pages + 3}")
        stored = []
        with pytest.raises(StoreError, match="disk is full"):
            for view in states(300)[10:]:
                store.put(view, teacher.label_for(view))
                stored.append(view.key)
    with LabelStore(folder) as store:
        everything = [view.key for view in states(10)] + stored
        assert len(store.get_many("fa4e", everything)) == len(everything)
        store.put(states(300)[-1], teacher.label_for(states(300)[-1]))


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
def test_a_really_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk]).returncode:
        pytest.skip("can't mount here")
    try:
        teacher = FakeTeacher()
        stored = []
        with LabelStore(disk / "store") as store, pytest.raises(StoreError, match="disk is full"):
            for view in states(3000):
                store.put(view, teacher.label_for(view))
                stored.append(view.key)
        try:
            with LabelStore(disk / "store") as store:
                assert len(store.get_many("fa4e", stored)) == len(stored)
        except StoreError as error:
            assert "full" in str(error)
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        with LabelStore(disk / "store") as store:
            assert len(store.get_many("fa4e", stored)) == len(stored) > 20
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_the_default_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVLM2P_STORE", str(tmp_path / "named"))
    assert LabelStore().path == tmp_path / "named"
    monkeypatch.delenv("LVLM2P_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert LabelStore().path == tmp_path / "cache" / "lvlm2p" / "labels"


def test_the_marker_says_what_this_is(folder: Path) -> None:
    found = json.loads((folder / "lvlm2p-store.json").read_text())
    assert found == {"format": "lvlm2p-labels", "version": 1}
