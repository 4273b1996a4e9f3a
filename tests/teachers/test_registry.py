"""Teachers by name: options, third parties, and what is said when a name is wrong."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from lvlm2p.teachers import (
    ConfigError,
    Context,
    LabelStore,
    StoredTeacher,
    TeacherNotReadyError,
    UnknownNameError,
    available,
    load_teacher,
)
from lvlm2p.teachers.expert import ExpertTeacher
from tests.support.noise import no_http
from tests.support.store import FakeTeacher, states


def test_importing_teachers_loads_nothing_heavy() -> None:
    code = (
        "import sys; from lvlm2p.teachers import load_teacher, Label, available\n"
        "load_teacher('expert')\n"
        "print([m for m in ('torch', 'litellm', 'transformers', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_options_arrive_as_strings() -> None:
    options = {"confidence": "0.8", "error_rate": "0.25", "seed": "7"}
    teacher = load_teacher("expert", options=options)
    assert isinstance(teacher, ExpertTeacher)
    assert teacher.options.model_dump() == {"confidence": 0.8, "error_rate": 0.25, "seed": 7}


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("expert", {"error_rat": "0.1"}, ["'error_rat'", "did you mean 'error_rate'"]),
        ("expert", {"zzz": "0.1"}, ["'zzz'", "confidence, error_rate, seed"]),
        ("expert", {"error_rate": "2"}, ["error_rate='2'", "less than or equal to 1"]),
        ("expert", {"seed": "one"}, ["seed='one'", "integer"]),
        ("random", {"seed": "1"}, ["no option 'seed'", "it has none"]),
        ("litellm", {}, ["litellm:<provider/model>"]),
    ],
)
def test_unusable_options(name: str, options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_teacher(name, options=options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("name", "near"), [("exprt", "expert"), ("gemni", "gemini")])
def test_an_unknown_name_gets_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{near}'"):
        load_teacher(name)
    with pytest.raises(UnknownNameError, match=r"litellm:<provider/model>"):
        load_teacher("zzzzzz")


def test_offline_needs_a_store() -> None:
    with pytest.raises(ConfigError, match="--store"):
        load_teacher("expert", offline=True)


def test_a_store_wraps(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "store") as store:
        teacher = load_teacher("expert", store=store)
        assert isinstance(teacher, StoredTeacher) and teacher.name == "expert"
        assert teacher.fingerprint == load_teacher("expert").fingerprint


def test_everybody_is_listed_with_what_is_missing() -> None:
    rows = {row.name: row for row in available()}
    assert list(rows)[:2] == ["expert", "random"]
    assert rows["expert"].ready and rows["expert"].usd_per_1000 == 0.0
    assert "simulator's state" in rows["expert"].note
    for row in rows.values():
        assert row.ready or row.note, row


def test_what_is_no_model_server_is_listed_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with no_http() as port:
        monkeypatch.setattr(
            "lvlm2p.teachers.models.hosted.teacher.LOCAL_SERVER", f"http://127.0.0.1:{port}/v1"
        )
        (row,) = (row for row in available() if row.name == "qwen-vl-local")
    assert not row.ready and row.note.startswith("no model server answers at")
    assert "does not speak" in row.note and "lvlm2p serve qwen-vl-local" in row.note


class Plugin(FakeTeacher):
    class Options(BaseModel, extra="forbid"):
        tone: str = "calm"

    @classmethod
    def build(cls, name: str, options: Options, context: Context) -> Plugin:
        teacher = cls()
        teacher.name = f"{name}/{options.tone}"
        return teacher


@pytest.fixture
def third_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    points = {
        "mine": f"{here}:Plugin",
        "gone": "package_that_is_not_there:Teacher",
        "odd": f"{here}:states",
    }

    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in points.items()]

    monkeypatch.setattr("lvlm2p.teachers.registry.entry_points", entry_points)


@pytest.mark.usefixtures("third_parties")
def test_third_parties_are_found_by_entry_point(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "store") as store:
        teacher = load_teacher("mine", options={"tone": "loud"}, store=store)
        assert teacher.name == "mine/loud"
        assert [label.kind for label in teacher.label(states(2))] == ["label", "label"]
    with pytest.raises(TeacherNotReadyError, match="pip install package_that_is_not_there"):
        load_teacher("gone")
    with pytest.raises(ConfigError, match="no classmethod build"):
        load_teacher("odd")
    rows: dict[str, Any] = {row.name: row for row in available()}
    assert rows["mine"].ready and not rows["gone"].ready and "pip install" in rows["gone"].note
    with pytest.raises(UnknownNameError, match="did you mean 'mine'"):
        load_teacher("mind")
