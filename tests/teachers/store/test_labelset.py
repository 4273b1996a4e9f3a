"""A label set as a teacher: it answers from its rows, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvlm2p.teachers import (
    ConfigError,
    LabelFileError,
    LabelStore,
    MissingLabelsError,
    StoredTeacher,
)
from lvlm2p.teachers.labelset.teacher import LabelSetTeacher
from lvlm2p.teachers.store.commands import ExportConfig
from tests.support.labelset import export, make_store, rich_label
from tests.support.store import FakeTeacher, states


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return export(make_store(tmp_path / "store"), tmp_path / "labels.parquet")


def test_a_label_set_is_a_teacher(exported: Path, tmp_path: Path) -> None:
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
